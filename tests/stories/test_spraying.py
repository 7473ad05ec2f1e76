from dataclasses import replace

from story import ENFORCE, Story

from appliance.judge.detect.spraying import Spraying
from appliance.model import Banned, Evidence, Outcome, Watched

HOUR = 3600.0
SPRAYING = replace(ENFORCE, detectors=(Spraying(),))


def test_fifth_account_within_an_hour_bans_for_twelve_hours():
    story = Story()
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


def test_one_account_tried_again_and_again_is_one_account():
    story = Story(SPRAYING)

    assert story.fails(0).reason == "1 of 5 accounts in 1 h"
    assert story.fails(60).reason == "1 of 5 accounts in 1 h"


def test_unknown_accounts_count_double():
    story = Story(SPRAYING)
    unknown = {"rule": "audit-unknown", "outcome": Outcome.UNKNOWN_ACCOUNT}

    assert story.fails(0, account="a@example.com", **unknown).reason == "2 of 5 accounts in 1 h"
    assert story.fails(60, account="b@example.com", **unknown).reason == "4 of 5 accounts in 1 h"
    assert isinstance(story.fails(120, account="c@example.com"), Banned)


def test_accounts_named_by_forged_lines_alone_do_not_count():
    story = Story(SPRAYING)
    for each in range(50):
        verdict = story.fails(each * 10, account=f"user{each}@example.com", evidence=Evidence.WEAK)
        assert isinstance(verdict, Watched)


def test_accounts_of_an_hour_ago_do_not_count():
    story = Story(SPRAYING)
    for each in range(4):
        story.fails(each, account=f"user{each}@example.com")

    assert story.fails(HOUR + 4, account="user4@example.com").reason == "1 of 5 accounts in 1 h"


def test_banned_verdict_names_at_most_ten_accounts():
    story = Story(replace(ENFORCE, detectors=(Spraying(accounts=12),)))
    for each in range(11):
        story.fails(each * 10, account=f"user{each}@example.com")

    verdict = story.fails(200, account="user11@example.com")

    assert isinstance(verdict, Banned)
    assert verdict.accounts == tuple(f"user{each}@example.com" for each in range(10))
