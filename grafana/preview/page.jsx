// A whole dashboard, drawn with Grafana's components from recorded answers. It is a preview: Grafana itself is not here.
import React, {useEffect, useState} from 'react';
import {createRoot} from 'react-dom/client';
import {createTheme, dateTime} from '@grafana/data';
import {GlobalStyles, Icon, PanelChrome, ThemeContext} from '@grafana/ui';
import {framesOf} from './frames.js';
import {Inside} from './panels.jsx';
import './page.css';

const theme = createTheme({colors: {mode: 'dark'}});
const COLUMNS = 24, CELL = 30, GAP = 8, MARGIN = 16; // as Grafana's GRID_COLUMN_COUNT, GRID_CELL_HEIGHT, GRID_CELL_VMARGIN

class Boundary extends React.Component {
  state = {};
  static getDerivedStateFromError(fault) { return {fault}; }
  componentDidCatch(fault) { window.faults.push(`${this.props.title}: ${fault.stack}`); }
  render() { return this.state.fault ? <pre className="fault">{String(this.state.fault)}</pre> : this.props.children; }
}

/** An annotation may name the panels that it stands in, or those that it does not. */
const standsIn = ({only}, {id}) => !only || only.ids.includes(id) !== Boolean(only.exclude);

function Panel({panel, frames, timeRange, marks, cell}) {
  const {x, y, w, h} = panel.gridPos;
  const place = {left: MARGIN + x * cell, top: y * (CELL + GAP), width: w * cell - GAP, height: h * (CELL + GAP) - GAP};
  if (panel.type === 'row') {
    return <div className="row" style={{...place, height: CELL}}>
      <Icon name={panel.collapsed ? 'angle-right' : 'angle-down'} /> <b>{panel.title}</b>
      {panel.collapsed && <span className="inside"> ({panel.panels.length} panels)</span>}</div>;
  }
  const links = panel.links?.length ? <span className="panel-link"><Icon name="external-link-alt" size="md" /></span> : undefined;
  return <div className="cell" style={place}>
    <PanelChrome title={panel.title} description={panel.description} titleItems={links} width={place.width} height={place.height}
      displayMode={panel.transparent ? 'transparent' : 'default'} padding={panel.type === 'table' ? 'none' : 'md'}>
      {(width, height) => <Boundary title={panel.title}>
        <Inside {...{panel, frames, theme, width, height, timeRange}} marks={marks.filter((mark) => standsIn(mark, panel))} /></Boundary>}
    </PanelChrome></div>;
}

const time = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ');

function Head({dashboard, range, variables}) {
  return <header>
    <nav><Icon name="apps" /> Dashboards <Icon name="angle-right" /> <b>{dashboard.title}</b>
      <span className="what">preview from recorded data</span></nav>
    <div className="controls">
      {variables.map(({label, value}) => <span className="variable" key={label}><label>{label}</label><span>{value} <Icon name="angle-down" /></span></span>)}
      {(dashboard.annotations?.list ?? []).filter((each) => each.enable && !each.hide && !each.builtIn).map((each) =>
        <span className="variable" key={each.name}><label><i className="mark" style={{background: colour(each.iconColor)}} />{each.name}</label><span className="switch"><Icon name="check" size="sm" /></span></span>)}
      <span className="grow" />
      {(dashboard.links ?? []).map((link) => <span className="link" key={link.title}><Icon name="external-link-alt" size="sm" /> {link.title}</span>)}
      <span className="variable"><span><Icon name="clock-nine" /> {time(range.from)} to {time(range.to)} <em>UTC</em></span></span>
    </div>
  </header>;
}

const colour = (name) => theme.visualization.getColorByName(name ?? 'blue');

function Dashboard({told, frames}) {
  const {dashboard, range, annotations} = told;
  const cell = (innerWidth - 2 * MARGIN + GAP) / COLUMNS;
  const timeRange = {from: dateTime(range.from * 1000), to: dateTime(range.to * 1000), raw: {from: 'now-6h', to: 'now'}};
  const marks = annotations.map((mark) => ({...mark, time: mark.time * 1000, until: mark.until * 1000, color: colour(mark.color)}));
  const bottom = Math.max(...dashboard.panels.map(({gridPos: {y, h}}) => y + h)) * (CELL + GAP);
  return <><Head dashboard={dashboard} range={range} variables={told.variables} />
    <main style={{height: bottom}}>
      {dashboard.panels.map((panel, index) =>
        <Panel key={index} {...{panel, timeRange, marks, cell}} frames={frames[index]} />)}
    </main></>;
}

function Page() {
  const [all, setAll] = useState();
  useEffect(() => {
    (async () => {
      const {told} = window;
      const frames = await Promise.all(told.dashboard.panels.map((panel) =>
        framesOf(panel, told.answers[panel.id] ?? [], told.range, theme)));
      await document.fonts.load('14px Inter');
      await document.fonts.load('500 14px Inter');
      setAll({told, frames});
    })().catch((fault) => window.faults.push(`${fault}\n${fault.stack ?? ""}`)).finally(() => setTimeout(said, 3000));
  }, []);
  return all ? <Boundary title="page"><Dashboard {...all} /></Boundary> : null;
}

const said = () => fetch('faults', {method: 'POST', body: JSON.stringify(window.faults)});
window.faults = [];
window.addEventListener('error', (event) => window.faults.push(String(event.message)));
document.body.style.background = theme.colors.background.canvas;
createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}><GlobalStyles /><Page /></ThemeContext.Provider>);
