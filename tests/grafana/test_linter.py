"""The rules of Grafana's dashboard-linter (docs/index.md of grafana/dashboard-linter), under its names.

The linter itself is a Go program. Its rules about panels look at some panel types only; here they hold for all. Its
two rules about LogQL are one here: no panel asks Loki.
"""

import re

import promql_parser as promql
import pytest
from grafana.exprs import VARIABLES, dashboards, expressions_as_written, panels, with_variables
from grafana.promql import selected

EACH = pytest.mark.parametrize("dashboard", dashboards().values(), ids=dashboards().keys())
MINUTE = 60.0
assert VARIABLES["__rate_interval"] == "1m"

ALLOWED_RANGES = {
    "$__range": "figures of the whole time shown: how many bans, spared, notices; asked once, not for every point",
    "1h": "the wall's `Banned in the last hour`",
    "5m": "the mark of a burst: a burst is one in 5 min, however far one looks out",
}
"""Exclusions of target-rate-interval-rule, each with its reason."""
LINTED = {"stat", "table", "timeseries", "bargauge", "state-timeline"}
"""The linter looks at the first three only."""
UNITS = {"short", "none", "s", "pps", "bytes", "percentunit", "bool_yes_no"}
"""Those that are in use, out of Grafana's list (packages/grafana-data/src/valueFormats/categories.ts)."""


def variable(dashboard, name):
    return next(one for one in dashboard["templating"]["list"] if one["name"] == name)


@EACH
def test_template_datasource_rule(dashboard):
    sources = [one for one in dashboard["templating"]["list"] if one["type"] == "datasource"]
    assert [(one["name"], one["label"], one["query"]) for one in sources] == [
        ("datasource", "Data source", "prometheus")
    ]


@EACH
@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_rule_and_template_instance_rule(dashboard, name):
    choice = variable(dashboard, name)
    assert choice["type"] == "query"
    assert choice["label"] == name.title()
    assert choice["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert choice["multi"]
    assert choice["includeAll"]
    assert choice["allValue"] == ".+"


@EACH
def test_template_label_promql_rule(dashboard):
    for one in dashboard["templating"]["list"]:
        if one["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (job|instance)\)", one["query"])
            assert asked, one["query"]
            assert promql.parse(with_variables(asked[1])) is not None


@EACH
def test_template_on_time_change_reload_rule(dashboard):
    assert all(one["refresh"] == 2 for one in dashboard["templating"]["list"] if one["type"] == "query")


@EACH
def test_panel_datasource_rule(dashboard):
    for panel in panels(dashboard):
        for what in (panel, *panel["targets"]):
            assert what["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@EACH
def test_panel_title_description_rule(dashboard):
    for panel in panels(dashboard):
        assert panel["type"] in LINTED
        assert panel["title"]
        assert panel["description"], panel["title"]


@EACH
def test_panel_units_rule(dashboard):
    for panel in panels(dashboard):
        overridden = [
            one["value"]
            for override in panel["fieldConfig"]["overrides"]
            for one in override["properties"]
            if one["id"] == "unit"
        ]
        assert {panel["fieldConfig"]["defaults"]["unit"], *overridden} <= UNITS, panel["title"]


@EACH
def test_panel_no_targets_rule(dashboard):
    for panel in panels(dashboard):
        assert panel["targets"], panel["title"]


@EACH
def test_target_logql_rules(dashboard):
    assert all(target["datasource"]["type"] != "loki" for panel in panels(dashboard) for target in panel["targets"])


def test_target_promql_rule():
    for asked in expressions_as_written():
        assert promql.parse(with_variables(asked.expr)) is not None


def test_target_rate_interval_rule():
    for dashboard, panel, expr in expressions_as_written():
        for one in selected(with_variables(expr)):
            if one.function in ("rate", "irate"):
                assert one.seconds == MINUTE, (dashboard, panel)
        for reach in re.findall(r"\bincrease\([^\[]+\[([^\]]+)]", expr):
            assert reach == "$__rate_interval" or reach in ALLOWED_RANGES, (dashboard, panel)


def test_no_exclusion_has_outlived_its_use():
    reaches = {reach for asked in expressions_as_written() for reach in re.findall(r"\[([^\]]+)]", asked.expr)}
    assert set(ALLOWED_RANGES) <= reaches


def test_target_job_rule_and_target_instance_rule():
    for dashboard, panel, expr in expressions_as_written():
        for one in selected(with_variables(expr, keep=("job", "instance"))):
            if panel != "variable: job":
                assert one.matchers["job"] == (promql.MatchOp.Re, "$job"), (dashboard, panel)
            if not panel.startswith("variable: "):
                assert one.matchers["instance"] == (promql.MatchOp.Re, "$instance"), (dashboard, panel)


def test_target_counter_agg_rule():
    for dashboard, panel, expr in expressions_as_written():
        for one in selected(with_variables(expr)):
            if one.selector.name.endswith(("_total", "_bucket", "_count", "_sum")):
                assert one.function in ("rate", "irate", "increase"), (dashboard, panel)


@EACH
def test_uneditable_dashboard(dashboard):
    assert dashboard["editable"] is False
