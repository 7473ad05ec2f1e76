from hypothesis import given
from hypothesis import strategies as st

from appliance.judge.fuse import SENDERS, Fuse


def test_one_ban_more_than_the_limit_within_the_window_blows_it_once():
    fuse = Fuse()

    assert [fuse.ask(float(second), 3, 10) for second in range(6)] == [False, False, False, True, False, False]
    assert fuse.blown_since == 3.0


def test_as_many_bans_as_the_limit_in_a_longer_time_do_not():
    fuse = Fuse()

    assert not any(fuse.ask(second * 4.0, 3, 10) for second in range(50))


def test_it_mends_when_the_rate_was_not_exceeded_for_so_long():
    fuse = Fuse()
    for second in range(6):
        fuse.ask(float(second), 3, 10)

    assert not fuse.ends(5 + 899.0, 900)
    assert fuse.ends(5 + 900.0, 900)
    assert fuse.blown_since is None
    assert not fuse.ends(5 + 901.0, 900)


def test_sender_has_its_share_and_no_more_and_other_senders_theirs():
    fuse = Fuse()

    assert [fuse.admits("a", float(second), 2, 10) for second in range(4)] == [True, True, False, False]
    assert fuse.admits("b", 4.0, 2, 10)
    assert [fuse.admits("a", second, 2, 10) for second in (9.9, 10.0, 10.5, 11.0)] == [False, True, False, True]


def test_senders_counted_are_bounded():
    fuse = Fuse()
    for number in range(SENDERS + 1):
        fuse.admits(str(number), 0.0, 1, 10)

    assert fuse.admits("0", 1.0, 1, 10)
    assert not fuse.admits(str(SENDERS), 1.0, 1, 10)


@given(st.lists(st.floats(0, 20), max_size=60), st.integers(1, 10), st.floats(1, 60))
def test_it_is_blown_exactly_where_a_window_holds_more_than_the_limit(steps, bans, within):
    fuse, now, times = Fuse(), 0.0, []
    for step in steps:
        now += step
        times.append(now)
        fuse.ask(now, bans, within)

    exceeded = any(sum(1 for each in times if last - within < each <= last) > bans for last in times)
    assert (fuse.blown_since is not None) == (exceeded or _ties(times, bans, within))


def _ties(times, bans, within):
    """Bans at one moment count in the order in which they were asked for."""
    return any(times[place] > times[place + bans] - within for place in range(len(times) - bans))


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 10), st.floats(1, 60))
def test_no_window_holds_more_of_a_senders_bans_than_its_share(steps, most, within):
    fuse, now, admitted = Fuse(), 0.0, []
    for step in steps:
        now += step
        if fuse.admits("a", now, most, within):
            admitted.append(now)

    assert all(sum(1 for each in admitted if last - within < each <= last) <= most for last in admitted)
