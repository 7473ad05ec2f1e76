from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.judge.attempts import Attempt
from appliance.judge.detector import Score
from appliance.judge.windows import keep, points_within, scoring
from appliance.model import Outcome, Protocol


def attempt(time, points=1, strong=1):
    return Attempt(time, Protocol.IMAP, Outcome.BAD_PASSWORD, None, points, strong)


def kept(attempts, oldest=0.0, depth=10):
    window = []
    for each in attempts:
        keep(window, each, oldest, depth)
    return window


def test_attempt_is_in_a_window_until_it_is_exactly_as_old_as_the_window_is_long():
    window = kept([attempt(10.0)])

    assert points_within(window, 5.0, 14.9, 6) == Score(1, 1, 6)
    assert points_within(window, 5.0, 15.0, 6) == Score(0, 0, 6)


def test_attempts_that_come_late_find_their_place():
    assert [each.time for each in kept([attempt(3.0), attempt(1.0), attempt(2.0)])] == [1.0, 2.0, 3.0]


def test_attempt_dated_after_now_is_not_yet_in_the_window():
    assert points_within(kept([attempt(20.0)]), 100.0, 10.0, 6) == Score(0, 0, 6)


def test_what_no_window_holds_is_dropped():
    assert [each.time for each in kept([attempt(1.0), attempt(2.0), attempt(3.0)], oldest=2.0)] == [3.0]


def test_flood_of_forged_lines_pushes_no_attempt_with_strong_evidence_out():
    window = kept([attempt(1.0), *(attempt(time, 2, 0) for time in range(2, 1000))], depth=4)

    assert window[0].strong == 1
    assert len(window) == 8


def test_forgiven_attempts_score_nothing():
    window = kept([attempt(1.0), attempt(2.0)])
    window[0].forgive()

    assert points_within(window, 10.0, 3.0, 6) == Score(1, 1, 6)
    assert list(scoring(window, 10.0, 3.0)) == [window[1]]


attempts = st.lists(
    st.tuples(st.integers(1, 200), st.integers(1, 2), st.booleans()).map(
        lambda told: attempt(float(told[0]), told[1], told[1] if told[2] else 0)
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(attempts, st.integers(1, 100), st.integers(1, 200))
def test_window_agrees_with_a_naive_count(told, within, now):
    inside = [each for each in told if now - within < each.time <= now]
    expected = Score(sum(each.points for each in inside), sum(each.strong for each in inside), 6)

    assert points_within(kept(told, depth=40), within, now, 6) == expected


@settings(max_examples=300)
@given(attempts, st.integers(1, 100), st.integers(1, 12), st.booleans())
def test_window_that_forgets_still_knows_who_reached_the_limit(told, within, limit, proved):
    everything = points_within(kept(told, depth=40), within, 200, limit).counting(proved=proved)
    short = points_within(kept(told, depth=limit), within, 200, limit).counting(proved=proved)

    assert (everything >= limit) == (short >= limit)
