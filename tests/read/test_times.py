"""Times inside log lines."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.read.times import epoch

LAYOUT = "%Y-%m-%d %H:%M:%S"
ROME = ZoneInfo("Europe/Rome")


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30)))
def test_a_time_without_a_zone_is_of_the_senders_zone(moment):
    stamp = moment.strftime(LAYOUT).encode()

    assert epoch(stamp, LAYOUT, UTC) == moment.replace(microsecond=0, tzinfo=UTC).timestamp()
    assert epoch(stamp, LAYOUT, ROME) == moment.replace(microsecond=0, tzinfo=ROME).timestamp()


def test_a_zone_in_the_line_goes_before_the_senders():
    assert epoch(b"06/May/2024:10:20:30 +0200", "%d/%b/%Y:%H:%M:%S %z", ROME) == 1714983630.0
    assert epoch(b"06/May/2024:08:20:30 +0000", "%d/%b/%Y:%H:%M:%S %z", ROME) == 1714983630.0


@pytest.mark.parametrize(
    "stamp", [b"2024-02-30 10:20:30", b"2024-05-06 25:20:30", b"0000-05-06 10:20:30", b"", b"\xff", b"2024-05-06"]
)
def test_what_names_no_moment_is_none(stamp):
    assert epoch(stamp, LAYOUT, UTC) is None


@given(st.from_regex(rb"\A[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\Z"), st.sampled_from([UTC, ROME]))
def test_no_digits_make_it_raise(stamp, zone):
    time = epoch(stamp, LAYOUT, zone)

    assert time is None or isinstance(time, float)


@given(st.from_regex(rb"\A[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}\Z"))
def test_no_zone_makes_it_raise(stamp):
    time = epoch(stamp, "%d/%b/%Y:%H:%M:%S %z", UTC)

    assert time is None or isinstance(time, float)
