"""A sender's wrong time zone is corrected; late lines, sent-again files and small errors are not."""

import logging

import pytest

from appliance.clocks import STREAMS, Clocks

NOW = 1_795_000_000.0
HOUR = 3600.0


def right(clocks: Clocks, time: float, now: float, sender: str = "192.0.2.10", program: str = "zimbra-audit") -> float:
    return clocks.right(sender, program, time, now)


def test_a_right_clock_is_left_alone():
    clocks = Clocks()

    assert [right(clocks, NOW + at - 0.5, NOW + at) for at in range(0, 600, 10)] == [
        NOW + at - 0.5 for at in range(0, 600, 10)
    ]


@pytest.mark.parametrize("offset", [2 * HOUR, -5 * HOUR, 5.75 * HOUR, 900.0])
def test_a_steady_offset_of_a_time_zone_is_corrected_after_a_minute(offset, caplog):
    clocks = Clocks()
    corrected = {
        at: right(clocks, NOW + at - offset - 1, NOW + at) - (NOW + at - 1) for at in (0, 20, 59.5, 60, 61, 7200)
    }

    assert corrected == {0: -offset, 20: -offset, 59.5: -offset, 60: 0, 61: 0, 7200: 0}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert f"192.0.2.10: the lines of zimbra-audit are {offset / HOUR:g} h off" in caplog.text


def test_a_corrected_sender_may_set_its_clock_right():
    clocks = Clocks()
    for at in (0, 60, 120):
        right(clocks, NOW + at - HOUR, NOW + at)

    assert right(clocks, NOW + 130, NOW + 130) == NOW + 130 + HOUR
    assert right(clocks, NOW + 191, NOW + 191) == NOW + 191


def test_a_queue_that_is_drained_is_never_corrected():
    """Three hours of lines, one a second, come in within two minutes: the lag shrinks from line to line."""
    clocks = Clocks()
    lines = [(NOW - 3 * HOUR + at, NOW + at / 90) for at in range(int(3 * HOUR))]

    assert all(right(clocks, time, now) == time for time, now in lines)


def test_a_file_that_is_sent_again_is_never_corrected():
    """A day of lines, one each ten seconds, at once."""
    clocks = Clocks()
    lines = [(NOW - 24 * HOUR + at * 10, NOW + at / 1000) for at in range(8640)]

    assert all(right(clocks, time, now) == time for time, now in lines)


@pytest.mark.parametrize("skew", [0.5, 59, 61, 300, 800, -59, -300, HOUR + 61])
def test_an_error_that_is_no_time_zones_is_never_corrected(skew):
    clocks = Clocks()

    assert all(right(clocks, NOW + at - skew, NOW + at) == NOW + at - skew for at in range(0, 7200, 10))


def test_lines_that_change_between_two_offsets_are_never_corrected():
    clocks = Clocks()

    for at in range(0, 600, 10):
        time = NOW + at - (HOUR if at % 20 else 2 * HOUR)
        assert right(clocks, time, NOW + at) == time


def test_each_program_of_each_sender_has_a_clock_of_its_own():
    clocks = Clocks()
    for at in (0, 60):
        right(clocks, NOW + at - HOUR, NOW + at)

    assert right(clocks, NOW, NOW + 70, program="zimbra-nginx") == NOW
    assert right(clocks, NOW, NOW + 70, sender="192.0.2.11") == NOW
    assert right(clocks, NOW + 70 - HOUR, NOW + 70) == NOW + 70


def test_the_least_recently_heard_gives_way():
    clocks = Clocks()
    right(clocks, NOW, NOW, sender="first")
    right(clocks, NOW, NOW, sender="second")
    for number in range(STREAMS - 2):
        right(clocks, NOW, NOW, program=str(number))
    right(clocks, NOW, NOW, sender="first")
    right(clocks, NOW, NOW, program="one more")

    assert len(clocks.streams) == STREAMS
    assert ("first", "zimbra-audit") in clocks.streams
    assert ("second", "zimbra-audit") not in clocks.streams


def test_the_median_lag_is_of_the_newest_lines_before_correction():
    clocks = Clocks()
    for lag in (10.0, *[1.0] * 16, *[2.0] * 16):
        right(clocks, NOW - lag, NOW)
    (stream,) = clocks.streams.values()

    assert (len(stream.lags), 10.0 in stream.lags, stream.median) == (32, False, 2.0)
