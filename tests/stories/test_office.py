"""Where several people log in, one of them may be a nuisance, or shield a guesser. Nobody else shall pay for it."""

from dataclasses import replace

from story import ANA, BOB, DAY, ENFORCE, SOURCE, Story, address, bans, line, notices

from appliance.judge.policy import Office
from appliance.model import Banned, Noticed, Outcome, Severity, Spared

CID = "cid@example.com"
BOSS = "boss@example.com"
HERE = address(SOURCE)
OFFICE = "an office: at least three people log in there, so a detection tells and does not ban"


def office(policy=ENFORCE) -> Story:
    story = Story(policy)
    story.is_home_of(ANA, BOB, CID)
    return story


def test_three_people_are_an_office_and_two_are_none():
    story = Story()
    story.is_home_of(ANA, BOB)
    assert not story.judge.is_office(HERE, story.now)

    story.logs_in(10, account=CID)

    assert story.judge.is_office(HERE, story.now)


def test_short_and_whole_name_of_one_person_are_one_person():
    story = Story()
    story.is_home_of(ANA, "ana", BOB, "bob")

    assert not story.judge.is_office(HERE, story.now)


def test_people_who_left_a_month_ago_make_no_office():
    story = office()

    assert not story.judge.is_office(HERE, story.now + 30 * DAY)


def test_stale_phone_in_the_office_bans_nobody_for_weeks():
    story = office()
    told = []
    for minute in range(0, 14 * 24 * 60, 5):
        told += story.all_tell([line(60 + minute * 60, account=BOB)])
        if minute % 480 == 0:
            told += [story.logs_in(90 + minute * 60, account=each) for each in (ANA, CID)]

    assert bans(told) == []
    assert not any(isinstance(verdict, Spared) for verdict in told)


def test_detection_at_an_office_is_told_once_an_hour_and_spares_it():
    story = office()
    for each in range(5):
        story.fails(60 + each, account=BOSS)

    notice, verdict = story.tells(line(70, account=BOSS))

    reason = f"6 points in 30 min (limit 6): 6 bad passwords on boss@example.com over imap; {OFFICE}"
    assert notice == Noticed("guessing", SOURCE, reason, Severity.WARNING, HERE, BOSS)
    assert isinstance(verdict, Spared)
    assert verdict.reason == (f"{OFFICE}; 6 points in 30 min (limit 6): 6 bad passwords on boss@example.com over imap")
    assert notices(story.tells(line(80, account=BOSS))) == []


def test_account_holder_who_shields_a_guesser_is_told_of_and_a_hundred_detections_wake_somebody():
    story = office()
    told = story.all_tell(line(60 + each * 30, account=BOSS) for each in range(200))

    severities = [(notice.severity, each) for each, notice in enumerate(notices(told, "guessing"))]
    assert bans(told) == []
    assert severities == [(Severity.WARNING, 0), (Severity.CRITICAL, 1), *severities[2:]]
    assert [severity for severity, _ in severities].count(Severity.CRITICAL) == 1


def test_ninety_nine_detections_in_a_day_wake_nobody():
    story = office()
    told = story.all_tell(line(60 + each * 30, account=BOSS) for each in range(104))

    assert {notice.severity for notice in notices(told, "guessing")} == {Severity.WARNING}


def test_office_is_lost_when_failing_accounts_exceed_five_times_those_that_log_in():
    story = office()
    for each in range(15):
        assert not isinstance(story.fails(60 + each, account=f"user{each}@example.com"), Banned)
    assert story.judge.is_office(HERE, story.now)

    verdict = story.fails(90, account="user15@example.com")

    assert isinstance(verdict, Banned)
    assert verdict.detector == "spraying"


def test_failures_that_name_no_account_do_not_cost_an_office_its_name():
    story = office()
    for each in range(15):
        story.fails(60 + each, account=f"user{each}@example.com")

    story.fails(90, rule="postfix-sasl", account=None)

    assert story.judge.is_office(HERE, story.now)


def test_people_of_the_office_who_all_fail_after_the_migration_do_not_count_against_it():
    people = [f"user{each}@example.com" for each in range(30)]
    story = Story()
    story.is_home_of(*people)
    told = story.all_tell(line(DAY + each, account=account) for each, account in enumerate(people * 10))

    assert bans(told) == []
    assert notices(told, "spraying") == []
    assert story.judge.is_office(HERE, story.now)


def test_newcomer_in_the_office_who_mistypes_six_times_is_told_of_and_gets_in():
    story = office()
    told = story.all_tell(line(60 + each * 10, account="new@example.com") for each in range(6))

    assert bans(told) == []
    assert story.logs_in(200, account="new@example.com").reason == "new@example.com logged in"
    assert story.fails(210, account="new@example.com").reason.startswith("an account that logs in from here")


def test_operator_may_decide_that_offices_are_banned():
    story = office(replace(ENFORCE, office=Office.BAN))

    assert story.bans(line(60 + each, account=BOSS) for each in range(6))


def test_logins_under_suspicion_make_no_office():
    """Three stuffed passwords that fit are no three people."""
    story = Story()
    for each, account in enumerate((ANA, BOB, CID)):
        for second in range(5):
            story.fails(each * DAY + second, account=account)
        story.fails(each * DAY + 10, account=account, rule="audit-in", outcome=Outcome.SUCCESS)

    assert not story.judge.is_office(HERE, story.now)
