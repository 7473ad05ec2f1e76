"""mailbox.log and audit.log: thread, context, logger and message, and where client text could be taken for them."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.address import parse_address
from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.model import Message, Protocol
from appliance.read.decode.reading import Decoded, Reading
from appliance.read.decode.zimbra import _decode_carefully, _decode_plain, decode
from appliance.read.reader import Reader

DATE = "2024-05-06 10:20:11,407 "


def decoded(text: str | bytes, zone=UTC) -> Decoded:
    frame = text if isinstance(text, bytes) else text.encode()
    return decode(Message(16, 6, None, "mbox1", "zimbra-audit", None, frame), SAMPLE_TRUST, zone)


def only(text: str | bytes) -> Reading:
    found = decoded(text)
    assert found.is_certain, found.why
    assert len(found.readings) == 1
    return found.readings[0]


def source(reading: Reading) -> str | None:
    assert reading.origin is not None
    return str(reading.origin.source) if reading.origin.source else None


def test_a_line_falls_into_its_parts():
    reading = only(f"{DATE}WARN  [ImapServer-9] [name=ana;ip=203.0.113.9;cid=1;] security - cmd=Auth; x;")

    assert (reading.level, reading.logger, reading.text) == (b"WARN", b"security", b"cmd=Auth; x;")
    assert (reading.account, reading.protocol, source(reading)) == (b"ana", Protocol.IMAP, "203.0.113.9")
    assert reading.time == 1714990811.407
    assert decoded(f"{DATE}WARN  [m] [] x - y", ZoneInfo("Europe/Rome")).readings[0].time == 1714983611.407


def test_a_line_over_syslog_has_no_date():
    reading = only("INFO  [qtp1-22] [oip=203.0.113.9;] SoapEngine - handler exception")

    assert (reading.time, reading.level, source(reading)) == (None, b"INFO", "203.0.113.9")


@pytest.mark.parametrize("date", ["2024-02-30 10:20:11,407 ", "2024-05-06 25:20:11,407 "])
def test_a_date_that_names_no_moment_is_no_time(date):
    assert only(f"{date}INFO  [main] [] misc - x").time is None


def test_an_empty_context_names_nobody():
    reading = only(f"{DATE}INFO  [qtp9-1:https://h/p] [] misc - Access from IP 203.0.113.66 suspended")

    assert (reading.account, source(reading)) == (None, None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a line of this log"),
        ("\tat com.zimbra.X.y(X.java:1)", "not a line of this log"),
        ("com.zimbra.cs.account.AccountServiceException: authentication failed for [x]", "not a line of this log"),
        (f"{DATE}NOTICE [m] [] x - y", "not a line of this log"),
        (f"{DATE}WARN  [ImapServer-9]", "no context: cut off"),
        (f"{DATE}WARN  [ImapServer-9", "no context: cut off"),
        (f"{DATE}WARN  [ImapServer-9] [ip", "no context: cut off"),
        (f"{DATE}WARN  [ImapServer-9] [ip=203.0.113.9;oip", "truncated: the context is there"),
        (f"{DATE}WARN  [qtp1-8:https://h/p] [oip=203.0.113.9;ua=x;;] security - x", "truncated: the context is there"),
        (f"{DATE}WARN  [qtp1-8:https://h/p] [oip=203.0.113.9;] security", "truncated: the context is there"),
        (f"{DATE}WARN  [ImapServer-9] [ip=203.0.113.9] security - x", "no context: cut off"),
    ],
)
def test_what_cannot_be_split_says_why(text, why):
    found = decoded(text)

    assert found.readings == ()
    assert found.why.startswith(why)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("x", b"x"),
        ("a;;b", b"a;b"),
        ("a;;;;b", b"a;;b"),
        ("a;;", b"a;"),
        (";;", b";"),
        ("a] security - b", b"a] security - b"),
        ("a;;] security - b", b"a;] security - b"),
        ("a] [b", b"a] [b"),
        ("a] [] security - b", b"a] [] security - b"),
        ("[a]", b"[a]"),
        ("", b""),
    ],
)
def test_a_doubled_semicolon_is_the_clients_and_ends_nothing(value, read):
    reading = only(f"{DATE}WARN  [ImapServer-9] [name={value};ip=203.0.113.9;] security - text;")

    assert (reading.account, reading.text, source(reading)) == (read, b"text;", "203.0.113.9")


def test_the_first_occurrence_of_a_key_wins():
    reading = only(f"{DATE}WARN  [ImapServer-9] [ip=203.0.113.9;ip=203.0.113.66;;x;ip=203.0.113.66;] security - x")

    assert source(reading) == "203.0.113.9"


def test_the_message_may_hold_anything():
    message = "authentication failed for [x] [ip=203.0.113.66;] security - y], invalid password;"
    reading = only(f"{DATE}WARN  [ImapServer-9] [ip=203.0.113.9;] security - {message}")

    assert (reading.text, source(reading)) == (message.encode(), "203.0.113.9")


def test_nul_bytes_are_bytes_like_others():
    reading = only(f"{DATE}WARN  [ImapServer-9] [ip=203.0.113.9;ua=\0;] security - a\0b".encode())

    assert (reading.text, source(reading)) == (b"a\0b", "203.0.113.9")


def test_the_logger_is_the_last_part_of_its_name():
    assert only(f"{DATE}INFO  [main] [] zimbra.security.Audit - x").logger == b"Audit"


def test_a_bracket_in_the_url_is_no_seam():
    reading = only(f"{DATE}WARN  [qtp1-8:https://h/p?q=[oip=203.0.113.66;]] [oip=203.0.113.9;] security - x")

    assert source(reading) == "203.0.113.9"


@pytest.mark.parametrize(
    "scheme",
    [
        "https://x/y] [oip=203.0.113.66;] security - z, https",
        "https://x/y] [oip=203.0.113.66;] security - z",
        "://] [",
    ],
)
def test_a_scheme_that_imitates_a_context_leaves_two_readings(scheme):
    found = decoded(f"{DATE}WARN  [qtp1-8:{scheme}://h/p] [oip=203.0.113.9;ua=x;] security - x")

    assert not found.is_certain
    assert found.why.startswith("client text may imitate the line's structure")
    assert "203.0.113.9" in map(source, found.readings)


def test_a_seam_whose_thread_is_no_url_is_none():
    reading = only(
        f"{DATE}WARN  [qtp1-8:x] [oip=203.0.113.66;] security - y https://h/p] [oip=203.0.113.9;] security - x"
    )

    assert source(reading) == "203.0.113.9"


def test_many_brackets_on_a_web_line_clear_and_blame_nobody():
    """An attacker gains by it that no address is believed; the account is still counted."""
    ua = "x] [" * 100
    found = decoded(f"{DATE}WARN  [qtp1-8:https://h/p] [name=a;oip=203.0.113.9;ua={ua};] security - x")

    assert not found.is_certain
    assert found.readings[0].account == b"a"


def test_many_brackets_on_an_imap_line_change_nothing():
    found = decoded(f"{DATE}WARN  [ImapServer-8] [ip=203.0.113.9;oip={'] [' * 100};cid=1;] security - x")

    assert found.is_certain
    assert str(found.readings[0].origin.source) == "203.0.113.9"


@pytest.mark.parametrize("size", [1023, 1024, 1025, 2048, 4001, 8096, 65536])
def test_a_web_line_that_may_have_lost_its_end_blames_nobody(size):
    """Its true end, cut off, may have told another story than the one that a client put before it."""
    forged = (
        f"<134>May  6 10:20:31 mbox1 zimbra-audit: {DATE}WARN  [qtp1-8:https://x/y] [oip=203.0.113.66;] "
        "security - cmd=Auth; account=a; protocol=soap; error=authentication failed for [x], "
    )
    frame = (forged + ";" * 70_000)[:size].encode()

    event = Reader(load_rules().rules, SAMPLE_TRUST).read(frame, "192.0.2.10", 1_795_000_000.0).event

    assert event is None or event.source is None


@pytest.mark.parametrize(
    ("thread", "protocol"),
    [
        ("ImapSSLServer-1", Protocol.IMAP),
        ("Pop3Server-1", Protocol.POP3),
        ("LmtpServer-1", Protocol.UNKNOWN),
        ("main", Protocol.UNKNOWN),
        ("qtp1-22", Protocol.UNKNOWN),
        ("qtp1-8:https:https://h:443/service/soap/AuthRequest", Protocol.SOAP),
        ("qtp1-8:://localhost:8080/service/soap/", Protocol.SOAP),
        ("qtp1-8:smtp://h:7073/service/admin/soap/", Protocol.SMTP),
        ("qtp1-8:https://h:7071/service/admin/soap/", Protocol.ADMIN),
        ("qtp1-8:https://h:9071/", Protocol.ADMIN),
        ("qtp1-8:https://h:7072/service/extension/nginx-lookup", Protocol.UNKNOWN),
        ("qtp1-8:https://h/service/admin/soap/", Protocol.ADMIN),
        ("qtp1-8:https://h/x?:7073/service/soap", Protocol.HTTP),
        ("qtp1-8:https://h/x/service/soap/", Protocol.HTTP),
        ("qtp1-8:https://h", Protocol.HTTP),
        ("qtp1-8:https://[2001:db8::1]:7071/", Protocol.ADMIN),
        ("qtp1-8:https://h/.well-known/caldav", Protocol.DAV),
        ("qtp1-8:https://h/Microsoft-Server-ActiveSync?Cmd=Sync", Protocol.EAS),
        ("qtp1-8:https://h/ews/exchange.asmx", Protocol.EWS),
    ],
)
def test_the_thread_tells_the_protocol_by_port_first(thread, protocol):
    assert only(f"{DATE}WARN  [{thread}] [ip=203.0.113.9;] security - x").protocol is protocol


def test_a_proxy_that_is_ours_vouches_for_its_client():
    reading = only(f"{DATE}WARN  [Pop3Server-1] [ip=192.0.2.5;oip=2001:db8:bad:0:0:0:0:9;] security - x")

    assert reading.origin is not None
    assert reading.origin.source == parse_address(b"2001:db8:bad::9")


PIECES = st.sampled_from(
    [
        *("] [", "[", "]", "] ", ";] ", ";", ";;", "=", " ", ",", "://", "\n", "\u00e9"),
        *("ip=192.0.2.5;", "ip=203.0.113.9;", "oip=203.0.113.66;", "oip=203.0.113.66, 203.0.113.9;"),
        *("name=ana;", "oip"),
        *("qtp1-8:https://h:7071/x", "qtp1", "ImapServer-9", "security - ", "a.b.Soap - ", "cmd=Auth; account=b;"),
        *(f"{DATE}WARN  [", "2024-05-06 10:20:11,407 INFO  [", "WARN  [", "2024-99-99 99:99:99,999 WARN ["),
    ]
)
HOSTILE = st.lists(PIECES, max_size=14).map("".join)
LIKELY = st.builds(
    "{}WARN  [{}] [{};] {} - {}".format,
    st.sampled_from([DATE, "", "2024-13-06 10:20:11,407 "]),
    *([HOSTILE, st.lists(PIECES, max_size=6).map("".join)]),
    st.sampled_from(["security", "com.zimbra.Soap", "a b"]),
    HOSTILE,
)


@settings(max_examples=600)
@given(st.one_of(LIKELY, HOSTILE.map(f"{DATE}WARN  [".__add__)), st.booleans())
def test_the_quick_way_says_what_the_careful_one_says_or_nothing(text, may_be_cut):
    message = Message(16, 6, None, "mbox1", "zimbra-audit", None, text.encode(), may_be_cut=may_be_cut)

    quick = _decode_plain(message, SAMPLE_TRUST, UTC)

    assert quick in (None, _decode_carefully(message, SAMPLE_TRUST, UTC))


@pytest.mark.parametrize("thread", ["ImapServer-9", "qtp1-8:https://h/service/soap/", "qtp1"])
def test_usual_lines_go_the_quick_way(thread):
    text = f"{DATE}WARN  [{thread}] [name=ana;oip=203.0.113.9;ua=x;] security - cmd=Auth; x [y];"
    message = Message(16, 6, None, "mbox1", "zimbra-audit", None, text.encode())

    assert _decode_plain(message, SAMPLE_TRUST, UTC) == _decode_carefully(message, SAMPLE_TRUST, UTC)
