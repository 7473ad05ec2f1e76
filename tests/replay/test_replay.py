"""What a replay says would have happened."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lines import audit_failure, mailbox_failure, syslog
from oldlogs import (
    ANA,
    BOB,
    CONFIG,
    NOON,
    RULES,
    SOURCE,
    bans,
    bare,
    failures,
    headed,
    lockout,
    replayed,
    sasl,
    success,
    write,
)

from appliance.address import NetSet
from appliance.config.load import parse
from appliance.config.policy import policy_of
from appliance.firewall.observe import ObserveBackend
from appliance.gate import Gate
from appliance.judge.judge import Judge
from appliance.metrics.metrics import Metrics
from appliance.model import Banned, Mode
from appliance.read.frames import one_frame
from appliance.read.origin import Trust
from appliance.read.reader import Reader
from appliance.replay.run import SEED, never_ban

OFFICE = "198.51.100.20"
ONLY_GUESSING = CONFIG + "".join(
    f'[detect.{name}]\nmode = "off"\n'
    for name in ("slow-guessing", "siege", "spraying", "campaign", "neighbourhood", "silence", "zmauditswatch")
)


def test_lines_while_a_ban_would_stand_are_avoided_and_judged_no_further(tmp_path):
    found = replayed(write(tmp_path / "audit.log", [bare(line) for line in failures(50)]), config=ONLY_GUESSING)

    (ban,) = found["bans"]
    assert (ban["source"], ban["detector"], ban["scope"], ban["step"]) == (SOURCE, "guessing", "all", 0)
    assert ban["at"] == "2024-05-06T12:00:50.000+00:00"
    assert 1600 < ban["seconds"] < 2000
    assert ban["accounts"] == [ANA]
    assert ban["proved"]
    assert (found["lines"], found["events"], found["attempts"], found["avoided"]) == (50, 50, 50, 44)
    assert ban["avoided"] == 44
    assert found["bans_by_detector"] == [
        {"detector": "guessing", "bans": 1, "avoided": 44, "refused": 0, "unproved": 0}
    ]


def test_whatever_the_mode_bans_are_decided(tmp_path):
    path = write(tmp_path / "audit.log", [bare(line) for line in failures(6)])

    assert bans(replayed(path)) == bans(replayed(path, config=CONFIG.replace("observe", "enforce"))) != []


def test_after_its_end_a_ban_keeps_nobody_away_and_the_next_is_longer(tmp_path):
    lines = failures(12) + failures(12, NOON + 3 * 3600)
    first, second = replayed(write(tmp_path / "audit.log", lines), config=ONLY_GUESSING)["bans"]

    assert (first["step"], second["step"]) == (0, 1)
    assert second["at"] > "2024-05-06T15:00:00"


def test_lines_of_one_attempt_are_avoided_once(tmp_path):
    thread = b"[qtp1-1:https://x/service/soap/AuthRequest] [oip="
    at = (NOON + 300, NOON + 360)
    weak = [mailbox_failure(SOURCE, time, ANA).replace(b"account not found", b"invalid password") for time in at]
    strong = [audit_failure(SOURCE, time).replace(b"[ImapServer-7] [ip=", thread) for time in at]
    strong = [line.replace(b"protocol=imap", b"protocol=soap") for line in strong]
    found = replayed(write(tmp_path / "zimbra.log", [*failures(6), *weak[:1], *strong[:1], *weak[1:], *strong[1:]]))

    assert (found["attempts"], found["avoided"], found["avoided_lines"]) == (8, 2, 4)


def test_a_login_that_would_have_been_refused_is_collateral(tmp_path):
    lines = [success(NOON - 3600, account=BOB), *failures(6, source=SOURCE), success(NOON + 300), success(NOON + 9000)]
    found = replayed(write(tmp_path / "audit.log", [bare(line) for line in lines]), config=ONLY_GUESSING)

    assert found["refused_logins"] == 1
    rows = {row["account"]: row for row in found["collateral"]}
    assert (rows[BOB]["before"], rows[BOB]["refused"], rows[BOB]["after"]) == (1, 0, 0)
    assert (rows[ANA]["before"], rows[ANA]["refused"], rows[ANA]["after"]) == (0, 1, 1)
    assert rows[ANA]["source"] == rows[ANA]["ban"] == SOURCE
    assert rows[ANA]["first"] == "2024-05-06T12:05:00.000+00:00"
    assert rows[ANA]["last"] == "2024-05-06T14:30:00.000+00:00"


def test_a_login_a_day_and_more_away_is_none(tmp_path):
    lines = [success(NOON - 90_000, account=BOB), *failures(6), success(NOON + 100_000)]

    assert replayed(write(tmp_path / "audit.log", [bare(line) for line in lines]))["collateral"] == []


def test_doubtful_bans_come_with_their_why_and_the_worst_first(tmp_path):
    lines = [
        success(NOON - 600, source="203.0.113.200", account=BOB),  # in the same /24 as SOURCE
        *failures(6, NOON, 1, SOURCE, "carl@example.com"),
        success(NOON - 500, source=OFFICE, account=BOB),
        *failures(6, NOON + 100, 1, OFFICE, "dora@example.com"),
        success(NOON + 200, source=OFFICE, account=BOB),
        *failures(50, NOON + 300, 1, "192.0.2.177".replace("192.0.2", "198.18.7"), "erik@example.com"),
    ]
    lines.sort(key=lambda line: line[5:30])
    doubtful = replayed(write(tmp_path / "audit.log", lines), config=ONLY_GUESSING)["doubtful"]

    assert [ban["source"] for ban in doubtful] == [OFFICE, SOURCE]
    assert doubtful[0]["why"][0].startswith("once somebody logged in from there while it would have stood")
    assert doubtful[1]["why"][0] == "in its /24 there are sources from which people log in: 1"
    assert "it tried one account only: carl@example.com" in doubtful[1]["why"]


def test_bans_that_need_packets_are_marked_as_not_proved(tmp_path):
    lines = [bare(mailbox_failure(SOURCE, NOON + number * 10, f"x{number}@example.com")) for number in range(5)]
    found = replayed(write(tmp_path / "mailbox.log", lines))

    (ban,) = found["bans"]
    assert ban["proved"] is False
    assert "completed a connection" not in ban["reason"]
    assert "a replay has no packets" in ban["reason"]


@pytest.mark.parametrize(
    ("sources", "avoided"), [(1, True), (10, False)], ids=["one source", "ten fresh sources, one try each"]
)
def test_a_lockout_is_avoided_where_too_few_tries_would_have_reached_zimbra(tmp_path, sources, avoided):
    tries = [audit_failure(f"203.0.113.{1 + n % sources}", NOON + n) for n in range(10)]
    path = write(tmp_path / "audit.log", [*map(bare, tries), lockout(NOON + 9, source=f"203.0.113.{1 + 9 % sources}")])

    (locked,) = replayed(path, config=ONLY_GUESSING)["lockouts"]

    assert (locked["account"], locked["at"], locked["failures"]) == (ANA, "2024-05-06T12:00:09.000+00:00", 10)
    assert (locked["reached"] < 10) is locked["avoided"] is avoided


def test_an_account_that_many_strangers_try_is_besieged(tmp_path):
    lines = [audit_failure(f"203.0.{n}.9", NOON + n * 60) for n in range(12)] + [success(NOON + 20_000)]
    found = replayed(write(tmp_path / "audit.log", [bare(line) for line in lines]))

    (siege,) = found["besieged"]
    assert siege["account"] == ANA
    assert siege["strangers"] >= 5
    assert "2024-05-06T12:04" <= siege["from"] <= "2024-05-06T12:06"
    assert "2024-05-06T12:30" <= siege["to"] <= "2024-05-06T14:30"


def test_an_office_with_a_stale_phone_is_named_and_not_banned(tmp_path):
    logins = [success(NOON + n * 60, OFFICE, f"user{n % 5}@example.com") for n in range(60)]
    phone = failures(50, NOON + 3600, 60, OFFICE, "user1@example.com")
    found = replayed(write(tmp_path / "audit.log", [bare(line) for line in [*logins, *phone]]))

    assert found["bans"] == []
    assert found["stale_devices"] == [
        {
            "source": OFFICE,
            "account": "user1@example.com",
            "protocols": ["imap"],
            "failures": 50,
            "first": "2024-05-06T13:00:00.000+00:00",
            "last": "2024-05-06T13:49:00.000+00:00",
        }
    ]


def test_lines_about_logins_that_no_rule_knows_are_told_by_program(tmp_path):
    unknown = [b"May  6 12:00:%02d mbox1 dovecot: imap-login: odd <%d>" % (n, n) for n in range(30)]
    other = b"May  6 12:01:00 mbox1 dovecot: login\x1b[2J of another kind"
    ignored = bare(audit_failure(SOURCE, NOON)).replace(b"invalid password;", b"x")
    known = [line for sample in RULES.samples if sample.expected is None for line in (sample.line,)]
    found = replayed(write(tmp_path / "zimbra.log", [*unknown, other, *known]))

    assert found["unparsed"]["dovecot"] == {
        "lines": 31,
        "samples": ["imap-login: odd <0>", "login\\u{1b}[2J of another kind"],
    }
    assert ignored
    assert set(found["unparsed"]) <= {"dovecot"}, "what the rules leave alone on purpose is no news"


def test_several_files_packed_and_rotated_are_one_story(tmp_path):
    import gzip

    one, two = failures(3, NOON), failures(3, NOON + 5)
    write(tmp_path / "mbox1" / "audit.log.2024-05-06.gz", [])
    (tmp_path / "mbox1" / "audit.log.2024-05-06.gz").write_bytes(gzip.compress(b"\n".join(map(bare, one))))
    write(tmp_path / "mbox2" / "audit.log", [bare(line) for line in two])

    found = replayed(tmp_path, config=ONLY_GUESSING)

    assert [ban["source"] for ban in found["bans"]] == [SOURCE]
    assert found["lines"] == 6


def test_a_year_can_be_said(tmp_path):
    found = replayed(write(tmp_path / "zimbra.log", [sasl(NOON + n * 10) for n in range(6)]), year=2019)

    assert [ban["at"] for ban in found["bans"]] == ["2019-05-06T12:00:50.000+00:00"]


def test_lines_outside_of_the_span_are_left_out(tmp_path):
    path = write(tmp_path / "audit.log", [bare(line) for line in failures(20)])

    assert replayed(path, since=NOON + 100)["bans"][0]["at"] == "2024-05-06T12:02:30.000+00:00"
    assert replayed(path, until=NOON + 50)["bans"] == []


def test_who_is_allowed_is_not_banned(tmp_path):
    path = write(tmp_path / "audit.log", [bare(line) for line in failures(20)])

    assert replayed(path, config=f'{CONFIG}[allow]\nnetworks = ["{SOURCE}"]\n')["bans"] == []


def test_compare_says_what_another_configuration_changes(tmp_path):
    lines = failures(4, source="203.0.113.4") + failures(20, NOON + 100, 1)
    lenient = ONLY_GUESSING + "[ladder]\nsteps = ['1h']\n[detect.guessing]\npoints = 3\n"
    path = write(tmp_path / "audit.log", [bare(line) for line in lines])

    compare = replayed(path, config=ONLY_GUESSING, other=lenient)["compare"]

    assert compare["other"] == "other.toml"
    assert [ban["source"] for ban in compare["only_other"]] == ["203.0.113.4"]
    assert compare["only_this"] == []
    (longer,) = compare["longer"]
    assert (longer["source"], longer["at"] > longer["other_at"]) == (SOURCE, True)
    assert longer["seconds"] < longer["other_seconds"]
    this, other = compare["counts"]["this"], compare["counts"]["other"]
    assert (this["bans"], other["bans"], this["avoided"], other["avoided"]) == (1, 2, 14, 18)


def test_a_comparison_with_itself_finds_no_difference(tmp_path):
    path = write(tmp_path / "audit.log", [bare(line) for line in failures(20)])
    found = replayed(path, other=CONFIG)
    compare = found["compare"]

    assert not any(compare[key] for key in ("only_this", "only_other", "longer", "shorter", "moved"))
    assert compare["counts"]["this"] == compare["counts"]["other"]
    assert bans(found) == bans(replayed(path))


def story() -> list[bytes]:
    """An hour of a small site: people, an office with a stale phone, guessers, a spray, a siege, SMTP."""
    lines = [success(NOON + n * 40, f"198.51.100.{n % 9}", f"user{n % 9}@example.com") for n in range(90)]
    lines += failures(40, NOON + 30, 80, "198.51.100.3", "user3@example.com")
    lines += failures(30, NOON + 100, 7, "203.0.113.7")
    lines += [audit_failure("203.0.113.8", NOON + 200 + n * 20, f"v{n}@example.com") for n in range(12)]
    lines += [audit_failure(f"198.18.{n}.1", NOON + 500 + n * 30, BOB) for n in range(30)]
    lines += [
        syslog(NOON + 900 + n * 9, "postfix/submission/smtpd[7]", "warning: unknown[203.0.113.99]: SASL LOGIN "
               "authentication failed: authentication failure")
        for n in range(20)
    ]  # fmt: skip
    return sorted(lines, key=lambda line: line[5:30])


STORY = story()


def test_the_story_has_something_to_judge(tmp_path):
    found = replayed(write(tmp_path / "zimbra.log", STORY))

    assert {"guessing", "spraying", "siege"} <= {ban["detector"] for ban in found["bans"]}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.integers(0, 3), min_size=len(STORY), max_size=len(STORY)))
def test_which_file_holds_which_lines_changes_no_ban(tmp_path, places):
    whole = replayed(write(tmp_path / "whole.log", STORY))
    parts = [
        write(tmp_path / f"{n}.log", [line for line, at in zip(STORY, places, strict=True) if at == n])
        for n in range(4)
    ]

    shuffled = replayed(*parts)

    assert bans(shuffled) == bans(whole)
    assert shuffled["avoided"] == whole["avoided"]


def test_a_replay_says_what_a_live_gate_would_have_done(tmp_path):
    """Fed with the same lines at the same times; what banned sources send reaches a gateway as little as a replay."""
    config = parse(CONFIG, "test")
    now = NOON
    policy = policy_of(config, Mode.ENFORCE, NetSet(), never_ban(config))
    judge, metrics = Judge(policy, SEED), Metrics()
    told = []
    reader = Reader(RULES.rules, Trust(NetSet(config.zimbra.hosts), NetSet(config.zimbra.proxies)))
    gate = Gate(reader, judge, ObserveBackend(lambda: now), None, metrics, lambda: now)
    gate.recorder.ban = told.append
    gate.recorder.event = lambda event, at: None
    for line in STORY:
        time = datetime.fromisoformat(line[5:30].decode()).replace(tzinfo=UTC).timestamp()
        while now + 1 <= time:
            now += 1
            told += [verdict.ban for verdict in judge.tick(now) if isinstance(verdict, Banned)]
        now = time
        gate.receive(one_frame(line), "192.0.2.10", "tcp")

    live = [(str(ban.net), ban.detector, ban.since, round(ban.until - ban.since)) for ban in told]
    found = replayed(write(tmp_path / "zimbra.log", STORY))
    replay = [(s, d, datetime.fromisoformat(at).timestamp(), seconds) for s, d, at, seconds in bans(found)]
    assert [ban[:3] for ban in replay] == [ban[:3] for ban in live]
    assert all(abs(ours[3] - theirs[3]) <= 1 for ours, theirs in zip(replay, live, strict=True))


def test_the_same_lines_give_the_same_bytes(tmp_path):
    path = write(tmp_path / "zimbra.log", STORY)

    assert json.dumps(replayed(path)) == json.dumps(replayed(path))


def test_headers_of_any_kind_give_the_same_bans(tmp_path):
    as_is, old = write(tmp_path / "a.log", STORY), write(tmp_path / "b.log", [headed(line) for line in STORY])
    new = [
        line.replace(b">", b">1 ", 1).replace(b": ", b" - - - ", 1).replace(b"[7] - - -", b" 7 - -") for line in STORY
    ]

    assert bans(replayed(as_is)) == bans(replayed(old))
    assert [ban[:2] for ban in bans(replayed(write(tmp_path / "c.log", new)))] == [
        ban[:2] for ban in bans(replayed(as_is))
    ]


def test_a_long_gap_and_lines_without_a_time_cost_nothing(tmp_path):
    nowhere = write(tmp_path / "a.log", [b"zimbra-audit: login of nobody at no time"] * 3)
    old = write(tmp_path / "b.log", failures(3, NOON - 5 * 365 * 86400))
    found = replayed(nowhere, old, write(tmp_path / "c.log", failures(6)))

    assert found["first"] == "2019-05-08T12:00:00.000+00:00"
    assert [ban["at"][:4] for ban in found["bans"]] == ["2024"]


def test_the_end_of_a_log_is_no_silence(tmp_path):
    """One host's log ends hours before the other's; a pause in the middle of a log is told."""
    quiet = b"postfix/smtpd[7]", b"connect from unknown[198.51.100.194]"
    text = b"<22>%s %s " + quiet[0] + b": " + quiet[1]

    def steady(host: bytes, hours: list[int]) -> list[bytes]:
        seconds = [hour * 3600 + each for hour in hours for each in range(0, 3600, 3)]
        return [text % (datetime.fromtimestamp(NOON + at, UTC).isoformat().encode(), host) for at in seconds]

    ends, goes_on = steady(b"mx1", [0, 1, 2]), steady(b"mx2", [0, 1, 2, 3, 5])
    found = replayed(write(tmp_path / "1.log", ends), write(tmp_path / "2.log", goes_on))

    silences = [alert for alert in found["alerts"] if alert["detector"] == "silence"]
    assert any("mx2" in alert["subject"] for alert in silences)
    assert not any("mx1" in alert["subject"] for alert in silences)
