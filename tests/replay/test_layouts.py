"""What kind of line stands at some place of a file."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from lines import audit_failure, audit_success, mailbox_failure
from oldlogs import NOON, bare

from appliance.read.syslog import parse
from appliance.replay.layouts import HEADED, header, log4j_program, own_stamp, program_by_name

ROME_OR_NOT = "Europe/Rome"


@pytest.mark.parametrize(
    ("stem", "program"),
    [
        ("audit.log", "zimbra-audit"),
        ("mbox1-audit.log", "zimbra-audit"),
        ("audit-2024-05-06.log", "zimbra-audit"),
        ("mailbox.log", "zimbra-mailbox"),
        ("nginx.log", "zimbra-nginx"),
        ("nginx.access.log", "zimbra-nginx-access"),
        ("zmmailboxd.out", "zimbra-out"),
        ("zimbra.log", None),
        ("syslog", None),
        ("auditors.log", None),
    ],
)
def test_a_files_name_tells_the_program(stem, program):
    assert program_by_name(stem) == program


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"2024-05-06 12:00:00,250 WARN  [ImapServer-7] [] imap - x", "zimbra-mailbox"),
        (b"2024-05-06 12:00:00.250:WARN:oejs.DoSFilter:qtp1-1: DOS ALERT", "zimbra-out"),
        (b"2024/05/06 12:00:00 [info] 12#0: *1 x", "zimbra-nginx"),
        (b'192.0.2.1:443 - ana [06/May/2024:12:00:00 +0000]  "GET / HTTP/1.1" 200 1', "zimbra-nginx-access"),
        (b'2001:db8::1:443 - - [06/May/2024:14:00:00 +0200]  "GET / HTTP/1.1" 200 1', "zimbra-nginx-access"),
    ],
)
def test_a_bare_line_tells_its_time_and_its_kind(line, kind):
    stamp = own_stamp(line, 0, UTC)

    assert stamp is not None
    assert stamp.time is not None
    assert (int(stamp.time), stamp.kind) == (NOON, kind)


@pytest.mark.parametrize(
    "line", [b"", b"\tat java.lang.Thread.run", b"com.zimbra.x: authentication failed", b"2024-05-06", b"\0" * 100]
)
def test_other_lines_tell_none(line):
    assert own_stamp(line, 0, UTC) is None
    assert HEADED.match(line) is None


def test_a_time_that_is_none_is_no_time():
    stamp = own_stamp(b"2024-13-45 12:00:00,250 WARN  [x] [] a - b", 0, UTC)

    assert stamp is not None
    assert stamp.time is None


def test_a_bare_time_is_of_the_configured_zone():
    try:
        zone = ZoneInfo(ROME_OR_NOT)
    except ZoneInfoNotFoundError:
        pytest.skip("this machine has no tzdata")
    stamp = own_stamp(b"2024-05-06 14:00:00,000 WARN  [x] [] a - b", 0, zone)

    assert stamp is not None
    assert stamp.time == NOON


def test_audit_log_is_told_by_its_logger():
    audit = [bare(audit_failure("203.0.113.9", NOON)), b"\tat x", bare(audit_success("203.0.113.9", NOON))]

    assert log4j_program(audit) == "zimbra-audit"
    assert log4j_program([*audit, bare(mailbox_failure("203.0.113.9", NOON))]) == "zimbra-mailbox"
    assert log4j_program([]) == "zimbra-mailbox"


@pytest.mark.parametrize(
    "line",
    [
        b"May  6 12:00:00 mbox1 zimbra-audit: x",
        b"<134>May  6 12:00:00 mbox1 zimbra-audit: x",
        b"<134>2024-05-06T12:00:00.123+00:00 mbox1 zimbra-audit: x",
        b"2024-05-06T12:00:00Z mbox1 zimbra-audit[12]: x",
        b"<134>1 2024-05-06T12:00:00Z mbox1 zimbra-audit 12 - - x",
    ],
)
def test_a_header_names_host_and_tag(line):
    found = HEADED.match(line)

    assert found is not None
    assert found.groups()[1:] == (b"mbox1", b"zimbra-audit")


def test_the_header_of_a_bare_line_is_read_back_as_it_was_meant():
    message = parse(
        header("mbox1/log", "zimbra-audit") + b"2024-05-06 12:00:00,250 WARN", datetime.now(UTC).timestamp()
    )

    assert (message.host, message.app, message.time, message.faults) == ("mbox1/log", "zimbra-audit", None, ())
    assert message.text == b"2024-05-06 12:00:00,250 WARN"
