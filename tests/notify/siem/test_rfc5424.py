"""Lines of RFC 5424, read back by a strict parser of the test's own and by zward's own reader."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import parse_network
from appliance.judge.words import visible
from appliance.model import Act, Ban, Banned, Cause, Noticed, Scope, Severity, Spared, Watched
from appliance.notify.channel import Told
from appliance.notify.siem.rfc5424 import LINE_BYTES, Origin, line
from appliance.read.syslog import parse

NOW = 1_795_329_000.25  # 2026-11-22 06:30:00.25 UTC
ORIGIN = Origin("gw1.example.com", 812, 10, 32473)
SOURCE = parse_network("203.0.113.9")
BAN = Ban(SOURCE, NOW, NOW + 3600, "guessing", "10 of 10 points in 30 min", 1, Scope.LOGIN)

GRAMMAR = re.compile(
    rb"<(?P<pri>0|[1-9][0-9]{0,2})>1 "
    rb"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z) "
    rb"(?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<pid>[!-~]{1,128}) (?P<msgid>[!-~]{1,32}) "
    rb"\[(?P<id>[!#-<>-\\^-~]{1,32})"
    rb'(?P<params>(?: [!#-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*)\]'
    rb"(?: (?P<msg>.*))?",
    re.DOTALL,
)
"""RFC 5424 6, word by word; of TIMESTAMP and escapes only what a careful sender writes."""
PARAM = re.compile(rb' ([^ =]+)="((?:[^"\\\]]|\\.)*)"', re.DOTALL)


class Read(NamedTuple):
    pri: int
    time: str
    host: str
    app: str
    pid: str
    msgid: str
    element: str
    fields: dict[str, str]
    text: str


def read(frame: bytes) -> Read:
    found = GRAMMAR.fullmatch(frame)
    assert found, frame
    assert int(found["pri"]) <= 191
    fields = {}
    for name, value in PARAM.findall(found["params"]):
        assert name.decode() not in fields, "a field twice"
        fields[name.decode()] = re.sub(rb"\\(.)", rb"\1", value).decode()
    words = (found[name].decode("ascii") for name in ("time", "host", "app", "pid", "msgid", "id"))
    return Read(int(found["pri"]), *words, fields, found["msg"].decode("ascii"))


def noticed(**changes: object) -> Noticed:
    fields: dict[str, object] = {"detector": "break-in", "subject": "ana@example.com", "reason": "it was so"}
    return Noticed(**(fields | changes))  # type: ignore[arg-type]


def test_a_ban_says_who_is_out_of_what_until_when_and_whom_he_tried() -> None:
    said = read(line(Banned(BAN, ("ana@example.com", "bob@example.com")), NOW, ORIGIN))

    assert said == Read(
        10 * 8 + 5,
        "2026-11-22T06:30:00.250000Z",
        "gw1.example.com",
        "zward",
        "812",
        "BAN",
        "zward@32473",
        {
            "detector": "guessing",
            "source": "203.0.113.9",
            "scope": "login",
            "until": "2026-11-22T07:30:00Z",
            "step": "1",
            "accounts": "ana@example.com,bob@example.com",
        },
        "203.0.113.9 banned (login) until 2026-11-22 07:30 UTC: 10 of 10 points in 30 min",
    )


@pytest.mark.parametrize(
    ("what", "msgid", "severity", "fields"),
    [
        (Banned(BAN), "BAN", 5, {"detector", "source", "scope", "until", "step"}),
        (Watched(SOURCE, "guessing", "why", would_ban=True), "WOULD_BAN", 5, {"detector", "source"}),
        (Watched(None, None, "why", would_ban=True), "WOULD_BAN", 5, set()),
        (Spared(SOURCE, "guessing", "why", Cause.OFFICE), "SPARED", 6, {"detector", "source", "cause"}),
        (noticed(), "NOTICE", 5, {"detector", "severity", "subject"}),
        (noticed(severity=Severity.WARNING), "NOTICE", 4, {"detector", "severity", "subject"}),
        (
            noticed(severity=Severity.CRITICAL, source=SOURCE, account="ana"),
            "NOTICE",
            2,
            {"detector", "severity", "subject", "source", "account"},
        ),
        (noticed(severity=Severity.CRITICAL, over=True), "OVER", 5, {"detector", "severity", "subject"}),
        (Act(NOW, "eve", "unban", "203.0.113.9", "he called"), "ACT", 5, {"who", "what", "subject", "reason"}),
    ],
)
def test_every_kind_has_its_name_its_severity_and_its_fields(
    what: Told, msgid: str, severity: int, fields: set[str]
) -> None:
    said = read(line(what, NOW, ORIGIN))

    assert (said.msgid, said.pri % 8, set(said.fields)) == (msgid, severity, fields)


def test_facility_and_enterprise_are_the_operators() -> None:
    said = read(line(noticed(), NOW, Origin("gw1", 1, 23, 4294967295)))

    assert (said.pri, said.element) == (23 * 8 + 5, "zward@4294967295")


@pytest.mark.parametrize(("host", "written"), [("", "-"), ("my host\n", "my?host?"), ("h" * 300, "h" * 255)])
def test_a_host_name_that_is_none_breaks_nothing(host: str, written: str) -> None:
    assert read(line(noticed(), NOW, Origin(host, 1, 10, 32473))).host == written


def test_a_comma_in_an_account_does_not_make_it_two() -> None:
    said = read(line(Banned(BAN, ("a,b", "c")), NOW, ORIGIN))

    assert said.fields["accounts"].split(",") == ["a\\u{2c}b", "c"]


@pytest.mark.parametrize(
    "forged",
    [
        'x"] [zward@32473 source="198.51.100.1"] BAN',
        "x\n<85>1 2026-11-22T06:30:00Z gw1 zward 812 BAN - forged",
        "x\r\n\0\x1b[2J\x85\u2028\u2029\u202e\ufeff",
        "\\\\\\",
        "\ud800",
    ],
)
def test_a_client_cannot_forge_a_line_or_a_field(forged: str) -> None:
    said = read(line(noticed(account=forged, reason=forged), NOW, ORIGIN))

    assert set(said.fields) == {"detector", "severity", "subject", "account"}
    assert said.fields["account"] == visible(forged)
    assert said.text.isprintable()


def test_the_text_is_ascii_and_the_fields_are_as_they_are() -> None:
    said = read(line(Act(NOW, "eve", "unban", "müller@example.com", "Grüße…"), NOW, ORIGIN))

    assert said.text == r"eve: unban m\u{fc}ller@example.com: Gr\u{fc}\u{df}e..."
    assert said.fields["reason"] == "Grüße…"
    assert said.fields["subject"] == "müller@example.com"


HOSTILE = st.text(st.characters() | st.sampled_from('"]\\[\n\r\0\x7f\x85\u2028\u202e\ufeff,= äß😀'), max_size=254)
NETS = st.sampled_from([parse_network(text) for text in ("203.0.113.9", "203.0.113.0/24", "2001:db8::/64")])
TELLABLE: st.SearchStrategy[Told] = st.one_of(
    st.builds(
        Banned,
        st.builds(Ban, NETS, st.just(NOW), st.just(NOW + 60), HOSTILE, HOSTILE, st.integers(0, 9)),
        st.lists(HOSTILE, max_size=10).map(tuple),
    ),
    st.builds(Watched, st.none() | NETS, st.none() | HOSTILE, HOSTILE, st.just(True)),
    st.builds(Spared, NETS, HOSTILE, HOSTILE, st.sampled_from(Cause)),
    st.builds(
        Noticed,
        HOSTILE,
        HOSTILE,
        HOSTILE,
        st.sampled_from(Severity),
        st.none() | NETS,
        st.none() | HOSTILE,
        st.booleans(),
    ),
    st.builds(Act, st.just(NOW), HOSTILE, HOSTILE, HOSTILE, HOSTILE),
)


def given_in(what: Told) -> dict[str, str]:
    """The texts that the fields of `what` are made of."""
    match what:
        case Banned():
            accounts = ",".join(visible(name).replace(",", "\\u{2c}") for name in what.accounts)
            return {"detector": what.ban.detector} | ({"accounts": accounts} if accounts else {})
        case Watched(_, detector, _):
            return {} if detector is None else {"detector": detector}
        case Spared(_, detector, _, _):
            return {"detector": detector}
        case Noticed(detector, subject, _, _, _, account):
            return {"detector": detector, "subject": subject} | ({} if account is None else {"account": account})
        case Act(_, who, act, subject, reason):
            return {"who": who, "what": act, "subject": subject, "reason": reason}


@given(TELLABLE, HOSTILE)
def test_what_was_put_in_comes_out_or_is_said_to_be_cut(what: Told, host: str) -> None:
    frame = line(what, NOW, ORIGIN._replace(host=host))
    said = read(frame)
    cut = said.fields.get("cut", "").split(",")

    assert len(frame) <= LINE_BYTES
    for name, value in given_in(what).items():
        if name in cut:
            assert said.fields[name].endswith("…")
            assert visible(value).startswith(said.fields[name][:-1])
        else:
            assert said.fields[name] == visible(value)
    assert said.text.endswith("...") or "text" not in cut
    assert b"\n" not in frame


@given(TELLABLE)
def test_zwards_own_reader_reads_the_same(what: Told) -> None:
    frame = line(what, NOW, ORIGIN)
    said, message = read(frame), parse(frame, NOW)

    assert message.faults == ()
    assert (message.facility, message.severity) == divmod(said.pri, 8)
    assert (message.host, message.app, message.pid, message.msgid) == (said.host, "zward", "812", said.msgid)
    assert message.time == NOW
    assert message.structured_data == {"zward@32473": {name: [value] for name, value in said.fields.items()}}
    assert message.text.decode() == said.text


def test_the_longest_line_has_room_for_text_and_says_what_is_cut() -> None:
    longest = "\U0001f600" * 254
    act = Act(NOW, longest, longest, longest, longest)
    frame = line(act, NOW, Origin("h" * 255, 4194304, 23, 4294967295))
    said = read(frame)

    assert len(frame) <= LINE_BYTES
    assert len(said.text) >= 350
    assert said.fields["cut"] == "who,what,subject,reason,text"


def test_an_account_of_ordinary_letters_is_whole_at_its_longest() -> None:
    said = read(line(noticed(account="a" * 254), NOW, ORIGIN))

    assert said.fields["account"] == "a" * 254
    assert "cut" not in said.fields


def test_the_time_is_in_utc_to_the_microsecond() -> None:
    said = read(line(noticed(), NOW + 0.123456, ORIGIN))

    assert datetime.fromisoformat(said.time) == datetime.fromtimestamp(NOW + 0.123456, UTC)
