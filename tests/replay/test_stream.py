"""One file, and several, as a stream of lines in the order of time."""

from datetime import UTC

import pytest
from lines import NOISE, audit_failure, mailbox_failure, stamp
from oldlogs import NOON, RULES, SOURCE, bare, failures, headed, sasl, success, write

from appliance.replay.files import find_logs
from appliance.replay.stream import Stream, Tally, merged

QUIET = b"May  6 12:00:00 mx1 postfix/smtpd[7]: connect from unknown[198.51.100.194]"


def items(*paths, **options):
    """(items that are lines, the tally) of these files."""
    tally = Tally(RULES.rules)
    files = find_logs([str(path) for path in paths], NOON)
    streams = [Stream(number, file, RULES.rules.literals, UTC, tally, **options) for number, file in enumerate(files)]
    return list(merged(streams)), tally


def lines(*paths, **options):
    return [item for item in items(*paths, **options)[0] if item.frame]


def test_only_lines_with_a_looked_for_word_become_items(tmp_path):
    path = write(tmp_path / "zimbra.log", [QUIET] * 1000 + [headed(audit_failure(SOURCE, NOON))] + [QUIET] * 1000)
    found, tally = items(path)

    assert [item.frame for item in found if item.frame] == [headed(audit_failure(SOURCE, NOON))]
    assert tally.lines == 2001
    assert tally.programs == {"postfix/smtpd", "zimbra-audit"}


@pytest.mark.parametrize(
    "write_as", [bytes, headed, lambda frame: frame.partition(b">")[2]], ids=["PRI", "3164", "ISO"]
)
def test_the_sender_is_the_host_in_the_header(tmp_path, write_as):
    (item,) = lines(write(tmp_path / "zimbra.log", [write_as(audit_failure(SOURCE, NOON))]))

    assert (item.sender, item.time, item.wakes) == ("mbox1", NOON, True)


def test_a_bare_line_gets_the_header_of_its_program_and_the_files_label(tmp_path):
    (item,) = lines(write(tmp_path / "audit.log.2024-05-06", [bare(audit_failure(SOURCE, NOON + 0.25))]))

    assert (item.sender, item.time) == ("audit.log", NOON + 0.25)
    assert item.frame == b"<134>1 - audit.log zimbra-audit - - - " + bare(audit_failure(SOURCE, NOON + 0.25))


def test_a_bare_file_without_a_telling_name_is_told_by_its_content(tmp_path):
    audit = write(tmp_path / "a.log", [bare(line) for line in failures(3)])
    mailbox = write(tmp_path / "b.log", [bare(mailbox_failure(SOURCE, NOON)), bare(audit_failure(SOURCE, NOON))])

    assert {item.frame.split()[3] for item in lines(audit)} == {b"zimbra-audit"}
    assert {item.frame.split()[3] for item in lines(mailbox)} == {b"zimbra-mailbox"}


def test_the_program_that_is_named_overrules_all(tmp_path):
    path = write(tmp_path / "mailbox.log", [bare(audit_failure(SOURCE, NOON))])

    assert [item.frame.split()[3] for item in lines(path, program="zimbra-audit")] == [b"zimbra-audit"]


def test_a_file_may_hold_both_kinds(tmp_path):
    path = write(tmp_path / "all.txt", [headed(audit_failure(SOURCE, NOON)), bare(audit_failure(SOURCE, NOON + 1))])

    assert [item.sender for item in lines(path)] == ["mbox1", "all.txt"]


def test_client_text_in_a_bare_log_cannot_pass_for_a_line_of_another_program(tmp_path):
    """mailbox.log holds line breaks that clients wrote."""
    forged = audit_failure("198.51.100.1", NOON)
    path = write(tmp_path / "mailbox.log", [bare(mailbox_failure(SOURCE, NOON)), forged, headed(forged)])

    assert {item.frame.split()[3] for item in lines(path)} == {b"zimbra-mailbox"}
    assert {item.sender for item in lines(path)} == {"mailbox.log"}


def test_one_line_with_a_forged_time_does_not_move_the_clock(tmp_path):
    normal = [bare(line) for line in failures(20)]
    forged = bare(audit_failure(SOURCE, NOON + 9e8))
    path = write(tmp_path / "mailbox.log", [*normal[:10], forged, *normal[10:]])
    found, tally = items(path)

    assert max(item.time for item in found) == NOON + 190
    assert tally.faults["leap"] == 1


def test_a_first_line_with_a_forged_time_does_not_either(tmp_path):
    path = write(tmp_path / "mailbox.log", [bare(audit_failure(SOURCE, NOON + 9e8)), *map(bare, failures(5))])

    assert max(item.time for item in lines(path)) == NOON + 40


def test_a_real_gap_is_believed(tmp_path):
    path = write(tmp_path / "audit.log", [bare(audit_failure(SOURCE, NOON + hours * 3600)) for hours in (0, 5, 50)])

    assert [item.time - NOON for item in lines(path)] == [0, 18000, 180000]


def test_a_line_that_is_late_keeps_the_clock_where_it_is(tmp_path):
    path = write(tmp_path / "audit.log", [bare(audit_failure(SOURCE, NOON + at)) for at in (0, 60, 30, 90)])

    assert [item.time - NOON for item in lines(path)] == [0, 60, 60, 90]


def test_a_line_without_a_time_has_that_of_the_one_before(tmp_path):
    trace = b"com.zimbra.cs.account.AccountServiceException: authentication failed for [x]"
    path = write(tmp_path / "mailbox.log", [bare(mailbox_failure(SOURCE, NOON)), trace])

    assert [item.time for item in lines(path)] == [NOON, NOON]


def test_files_are_merged_by_time_and_at_the_same_time_by_file(tmp_path):
    one = write(tmp_path / "1.log", [headed(audit_failure("192.0.2.101", NOON + at)) for at in (0, 10, 10, 30)])
    two = write(tmp_path / "2.log", [headed(audit_failure("192.0.2.102", NOON + at)) for at in (5, 10, 20)])

    assert [(item.time - NOON, item.file) for item in lines(one, two)] == [
        *((0, 0), (5, 1), (10, 0), (10, 0), (10, 1), (20, 1), (30, 0)),
    ]


def test_years_are_told_from_the_file_the_option_or_a_line_that_names_one(tmp_path):
    winter = [sasl(NOON + day * 86400) for day in (230, 245, 260)]
    late, given = write(tmp_path / "a.log", winter, NOON + 300 * 86400), {"year": 2010}
    mixed = write(tmp_path / "b.log", [audit_failure(SOURCE, NOON + 229 * 86400), *winter], NOON + 3e8)

    assert [stamp(item.time)[:10] for item in lines(late)] == ["2024-12-22", "2025-01-06", "2025-01-21"]
    assert [stamp(item.time)[:4] for item in lines(late, **given)] == ["2010", "2011", "2011"]
    assert [stamp(item.time)[:4] for item in lines(mixed)] == ["2024", "2024", "2025", "2025"]


def test_lines_that_pass_by_are_counted_by_sender_and_time(tmp_path):
    other = QUIET.replace(b"mx1", b"mx2")
    quiet = [
        line.replace(b"12:00:00", b"12:%02d:00" % minute) for minute in range(10) for line in (QUIET, QUIET, other)
    ]
    found, _ = items(write(tmp_path / "zimbra.log", quiet))

    heard = [(item.time, dict(item.heard)) for item in found if item.heard]
    assert {sender: sum(counts.get(sender, 0) for _, counts in heard) for sender in ("mx1", "mx2")} == {
        "mx1": 20,
        "mx2": 10,
    }
    assert len(heard) >= 9
    assert [time for time, _ in heard] == sorted(time for time, _ in heard)


def test_a_busy_file_is_heard_of_twice_a_minute_and_no_more(tmp_path):
    busy = [QUIET.replace(b"12:00:00", b"12:%02d:%02d" % divmod(n // 100, 60)) for n in range(12_000)]
    found, tally = items(write(tmp_path / "zimbra.log", busy))

    heard = [item for item in found if item.heard]
    assert tally.lines == sum(number for item in heard for _, number in item.heard) == 12_000
    assert 4 <= len(heard) <= 6


def test_a_line_over_the_limit_is_cut_and_counted(tmp_path):
    long = headed(audit_failure(SOURCE, NOON)) + b"x" * 1_000_000
    found, tally = items(write(tmp_path / "zimbra.log", [long, headed(success(NOON + 1))]))

    assert [len(item.frame) for item in found if item.frame] == [65536, len(headed(success(NOON + 1)))]
    assert tally.faults["truncated"] == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n\n",
        b"\0" * 100_000,
        bytes(range(256)) * 1000,
        b"login\0login\n" * 50,
        b"\xff\xfeauthentication failed",
    ],
    ids=["empty", "blank", "NUL", "binary", "NUL in lines", "no line end"],
)
def test_rubbish_does_no_harm(tmp_path, content):
    path = tmp_path / "audit.log"
    path.write_bytes(content)

    found, _ = items(path)

    assert all(item.time == 0.0 for item in found)


def test_what_no_rule_wakes_for_is_looked_at_all_the_same(tmp_path):
    line = b"May  6 12:00:00 mbox1 dovecot: imap-login: failed"
    (item,) = lines(write(tmp_path / "zimbra.log", [NOISE, line]))

    assert (item.frame, item.wakes) == (line, False)


def test_a_file_is_open_only_while_its_lines_are_due(tmp_path):
    paths = [write(tmp_path / f"{n:03}.log", [headed(audit_failure(SOURCE, NOON + n * 100))]) for n in range(200)]
    tally = Tally(RULES.rules)
    files = find_logs([str(path) for path in paths], NOON)
    streams = [Stream(number, file, RULES.rules.literals, UTC, tally) for number, file in enumerate(files)]
    most = 0
    for item in merged(streams):
        if item.frame:
            most = max(most, sum(file.read > 0 for file in files) - item.file)

    assert most <= 2
