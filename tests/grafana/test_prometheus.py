"""Scrape configuration and rules: sound, asking only for what zward exports, and each alert tried both ways."""

import re

import pytest
import yaml
from grafana.exprs import DASHBOARDS, dashboards
from grafana.programs import said
from grafana.promql import grouped, labels, metric, outcome_labels, selected
from grafana.rule_exprs import PROMETHEUS, RULE_FILES, TEST_FILES, Rule, alerts, cases, expressions_of_rules, recorded

from appliance.notify.advice import ADVICE, alertname

OF_PROMETHEUS = {"up", "scrape_duration_seconds"}
"""Series that Prometheus makes of each scrape."""
SEVERITIES = {"critical", "warning", "info"}
ANNOTATIONS = {"summary", "description", "to_do", "runbook_url", "dashboard"}

RECORDED = {name: expr for _, name, expr in expressions_of_rules() if name in recorded()}
EXPRESSIONS = pytest.mark.parametrize(
    ("file", "name", "expr"),
    expressions_of_rules(),
    ids=[f"{file}: {name}" for file, name, _ in expressions_of_rules()],
)
ALERTS = pytest.mark.parametrize("alert", alerts(), ids=[alert.name for alert in alerts()])


def labels_of(name: str) -> set[str]:
    """Of a recorded series, one that Prometheus makes, or one that zward exports; raises KeyError for any other."""
    if name in RECORDED:
        return outcome_labels(RECORDED[name])
    return {"job", "instance"} if name in OF_PROMETHEUS else labels(name)


# By Prometheus itself


def test_prometheus_takes_the_configuration():
    assert f"{len(RULE_FILES)} rule files found" in said("promtool", "check", "config", "prometheus.yml", at=PROMETHEUS)


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda path: path.name)
def test_prometheus_takes_the_rules(file):
    assert "SUCCESS" in said("promtool", "check", "rules", file, at=PROMETHEUS)


@pytest.mark.parametrize("file", TEST_FILES, ids=lambda path: path.name)
def test_every_rule_does_what_its_cases_say(file):
    assert "SUCCESS" in said("promtool", "test", "rules", file, at=file.parent)


def test_zward_is_scraped_every_15_seconds_under_the_name_that_rules_ask_for():
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    [job] = config["scrape_configs"]
    assert (config["global"]["scrape_interval"], job["job_name"]) == ("15s", "zward")
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:9514"]


# Each expression


@EXPRESSIONS
def test_an_expression_asks_only_for_what_there_is(file, name, expr):
    for each in selected(expr):
        known = labels_of(each.selector.name)
        assert set(each.matchers) <= known, each.selector
        declared = metric(each.selector.name) if each.selector.name.startswith("zward_") else None
        for label, (_, value) in each.matchers.items():
            values = declared.labels.get(label, ()) if declared else ()
            asked = value.split("|") if values else []
            assert set(asked) <= set(values), f"{label} is never one of {asked}"


@EXPRESSIONS
def test_an_expression_groups_by_labels_that_there_are(file, name, expr):
    for named, selectors in grouped(expr):
        assert named <= set().union(*(labels_of(each.selector.name) for each in selectors))


@EXPRESSIONS
def test_a_counter_is_asked_for_its_rise(file, name, expr):
    for each in selected(expr):
        assert not each.selector.name.endswith("_total") or each.function is not None


def test_recorded_names_say_level_metric_and_operations():
    for name in recorded():
        assert re.fullmatch(r"instance(_[a-z]+)?:zward_[a-z_]+:[a-z0-9_]+", name)


def test_every_recorded_series_has_a_case():
    asked = {check["expr"] for case in cases() for check in case.get("promql_expr_test", ())}
    assert {name for name in recorded() if not any(name in expr for expr in asked)} == set()


# Each alert


@ALERTS
def test_an_alert_says_how_urgent_it_is_what_happened_and_what_to_do(alert: Rule):
    assert set(alert.labels) == {"severity"}
    assert alert.labels["severity"] in SEVERITIES
    assert set(alert.annotations) == ANNOTATIONS
    assert alert.annotations["summary"].endswith(".")
    assert "{{" not in alert.annotations["summary"], "one group of alerts is one mail with one title"
    for name in ("description", "to_do"):
        assert alert.annotations[name].endswith(".")


@ALERTS
def test_an_alert_says_where(alert: Rule):
    if alert.name not in ("Watchdog", "ZwardAbsent"):
        assert "{{ $labels.instance }}" in alert.annotations["description"]


@ALERTS
def test_an_alert_uses_labels_that_its_expression_has(alert: Rule):
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert.annotations.values())))
    known = {"job"}.union(*(labels_of(each.selector.name) for each in selected(alert.expr)))
    assert used <= known
    aggregated = [named for named, _ in grouped(alert.expr) if named]
    if aggregated and alert.expr.startswith("sum"):
        assert used <= aggregated[0]


@ALERTS
def test_an_alert_is_tried_firing_and_silent(alert: Rule):
    checks = [
        (case["name"], bool(check["exp_alerts"]))
        for case in cases()
        for check in case.get("alert_rule_test", ())
        if check["alertname"] == alert.name
    ]
    assert any(fires and name.startswith(f"{alert.name} fires: ") for name, fires in checks)
    quiet = [fires for name, fires in checks if name.startswith(f"{alert.name} is silent: ")]
    assert alert.name == "Watchdog" or quiet
    assert not any(quiet)


@ALERTS
def test_an_alert_leads_to_a_dashboard_that_there_is(alert: Rule):
    assert DASHBOARDS.is_dir()
    assert alert.annotations["dashboard"] in {f"/d/{board['uid']}" for board in dashboards().values()}


@ALERTS
def test_a_number_that_something_fires_at_has_its_reason_beside_it(alert: Rule):
    [text] = [path.read_text() for path in RULE_FILES if path.name == alert.file]
    of_the_rule = text.partition(f"- alert: {alert.name}\n")[2].partition("- alert: ")[0].partition("labels:")[0]
    has_number = "for:" in of_the_rule or re.search(r"[<>=]=? [0-9.e]+$|[<>] [0-9.e]+\n", of_the_rule, re.MULTILINE)
    assert not has_number or "#" in of_the_rule or alert.name == "ZwardBreakInSuspected"


def test_no_rule_has_the_name_of_an_alert_that_zward_sends_itself():
    own = {alertname(detector) for detector in (*ADVICE, "test")}
    assert own.isdisjoint(alert.name for alert in alerts())


def test_names_of_alerts_are_given_once():
    names = [alert.name for alert in alerts()]
    assert len(set(names)) == len(names)


def test_detectors_are_asked_for_by_names_that_they_have():
    asked = {
        value
        for _, _, expr in expressions_of_rules()
        for each in selected(expr)
        for label, (_, value) in each.matchers.items()
        if label == "detector"
    }
    assert asked
    assert asked <= set(ADVICE)
