from dataclasses import replace

from story import ENFORCE, HOUR, Story

from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.model import Banned


def test_tenth_failure_of_a_day_from_a_source_that_never_got_in_bans_for_twelve_hours():
    story = Story()
    for hour in range(0, 18, 2):
        assert not isinstance(story.fails(hour * HOUR), Banned)

    verdict = story.fails(18 * HOUR)

    assert isinstance(verdict, Banned)
    assert verdict.detector == "slow-guessing"
    assert verdict.reason == (
        "10 points in 24 h and no login ever (limit 10): 10 bad passwords on ana@example.com over imap"
    )
    assert 10.8 * HOUR <= verdict.ban.until - verdict.ban.since <= 13.2 * HOUR


def test_source_that_once_got_in_may_fail_all_day():
    story = Story()
    story.logs_in(0, account="someone-else@example.com")

    assert not any(isinstance(story.fails(hour * HOUR), Banned) for hour in range(1, 48))


def test_failures_older_than_a_day_do_not_count():
    story = Story()

    assert not any(isinstance(story.fails(hour * HOUR), Banned) for hour in range(0, 72, 3))


def test_point_leaves_the_window_exactly_when_it_is_a_day_old():
    story = Story(replace(ENFORCE, detectors=(SlowGuessing(),)))
    for _ in range(9):
        story.fails(0)

    assert story.fails(24 * HOUR).reason == "1 of 10 points in 24 h"
