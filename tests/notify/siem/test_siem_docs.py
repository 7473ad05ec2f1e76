"""docs/siem.md says what is sent: its lines are real, its tables whole, its configurations are taken."""

import re
from pathlib import Path

import pytest

from appliance.address import parse_network
from appliance.config.load import parse as configured
from appliance.model import Act, Ban, Banned, Cause, Noticed, Scope, Severity, Spared, Watched
from appliance.notify.channel import Told
from appliance.notify.siem import siem
from appliance.notify.siem.plain import PACE
from appliance.notify.siem.rfc5424 import LINE_BYTES, Origin, line
from appliance.read.syslog import parse

PAGE = (Path(__file__).parents[3] / "docs" / "siem.md").read_text(encoding="utf-8")

NOW = 1_795_329_000.25
ORIGIN = Origin("gw1", 812, 10, 32473)
SOURCE = parse_network("203.0.113.9")
GUESSED = "10 of 10 points in 30 min: 10 bad passwords for 2 accounts"

SAMPLES: list[Told] = [
    Banned(Ban(SOURCE, NOW, NOW + 3600, "guessing", GUESSED, 1, Scope.LOGIN), ("ana@example.com", 'bob"]@example.com')),
    Watched(SOURCE, "guessing", GUESSED, would_ban=True),
    Spared(parse_network("192.0.2.77"), "guessing", f"an office of 12 people; {GUESSED}", Cause.OFFICE),
    Noticed(
        "break-in",
        "ana@example.com",
        "203.0.113.9 logged in as ana@example.com after 6 failures at 4 accounts",
        Severity.CRITICAL,
        SOURCE,
        "ana@example.com",
    ),
    Noticed("outage", "site", "logins are as usual again; bans are no longer held", over=True),
    Act(NOW, "eve", "unban", "203.0.113.9", "ticket 4711: Frau Müller's new phone"),
]

SHOWN: list[str] = re.findall(r"^```text\n(<.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ROWS = {
    msgid: (int(severity), re.findall(r"`([a-z]+)`", fields))
    for msgid, severity, fields in re.findall(r"^\| `([A-Z_]+)` \| .*? \| ([0-9]).*? \| (.*?) \|$", PAGE, re.MULTILINE)
}
FIELDS = re.findall(r"^\| `([a-z]+)` \| [^|]* \|$", PAGE, re.MULTILINE)


def test_every_line_on_the_page_is_one_that_is_sent() -> None:
    assert "".join(SHOWN).encode().splitlines() == [line(what, NOW, ORIGIN) for what in SAMPLES]


@pytest.mark.parametrize("what", SAMPLES)
def test_every_kind_has_the_severity_and_the_fields_that_its_row_says(what: Told) -> None:
    message = parse(line(what, NOW, ORIGIN), NOW)
    severity, fields = ROWS[str(message.msgid)]

    assert list(message.structured_data["zward@32473"]) == fields[: len(message.structured_data["zward@32473"])]
    assert message.severity == (2 if message.msgid == "NOTICE" else severity)


def test_the_page_has_a_row_for_every_kind_and_every_field() -> None:
    assert set(ROWS) == {str(parse(line(what, NOW, ORIGIN), NOW).msgid) for what in SAMPLES}
    assert set(FIELDS) == {field for _, fields in ROWS.values() for field in fields} | {"cut"}


@pytest.mark.parametrize("text", re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_its_configurations_are_taken(text: str) -> None:
    assert configured(text, "docs/siem.md").notify.siem


def test_its_figures_are_those_of_the_program() -> None:
    figures = (
        f"{siem.QUEUE:,} lines",
        f"last {siem.SURE:.0f} seconds",
        f"{siem.FIRST_PAUSE:.0f} s to {siem.LONGEST_PAUSE:.0f} s",
        f"{LINE_BYTES:,} bytes",
        f"{1 / PACE:.0f} lines a second",
    )
    assert [figure for figure in figures if figure not in PAGE] == []
