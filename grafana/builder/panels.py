"""The house style: every panel says what it shows, what is normal, and what to do if it is not.

Colours mean the same everywhere: failures are red, successes green, bans orange, what was spared blue.
"""

import string
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from grafana_foundation_sdk.builders import bargauge, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import common as look
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus as prom
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FAILURE = "red"
SUCCESS = "green"
BAN = "orange"
SPARED = "blue"
WARNING = "yellow"
PLAIN = "#9fa7b3"
"""Of a figure that is neither good nor bad."""

LOW = 4
"""Height of a row of figures; their text is of one size, so that they read as one line."""
RUNBOOKS = "runbooks"
"""The variable that holds the address of the runbooks."""
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel: TypeAlias = stat.Panel | timeseries.Panel | bargauge.Panel | tables.Panel | statetimeline.Panel
Steps: TypeAlias = Sequence[tuple[float | None, str]]
"""From which value on a colour holds; the first has no value, and is the colour of nothing as well."""
_ALL_ZERO = model.MatcherConfig("byValue", {"reducer": "allIsZero", "op": "gte", "value": 0})
"""Of a dozen reasons only those that happened stand in the legend."""


class Series(NamedTuple):
    """A query, and what the legend calls its lines."""

    expr: str
    legend: str


class Style(NamedTuple):
    """How a graph is drawn."""

    draw: looks.GraphDrawStyle = looks.GraphDrawStyle.LINE
    line: looks.LineInterpolation = looks.LineInterpolation.LINEAR
    width: int = 2
    fill: int = 10
    point: int = 3
    stacked: bool = False
    interval: str | None = None
    """The time that one bar or point stands for; as short as the screen allows, if not said."""


LINES = Style()
THICK = LINES._replace(width=3)
STEPS = LINES._replace(line=looks.LineInterpolation.STEP_AFTER)
AREAS = Style(width=1, fill=40, stacked=True)
STEPPED_AREAS = AREAS._replace(line=looks.LineInterpolation.STEP_AFTER)
BARS = Style(draw=looks.GraphDrawStyle.BARS, width=1, fill=80, stacked=True, interval="5m")
POINTS = Style(draw=looks.GraphDrawStyle.POINTS, point=6, interval="5m")


class Column(NamedTuple):
    """Of a table: a query with one value for each row. Without a title only its labels are shown."""

    title: str
    expr: str
    unit: str = "short"
    steps: Steps = ((None, PLAIN),)
    decimals: int | None = None
    mappings: Sequence[model.ValueMapping] = ()


def told(says: str, *, normal: str, otherwise: str) -> str:
    """What stands behind the (i) of a panel, for somebody who never saw it."""
    return f"{says}\n\n**Normal:** {normal}\n\n**Otherwise:** {otherwise}"


def bad_from(value: float, colour: str = FAILURE) -> Steps:
    return ((None, SUCCESS), (value, colour))


def bad_below(value: float) -> Steps:
    """Nothing at all is bad too."""
    return ((None, FAILURE), (value, SUCCESS))


def words(*named: tuple[int, str, str]) -> list[model.ValueMapping]:
    """What stands in place of a number: (number, text, colour)."""
    return [model.ValueMap({str(number): model.ValueMappingResult(text, colour) for number, text, colour in named})]


def runbook(alert: str) -> build.DashboardLink:
    return _link(f"What to do: {alert}", f"${{{RUNBOOKS}}}/{alert}.md").target_blank(True)


def details(uid: str) -> build.DashboardLink:
    """To another dashboard, with the same time and the same gateways."""
    return _link("Details", f"/d/{uid}?${{__url_time_range}}&${{__all_variables}}")


def figure(
    title: str, says: str, *series: Series, wide: int = 4, high: int = LOW, unit: str = "short",
    steps: Steps = ((None, PLAIN),), mappings: list[model.ValueMapping] | None = None, filled: bool = False,
    trend: bool = False, names: bool = False, decimals: int | None = None, none: str = "no data",
    links: Sequence[build.DashboardLink] = (),
) -> Panel:  # fmt: skip
    """One number, or a few side by side; `trend` draws where it comes from, `filled` colours the whole panel."""
    panel = (
        stat.Panel()
        .reduce_options(_last())
        .graph_mode(looks.BigValueGraphMode.AREA if trend else looks.BigValueGraphMode.NONE)
        .color_mode(looks.BigValueColorMode.BACKGROUND_SOLID if filled else looks.BigValueColorMode.VALUE)
        .text_mode(looks.BigValueTextMode.VALUE_AND_NAME if names else looks.BigValueTextMode.VALUE)
        .justify_mode(looks.BigValueJustifyMode.CENTER)
        .orientation(looks.VizOrientation.AUTO)
        .thresholds(_thresholds(steps))
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    if high == LOW:
        panel.text(look.VizTextDisplayOptions().value_size(28))
    if mappings:
        panel.mappings(mappings)
    if decimals is not None:
        panel.decimals(decimals)
    _ask(panel, series, instant=not trend)
    return _dress(panel, title, says, unit, wide, high, none, links)


def graph(
    title: str, says: str, *series: Series, style: Style = LINES, wide: int = 8, high: int = 8, unit: str = "short",
    colours: Mapping[str, str] | None = None, dashed: Sequence[str] = (), limits: Steps = (), floor: float | None = 0,
    ceiling: float | None = None, log: bool = False, none: str = "no data", links: Sequence[build.DashboardLink] = (),
) -> Panel:  # fmt: skip
    """Over time. `limits` are dashed lines; the axis reaches from `floor` at least to `ceiling`."""
    several = any("{{" in one.legend for one in series)
    stacking = looks.StackingMode.NORMAL if style.stacked else looks.StackingMode.NONE
    panel = (
        timeseries.Panel()
        .draw_style(style.draw)
        .line_interpolation(style.line)
        .line_width(style.width)
        .fill_opacity(style.fill)
        .show_points(looks.VisibilityMode.AUTO)
        .point_size(style.point)
        .stacking(look.StackingConfig().mode(stacking).group("A"))
        .legend(
            look.VizLegendOptions()
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs([] if several else ["lastNotNull"])
        )
        .tooltip(look.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    )
    if log:
        panel.scale_distribution(look.ScaleDistributionConfig().type(looks.ScaleDistribution.LOG).log(10))
    elif floor is not None:
        panel.min(floor)
    if ceiling is not None:
        panel.axis_soft_max(ceiling)
    if style.interval:
        panel.interval(style.interval)
    if limits:
        panel.thresholds(_thresholds(limits))
        panel.thresholds_style(look.GraphThresholdsStyleConfig().mode(looks.GraphThresholdsStyleMode.DASHED))
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, [_always(colour)])
    for name in dashed:
        line = {"fill": "dash", "dash": [10, 10]}
        panel.override_by_name(name, [_set("custom.lineStyle", line), _set("custom.fillOpacity", 0)])
    if several:
        panel.with_override(_ALL_ZERO, [_set("custom.hideFrom", {"legend": True, "tooltip": True, "viz": False})])
    _ask(panel, series)
    return _dress(panel, title, says, unit, wide, high, none, links)


def gauges(
    title: str, says: str, *series: Series, wide: int = 6, high: int = 8, unit: str = "short",
    steps: Steps = ((None, PLAIN),), colours: Mapping[str, str] | None = None, decimals: int | None = None,
    none: str = "no data", links: Sequence[build.DashboardLink] = (),
) -> Panel:  # fmt: skip
    """A horizontal bar for each of a few named numbers, as they are now."""
    panel = (
        bargauge.Panel()
        .reduce_options(_last())
        .orientation(looks.VizOrientation.HORIZONTAL)
        .display_mode(looks.BarGaugeDisplayMode.BASIC)
        .value_mode(looks.BarGaugeValueMode.TEXT)
        .name_placement(looks.BarGaugeNamePlacement.TOP)
        .show_unfilled(True)
        .sizing(looks.BarGaugeSizing.MANUAL)
        .min_viz_height(16)
        .max_viz_height(40)
        .text(look.VizTextDisplayOptions().value_size(15))
        .thresholds(_thresholds(steps))
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .min(0)
    )
    if decimals is not None:
        panel.decimals(decimals)
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, [_always(colour)])
    _ask(panel, series, instant=True)
    return _dress(panel, title, says, unit, wide, high, none, links)


def timeline(
    title: str, says: str, *series: Series, mappings: list[model.ValueMapping], wide: int = 12, high: int = 8,
    none: str = "no data", links: Sequence[build.DashboardLink] = (),
) -> Panel:  # fmt: skip
    """A band for each thing that can be so or otherwise."""
    panel = (
        statetimeline.Panel()
        .mappings(mappings)
        .show_value(looks.VisibilityMode.AUTO)
        .row_height(0.8)
        .line_width(0)
        .fill_opacity(80)
        .merge_values(True)
        .legend(look.VizLegendOptions().show_legend(False))
        .tooltip(look.VizTooltipOptions().mode(looks.TooltipDisplayMode.SINGLE))
        .color_scheme(build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .thresholds(_thresholds(((None, SUCCESS),)))
    )
    _ask(panel, series)
    return _dress(panel, title, says, "short", wide, high, none, links)


def table(
    title: str, says: str, *columns: Column, keys: Mapping[str, str], worst: str = "", wide: int = 24, high: int = 8,
    none: str = "–", links: Sequence[build.DashboardLink] = (),
) -> Panel:  # fmt: skip
    """A row for each value of the labels `keys` (label → heading), a column for each of at least two queries.

    The rows where column `worst` is highest stand first.
    """
    panel = tables.Panel().show_header(True).cell_height(looks.TableCellHeight.SM)
    headings, hidden = dict(keys), {"Time": True}
    for letter, column in zip(string.ascii_uppercase, columns, strict=False):
        panel.with_target(_target(Series(column.expr, ""), letter, instant=True).format(PromQueryFormat.TABLE))
        if column.title:
            headings[f"Value #{letter}"] = column.title
            panel.override_by_name(column.title, _cell(column))
        else:
            hidden[f"Value #{letter}"] = True
    order = {heading: place for place, heading in enumerate(headings)}
    shape = {"excludeByName": hidden, "indexByName": order, "renameByName": headings}
    panel.with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(model.DataTransformerConfig(id_val="organize", options=shape))
    if worst:
        panel.sort_by([look.TableSortByFieldState().display_name(worst).desc(True)])
    return _dress(panel, title, says, "short", wide, high, none, links)


def _dress(
    panel: Panel,
    title: str,
    says: str,
    unit: str,
    wide: int,
    high: int,
    none: str,
    links: Sequence[build.DashboardLink],
) -> Panel:
    panel.title(title).description(says).datasource(DATASOURCE).unit(unit).no_value(none).span(wide).height(high)
    if links:
        panel.links(list(links))
    return panel


def _ask(panel: Panel, series: Sequence[Series], *, instant: bool = False) -> None:
    for letter, one in zip(string.ascii_uppercase, series, strict=False):
        panel.with_target(_target(one, letter, instant=instant))


def _target(series: Series, letter: str, *, instant: bool) -> prom.Dataquery:
    query = prom.Dataquery().expr(series.expr).legend_format(series.legend).ref_id(letter).datasource(DATASOURCE)
    return query.instant() if instant else query.range()


def _cell(column: Column) -> list[model.DynamicConfigValue]:
    steps = [{"color": colour, "value": value} for value, colour in column.steps]
    cell = [_set("unit", column.unit), _set("thresholds", {"mode": "absolute", "steps": steps})]
    if column.decimals is not None:
        cell.append(_set("decimals", column.decimals))
    if column.mappings:
        cell.append(_set("mappings", list(column.mappings)))
    if column.mappings or len(steps) > 1:
        cell.append(_set("custom.cellOptions", {"type": "color-text"}))
    return cell


def _thresholds(steps: Steps) -> build.ThresholdsConfig:
    return (
        build.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value, colour) for value, colour in steps])
    )


def _always(colour: str) -> model.DynamicConfigValue:
    return _set("color", {"mode": "fixed", "fixedColor": colour})


def _set(name: str, value: object) -> model.DynamicConfigValue:
    return model.DynamicConfigValue(name, value)


def _last() -> look.ReduceDataOptions:
    return look.ReduceDataOptions().calcs(["lastNotNull"]).values(False).fields("")


def _link(title: str, url: str) -> build.DashboardLink:
    return build.DashboardLink(title).type(model.DashboardLinkType.LINK).url(url)
