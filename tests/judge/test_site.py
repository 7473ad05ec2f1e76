from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.judge.site import HOUR, Site

DAY = 24 * HOUR


def strangers(site, at, count):
    for number in range(count):
        site.note_stranger(b"%d-%d" % (at, number), at)


def test_stranger_is_counted_once_an_hour():
    site = Site()
    for source in (b"a", b"b", b"a"):
        site.note_stranger(source, 10.0)

    assert site.strangers_this_hour(HOUR - 1) == 2
    assert site.strangers_this_hour(HOUR) == 0


def test_nobody_knows_what_is_usual_before_three_hours_have_gone_by():
    site = Site()
    strangers(site, 10.0, 5)

    assert site.usual_strangers(3 * HOUR - 1, 4.0) is None
    assert site.usual_strangers(3 * HOUR, 4.0) is not None


def test_hours_in_which_nothing_happened_count():
    site = Site()
    strangers(site, 10.0, 8)

    assert site.usual_strangers(4 * HOUR, 0.0) == 2.0


def test_from_the_third_day_the_same_hour_is_compared_with_itself():
    site = Site()
    for day in range(3):
        strangers(site, day * DAY + 10, 90)

    assert site.usual_strangers(3 * DAY, 0.0) == 90.0
    assert site.usual_strangers(3 * DAY + HOUR, 0.0) == 0.0


def test_deviation_is_no_less_than_counting_brings_about():
    site = Site()
    for hour in range(48):
        strangers(site, hour * HOUR, 9)

    assert site.usual_strangers(48 * HOUR, 4.0) == 9 + 4 * 3


def test_familiar_sources_that_failed_are_counted_while_they_are_in_the_window():
    site = Site()
    for second, source in enumerate((b"a", b"b", b"a")):
        site.note_familiar_failure(source, float(second))

    assert site.familiar_failing(300, 2.0) == 2
    assert site.familiar_failing(300, 301.0) == 1
    assert site.familiar_failing(300, 302.0) == 0


def test_usual_logins_are_the_median_of_the_days_before_and_at_first_those_of_the_hour_before():
    site = Site()
    for minute in range(60):
        site.note_success(minute * 60.0)
    assert site.usual_successes(300, 65 * 60 - 1) == 5.0

    site = Site()
    for day in range(3):
        for _ in range((12, 24, 600)[day]):
            site.note_success(day * DAY)
    assert site.usual_successes(300, 3 * DAY) == 2.0


def test_nobody_knows_what_is_usual_where_nobody_ever_logged_in():
    assert Site().usual_successes(300, 0.0) is None


def test_clock_that_is_set_back_loses_nothing():
    site = Site()
    strangers(site, 2 * HOUR, 4)
    site.note_stranger(b"late", HOUR)

    assert site.strangers_this_hour(2 * HOUR) == 5


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2 * HOUR), st.integers(0, 20)), max_size=30))
def test_hours_agree_with_a_naive_count(steps):
    site, now, counts = Site(), 0.0, {0: set()}
    site.strangers_this_hour(0.0)
    for step, number in steps:
        now += step
        site.note_stranger(b"%d" % number, now)
        counts.setdefault(int(now // HOUR), set()).add(number)

    hour = int(now // HOUR)
    past = [len(counts.get(each, ())) for each in range(hour)]
    same = [past[each] for each in range(hour - 24, -1, -24)]
    expected = same if len(same) >= 3 else past

    assert site.strangers_this_hour(now) == len(counts.get(hour, ()))
    usual = site.usual_strangers(now, 0.0)
    assert usual is None if len(expected) < 3 else abs(usual - sum(expected) / len(expected)) < 1e-9
