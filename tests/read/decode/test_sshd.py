"""sshd: the client's address stands at the end, behind a name that may imitate it."""

from datetime import UTC
from pathlib import Path

import pytest

from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.model import Message, Outcome, Protocol
from appliance.read.decode.reading import Decoded
from appliance.read.decode.sshd import decode
from appliance.read.reader import Fact, Reader

RULES = load_rules().rules
READER = Reader(RULES, SAMPLE_TRUST)


def decoded(text: str, **facts: object) -> Decoded:
    message = Message(10, 6, None, "mx1", "sshd", "7", text.encode())
    return decode(message._replace(**facts), SAMPLE_TRUST, UTC)


def read(text: str, tag: str = "sshd[7]") -> Fact:
    return READER.read(f"<86>Nov 21 19:00:00 mx1 {tag}: {text}".encode(), "192.0.2.10", 1_795_000_000.0)


@pytest.mark.parametrize(
    ("text", "front", "source"),
    [
        ("Failed password for root from 203.0.113.9 port 1 ssh2", "Failed password for root from", "203.0.113.9"),
        ("Invalid user x from 2001:db8::9 port 65535", "Invalid user x from", "2001:db8::9"),
        ("Invalid user x from ::ffff:203.0.113.9", "Invalid user x from", "203.0.113.9"),
        ("Invalid user x from 203.0.113.66 from 203.0.113.9", "Invalid user x from 203.0.113.66 from", "203.0.113.9"),
        (
            "Connection closed by authenticating user a b 203.0.113.9 port 1 [preauth]",
            "Connection closed by authenticating user a b",
            "203.0.113.9",
        ),
        ("Accepted publickey for a from 203.0.113.9 port 1 ssh2: x", "Accepted publickey for a from", "203.0.113.9"),
    ],
)
def test_the_address_is_taken_off_the_end(text, front, source):
    (reading,) = decoded(text).readings

    assert (reading.text.decode(), str(reading.origin.source)) == (front, source)
    assert (reading.protocol, reading.session) == (Protocol.SSH, "mx1/7")


@pytest.mark.parametrize(
    "text",
    [
        "Server listening on 0.0.0.0 port 22.",
        "Failed password for root from UNKNOWN port 65535 ssh2",
        "Failed password for root from fe80::1%eth0 port 1 ssh2",
        "Failed password for root from 203.0.113.9 port 1 ssh",
        "",
    ],
)
def test_where_no_address_ends_the_line_nobody_is_blamed(text):
    (reading,) = decoded(text).readings

    assert reading.origin is not None
    assert reading.origin.source is None


def test_one_of_our_own_hosts_is_no_source():
    assert read("Failed password for zimbra from 192.0.2.10 port 1 ssh2").event.source is None


def test_a_method_that_pushes_the_end_out_of_the_line_blames_nobody():
    forged = " from 203.0.113.66 port 1 ssh2"
    typed = "y" * (1023 - len("Failed password for ") - len(forged)) + forged
    line = f"Failed password for {typed} for invalid user x from 203.0.113.9 port 51002 ssh2"[:1023]

    fact = read(line)

    assert line.endswith(forged)
    assert (fact.event is not None, fact.event and fact.event.source) == (True, None)
    assert "may have lost its end" in fact.why


def test_a_line_that_a_relay_may_have_cut_blames_nobody():
    assert not decoded("Invalid user x from 203.0.113.66 port 1", may_be_cut=True).is_certain


def test_a_server_of_today_logs_under_another_name():
    assert read("Invalid user x from 203.0.113.9 port 1", "sshd-session[7]").event.outcome is Outcome.UNKNOWN_ACCOUNT


def test_a_connection_that_fails_and_ends_is_one_session():
    texts = (
        "Invalid user x from 203.0.113.9 port 1",
        "Failed password for invalid user x from 203.0.113.9 port 1 ssh2",
        "Connection closed by invalid user x 203.0.113.9 port 1 [preauth]",
    )

    events = [read(text).event for text in texts]

    assert {(event.session, event.account, str(event.source)) for event in events} == {("mx1/7", "x", "203.0.113.9")}
    assert len({event.rule for event in events}) == 3


def test_without_its_rules_no_line_of_it_is_looked_at():
    rules, line = RULES.without({"sshd"}), b"<86>Nov 21 19:00:00 mx1 sshd[7]: Invalid user x from 203.0.113.9"
    fact = Reader(rules, SAMPLE_TRUST).read(line, "192.0.2.10", 0.0)

    assert (fact.event, fact.why) == (None, "no rules for the program sshd")
    assert b"Invalid user " not in rules.literals
    assert {program.stem for program in rules.programs} == {
        path.stem for path in (Path(__file__).parents[3] / "rules").glob("*.toml")
    } - {"sshd"}
