// From Prometheus' answers to data frames, as Grafana's Prometheus datasource and panel pipeline make them:
// legends, transformations, field options and overrides, seen through @grafana/data.
import {
  FieldType, getDisplayProcessor, getFieldMatcher, standardTransformers, standardTransformersRegistry, toDataFrame,
  transformDataFrame,
} from '@grafana/data';

// By id, since an old name of one stands among them as well.
const transformers = new Map(Object.values(standardTransformers).map((each) => [each.id, each]));
standardTransformersRegistry.setInit(() =>
  [...transformers.values()].map((each) => ({...each, transformation: () => Promise.resolve(each)})));

const number = (text) => (text === 'NaN' ? NaN : text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : +text);
const labelsOf = (metric) => Object.fromEntries(Object.entries(metric).filter(([name]) => name !== '__name__'));

function legend(format, metric) {
  if (format && format !== '__auto') return format.replace(/{{\s*(.+?)\s*}}/g, (_, name) => metric[name] ?? '');
  const pairs = Object.entries(labelsOf(metric));
  if (format === '__auto' && pairs.length === 1) return pairs[0][1];
  return `${metric.__name__ ?? ''}{${pairs.map(([name, value]) => `${name}="${value}"`).join(', ')}}`;
}

function tableFrame(answer) {
  const names = [...new Set(answer.result.flatMap((each) => Object.keys(labelsOf(each.metric))))].sort();
  const points = answer.result.flatMap((each) => (each.value ? [each.value] : each.values).map((at) => [each.metric, at]));
  return toDataFrame({refId: answer.refId, fields: [
    {name: 'Time', type: FieldType.time, config: {}, values: points.map(([, at]) => at[0] * 1000)},
    ...names.map((name) => ({name, type: FieldType.string, config: {}, values: points.map(([metric]) => metric[name] ?? '')})),
    {name: answer.only ? 'Value' : `Value #${answer.refId}`, type: FieldType.number, config: {},
      values: points.map(([, at]) => number(at[1]))},
  ]});
}

// Prometheus leaves out moments without a value; Grafana shows them as gaps, not as lines across.
function onGrid(values, {from, to}, step) {
  const known = new Map(values.map(([at, value]) => [Math.round(at), number(value)]));
  const grid = [];
  for (let at = from; at <= to; at += step) grid.push([at, known.get(at) ?? null]);
  return grid;
}

function seriesFrames(answer, range) {
  return answer.result.map(({metric, value, values}) => {
    const points = value ? [[value[0], number(value[1])]] : onGrid(values, range, answer.step);
    return toDataFrame({refId: answer.refId, fields: [
      {name: 'Time', type: FieldType.time, config: {}, values: points.map((at) => at[0] * 1000)},
      {name: 'Value', type: FieldType.number, labels: labelsOf(metric), values: points.map((at) => at[1]),
        config: {displayNameFromDS: legend(answer.legendFormat, metric)}},
    ]});
  });
}

function put(config, path, value) {
  const keys = path.split('.');
  const last = keys.pop();
  keys.reduce((inner, key) => (inner[key] = {...inner[key]}), config)[last] = value;
}

/** The panel's own options for every field, then what its overrides say of some. */
function configured(frames, panel, theme) {
  const {defaults = {}, overrides = []} = panel.fieldConfig ?? {};
  let index = 0;
  for (const frame of frames) {
    for (const field of frame.fields) {
      const own = field.config;
      field.config = {...structuredClone(defaults), ...own, custom: {...structuredClone(defaults.custom ?? {}), ...own.custom}};
      field.state = {...field.state, seriesIndex: field.type === FieldType.number ? index++ : index};
      // Options for numbers, such as a unit, do not fit moments and names.
      if (field.type === FieldType.time) { delete field.config.unit; delete field.config.thresholds; delete field.config.mappings; }
    }
  }
  for (const {matcher, properties} of overrides) {
    const matches = getFieldMatcher(matcher);
    for (const frame of frames) {
      for (const field of frame.fields.filter((each) => matches(each, frame, frames))) {
        for (const {id, value} of properties) put(field.config, id, value);
      }
    }
  }
  const numbers = frames.flatMap((frame) => frame.fields).filter((field) => field.type === FieldType.number);
  const all = numbers.flatMap((field) => [...field.values]).filter((value) => Number.isFinite(value));
  for (const field of frames.flatMap((frame) => frame.fields)) {
    if (field.type === FieldType.number) {
      const min = field.config.min ?? Math.min(...all), max = field.config.max ?? Math.max(...all);
      field.state.range = {min, max, delta: max - min};
    }
    field.display = getDisplayProcessor({field, theme, timeZone: 'utc'});
  }
  return frames;
}

export async function framesOf(panel, answers, range, theme) {
  const shown = answers.filter((answer) => !answer.hide);
  let frames = shown.flatMap((answer) =>
    answer.format === 'table' ? (answer.result.length ? [tableFrame({...answer, only: shown.length === 1})] : []) : seriesFrames(answer, range));
  const wanted = (panel.transformations ?? []).filter((each) => !each.disabled);
  if (wanted.length && frames.length) {
    frames = await new Promise((done) => transformDataFrame(wanted, frames, {interpolate: (text) => text}).subscribe(done));
  }
  return configured(frames, panel, theme);
}
