from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.judge.heard import DAYS, SLOT, SLOTS, Heard, Stream

DAY = SLOT * SLOTS


def talks(heard, since, until, lines=5, sender="mx1"):
    """So many lines each minute; whether any of them ended a silence."""
    return any(heard.hear(sender, "", lines, minute * 60.0) for minute in range(int(since // 60), int(until // 60)))


def test_sender_is_silent_after_so_many_seconds_and_that_is_told_once():
    heard = Heard()
    talks(heard, 0, 7200)

    assert heard.fallen_silent(300, 20, 7140 + 299) == []
    assert heard.fallen_silent(300, 20, 7140 + 300) == [("mx1", "", 7140.0)]
    assert heard.fallen_silent(300, 20, 7140 + 900) == []
    assert heard.hear("mx1", "", 1, 9000.0)
    assert not heard.hear("mx1", "", 1, 9001.0)


def test_first_hour_tells_nothing():
    heard = Heard()
    talks(heard, 0, 3000)

    assert heard.fallen_silent(300, 20, 5000) == []


def test_fewer_lines_than_usual_would_be_missed_are_not_missed():
    heard = Heard()
    talks(heard, 0, 7200, lines=3)

    assert heard.fallen_silent(300, 20, 8000) == []


def test_after_the_first_day_the_same_time_of_the_days_before_counts():
    heard = Heard()
    for day in range(3):
        talks(heard, day * DAY, day * DAY + DAY / 2)
    talks(heard, 3 * DAY, 3 * DAY + 3600)

    assert heard.fallen_silent(300, 20, 3 * DAY + 4200) == [("mx1", "", 3 * DAY + 3540)]


def test_one_quiet_day_of_the_week_is_enough_to_say_nothing():
    heard = Heard()
    for day in (0, 1, 3):
        talks(heard, day * DAY, day * DAY + DAY / 2)
    talks(heard, 4 * DAY, 4 * DAY + 3600)

    assert heard.fallen_silent(300, 20, 4 * DAY + 4200) == []


def test_stream_heard_longest_ago_gives_way_and_is_counted():
    heard = Heard(most=2)
    for second, sender in enumerate(("a", "b", "a", "c")):
        heard.hear(sender, "", 1, float(second))

    assert len(heard) == 2
    assert heard.evicted == 1
    assert not heard.hear("b", "", 1, 9.0)


def test_order_of_those_fallen_silent_is_from_the_longest_unheard():
    heard = Heard()
    talks(heard, 0, 7200, sender="a")
    talks(heard, 0, 7260, sender="b")

    assert [sender for sender, _, _ in heard.fallen_silent(300, 20, 8000)] == ["a", "b"]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, DAY * (DAYS + 2) / 4), st.integers(1, 300)), max_size=40),
    st.floats(0, DAY * (DAYS + 2)),
)
def test_ring_agrees_with_a_naive_count(steps, asked):
    """The clock never goes back; a slot older than seven days is forgotten, and 255 lines are as good as more."""
    now, counts = 0.0, {0: 0}
    stream = Stream(0.0)
    for step, lines in steps:
        now += step
        stream.add(lines, now)
        slot = int(now // SLOT)
        counts[slot] = min(255, counts.get(slot, 0) + lines)
    newest = int(now // SLOT)

    slot = int(asked // SLOT)

    expected = counts.get(slot, 0) if newest - SLOTS * DAYS < slot <= newest else 0
    assert stream._of(slot) == expected
