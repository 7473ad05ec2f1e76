import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.judge.words import SHOWN, kind, listed, moment, outcomes, progress, several, shown, span, together
from appliance.model import Outcome


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1800, "30 min"),
        (3600, "1 h"),
        (86400, "24 h"),
        (604800, "7 d"),
        (60, "60 s"),
        (90, "90 s"),
        (5400, "90 min"),
        (0.5, "0.5 s"),
    ],
)
def test_span_is_said_in_its_largest_unit(seconds, words):
    assert span(seconds) == words


@given(st.text(max_size=300))
def test_shown_text_prints_on_one_line_and_is_bounded(text):
    assert shown(text).isprintable()
    assert len(shown(text)) <= 10 * SHOWN + 1


def test_ordinary_names_are_shown_as_they_are():
    assert shown("jürgen@example.com") == "jürgen@example.com"


def test_lists_are_cut_with_a_count():
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_parts_are_joined_as_they_are_spoken():
    assert [together(["a"]), together(["a", "b"]), together(["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


def test_outcomes_are_counted_by_kind():
    happened = [Outcome.BAD_PASSWORD, Outcome.UNKNOWN_ACCOUNT, Outcome.BAD_PASSWORD]

    assert outcomes(happened) == "2 bad passwords, 1 unknown account"


def test_outcome_without_words_is_said_by_its_name():
    assert kind(Outcome.BACKEND_ERROR) == "backend error"


def test_moment_is_in_utc():
    assert moment(1_700_000_000) == "2023-11-14 22:13 UTC"


def test_progress_is_one_short_sentence():
    assert progress(2, 6, "points", 1800) == "2 of 6 points in 30 min"


@pytest.mark.parametrize(
    ("number", "unit", "words"),
    [
        (1, "points", "1 point"),
        (2, "points", "2 points"),
        (1, "failures at a besieged account", "1 failure at a besieged account"),
        (1, "failed admin logins", "1 failed admin login"),
    ],
)
def test_one_of_a_unit_is_said_in_the_singular(number, unit, words):
    assert several(number, unit) == words
