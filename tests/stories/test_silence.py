"""A sender of logs falls quiet, and with it we are blind."""

from dataclasses import replace

import pytest
from story import ANA, DAY, ENFORCE, HOUR, MINUTE, START, Story, line, notices

from appliance.judge.detect.silence import Silence
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.model import Banned, Evidence, Noticed, Outcome, Severity

MAIL_HOST = "192.0.2.1"


def hears(story: Story, since: float, until: float, lines: int = 10, sender: str = MAIL_HOST) -> list[Noticed]:
    """So many lines come each minute."""
    told = []
    for minute in range(int(since // MINUTE), int(until // MINUTE)):
        story.now = max(story.now, START + minute * MINUTE)
        told += story.judge.heard(sender, lines, story.now) + story.judge.tick(story.now)
    return notices(told)


def test_sender_that_was_lively_for_an_hour_and_then_silent_for_five_minutes_is_told_of_once():
    story = Story()
    assert hears(story, 0, 2 * HOUR) == []

    told = notices(story.goes_by(2 * HOUR + 20 * MINUTE))

    assert told == [
        Noticed(
            "silence",
            MAIL_HOST,
            "no line from 192.0.2.1 since 2023-11-15 00:12 UTC; 20 in 5 min are usual at this time",
            Severity.WARNING,
        )
    ]


def test_its_return_is_told():
    story = Story()
    hears(story, 0, 2 * HOUR)
    story.goes_by(2 * HOUR + 20 * MINUTE)

    assert [notice.reason for notice in hears(story, 2 * HOUR + 20 * MINUTE, 3 * HOUR)] == [
        "lines come from 192.0.2.1 again"
    ]


def test_program_that_falls_quiet_while_its_host_goes_on_is_told_of():
    """audit.log is not sent any more, and nothing else on that host is wrong."""
    story = Story()
    told = []
    for second in range(0, int(2 * HOUR), 10):
        told += story.tells(line(second, rule="audit-success", outcome=Outcome.SUCCESS, account=ANA, source=None))
        told += story.tells(line(second, rule="postfix-success", outcome=Outcome.SUCCESS, account=ANA, source=None))
    for second in range(int(2 * HOUR), int(2.5 * HOUR), 10):
        told += story.tells(line(second, rule="postfix-success", outcome=Outcome.SUCCESS, account=ANA, source=None))

    assert [notice.reason for notice in notices(told, "silence")] == [
        "no line of audit from 192.0.2.1 since 2023-11-15 00:13 UTC; 20 in 5 min are usual at this time"
    ]


def test_other_sender_that_goes_on_hides_nothing():
    story = Story()
    for minute in range(150):
        hears(story, minute * MINUTE, (minute + 1) * MINUTE, sender="192.0.2.2")
        if minute < 120:
            hears(story, minute * MINUTE, (minute + 1) * MINUTE)

    assert [notice.subject for notice in notices(story.goes_by(2 * HOUR + 40 * MINUTE))] == ["192.0.2.2"]


def test_host_that_is_quiet_every_night_is_not_told_of():
    story = Story()
    told = []
    for day in range(4):
        told = hears(story, day * DAY, day * DAY + 12 * HOUR)
        told += notices(story.goes_by((day + 1) * DAY, step=60))

    assert told == []


def test_host_that_has_little_to_say_is_not_told_of():
    story = Story()
    hears(story, 0, 3 * HOUR, lines=3)

    assert notices(story.goes_by(5 * HOUR, step=10)) == []


def test_silence_switches_no_protection_off():
    """An attacker who silences one host finds bans of what the others tell as ever."""
    story = Story()
    hears(story, 0, 2 * HOUR)
    story.goes_by(2 * HOUR + 20 * MINUTE)

    last = [story.fails(2 * HOUR + 20 * MINUTE + each, sender="192.0.2.2", host="mx2") for each in range(6)][-1]

    assert isinstance(last, Banned)


def test_forged_lines_are_heard_like_any_for_a_client_cannot_forge_who_forwards_them():
    story = Story()
    for second in range(0, int(2 * HOUR), 10):
        story.fails(second, rule="mailbox-x", evidence=Evidence.WEAK, outcome=Outcome.BACKEND_ERROR)

    assert [each.subject for each in notices(story.goes_by(2.2 * HOUR), "silence")] == ["192.0.2.1 mailbox"]


@pytest.mark.parametrize(
    ("mode", "severities"), [(DetectorMode.OBSERVE, [Severity.NOTICE]), (DetectorMode.OFF, [])], ids=str
)
def test_detector_that_observes_is_a_notice_and_off_says_nothing(mode, severities):
    story = Story(replace(ENFORCE, watches=Watches(silence=Silence(mode))))
    hears(story, 0, 2 * HOUR)

    assert [each.severity for each in notices(story.goes_by(2.5 * HOUR))] == severities
