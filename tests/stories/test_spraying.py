from dataclasses import replace

from story import BOB, ENFORCE, HOUR, Story

from appliance.judge.detect.spraying import Spraying
from appliance.judge.policy import Office
from appliance.model import Banned, Evidence, Outcome, Spared, Watched

SPRAYING = replace(ENFORCE, detectors=(Spraying(),))
UNKNOWN = {"rule": "audit-unknown", "outcome": Outcome.UNKNOWN_ACCOUNT}


def test_third_account_that_exists_bans_a_stranger_for_two_days():
    story = Story()
    for each in range(2):
        assert not isinstance(story.fails(each * 600, account=f"user{each}@example.com"), Banned)

    verdict = story.fails(3000, account="user2@example.com")

    assert isinstance(verdict, Banned)
    assert verdict.detector == "spraying"
    assert verdict.ban.step == 3
    assert 0.9 * 48 * HOUR <= verdict.ban.until - verdict.ban.since <= 1.1 * 48 * HOUR
    assert verdict.reason == (
        "3 accounts in 1 h and no login ever (limit 3): 3 bad passwords "
        "on user0@example.com, user1@example.com, user2@example.com over imap"
    )


def test_fifth_account_bans_where_somebody_logged_in_and_for_twelve_hours():
    story = Story()
    story.logs_in(0, account=BOB)
    for each in range(4):
        assert not isinstance(story.fails(each * 600, account=f"user{each}@example.com"), Banned)

    verdict = story.fails(3000, account="user4@example.com")

    assert isinstance(verdict, Banned)
    assert verdict.detector == "spraying"
    assert verdict.ban.step == 2
    assert verdict.reason == (
        "5 accounts in 1 h (limit 5, unknown ones count double): 5 bad passwords "
        "on user0@example.com, user1@example.com, user2@example.com and 2 more over imap"
    )


def test_newcomer_who_tries_two_names_of_his_own_and_two_that_do_not_exist_any_more_is_not_banned():
    story = Story()
    told = [
        story.fails(0, account="ana@example.com"),
        story.fails(60, account="anna@example.com", **UNKNOWN),
        story.fails(120, account="bob@example.com"),
    ]

    assert not any(isinstance(verdict, Banned) for verdict in told)
    assert story.logs_in(180, account="ana@example.com").reason == "ana@example.com logged in"


def test_one_account_tried_again_and_again_is_one_account():
    story = Story(SPRAYING)

    assert story.fails(0).reason == "1 of 3 accounts in 1 h"
    assert story.fails(60).reason == "1 of 3 accounts in 1 h"


def test_unknown_accounts_count_double():
    story = Story(SPRAYING)

    assert story.fails(0, account="a@example.com", **UNKNOWN).reason == "2 of 5 accounts in 1 h"
    assert story.fails(60, account="b@example.com", **UNKNOWN).reason == "4 of 5 accounts in 1 h"
    assert isinstance(story.fails(120, account="c@example.com"), Banned)


def test_accounts_named_by_forged_lines_alone_do_not_count():
    story = Story(SPRAYING)
    for each in range(50):
        verdict = story.fails(each * 10, account=f"user{each}@example.com", evidence=Evidence.WEAK)
        assert isinstance(verdict, Watched)


def test_accounts_of_an_hour_ago_do_not_count():
    story = Story(SPRAYING)
    for each in range(2):
        story.fails(each, account=f"user{each}@example.com")

    assert story.fails(HOUR + 2, account="user4@example.com").reason == "1 of 3 accounts in 1 h"


def test_office_on_migration_day_where_many_people_mistype_is_told_of_and_not_banned():
    story = Story()
    story.is_home_of("ana@example.com", "bob@example.com", "cid@example.com")

    told = [story.fails(60 + each, account=f"user{each}@example.com") for each in range(6)]

    assert not any(isinstance(verdict, Banned) for verdict in told)
    assert isinstance(told[-1], Spared)
    assert told[-1].reason == "an office: at least three people log in there, so a detection tells and does not ban"


def test_office_is_banned_where_the_operator_decided_so():
    story = Story(replace(ENFORCE, office=Office.BAN))
    story.is_home_of("ana@example.com", "bob@example.com", "cid@example.com")

    assert isinstance([story.fails(60 + each, account=f"user{each}@example.com") for each in range(5)][-1], Banned)


def test_banned_verdict_names_at_most_ten_accounts():
    story = Story(replace(ENFORCE, detectors=(Spraying(accounts=12, strangers=12),)))
    for each in range(11):
        story.fails(each * 10, account=f"user{each}@example.com")

    verdict = story.fails(200, account="user11@example.com")

    assert isinstance(verdict, Banned)
    assert verdict.accounts == tuple(f"user{each}@example.com" for each in range(10))
