"""What the stories do not tell: several detectors at once, and what people are told while nothing is decided."""

from dataclasses import replace

from story import ANA, BOB, ENFORCE, HOUR, SOURCE, START, Story, address, line, nets, notices, stranger

from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.siege import Siege
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.detect.spraying import Spraying
from appliance.judge.detector import DetectorMode
from appliance.judge.memory import ON_GRACE
from appliance.model import Ban, Banned, Outcome, Scope, Spared

UNKNOWN = {"rule": "audit-unknown", "outcome": Outcome.UNKNOWN_ACCOUNT}


def test_of_several_that_ask_the_one_whose_first_step_is_longest_decides():
    story = Story(replace(ENFORCE, detectors=(Guessing(points=3), SlowGuessing(points=3), Spraying(strangers=3))))

    [ban] = story.bans(line(each, account=f"user{each}") for each in range(3))

    assert (ban.detector, ban.ban.step) == ("spraying", 3)


def test_one_that_observes_does_not_decide_over_one_that_enforces():
    tried_out = Spraying(mode=DetectorMode.OBSERVE, strangers=3)
    story = Story(replace(ENFORCE, detectors=(Guessing(points=3), tried_out)))

    told = story.all_tell(line(each, account=f"user{each}") for each in range(3))

    assert [type(each) for each in told[-2:]] != [Banned, Banned]
    assert {ban.detector for ban in story.judge.bans_in_force(story.now)} == {"guessing"}
    assert any(getattr(each, "would_ban", False) and each.detector == "spraying" for each in told)


def test_nearest_detector_is_the_first_or_one_past_half():
    story = Story()

    assert story.fails(0, **UNKNOWN).reason == "2 of 6 points in 30 min"
    assert story.fails(10, account=BOB, **UNKNOWN).reason == "4 of 5 accounts in 1 h"


def test_spared_source_is_explained_once_an_hour():
    story = Story(replace(ENFORCE, allowlist=nets(SOURCE)))
    told = [story.fails(each * 600) for each in range(15)]

    long = [verdict for verdict in told if isinstance(verdict, Spared) and ";" in verdict.reason]
    assert 1 <= len(long) <= 3
    assert {verdict.reason for verdict in told if isinstance(verdict, Spared)} - {each.reason for each in long} == {
        "203.0.113.9 is on the allowlist"
    }


def test_ban_of_login_ports_ends_what_was_counted_and_one_of_port_25_does_not():
    story = Story()
    for each in range(5):
        story.fails(each)
    hosts = address(SOURCE)
    story.judge.restore([Ban(hosts, START, START + 60, "harvesting", "guessed", scope=Scope.SMTP_IN)], [])

    assert isinstance(story.fails(10), Banned)


def test_ban_of_which_only_the_kernel_knew_puts_nobody_on_probation():
    story = Story()
    lost = Ban(address(SOURCE), START - HOUR, START - 60, "kernel", "found in the kernel")
    story.judge.restore([], [lost])

    assert story.fails(0).reason == "1 of 6 points in 30 min"


def test_strangers_on_grace_are_bounded():
    story = Story(replace(ENFORCE, detectors=(Siege(),), tellers=()))
    for number in range(10):
        story.fails(0, source=stranger(number))
    grace = story.judge._memory.grace
    filler = next(iter(grace.values()))
    for number in range(ON_GRACE):
        grace[number.to_bytes(5, "big")] = filler

    story.fails(1, source=stranger(11))

    assert len(grace) <= ON_GRACE + 5


def test_detection_at_an_office_is_told_by_each_detector():
    story = Story()
    story.is_home_of(ANA, BOB, "cid@example.com")

    told = story.notices(line(10 + each, account=f"user{each}", **UNKNOWN) for each in range(3))

    assert {notice.detector for notice in told} <= {"guessing", "spraying"}
    assert notices(told, "spraying")
