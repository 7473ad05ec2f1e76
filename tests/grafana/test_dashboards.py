"""The dashboards: generated, sound, and asking for nothing that zward does not export."""

import re
from itertools import combinations
from pathlib import Path

import promql_parser as promql
import pytest
from grafana.exprs import DASHBOARDS, VARIABLES, dashboards, expressions_of_dashboards, panels, with_variables
from grafana.promql import grouped, labels, metric, outcome_labels, selected

from grafana.builder.__main__ import BOARDS
from grafana.builder.frame import ADDRESS_OF_RUNBOOKS, UIDS, written

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks"
ASKED = pytest.mark.parametrize(
    "asked", expressions_of_dashboards(), ids=lambda asked: f"{asked.dashboard}: {asked.panel}"
)
EACH = pytest.mark.parametrize("dashboard", dashboards().values(), ids=dashboards().keys())


@pytest.mark.parametrize("name", BOARDS)
def test_the_committed_file_is_what_the_builder_writes(name):
    assert (DASHBOARDS / f"{name}.json").read_text(encoding="utf-8") == written(BOARDS[name])


def test_every_committed_file_has_a_builder():
    assert set(dashboards()) == set(BOARDS)


@EACH
def test_a_dashboard_has_its_fixed_address_and_settings(dashboard):
    assert dashboard["uid"] in UIDS
    assert {"zward", "zimbra"} <= set(dashboard["tags"])
    assert dashboard["schemaVersion"] == 41
    assert (dashboard["refresh"], dashboard["timezone"]) == ("30s", "browser")
    assert dashboard["time"] == {"from": "now-3h" if dashboard["uid"] == "zward-wall" else "now-6h", "to": "now"}


def test_no_two_dashboards_share_an_address():
    assert sorted(dashboard["uid"] for dashboard in dashboards().values()) == sorted(UIDS)


@EACH
def test_panels_have_numbers_of_their_own(dashboard):
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(number > 0 for number in numbers)


@EACH
def test_panels_lie_side_by_side_in_24_columns(dashboard):
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard["panels"]]
    for title, place in places:
        assert place["x"] >= 0, title
        assert place["x"] + place["w"] <= 24, title
    for (one, a), (other, b) in combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one!r} lies over {other!r}"


@EACH
def test_no_line_of_panels_leaves_a_gap(dashboard):
    columns = dict.fromkeys(range(24), 0)
    for panel in sorted(dashboard["panels"], key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"])):
        place = panel["gridPos"]
        under = {columns[x] for x in range(place["x"], place["x"] + place["w"])}
        assert under == {place["y"]}, f"{panel['title']!r} hangs in the air"
        columns |= dict.fromkeys(range(place["x"], place["x"] + place["w"]), place["y"] + place["h"])
    assert len(set(columns.values())) == 1


def test_the_wall_fits_one_screen():
    """1080 pixels less Grafana's margins, in units of 38."""
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboards()["wall"]["panels"]) <= 27


@EACH
def test_no_panel_is_too_small_for_its_text(dashboard):
    least = {"stat": (3, 4), "timeseries": (6, 8), "bargauge": (6, 8), "table": (12, 6), "state-timeline": (8, 8)}
    for panel in panels(dashboard):
        wide, high = least[panel["type"]]
        assert panel["gridPos"]["w"] >= wide, panel["title"]
        assert panel["gridPos"]["h"] >= high, panel["title"]


@EACH
def test_a_panel_says_what_is_normal_and_what_to_do_otherwise(dashboard):
    for panel in panels(dashboard):
        assert re.fullmatch(r"[^\n]+\n\n\*\*Normal:\*\* [^\n]+\n\n\*\*Otherwise:\*\* [^\n]+", panel["description"])


@EACH
def test_a_panel_without_data_says_so(dashboard):
    for panel in panels(dashboard):
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@EACH
def test_every_line_has_a_name_of_its_own(dashboard):
    for panel in panels(dashboard):
        if panel["type"] == "table":
            continue
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert all(legends), panel["title"]
        assert len(set(legends)) == len(legends), panel["title"]


@EACH
def test_a_legend_names_only_labels_that_the_answer_has(dashboard):
    for panel in panels(dashboard):
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)}}", target["legendFormat"]))
            assert named <= outcome_labels(with_variables(target["expr"])), panel["title"]


@EACH
def test_an_override_is_for_something_that_the_panel_shows(dashboard):
    for panel in panels(dashboard):
        shown = {target["legendFormat"] for target in panel["targets"]}
        for transformation in panel.get("transformations", ()):
            shown |= set(transformation["options"].get("renameByName", {}).values())
        patterns = [re.sub(r"\\{\\{\w+\\}\\}", ".+", re.escape(name)) for name in shown]
        for override in panel["fieldConfig"]["overrides"]:
            if override["matcher"]["id"] == "byValue":
                continue
            assert any(re.fullmatch(pattern, override["matcher"]["options"]) for pattern in patterns), panel["title"]


@ASKED
def test_an_expression_parses_and_its_types_fit(asked):
    assert promql.parse(asked.expr) is not None


@ASKED
def test_an_expression_asks_only_for_what_zward_exports(asked):
    for one in selected(asked.expr):
        known = labels(one.selector.name)
        assert set(one.matchers) <= known, one.selector.name
        for label, (operator, value) in one.matchers.items():
            declared = metric(one.selector.name)
            values = declared.labels.get(label) if declared else None
            if values and operator in (promql.MatchOp.Equal, promql.MatchOp.Re):
                assert set(value.split("|")) <= set(values)


@ASKED
def test_an_expression_groups_only_by_labels_that_are_there(asked):
    for named, about in grouped(asked.expr):
        for one in about:
            assert named <= labels(one.selector.name), f"{one.selector.name} by {named}"


@EACH
def test_a_wish_that_is_instant_is_asked_once(dashboard):
    """Over a range, `[$__range]` would read the whole range for every point."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            assert target.get("instant", False) != target.get("range", False), panel["title"]
            if "$__range]" in target["expr"]:
                assert target["instant"], panel["title"]


@EACH
def test_links_lead_to_dashboards_and_runbooks_that_exist(dashboard):
    everywhere = [*dashboard["links"], *(link for panel in panels(dashboard) for link in panel.get("links", ()))]
    for link in everywhere:
        if board := re.fullmatch(r"/d/([\w-]+)(\?\$\{__url_time_range}&\$\{__all_variables})?", link["url"]):
            assert board[1] in UIDS
        else:
            page = re.fullmatch(r"\$\{runbooks}/(Zward\w+\.md)", link["url"])
            assert page, link["url"]
            assert (RUNBOOKS / page[1]).is_file(), page[1]


@EACH
def test_links_between_dashboards_keep_time_and_variables(dashboard):
    assert {link["url"].removeprefix("/d/") for link in dashboard["links"]} == set(UIDS) - {dashboard["uid"]}
    assert all(link["keepTime"] and link["includeVars"] for link in dashboard["links"])


@EACH
def test_the_address_of_the_runbooks_is_the_one_that_mails_have(dashboard):
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert set(variables) == {"datasource", "job", "instance", "runbooks"}
    assert variables["runbooks"]["query"] == ADDRESS_OF_RUNBOOKS


@EACH
def test_bursts_reloads_and_conditions_are_marked(dashboard):
    marks = {mark["name"]: mark for mark in dashboard["annotations"]["list"]}
    assert set(marks) == {"Burst of bans", "Conditions", "Reloads"}
    assert all(mark["datasource"]["uid"] == "${datasource}" for mark in marks.values())
    switched_off = {name for name, mark in marks.items() if not mark["enable"]}
    assert switched_off == ({"Conditions"} if dashboard["uid"] == "zward-senders" else set())


def test_a_variable_that_nobody_knows_is_refused():
    with pytest.raises(KeyError):
        with_variables("zward_bans_total[$__made_up]")
    assert with_variables("x[$__range] y[${__interval}]") == f"x[{VARIABLES['__range']}] y[{VARIABLES['__interval']}]"


def test_the_document_tells_of_every_dashboard_and_every_row_of_the_operators():
    text = (RUNBOOKS.parent / "dashboards.md").read_text(encoding="utf-8")
    rows = [panel["title"] for panel in dashboards()["operator"]["panels"] if panel["type"] == "row"]
    assert all(f"| {row} |" in text for row in rows)
    assert all(f"/d/{uid}" in text for uid in UIDS)
