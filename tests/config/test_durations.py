"""Durations: read as written, written as read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.durations import in_words, seconds


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604800), ("1h30m", 5400), ("1d1h1m1s", 90061), ("0s", 0)],
)
def test_a_duration_is_the_sum_of_its_units(text: str, length: int) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize(
    "text", ["", "30", "m", "30 m", "30M", "1.5h", "-1h", "30m1h", "1h1h", "1w", "٣s", "1" * 10 + "s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write it as 90s, 30m, 2h, 7d or 1h30m"):
        seconds(text)


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_whole_seconds_survive_being_written(length: int) -> None:
    assert seconds(in_words(length)) == length
