"""The labelled lines of tests/data/zimbra-lines.jsonl, each wrapped as rsyslog would send it.

The labels' environment: 192.0.2.0/24 and loopback are our own hosts, 192.0.2.5 and .6 proxies. Two addresses are
canaries: they stand only where an attacker wrote them.
"""

import json
from pathlib import Path

import pytest

from appliance.config.rule_files import CANARIES, SAMPLE_TRUST, rules_for
from appliance.config.schema import Config
from appliance.model import Outcome, Result
from appliance.read.reader import Reader

ROWS = [json.loads(row) for row in (Path(__file__).parent.parent / "data/zimbra-lines.jsonl").read_text().splitlines()]
NOW = 1_795_000_000.0  # November 2026
TAGS = {
    "audit.log": "zimbra-audit",
    "mailbox.log": "zimbra-mailbox",
    "nginx.log": "zimbra-nginx",
    "nginx.access.log": "zimbra-nginx-access",
    "zmmailboxd.out": "zimbra-out",
}
SHAPES = {
    "rfc3164": "<134>May  6 10:20:31 host1 {tag}: {line}",
    "ForwardFormat": "<134>2024-05-06T10:20:31.123456+02:00 host1 {tag}: {line}",
    "rfc5424": "<134>1 2024-05-06T10:20:31.123456+02:00 host1 {tag} - - - {line}",
}
READER = Reader(rules_for(Config()), SAMPLE_TRUST)


def wrapped(row: dict[str, object]) -> list[bytes]:
    """Each way in which the row's line can arrive."""
    line, tag = str(row["line"]), TAGS.get(str(row["source_log"]))
    if row["transport_shape"] != "raw file line":
        return [line.encode()]
    if tag:
        return [shape.format(tag=tag, line=line).encode() for shape in SHAPES.values()]
    return [f"<22>{line}".encode(), line.encode()]


CASES = [pytest.param(row, frame, id=f"{row['id']}-{n}") for row in ROWS for n, frame in enumerate(wrapped(row))]


@pytest.mark.parametrize(("row", "frame"), CASES)
def test_a_line_is_classed_and_blames_the_right_address(row, frame):
    fact = READER.read(frame, "192.0.2.10", NOW)
    expected = row["expect"]
    source = str(fact.event.source) if fact.event and fact.event.source else None

    assert source not in CANARIES
    if fact.event and fact.event.outcome is Outcome.MAIL_ACCEPTED:
        source = None  # the host whose mail was let in is blamed for nothing
    if row.get("optional"):
        assert source in (expected["ip"], None)
        return
    assert fact.result == {"ignore": Result.IGNORED}.get(expected["outcome"], expected["outcome"]), fact.why
    assert source == expected["ip"], fact.why
    open_fields = row.get("optional_fields", ())
    if fact.event and "account" not in open_fields:
        assert fact.event.account == expected["account"]
    if fact.event and "protocol" not in open_fields:
        assert fact.event.protocol == expected["protocol"]


@pytest.mark.parametrize(("row", "frame"), CASES)
def test_the_sieve_wakes_for_each_line_that_is_an_event(row, frame):
    event = READER.read(frame, "192.0.2.10", NOW).event
    if event and any(rule.literals for rule in READER.rules if rule.id == event.rule):
        assert any(literal in frame for literal in READER.rules.literals)
