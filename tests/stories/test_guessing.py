from dataclasses import replace

from story import ANA, BOB, DAY, ENFORCE, HOUR, MINUTE, SOURCE, START, Story, address, line, nets, smtp_attempt

from appliance.judge.detect.guessing import Guessing
from appliance.judge.detector import DetectorMode
from appliance.judge.policy import Ours, Policy
from appliance.model import Banned, Evidence, Mode, Outcome, Protocol, Spared, Watched


def test_sixth_bad_password_within_half_an_hour_bans():
    story = Story()
    for minute in range(5):
        verdict = story.fails(minute * MINUTE)
        assert verdict == Watched(address(SOURCE), "guessing", f"{minute + 1} of 6 points in 30 min")

    verdict = story.fails(5 * MINUTE)

    assert isinstance(verdict, Banned)
    assert verdict.ban.net == address(SOURCE)
    assert verdict.reason == "6 points in 30 min (limit 6): 6 bad passwords on ana@example.com over imap"
    assert verdict.accounts == (ANA,)
    assert 27 * MINUTE <= verdict.ban.until - story.now <= 33 * MINUTE


def test_reason_names_outcomes_accounts_and_protocols():
    story = Story()
    for minute in range(4):
        story.fails(minute * MINUTE, account=[ANA, BOB][minute % 2], protocol=Protocol.SMTP)

    verdict = story.fails(5 * MINUTE, rule="audit-unknown", outcome=Outcome.UNKNOWN_ACCOUNT, account=BOB)

    assert verdict.reason == (
        "6 points in 30 min (limit 6): 4 bad passwords, 1 unknown account "
        "on ana@example.com, bob@example.com over imap and smtp"
    )


def test_six_wrong_passwords_over_smtp_write_36_lines_and_ban_at_the_sixth():
    story = Story()
    for second in range(0, 50, 10):
        assert story.bans(smtp_attempt(second)) == []

    bans = story.bans(smtp_attempt(50))

    assert len(bans) == 1
    assert bans[0].reason == "6 points in 30 min (limit 6): 6 bad passwords on ana@example.com over smtp"


def test_it_makes_no_difference_if_the_lines_come_backwards():
    story = Story()
    for second in range(0, 50, 10):
        assert story.bans(smtp_attempt(second)[::-1]) == []

    assert len(story.bans(smtp_attempt(50)[::-1])) == 1


def test_six_wrong_passwords_in_one_second_ban_exactly_at_the_sixth():
    story = Story()
    first_five = [event for each in range(5) for event in smtp_attempt(0, session=f"mx1/{each}")]

    assert story.bans(first_five) == []
    assert len(story.bans(smtp_attempt(0, session="mx1/5"))) == 1


def test_alias_that_nginx_writes_and_audit_log_does_not_counts_once():
    story = Story()
    for second in range(0, 50, 10):
        story.fails(second, rule="nginx-bad", account="short.name", evidence=Evidence.WEAK)
        story.fails(second)

    assert story.fails(50, rule="nginx-bad", account="short.name", evidence=Evidence.WEAK).reason.startswith("6 ")


def test_log_that_comes_an_hour_late_tells_of_no_new_attempts():
    story = Story(replace(ENFORCE, detectors=(Guessing(points=6, within=2 * HOUR),)))
    for minute in range(5):
        story.fails(minute * MINUTE)
    late = [story.fails(minute * MINUTE, now=HOUR, rule="mailbox-soap-bad") for minute in range(5)]

    assert {verdict.reason for verdict in late} == {"another line of an attempt that is counted"}


def test_disconnect_that_counts_six_failures_adds_none_to_six_warnings():
    story = Story(Policy(mode=Mode.ENFORCE, detectors=(Guessing(points=7),)))
    postfix = {"account": None, "protocol": Protocol.SMTP, "session": "mx1/7"}
    for second in range(0, 120, 20):
        story.fails(second, rule="postfix-sasl", **postfix)

    verdict = story.fails(300, rule="postfix-disconnect", count=6, **postfix)

    assert verdict.reason == "another line of an attempt that is counted"
    assert story.fails(301).reason.startswith("7 points")


def test_person_who_mistypes_five_times_then_gets_in_and_mistypes_again_is_not_banned():
    story = Story()
    for second in range(0, 50, 10):
        story.fails(second)
    story.logs_in(60)

    assert story.fails(70).reason == "1 of 6 points in 30 min"


def test_success_at_one_account_does_not_clear_what_was_tried_at_another():
    story = Story()
    for second in range(0, 50, 10):
        story.fails(second, account=BOB)
    story.logs_in(60, account=ANA)

    assert isinstance(story.fails(70, account=BOB), Banned)


def test_forged_success_clears_nothing():
    story = Story()
    for second in range(0, 50, 10):
        story.fails(second)
    story.logs_in(60, evidence=Evidence.WEAK)

    assert isinstance(story.fails(70), Banned)


def test_late_line_of_a_forgiven_attempt_brings_no_points_back():
    story = Story()
    story.fails(0)
    story.logs_in(1)

    verdict = story.fails(0, rule="mailbox-soap-unknown", outcome=Outcome.UNKNOWN_ACCOUNT)

    assert isinstance(verdict, Watched)
    assert story.fails(10, account=BOB).reason == "1 of 6 points in 30 min"


def test_forged_lines_alone_never_ban():
    story = Story()
    for second in range(0, 500, 5):
        verdict = story.fails(second, evidence=Evidence.WEAK, outcome=Outcome.UNKNOWN_ACCOUNT)
        assert isinstance(verdict, Watched)


def test_forged_lines_at_most_double_what_strong_evidence_bears():
    story = Story()
    for second in range(0, 500, 5):
        story.fails(second, rule="nginx-bad", evidence=Evidence.WEAK)
    story.fails(600)
    assert isinstance(story.fails(610), Watched)

    assert story.fails(620).reason.startswith("6 points in 30 min (limit 6, 3 of them by strong evidence): ")


def test_backlog_six_hours_old_does_not_ban_as_if_it_were_now():
    story = Story()
    for minute in range(9):
        verdict = story.fails(minute, now=6 * HOUR + minute)
        assert isinstance(verdict, Watched)

    assert story.fails(6 * HOUR + 60).reason.startswith("10 points in 24 h and no login ever")


def test_line_from_the_future_counts_as_now():
    story = Story()
    for second in range(5):
        story.fails(HOUR, now=second * 10)

    assert isinstance(story.fails(HOUR, now=60), Banned)


def test_banned_source_is_watched_until_its_ban_ends():
    story = Story()
    ban = story.bans([line(second * 10) for second in range(6)])[0].ban

    assert story.fails(60).reason.startswith("already banned until 2023-11-14 22:")
    assert story.fails(ban.until - START + DAY).reason == "1 of 6 points in 30 min"


def test_each_ban_of_a_source_that_comes_back_is_longer():
    story = Story()
    at, lengths = 0.0, []
    for _ in range(6):
        ban = story.bans([line(at + second * 10) for second in range(6)])[0].ban
        lengths.append((ban.step, round((ban.until - ban.since) / HOUR, 1)))
        at = ban.until - START + DAY

    assert [step for step, _ in lengths] == [0, 1, 2, 3, 4, 4]
    for (_, hours), ladder in zip(lengths, [0.5, 2, 12, 48, 168, 168], strict=True):
        assert 0.9 * ladder <= hours + 0.05
        assert hours - 0.05 <= 1.1 * ladder


def test_thirty_days_after_its_last_ban_a_source_starts_at_the_foot_of_the_ladder():
    story = Story()
    ban = story.bans([line(second * 10) for second in range(6)])[0].ban
    later = ban.until - START + 30 * 86400 + 1

    assert story.bans([line(later + second * 10) for second in range(6)])[0].ban.step == 0


def test_unban_forgets_the_points():
    story = Story()
    ban = story.bans([line(second * 10) for second in range(6)])[0].ban

    assert story.judge.unban(ban.net, story.now) == [ban]
    assert story.fails(60).reason == "1 of 6 points in 30 min"


def test_unban_of_a_source_not_yet_banned_forgets_its_points_too():
    story = Story()
    for second in range(0, 50, 10):
        story.fails(second)

    assert story.judge.unban(address(SOURCE), story.now) == []
    assert story.fails(60).reason == "1 of 6 points in 30 min"


def test_unban_lifts_every_covering_ban_and_names_it():
    story = Story()
    own = story.bans([line(second * 10) for second in range(6)])[0].ban
    wide = nets("203.0.113.0/24").networks
    around = story.judge.ban(next(iter(wide)), 600, "a bad neighbourhood", story.now)

    assert isinstance(around, Banned)
    assert set(story.judge.unban(address(SOURCE), story.now)) == {own, around.ban}


def test_allowlisted_source_is_spared_and_told_why():
    story = Story(replace(ENFORCE, allowlist=nets("203.0.113.0/24")))
    for second in range(0, 50, 10):
        story.fails(second)

    verdict = story.fails(60)

    assert isinstance(verdict, Spared)
    assert verdict.reason.startswith("203.0.113.0/24 is on the allowlist; 6 points in 30 min")


def test_our_own_hosts_are_spared_with_the_reason():
    story = Story(replace(ENFORCE, never_ban={Ours.PROXY: nets(SOURCE)}))
    for second in range(0, 50, 10):
        story.fails(second)

    assert story.fails(60).reason.startswith("203.0.113.9 is a proxy; ")


def test_ipv6_neighbours_in_one_64_are_one_source():
    story = Story()
    for host in range(5):
        story.fails(host * 10, source=f"2001:db8:0:1::{host}")

    verdict = story.fails(60, source="2001:db8:0:1:ffff::1")

    assert isinstance(verdict, Banned)
    assert str(verdict.ban.net) == "2001:db8:0:1::/64"


def test_64_that_holds_one_allowed_address_is_spared_whole():
    story = Story(replace(ENFORCE, allowlist=nets("2001:db8:0:1::5")))
    for host in range(5):
        story.fails(host * 10, source=f"2001:db8:0:1::{host}")

    assert isinstance(story.fails(60, source="2001:db8:0:1:ffff::1"), Spared)


def test_observing_policy_says_once_that_it_would_ban():
    story = Story(replace(ENFORCE, mode=Mode.OBSERVE))
    told = [story.fails(second * 10) for second in range(12)]

    assert all(isinstance(verdict, Watched) for verdict in told)
    assert [verdict.would_ban for verdict in told] == [False] * 5 + [True] + [False] * 6
    assert told[5].reason.startswith("would be banned: 6 points in 30 min")
    assert told[6].reason.startswith("would be banned until 2023-")
    assert story.judge.bans_in_force(story.now) == []


def test_observing_detector_says_once_that_it_would_ban_and_takes_no_points_from_the_others():
    tried_out = Guessing(mode=DetectorMode.OBSERVE, points=3)
    story = Story(replace(ENFORCE, detectors=(tried_out, Guessing())))
    told = [story.fails(second * 10) for second in range(6)]

    assert [getattr(verdict, "would_ban", None) for verdict in told[:5]] == [False, False, True, False, False]
    assert isinstance(story.fails(70), Watched)
    assert len(story.judge.bans_in_force(story.now)) == 1


def test_detector_that_is_off_bans_nobody():
    story = Story(replace(ENFORCE, detectors=(Guessing(mode=DetectorMode.OFF),)))

    assert [story.fails(second * 10).reason for second in range(10)] == ["every detector is off"] * 10


def test_reload_changes_the_limit_and_keeps_the_count():
    story = Story()
    for second in range(0, 40, 10):
        story.fails(second)
    story.judge.adopt(replace(ENFORCE, detectors=(Guessing(points=5),)))

    assert story.fails(60).reason.startswith("5 points in 30 min (limit 5)")


def test_reload_that_allows_a_banned_source_names_the_ban_that_is_to_be_lifted():
    story = Story()
    ban = story.bans([line(second * 10) for second in range(6)])[0].ban

    assert story.judge.adopt(replace(ENFORCE, allowlist=nets(SOURCE))) == [ban]
    assert story.judge.bans_in_force(story.now) == []


def test_account_text_of_a_client_stays_on_one_short_line():
    story = Story()
    for second in range(0, 50, 10):
        story.fails(second, account="x\n\u202e" + "y" * 500)

    reason = story.fails(60, account="x\n\u202e" + "y" * 500).reason

    assert "x\\u{a}\\u{202e}yyy" in reason
    assert len(reason) < 200
    assert reason.isprintable()
