"""Headers as senders write them, and what no sender should."""

import time as clock
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.model import Message
from appliance.read.syslog import content_faults, parse

NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC).timestamp()


def read(frame: bytes, now: float = NOW) -> Message:
    return parse(frame, now)


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class TestWhatRsyslogForwards:
    def test_the_traditional_format_has_host_tag_and_pid(self) -> None:
        message = read(b"<22>Nov 21 19:00:00 mail1 postfix/smtpd[4242]: lost connection")
        assert message == Message(
            2, 6, moment("2026-11-21T19:00:00Z"), "mail1", "postfix/smtpd", "4242", b"lost connection"
        )

    def test_the_forward_format_has_an_rfc_3339_time(self) -> None:
        message = read(b"<86>2026-11-21T19:00:00.123456+01:00 mail1 saslauthd[812]: x")
        assert (message.time, message.app) == (moment("2026-11-21T18:00:00.123456Z"), "saslauthd")

    def test_a_tag_of_imfile_may_lack_its_colon(self) -> None:
        message = read(b"<134>Nov 21 19:00:00 mbox1 zimbra-audit 2026-11-21 19:00:00,123 WARN  [x]")
        assert (message.host, message.app) == ("mbox1", "zimbra-audit")
        assert message.text == b"2026-11-21 19:00:00,123 WARN  [x]"

    def test_only_one_space_is_taken_off_the_text(self) -> None:
        assert read(b"<22>Nov 21 19:00:00 m t:  x").text == b" x"

    def test_a_repeated_message_stands_for_its_number_and_holds_the_inner_text(self) -> None:
        message = read(b"<22>Nov 21 19:00:00 m t[1]: message repeated 3 times: [ a ] b]")
        assert (message.repeat, message.text) == (3, b"a ] b")

    def test_a_repetition_is_believed_up_to_a_thousand(self) -> None:
        assert read(b"<22>Nov 21 19:00:00 m t: message repeated 999999999 times: [ a]").repeat == 1000

    @pytest.mark.parametrize("text", [b"message repeated 0 times: [ a]", b"message repeated 2 times: [ a"])
    def test_a_repetition_that_is_none_is_text(self, text: bytes) -> None:
        message = read(b"<22>Nov 21 19:00:00 m t: " + text)
        assert (message.repeat, message.text) == (1, text)


class TestPriority:
    def test_it_is_facility_and_severity(self) -> None:
        message = read(b"<191>Nov 21 19:00:00 m t: x")
        assert (message.facility, message.severity) == (23, 7)

    @pytest.mark.parametrize(
        "pri", [b"<192>", b"<013>", b"<00>", b"<-1>", b"<>", b"<8", b"<\xd9\xa8>", b"<8000000000>", b"<1 >"]
    )
    def test_an_impossible_one_is_user_notice_and_the_text_stays_whole(self, pri: bytes) -> None:
        frame = pri + b"Nov 21 19:00:00 m t: x"
        assert read(frame) == Message(1, 5, None, None, None, None, frame, faults=("bad_pri",))

    def test_without_one_the_header_is_still_read(self) -> None:
        message = read(b"Nov 21 19:00:00 mail1 saslauthd[812]: x")
        assert (message.facility, message.severity, message.host, message.text) == (1, 5, "mail1", b"x")
        assert message.faults == ("no_pri",)

    def test_one_in_the_middle_of_the_text_means_nothing(self) -> None:
        frame = b"x <86>Nov 21 19:00:00 mail1 app: x"
        assert read(frame) == Message(1, 5, None, None, None, None, frame, faults=("no_pri",))


class TestTime:
    @pytest.mark.parametrize(
        ("now", "stamp", "expected"),
        [
            ("2026-01-01T00:10:00Z", b"Dec 31 23:59:59", "2025-12-31T23:59:59Z"),
            ("2025-12-31T23:59:00Z", b"Jan  1 00:00:01", "2026-01-01T00:00:01Z"),
            ("2024-03-01T00:00:00Z", b"Feb 29 12:00:00", "2024-02-29T12:00:00Z"),
            ("2026-11-21T19:00:00Z", b"Nov 21 19:00:00.25", "2026-11-21T19:00:00.25Z"),
            ("2026-11-21T19:00:00Z", b"Nov 1 19:00:00", "2026-11-01T19:00:00Z"),
            ("2026-11-21T19:00:00Z", b"May  6 10:20:01", "2026-05-06T10:20:01Z"),
            ("2026-11-21T19:00:00Z", b"Nov 22 10:00:00", "2026-11-22T10:00:00Z"),
            ("2026-11-21T19:00:00Z", b"Nov 25 10:00:00", "2025-11-25T10:00:00Z"),
        ],
    )
    def test_a_stamp_without_a_year_is_of_the_last_that_is_not_ahead(
        self, now: str, stamp: bytes, expected: str
    ) -> None:
        message = parse(b"<22>" + stamp + b" m t: x", moment(now))
        assert (message.time, message.host, message.faults) == (moment(expected), "m", ())

    def test_a_zone_says_what_a_stamp_without_one_means(self) -> None:
        for frame in (b"<22>Nov 21 19:00:00 m t: x", b"<22>2026-11-21T19:00:00 m t: x"):
            assert parse(frame, NOW, ZoneInfo("Europe/Madrid")).time == moment("2026-11-21T18:00:00Z")
            assert parse(frame, NOW, timezone(timedelta(hours=-3))).time == moment("2026-11-21T22:00:00Z")

    @pytest.mark.parametrize(
        "stamp",
        [
            b"Nov 21 25:00:00",
            b"Nov 31 19:00:00",
            b"Xyz 21 19:00:00",
            b"Feb 29 10:00:00",
            b"0001-01-01T00:00:00+23:59",
        ],
    )
    def test_a_moment_that_does_not_exist_is_none_and_the_header_is_read_on(self, stamp: bytes) -> None:
        message = read(b"<22>" + stamp + b" m t: x")
        assert (message.time, message.host, message.faults) == (None, "m", ("bad_timestamp",))

    @pytest.mark.parametrize("stamp", [b"2099-01-01T00:00:00Z", b"1970-01-01T00:00:00Z"])
    def test_a_clock_that_is_far_off_is_a_fault(self, stamp: bytes) -> None:
        assert read(b"<22>" + stamp + b" m t: x").faults == ("clock_skew",)

    def test_a_backlog_of_hours_is_no_fault(self) -> None:
        assert read(b"<22>Nov 21 13:00:00 m t: x").faults == ()

    def test_endless_fractions_are_no_time(self) -> None:
        message = read(b"<22>2026-11-21T19:00:00." + b"1" * 400 + b"Z m t: x")
        assert (message.time, message.faults) == (None, ("bad_header",))


class TestVariantsOfRfc3164:
    @pytest.mark.parametrize(
        ("rest", "host", "app", "pid", "text"),
        [
            (b"haproxy[73411]: started", None, "haproxy", "73411", b"started"),
            (b"dropbear[77] x", None, "dropbear", "77", b"x"),
            (b"su: pam_unix(su:session): x", None, "su", None, b"pam_unix(su:session): x"),
            (b"192.0.2.9 app: x", "192.0.2.9", "app", None, b"x"),
            (b"[2001:db8::9] app: x", "2001:db8::9", "app", None, b"x"),
            (b"2001:db8::9 app: x", "2001:db8::9", "app", None, b"x"),
            (b"fe80:: app: x", "fe80::", "app", None, b"x"),
            (b"host1/host2 app: x", "host1/host2", "app", None, b"x"),
            (
                b"UDMPRO,a2edd0c6ae48,udm-1.10.0 kernel: foo",
                "UDMPRO,a2edd0c6ae48,udm-1.10.0",
                "kernel",
                None,
                b"foo",
            ),
            (b"mail1 app[main]: x", "mail1", "app", "main", b"x"),
            (b"mail1 app", "mail1", "app", None, b""),
            (b"asa1 : %ASA-6-302014: Teardown", "asa1", "%ASA-6-302014", None, b"Teardown"),
            (b"Message forwarded from aix1: app[5]: x", "aix1", "app", "5", b"x"),
            (b"last message repeated 3 times", None, None, None, b"last message repeated 3 times"),
            (b"mail1 last message repeated 3 times", "mail1", None, None, b"last message repeated 3 times"),
            (b"", None, None, None, b""),
        ],
    )
    def test_host_tag_and_text_are_told_apart(
        self, rest: bytes, host: str | None, app: str | None, pid: str | None, text: bytes
    ) -> None:
        message = read(b"<86>Nov 21 19:00:00 " + rest)
        assert (message.host, message.app, message.pid, message.text) == (host, app, pid, text)
        assert message.faults == ()

    def test_cisco_puts_the_year_before_the_time_and_a_colon_behind_it(self) -> None:
        message = read(b"<190>Nov 21 2025 19:00:00: %ASA-6-302014: Teardown TCP")
        assert (message.time, message.host) == (moment("2025-11-21T19:00:00Z"), None)
        assert (message.app, message.text) == ("%ASA-6-302014", b"Teardown TCP")

    def test_cisco_ios_puts_a_sequence_number_and_a_star_in_front(self) -> None:
        message = read(b"<189>412: *Nov 21 19:00:00.123: %SEC_LOGIN-4-LOGIN_FAILED: Login failed")
        assert (message.app, message.text) == ("%SEC_LOGIN-4-LOGIN_FAILED", b"Login failed")

    def test_a_tag_over_its_bound_leads_the_text(self) -> None:
        message = read(b"<86>Nov 21 19:00:00 mail1 " + b"t" * 512 + b": x")
        assert (message.host, message.app, message.text[-4:]) == ("mail1", None, b"tt: x"[1:])
        assert message.faults == ("bad_header",)

    def test_a_host_over_255_bytes_is_none(self) -> None:
        assert read(b"<86>Nov 21 19:00:00 " + b"h" * 256 + b" app: x").host is None

    def test_log4j_without_a_header_is_all_text(self) -> None:
        message = read(b"<22>[name=a@example.test;oip=192.0.2.9;] security - cmd=Auth;")
        assert (message.host, message.app) == (None, None)
        assert message.text == b"[name=a@example.test;oip=192.0.2.9;] security - cmd=Auth;"

    def test_names_that_are_no_utf_8_are_escaped(self) -> None:
        assert read(b"<86>Nov 21 19:00:00 h\xff t\xfe: x").host == "h\\xff"


class TestRfc5424:
    HEAD = b"<86>1 2026-11-21T19:00:00Z mail1 a 1 ID47 "

    def test_nil_is_none(self) -> None:
        assert read(b"<86>1 - - - - - -") == Message(10, 6, None, None, None, None, b"")

    def test_the_header_is_read_and_the_bom_taken_off(self) -> None:
        message = read(b"<86>1 2026-11-21T19:00:00.5-03:00 r1 lsys:rpd 6589 ID47 - \xef\xbb\xbfm")
        assert message == Message(10, 6, moment("2026-11-21T22:00:00.5Z"), "r1", "lsys:rpd", "6589", b"m", msgid="ID47")

    @pytest.mark.parametrize(
        ("after", "elements", "text"),
        [
            (b"- m", {}, b"m"),
            (b"-", {}, b""),
            (b'[x@1 k="v" k2="v2"] m', {"x@1": {"k": ["v"], "k2": ["v2"]}}, b"m"),
            (b'[x@1 k="v"][y@1 k="w"]', {"x@1": {"k": ["v"]}, "y@1": {"k": ["w"]}}, b""),
            (b'[x@1 k="v"] [y@1 k="w"] m', {"x@1": {"k": ["v"]}}, b'[y@1 k="w"] m'),
            (b'[x@1 k="a\\"b\\\\c\\]d"] m', {"x@1": {"k": ['a"b\\c]d']}}, b"m"),
            (b'[x@1 k="a\\nb"] m', {"x@1": {"k": ["a\\nb"]}}, b"m"),
            (b'[x@1 k="1" k="2"][x@1 k="3"] m', {"x@1": {"k": ["1", "2", "3"]}}, b"m"),
            (b"[x@1] m", {"x@1": {}}, b"m"),
            (b'[x k="a]b\n"] m', {"x": {"k": ["a]b\n"]}}, b"m"),
        ],
    )
    def test_structured_data_is_read(
        self, after: bytes, elements: dict[str, dict[str, list[str]]], text: bytes
    ) -> None:
        message = read(self.HEAD + after)
        assert (message.structured_data, message.text, message.faults) == (elements, text, ())

    @pytest.mark.parametrize(
        "after",
        [b'[x k="v" m', b'[x k="v] m', b"[] m", b"m", b"[x k=v] m", b"-m", b"[x" + b' k=""' * 257 + b"]"],
    )
    def test_malformed_structured_data_stays_in_the_text(self, after: bytes) -> None:
        message = read(self.HEAD + after)
        assert (message.host, message.structured_data, message.text) == ("mail1", {}, after)
        assert message.faults == ("bad_sd",)

    @pytest.mark.parametrize(
        "rest", [b"1 2026-11-21T19:00:00Z  mail1 a 1 - - m", b"1 2026-11-21T19:00:00Z mail1 a 1 -", b"1 - h"]
    )
    def test_a_malformed_header_leaves_all_of_it_as_text(self, rest: bytes) -> None:
        message = read(b"<86>" + rest)
        assert (message.facility, message.text, message.faults) == (10, rest, ("bad_header",))

    def test_another_version_is_not_read(self) -> None:
        message = read(b"<86>2 2026-11-21T19:00:00Z mail1 a 1 - - m")
        assert (message.host, message.faults) == (None, ("unknown_version",))

    def test_a_time_without_a_zone_is_none(self) -> None:
        message = read(b"<86>1 2026-11-21T19:00:00 mail1 a 1 - - m")
        assert (message.time, message.host, message.faults) == (None, "mail1", ("bad_timestamp",))


class TestContent:
    @pytest.mark.parametrize(
        ("frame", "faults"),
        [
            (b"a\tb\nc", ()),
            ("jürgen".encode(), ()),
            (b"\x1b[2J", ("control_chars",)),
            (b"\x7f", ("control_chars",)),
            (b"a\xc0\xafb", ("not_utf8",)),
            (b"\xff\xfeh\0", ("control_chars", "not_utf8")),
        ],
    )
    def test_control_characters_and_broken_utf_8_are_told(self, frame: bytes, faults: tuple[str, ...]) -> None:
        assert content_faults(frame) == faults


PARTS = st.sampled_from(
    [
        b"<86>",
        b"1 ",
        b"2026-11-21T19:00:00Z",
        b"Nov 21 19:00:00",
        b" ",
        b"-",
        b"[",
        b"]",
        b'"',
        b"\\",
        b":",
        b"mail1",
        b"[x@1 k=",
        b"message repeated 3 times: [",
        b"app[1]: ",
        b"\0",
        b"\xef\xbb\xbf",
        b"<",
        b">",
        b"9" * 5000,
        b"%",
    ]
)


@given(st.one_of(st.binary(), st.lists(PARTS).map(b"".join)), st.sampled_from([0.0, NOW, 1e11]))
@example(b"<22>9999-12-31T23:59:59-23:59 m t: x", NOW)
@example(b"<22>Jan  1 9999 00:00:00 m t: x", NOW)
@example(b"<22>Jan  1 0000 00:00:00 m t: x", NOW)
def test_no_bytes_make_it_raise_or_grow(frame: bytes, now: float) -> None:
    message = parse(frame, now, ZoneInfo("America/Lima"))
    assert len(message.text) <= len(frame)
    assert all(len(name or "") <= 4 * 255 for name in (message.host, message.app, message.pid, message.msgid))
    assert (message.facility, message.severity) in {(1, 5), (10, 6), (2, 6)} or frame.startswith(b"<")


@pytest.mark.parametrize(
    "unit",
    [
        b"a",
        b" ",
        b":",
        b"[",
        b"\\",
        b'"',
        b"a:",
        b"a[",
        b"] [",
        b' k="',
        b'\\"',
        b"1",
        b"message repeated 3 times: [",
    ],
)
@pytest.mark.parametrize(
    "head",
    [
        b"<86>",
        b"<86>Nov 21 19:00:00 ",
        b"<86>Nov 21 19:00:00 m t: message repeated 3 times: [",
        TestRfc5424.HEAD + b"[x",
    ],
)
def test_a_frame_eight_times_as_long_takes_no_more_than_sixteen_times_as_long(head: bytes, unit: bytes) -> None:
    def cost(size: int) -> float:
        frame = head + unit * (size // len(unit))
        spans = []
        for _ in range(5):
            begin = clock.perf_counter()
            parse(frame, NOW)
            spans.append(clock.perf_counter() - begin)
        return min(spans)

    assert cost(65536) <= 16 * cost(8192) + 2e-4  # the sum: what a scheduler may take from the short one


@given(
    st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2200, 1, 1)),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_a_forwarded_stamp_is_read_to_the_microsecond(local: datetime, zone: timezone) -> None:
    stamp = local.replace(tzinfo=zone).isoformat(timespec="microseconds")
    assert read(f"<22>{stamp} mail1 t: x".encode()).time == datetime.fromisoformat(stamp).timestamp()


@pytest.mark.parametrize("stamp", ["2026-13-01T00:00:00.000000+00:00", "2026-01-01T00:00:00.000000+99:00"])
def test_a_forwarded_stamp_of_no_moment_is_a_fault(stamp: str) -> None:
    message = read(f"<22>{stamp} mail1 t: x".encode())
    assert (message.time, message.faults) == (None, ("bad_timestamp",))
