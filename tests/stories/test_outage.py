"""The login service is broken and everybody fails: nobody's phone shall be banned for that."""

from dataclasses import replace

from story import BOB, ENFORCE, HOUR, START, Story, address, bans, line, notices, stranger

from appliance.judge.detect.outage import Outage
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.model import Banned, Noticed, Severity, Spared

USERS = 40
LATER = 5 * HOUR
HELD = "the login service itself seems to be broken, and this source logged in before"


def at_work(policy=ENFORCE, until: float = LATER) -> Story:
    """Forty people, each at home, who log in every ten minutes: 240 logins an hour."""
    story = Story(policy)
    for number in range(int(until / 15)):
        logs_in(story, number * 15, number % USERS)
    return story


def logs_in(story: Story, at: float, user: int):
    return story.logs_in(at, source=stranger(user), account=f"user{user}@example.com")


def fail_at_home(at: float, users: int = USERS):
    return [line(at + each, source=stranger(each), account=f"user{each}@example.com") for each in range(users)]


def broken(policy=ENFORCE) -> Story:
    story = at_work(policy)
    story.all_tell(fail_at_home(LATER + 240))
    story.goes_by(LATER + 300)
    return story


def test_everybody_failing_at_once_is_an_outage_and_wakes_somebody_once():
    story = at_work()

    told = story.all_tell(fail_at_home(LATER + 280) + fail_at_home(LATER + 340)) + story.goes_by(LATER + 400)

    assert notices(told, "outage") == [
        Noticed(
            "outage",
            "site",
            "20 sources fail at accounts that they are familiar for, and 0 logins came in 5 min where 20 are usual; "
            "bans of sources that ever logged in are held",
            Severity.CRITICAL,
        )
    ]


def test_bans_of_whoever_ever_logged_in_are_held_meanwhile():
    story = broken()

    told = [story.fails(LATER + 301 + each, source=stranger(3), account=BOB) for each in range(6)]

    assert isinstance(told[-1], Spared)
    assert told[-1].reason == f"{HELD}; 6 points in 30 min (limit 6): 6 bad passwords on bob@example.com over imap"


def test_strangers_fall_as_ever():
    story = broken()

    assert isinstance([story.fails(LATER + 301 + each) for each in range(6)][-1], Banned)


def test_it_is_over_when_people_get_in_again_and_that_is_told():
    story = broken()
    told = []
    for number in range(40):
        at = LATER + 330 + number * 15
        told += [*story.goes_by(at), logs_in(story, at, number % USERS)]
    told += story.goes_by(LATER + 1000)

    assert [notice.reason for notice in notices(told, "outage")] == [
        "logins are as usual again; bans are no longer held"
    ]
    [ban] = story.bans(line(LATER + 1001 + each, source=stranger(3), account=BOB) for each in range(6))
    assert ban.detector == "guessing"


def test_twenty_bots_that_own_mailboxes_cannot_fake_an_outage_while_others_log_in():
    story = at_work()
    for bot in range(100, 120):
        story.logs_in(LATER - 1, source=stranger(bot), account=f"bot{bot}@example.com")
    told = []
    for second in range(0, 600, 15):
        told += story.all_tell(
            line(LATER + second, source=stranger(bot), account=f"bot{bot}@example.com") for bot in range(100, 120)
        )
        told.append(logs_in(story, LATER + second + 1, second // 15 % USERS))
    told += story.goes_by(LATER + 620)

    assert notices(told, "outage") == []
    assert isinstance(
        [story.fails(LATER + 630 + each, source=stranger(100), account=BOB) for each in range(6)][-1], Banned
    )


def test_twenty_bots_at_night_fake_none_either_for_nobody_logs_in_then_as_a_rule():
    story = at_work(until=HOUR)
    story.goes_by(8 * HOUR, step=600)
    for bot in range(100, 120):
        story.logs_in(8 * HOUR, source=stranger(bot), account=f"bot{bot}@example.com")

    told = story.all_tell(
        line(8 * HOUR + 60, source=stranger(bot), account=f"bot{bot}@example.com") for bot in range(100, 120)
    )

    assert notices(told + story.goes_by(8 * HOUR + 900), "outage") == []


def test_even_a_real_outage_shelters_the_bots_mailboxes_alone_and_none_of_the_strangers_they_bring():
    story = at_work()
    for bot in range(100, 120):
        story.logs_in(LATER, source=stranger(bot), account=f"bot{bot}@example.com")
    story.all_tell(fail_at_home(LATER + 300))

    told = story.all_tell(
        line(LATER + 345 + each * 5 + bot / 100, source=stranger(bot), account=BOB)
        for each in range(6)
        for bot in range(100, 160)
    )

    assert {ban.source for ban in bans(told)} == {address(stranger(bot)) for bot in range(120, 160)}
    held = {each.source for each in told if isinstance(each, Spared)}
    assert held == {address(stranger(bot)) for bot in range(100, 120)}


def test_nineteen_sources_are_no_outage():
    story = at_work()

    assert notices(story.all_tell(fail_at_home(LATER + 280, users=19)) + story.goes_by(LATER + 400), "outage") == []


def test_strangers_who_fail_are_no_outage():
    story = at_work()
    told = story.all_tell(line(LATER + 280 + each / 10, source=stranger(1000 + each)) for each in range(100))

    assert notices(told + story.goes_by(LATER + 400), "outage") == []


def test_observing_outage_is_told_and_holds_nothing():
    story = at_work(replace(ENFORCE, watches=Watches(outage=Outage(DetectorMode.OBSERVE))))
    told = story.all_tell(fail_at_home(LATER + 280)) + story.goes_by(LATER + 330)

    [notice] = notices(told, "outage")
    assert not notice.reason.endswith("are held")
    assert story.bans(line(LATER + 331 + each, source=stranger(3), account=BOB) for each in range(6))


def test_outage_that_is_off_is_not_told_of():
    story = at_work(replace(ENFORCE, watches=Watches(outage=Outage(DetectorMode.OFF))))

    assert notices(story.all_tell(fail_at_home(LATER + 280)) + story.goes_by(LATER + 330)) == []
    assert story.now == START + LATER + 330
