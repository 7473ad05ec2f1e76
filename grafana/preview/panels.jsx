// What stands inside each panel's frame. Time series, stats, bar gauges and tables are Grafana's own components; the
// state timeline, whose component is not published, is drawn here after Grafana's.
import React, {useLayoutEffect} from 'react';
import {
  FieldType, formattedValueToString, getDisplayValueAlignmentFactors, getFieldDisplayName,
  getFieldDisplayValues, renderMarkdown, VizOrientation,
} from '@grafana/data';
import {BarGauge, BigValue, TimeSeries, VizRepeater} from '@grafana/ui';
import {TableNG} from '@grafana/ui/unstable';

const NO_LEGEND = {showLegend: false, displayMode: 'hidden', placement: 'bottom', calcs: []};

function NoData({panel}) {
  return <div className="nothing">{panel.fieldConfig?.defaults?.noValue ?? 'No data'}</div>;
}

const calcsOf = (options) => ({values: false, calcs: ['lastNotNull'], ...options.reduceOptions});

function valuesOf({panel, frames, theme}, extra = {}) {
  return getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: calcsOf(panel.options), replaceVariables: (text) => text, theme,
    data: frames, timeZone: 'utc', ...extra,
  });
}

function Stat(props) {
  const {panel, theme, width, height} = props;
  const {options} = panel;
  const graph = options.graphMode ?? 'area';
  return <VizRepeater width={width} height={height} source={panel} renderCounter={0} itemSpacing={3} autoGrid
    orientation={options.orientation ?? 'auto'} getAlignmentFactors={getDisplayValueAlignmentFactors}
    getValues={() => valuesOf(props, {sparkline: graph !== 'none', percentChange: options.showPercentChange})}
    renderValue={({value, width, height, count, alignmentFactors}) =>
      <BigValue theme={theme} width={width} height={height} value={value.display} count={count}
        sparkline={graph === 'none' ? undefined : value.sparkline} alignmentFactors={alignmentFactors}
        colorMode={options.colorMode ?? 'value'} graphMode={graph} justifyMode={options.justifyMode ?? 'auto'}
        textMode={options.textMode ?? 'auto'} text={options.text} disableWideLayout={options.wideLayout === false}
        percentChangeColorMode={options.percentChangeColorMode} />} />;
}

function Bars(props) {
  const {panel, theme, width, height} = props;
  const {options} = panel;
  const orientation = !options.orientation || options.orientation === 'auto'
    ? (width > height ? VizOrientation.Vertical : VizOrientation.Horizontal) : options.orientation;
  return <VizRepeater width={width} height={height} source={panel} renderCounter={0} itemSpacing={10}
    orientation={orientation} minVizWidth={options.minVizWidth ?? 8} minVizHeight={options.minVizHeight ?? 16}
    maxVizHeight={options.maxVizHeight ?? 300} getValues={() => valuesOf(props)}
    getAlignmentFactors={getDisplayValueAlignmentFactors}
    renderValue={({value, width, height, alignmentFactors}) =>
      <BarGauge theme={theme} width={width} height={height} orientation={orientation} field={value.field}
        value={value.display} display={value.view?.getFieldDisplayProcessor(value.colIndex)} text={options.text}
        itemSpacing={10} lcdCellWidth={8} displayMode={options.displayMode ?? 'gradient'}
        showUnfilled={options.showUnfilled ?? true} valueDisplayMode={options.valueMode}
        namePlacement={options.namePlacement} alignmentFactors={alignmentFactors} />} />;
}

function Lines({panel, frames, width, height, timeRange, marks}) {
  const named = frames.map((frame) => ({...frame, fields: frame.fields.map((field) => {
    const {hideFrom, ...custom} = field.config.custom ?? {};
    return {...field, config: {...field.config, custom: {...custom, hideFrom: {viz: false, legend: false, tooltip: false, ...hideFrom}}}};
  })})).filter((frame) => frame.fields.some((field) => field.type === FieldType.number && !field.config.custom.hideFrom.viz));
  return <TimeSeries frames={named} timeRange={timeRange} timeZone="utc" width={width} height={height} structureRev={1}
    legend={{...NO_LEGEND, ...(panel.options.legend ?? {showLegend: true, displayMode: 'list'})}}
    options={panel.options} tweakScale={(each) => each} tweakAxis={(each) => each}>
    {(builder) => <Marks builder={builder} marks={marks} />}
  </TimeSeries>;
}

/** Annotations: a dashed line at each moment, a shade over a span of time, and a mark below either. */
function Marks({builder, marks}) {
  useLayoutEffect(() => {
    builder.addHook('draw', (u) => {
      const {ctx} = u, {left, top, width, height} = u.bbox, base = top + height;
      ctx.save();
      ctx.beginPath(); ctx.rect(left, top, width, height + 8); ctx.clip();
      ctx.lineWidth = 2;
      ctx.setLineDash([5, 5]);
      for (const {time, until, color} of marks) {
        const from = u.valToPos(time, 'x', true), to = u.valToPos(until, 'x', true);
        ctx.strokeStyle = ctx.fillStyle = color;
        for (const x of until > time ? [from, to] : [from]) {
          ctx.beginPath(); ctx.moveTo(x, top); ctx.lineTo(x, base); ctx.stroke();
        }
        if (until > time) {
          ctx.fillRect(from, base, to - from, 5);
          ctx.globalAlpha = 0.1; ctx.fillRect(from, top, to - from, height); ctx.globalAlpha = 1;
        } else {
          ctx.beginPath(); ctx.moveTo(from, base); ctx.lineTo(from + 4, base + 6); ctx.lineTo(from - 4, base + 6); ctx.fill();
        }
      }
      ctx.restore();
    });
  }, [builder]);
  return null;
}

function Rows({panel, frames, width, height, timeRange}) {
  return <TableNG data={frames[0]} width={width} height={height} timeRange={timeRange} timeZone="utc"
    enableVirtualization={false} noHeader={panel.options.showHeader === false} cellHeight={panel.options.cellHeight ?? 'sm'}
    sortBy={panel.options.sortBy} structureRev={1} fieldConfig={panel.fieldConfig} />;
}

const spans = (field, times, end) => {
  const found = [];
  field.values.forEach((value, index) => {
    const last = found.at(-1);
    const shown = value == null ? null : field.display(value);
    const text = shown && formattedValueToString(shown);
    if (last && last.text === text && last.color === shown?.color) last.to = times[index + 1] ?? end;
    else found.push({text, color: shown?.color, from: times[index], to: times[index + 1] ?? end});
  });
  return found.filter((each) => each.text !== null);
};

function StateTimeline({panel, frames, width, height, timeRange}) {
  const {options} = panel;
  const from = timeRange.from.valueOf(), to = timeRange.to.valueOf();
  const lines = frames.flatMap((frame) => {
    const times = frame.fields.find((field) => field.type === FieldType.time).values;
    return frame.fields.filter((field) => field.type !== FieldType.time).map((field) =>
      ({name: getFieldDisplayName(field, frame, frames), spans: spans(field, times, to)}));
  });
  const legend = options.legend?.showLegend === false ? [] :
    [...new Map(lines.flatMap((line) => line.spans).map((each) => [each.text, each])).values()];
  const side = Math.min(240, 12 + 6.6 * Math.max(...lines.map((line) => line.name.length)));
  const bottom = 18 + (legend.length ? 26 : 0), each = (height - bottom) / lines.length;
  const plot = width - side - 8, at = (time) => side + (plot * (Math.max(time, from) - from)) / (to - from);
  const hours = [];
  const every = [1, 2, 3, 5, 10, 15, 30, 60, 120].find((m) => (to - from) / 60000 / m < plot / 70) * 60000;
  for (let time = Math.ceil(from / every) * every; time <= to; time += every) hours.push(time);
  const thick = each * (options.rowHeight ?? 0.9);
  return <div style={{position: 'relative', width, height}}>
    <svg width={width} height={height - (legend.length ? 26 : 0)} className="timeline">
      {hours.map((time) => <g key={time}>
        <line x1={at(time)} x2={at(time)} y1={0} y2={height - bottom} className="gridline" />
        <text x={at(time)} y={height - bottom + 14} textAnchor="middle">{new Date(time).toISOString().slice(11, 16)}</text>
      </g>)}
      {lines.map((line, index) => <g key={line.name} transform={`translate(0,${index * each + (each - thick) / 2})`}>
        <text x={side - 8} y={thick / 2 + 4} textAnchor="end">{line.name}</text>
        {line.spans.map((span) => { const wide = at(span.to) - at(span.from); return <g key={span.from}>
          <rect x={at(span.from)} width={wide} height={thick} fill={span.color}
            fillOpacity={(panel.fieldConfig.defaults.custom?.fillOpacity ?? 70) / 100} />
          {options.showValue !== 'never' && wide > 7 * span.text.length + 8 &&
            <text x={at(span.from) + (options.alignValue === 'center' ? wide / 2 : 6)} y={thick / 2 + 4}
              textAnchor={options.alignValue === 'center' ? 'middle' : 'start'} className="value">{span.text}</text>}
        </g>; })}
      </g>)}
    </svg>
    {legend.length > 0 && <div className="keys">{legend.map((key) =>
      <span key={key.text}><i style={{background: key.color}} />{key.text}</span>)}</div>}
  </div>;
}

const KINDS = {stat: Stat, bargauge: Bars, timeseries: Lines, table: Rows, 'state-timeline': StateTimeline};

export function Inside(props) {
  const {panel, frames} = props;
  if (panel.type === 'text') {
    const __html = panel.options.mode === 'html' ? panel.options.content : renderMarkdown(panel.options.content);
    return <div className="markdown-html" dangerouslySetInnerHTML={{__html}} />;
  }
  const Kind = KINDS[panel.type];
  if (!Kind) throw new Error(`no preview of panels of type ${panel.type}`);
  return frames.some((frame) => frame.length) ? <Kind {...props} /> : <NoData panel={panel} />;
}
