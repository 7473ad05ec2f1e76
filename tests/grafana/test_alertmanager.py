"""Routes, what is held back, and the mails: rendered by Alertmanager's own tool."""

import json
import re

import pytest
import yaml
from grafana.programs import said
from grafana.rule_exprs import ALERTMANAGER, alerts

CONFIG = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text())
RECEIVERS = {"critical": "mail-critical", "warning": "mail-warning", "info": "mail-info"}
TEMPLATES = "templates/*.tmpl"
DIRECT = {"severity": "critical", "instance": "gateway", "origin": "zward", "alertname": "ZwardBreakIn"}
FIRST_20 = 20


def alert(status="firing", labels=DIRECT, **annotations):
    return {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": "2026-11-22T06:25:00Z",
        "endsAt": "2026-11-22T06:40:30Z",
    }


def common(parts):
    """What all of them share, as Alertmanager works it out."""
    first, *others = parts
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in others)}


BREAK_IN = alert(
    summary="A stranger seems to know a password.",
    description="203.0.113.9, a stranger, got in at ana@example.com over imap: it failed 5 times in 24 h before",
    account="ana@example.com",
    source="203.0.113.9",
    since="2026-11-22 05:11 UTC",
    to_do="Ask the owner now.\nSee who tries the account: zward account ana@example.com",
    runbook_url="https://zward.example/docs/runbooks/ZwardBreakIn.md",
)
DOWN = alert(
    labels={"severity": "critical", "instance": "gateway", "job": "zward", "alertname": "ZwardDown"},
    summary="zward does not answer.",
    description="Prometheus has had no answer from zward on gateway for over a minute.",
    to_do="On the gateway type systemctl status zward.",
    runbook_url="https://zward.example/docs/runbooks/ZwardDown.md",
    dashboard="/d/zward-operator",
)


@pytest.fixture
def mail(tmp_path):
    """Renders one part of the mail about these alerts."""

    def rendered(part: str, *told: dict) -> str:
        data = {
            "receiver": "mail-critical",
            "status": "firing" if any(each["status"] == "firing" for each in told) else "resolved",
            "alerts": told,
            "groupLabels": {},
            "commonLabels": common([each["labels"] for each in told]),
            "commonAnnotations": common([each["annotations"] for each in told]),
            "externalURL": "http://gateway:9093",
        }
        file = tmp_path / "data.json"
        file.write_text(json.dumps(data))
        kind = "html" if part == "html" else "text"
        return said(
            "amtool", "template", "render", f"--template.glob={TEMPLATES}", f"--template.type={kind}",
            f'--template.text={{{{ template "zward.{part}" . }}}}', f"--template.data={file}", at=ALERTMANAGER,
        )  # fmt: skip

    return rendered


# Routes


def test_alertmanager_takes_the_configuration():
    assert "SUCCESS" in said("amtool", "check-config", "alertmanager.yml", at=ALERTMANAGER)


def test_the_configuration_means_what_it_says():
    """But that the dead man's switch is yours to set."""
    said("amlint", "check", "alertmanager.yml", "--strict", "--ignore", "empty-receiver", at=ALERTMANAGER)


def test_routes_and_what_is_held_back_are_as_written_down():
    told = said("amlint", "test", "alertmanager.yml", "tests/routing.yml", "--fail-under", "100", at=ALERTMANAGER)
    assert "passed" in told
    assert "✗" not in told


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_every_alert_of_a_rule_reaches_the_receiver_of_its_severity(rule):
    receiver = "dead-mans-switch" if rule.name == "Watchdog" else RECEIVERS[rule.labels["severity"]]
    said(
        "amtool", "config", "routes", "test", "--config.file=alertmanager.yml", f"--verify.receivers={receiver}",
        f"alertname={rule.name}", f"severity={rule.labels['severity']}", "job=zward", "instance=gateway",
        at=ALERTMANAGER,
    )  # fmt: skip


def test_every_alert_that_is_held_back_or_holds_back_exists():
    own = {"ZwardBreakIn", "ZwardSiege", "ZwardCampaign", "ZwardOutage", "ZwardFuse", "ZwardTest"}
    named = set(re.findall(r"\b(?:Zward|Watchdog)\w*", (ALERTMANAGER / "alertmanager.yml").read_text())) - {"Zward"}
    assert named <= own | {rule.name for rule in alerts()}


def test_a_flood_of_one_kind_is_one_mail():
    assert CONFIG["route"]["group_by"] == ["alertname", "instance"]
    waits = [CONFIG["route"], *CONFIG["route"]["routes"]]
    assert all("group_interval" in route and "repeat_interval" in route for route in waits)


def test_what_a_site_changes_stands_on_lines_of_its_own():
    text = (ALERTMANAGER / "alertmanager.yml").read_text()
    assert text.count('\n  smtp_smarthost: "127.0.0.1:25"\n') == 1
    assert len(re.findall(r'^  smtp_from: "[^"]+"$', text, re.MULTILINE)) == 1
    assert len(re.findall(r'^        to: "[^"]+"$', text, re.MULTILINE)) == len(RECEIVERS)


# Mails


def test_the_subject_names_urgency_gateway_event_and_account(mail):
    assert (
        mail("subject", BREAK_IN) == "[zward] CRITICAL gateway: A stranger seems to know a password (ana@example.com)"
    )
    assert mail("subject", DOWN) == "[zward] CRITICAL gateway: zward does not answer"


def test_the_subject_of_many_names_what_they_share(mail):
    other = alert(**BREAK_IN["annotations"] | {"account": "bob@example.com"})
    assert mail("subject", BREAK_IN, other) == "[zward] CRITICAL gateway: A stranger seems to know a password [2]"
    assert mail("subject", BREAK_IN, DOWN) == "[zward] CRITICAL gateway: 2 things to know"


@pytest.mark.parametrize("part", ["text", "html"])
def test_a_mail_says_what_happened_where_since_when_to_whom_and_what_to_do(mail, part):
    said_of_it = mail(part, BREAK_IN)
    for words in (
        "A stranger seems to know a password", "it failed 5 times in 24 h before", "gateway", "2026-11-22 05:11 UTC",
        "ana@example.com", "203.0.113.9", "Ask the owner now.", "zward account ana@example.com",
        "https://zward.example/docs/runbooks/ZwardBreakIn.md", "http://gateway:9093",
    ):  # fmt: skip
        assert words in said_of_it
    assert "no value" not in said_of_it


@pytest.mark.parametrize("part", ["text", "html"])
def test_a_mail_of_a_rule_tells_since_when_by_itself_and_leads_to_the_dashboard(mail, part):
    said_of_it = mail(part, DOWN)
    assert "2026-11-22 06:25 UTC" in said_of_it
    assert "http://127.0.0.1:3000/d/zward-operator" in said_of_it
    assert "Account" not in said_of_it
    assert "no value" not in said_of_it


def test_a_mail_says_that_it_is_over_and_until_when(mail):
    over = {**DOWN, "status": "resolved"}
    assert mail("subject", over) == "[zward] over gateway: zward does not answer"
    for part in ("text", "html"):
        assert "Over: zward does not answer" in mail(part, over)
        assert "2026-11-22 06:40 UTC" in mail(part, over)
        assert "What to do" not in mail(part, over)


def test_the_end_of_a_fact_without_an_end_promises_nothing(mail):
    over = {**BREAK_IN, "status": "resolved"}
    for part in ("text", "html"):
        assert "zward has not told of it again. Whether somebody has done something about it" in mail(part, over)


def test_what_a_client_called_itself_is_text_and_no_markup(mail):
    hostile = {**BREAK_IN, "annotations": BREAK_IN["annotations"] | {"account": '<script>x</script>"onclick="y'}}
    assert "<script>" not in mail("html", hostile)
    assert "&lt;script&gt;" in mail("html", hostile)


def test_what_a_client_called_itself_stays_on_its_line(mail):
    hostile = {
        **BREAK_IN,
        "annotations": BREAK_IN["annotations"] | {"account": "a\r\nBcc: b@example.com\n\nWhat\u202e"},
    }
    assert mail("subject", hostile).count("\n") == 0
    assert "\nBcc" not in mail("text", hostile)
    assert "\u202e" not in mail("text", hostile)


def test_an_address_that_is_no_web_address_is_no_link(mail):
    hostile = {**DOWN, "annotations": DOWN["annotations"] | {"runbook_url": "javascript:alert(1)"}}
    assert "javascript:" not in mail("html", hostile)


@pytest.mark.parametrize("part", ["text", "html"])
def test_a_flood_is_twenty_alerts_and_a_number(mail, part):
    flood = [
        alert(**BREAK_IN["annotations"] | {"account": f"u{number}@example.com", "source": f"198.51.100.{number}"})
        for number in range(200)
    ]
    said_of_it = mail(part, *flood)
    assert said_of_it.count("Ask the owner now.") == FIRST_20
    assert re.search(r"and more of the kind: (<b>)?200", said_of_it)
