"""A stranger fails, and then gets in: the password may be known to somebody else than its owner."""

from dataclasses import replace

import pytest
from story import ANA, BOB, DAY, ENFORCE, HOUR, SOURCE, START, Story, address, line, notices

from appliance.judge.detect.break_in import BreakIn
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.model import Evidence, Noticed, Outcome, Protocol, Severity

IN = {"rule": "audit-success", "outcome": Outcome.SUCCESS}
OTP = {"rule": "audit-otp", "outcome": Outcome.SECOND_FACTOR_FAILED}


def guessed(policy=ENFORCE, failures: int = 5) -> Story:
    story = Story(policy)
    for each in range(failures):
        story.fails(each * 600)
    return story


def test_stranger_who_gets_in_after_five_failures_wakes_somebody():
    story = guessed()

    told = story.tells(line(3600, **IN))

    assert told[0] == Noticed(
        "break-in",
        f"{ANA} from {SOURCE}",
        "203.0.113.9, a stranger, got in at ana@example.com over imap: it failed 5 times in 24 h before",
        Severity.CRITICAL,
        address(SOURCE),
        ANA,
    )
    assert told[1].reason == "ana@example.com logged in; it failed 5 times in 24 h before: it teaches nothing"


def test_success_under_suspicion_teaches_nothing():
    """Whoever guessed a password does not become familiar by it: the next guesses count in full."""
    story = guessed()
    story.fails(3600, **IN)

    assert not story.judge.familiar.has_succeeded(address(SOURCE), story.now)
    assert [ban.detector for ban in story.bans(line(3700 + each, account=BOB) for each in range(6))] == ["guessing"]


def test_the_same_is_told_once_a_day():
    story = guessed()
    told = notices(story.all_tell(line(3600 + minute * 60, **IN) for minute in range(61)))

    assert len(told) == 1


def test_newcomer_who_mistypes_four_times_is_welcome():
    story = guessed(failures=4)

    assert notices(story.tells(line(3600, **IN))) == []
    assert story.judge.familiar.has_succeeded(address(SOURCE), story.now)


def test_owner_who_fails_at_home_and_gets_in_is_nothing_to_tell():
    story = Story()
    story.logs_in(0)
    for each in range(1, 20):
        story.fails(each)

    assert notices(story.tells(line(100, **IN))) == []


def test_failures_of_yesterday_are_forgotten():
    story = guessed()

    assert notices(story.tells(line(2400 + DAY, **IN))) == []


def test_stranger_who_was_banned_within_a_week_and_gets_in_is_told_of():
    story = Story()
    [ban] = story.bans(line(each) for each in range(6))
    later = ban.ban.until - START + 6 * DAY

    [notice] = notices(story.tells(line(later, account=BOB, **IN)))

    assert notice.reason == (
        "203.0.113.9, a stranger, got in at bob@example.com over imap: it was banned on 2023-11-14 22:13 UTC (guessing)"
    )


def test_ban_of_longer_ago_is_forgotten():
    story = Story()
    [ban] = story.bans(line(each) for each in range(6))

    assert notices(story.tells(line(ban.ban.until - START + 7 * DAY, account=BOB, **IN))) == []


def test_wrong_second_factor_wakes_somebody_for_the_password_is_known():
    told = notices(Story().tells(line(0, **OTP)))

    assert [(each.detector, each.severity, each.reason) for each in told] == [
        (
            "break-in",
            Severity.CRITICAL,
            "the password of ana@example.com is known: 203.0.113.9 had it right, and the second factor wrong",
        )
    ]


def test_owner_who_mistypes_his_second_factor_at_home_is_nothing_to_tell():
    story = Story()
    story.logs_in(0)

    assert notices(story.tells(line(10, **OTP))) == []


def test_forged_success_is_no_break_in_and_teaches_nothing():
    story = guessed()

    assert notices(story.tells(line(3600, evidence=Evidence.WEAK, **IN))) == []
    assert not story.judge.familiar.has_succeeded(address(SOURCE), story.now)


@pytest.mark.parametrize(
    ("mode", "severities"), [(DetectorMode.OBSERVE, [Severity.NOTICE]), (DetectorMode.OFF, [])], ids=str
)
def test_break_in_that_observes_is_a_notice_and_off_says_nothing(mode, severities):
    story = guessed(replace(ENFORCE, watches=Watches(break_in=BreakIn(mode))))

    assert [each.severity for each in notices(story.tells(line(3600, **IN)))] == severities


def test_stuffed_password_that_fits_is_told_of_and_the_stuffing_goes_on_being_judged():
    """Credential stuffing with one hit: two accounts fail, the third opens, the next one falls."""
    story = Story(replace(ENFORCE, watches=Watches(break_in=BreakIn(failures=2))))
    story.fails(0, account="one@example.com")
    story.fails(10, account="two@example.com")
    assert notices(story.tells(line(20, account="three@example.com", **IN)))

    told = story.bans([line(30, account="four@example.com", protocol=Protocol.POP3)])

    assert [ban.detector for ban in told] == ["spraying"]
    assert story.judge.bans_in_force(START + HOUR)
