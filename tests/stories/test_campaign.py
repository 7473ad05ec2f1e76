"""Far more strangers than usual fail all over the site: each of them then has fewer tries."""

from dataclasses import replace

from story import ANA, BOB, DAY, ENFORCE, HOUR, Story, bans, line, notices, stranger

from appliance.judge.detect.campaign import Campaign
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.model import Noticed, Severity

DAYS = 5
LATER = DAYS * DAY


def quiet_days(policy=ENFORCE) -> Story:
    """A site at which five strangers fail in each hour of five days."""
    story = Story(policy)
    for hour in range(DAYS * 24):
        for number in range(5):
            story.fails(
                hour * HOUR + 600 + number, source=stranger(hour * 5 + number), account=f"user{hour * 5 + number}"
            )
    return story


def strangers(at: float, count: int):
    return [line(at + each, source=stranger(5000 + each), account=f"one{each}@example.com") for each in range(count)]


def test_ten_times_the_usual_strangers_are_a_campaign_and_people_are_told_once():
    story = quiet_days()

    told = story.all_tell(strangers(LATER, 60)) + story.goes_by(LATER + 120)

    assert notices(told, "campaign") == [
        Noticed(
            "campaign",
            "site",
            "50 strangers fail at the site in this hour; up to 14 are usual; strangers have 3 tries",
            Severity.WARNING,
        )
    ]


def test_stranger_then_has_three_tries_and_whoever_logged_in_has_six():
    story = quiet_days()
    story.logs_in(LATER - 10, source="192.0.2.80", account=BOB)
    story.all_tell(strangers(LATER, 60))
    story.goes_by(LATER + 70)

    told = story.bans(line(LATER + 100 + second) for second in range(4))
    at_home = story.bans(line(LATER + 200 + second, source="192.0.2.80", account=ANA) for second in range(5))

    assert [ban.reason for ban in told] == [
        "3 points in 30 min while the whole site is under attack (limit 3): "
        "3 bad passwords on ana@example.com over imap"
    ]
    assert at_home == []


def test_it_ends_an_hour_after_it_was_last_seen():
    story = quiet_days()
    story.all_tell(strangers(LATER, 60))
    story.goes_by(LATER + HOUR)
    story.goes_by(LATER + 2 * HOUR + 10, step=60)

    assert story.bans(line(LATER + 2 * HOUR + 20 + second) for second in range(5)) == []


def test_monday_morning_that_is_always_like_this_is_no_campaign():
    story = Story()
    for day in range(6):
        told = story.all_tell(
            line(day * DAY + each, source=stranger(day * 60 + each), account=f"user{each}") for each in range(60)
        )
        told += story.goes_by(day * DAY + 100)

    assert notices(told, "campaign") == []


def test_few_strangers_are_no_campaign_however_quiet_the_site_is():
    story = quiet_days()

    assert notices(story.all_tell(strangers(LATER, 49)) + story.goes_by(LATER + 100), "campaign") == []


def test_new_installation_that_knows_no_other_hour_says_nothing():
    story = Story()

    assert notices(story.all_tell(strangers(0, 200)) + story.goes_by(300), "campaign") == []


def test_campaign_of_familiar_phones_is_none():
    """Migration day: everybody's password changed, and every phone fails at home."""
    story = quiet_days()
    for each in range(200):
        story.logs_in(LATER - 1000 + each, source=stranger(7000 + each), account=f"p{each}@example.com")

    told = story.all_tell(
        line(LATER + each, source=stranger(7000 + each), account=f"p{each}@example.com") for each in range(200)
    )

    assert notices(told + story.goes_by(LATER + 300), "campaign") == []
    assert bans(told) == []


def test_observing_campaign_tells_and_leaves_the_limit():
    story = quiet_days(replace(ENFORCE, watches=Watches(campaign=Campaign(DetectorMode.OBSERVE))))
    told = story.all_tell(strangers(LATER, 60)) + story.goes_by(LATER + 70)

    assert [notice.reason for notice in notices(told, "campaign")] == [
        "50 strangers fail at the site in this hour; up to 14 are usual"
    ]
    assert story.bans(line(LATER + 100 + second) for second in range(5)) == []


def test_campaign_that_is_off_is_not_told_of():
    story = quiet_days(replace(ENFORCE, watches=Watches(campaign=Campaign(DetectorMode.OFF))))

    assert notices(story.all_tell(strangers(LATER, 60)) + story.goes_by(LATER + 70), "campaign") == []
