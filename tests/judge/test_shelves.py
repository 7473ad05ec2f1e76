import pickle

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.judge.shelves import Shelves, _Packed

KEYS = st.sampled_from(
    ["", "a", "aa", "ab", "\ud800", b"", b"a", b"aa", b"\x00", b"\x01\x00\x00\x00\x00\x00a", b"\xff" * 16]
)
"""Names that contain each other, and what stands before a name."""


def shelves(warm=2, quiet=4, close=4):
    """Lists of words by name; an empty list is worth nothing."""
    return Shelves(
        warm,
        quiet,
        close,
        lambda _: [],
        lambda words: ",".join(words).encode(),
        lambda _, data: data.decode().split(","),
    )


def test_what_is_warm_is_the_very_same_object():
    kept = shelves()
    kept.opened("1").append("a")

    assert kept.opened("1") is kept.get("1")
    assert kept.get("2") is None


def test_what_was_not_heard_of_is_packed_and_comes_back():
    kept = shelves()
    for key in range(4):
        kept.opened(str(key)).append(f"word{key}")

    assert kept.get("0") == ["word0"]
    assert len(kept) == 4


def test_value_that_packs_into_nothing_is_not_kept():
    kept = shelves()
    for key in range(5):
        kept.opened(str(key))

    assert len(kept) == 2
    assert kept.evicted == 0


def test_key_close_to_a_verdict_outlasts_a_flood_of_others():
    kept = shelves(warm=4, quiet=10, close=4)
    kept.opened("-1").append("near")
    kept.mark("-1", close=True)
    for key in range(1000):
        kept.opened(str(key)).append("flood")

    assert kept.get("-1") == ["near"]
    assert kept.evicted > 900
    assert kept.evicted_close == 0
    assert len(kept) <= 4 + 10 + 4


def test_key_no_longer_close_is_as_quiet_as_any():
    kept = shelves(warm=1, quiet=2, close=4)
    kept.opened("-1").append("near")
    kept.mark("-1", close=True)
    kept.mark("-1", close=False)
    for key in range(10):
        kept.opened(str(key)).append("flood")

    assert kept.get("-1") is None


def test_where_all_are_close_that_is_an_alarm():
    kept = shelves(warm=1, quiet=2, close=2)
    for key in range(10):
        kept.opened(str(key)).append("near")
        kept.mark(str(key), close=True)

    assert kept.evicted == 0
    assert kept.evicted_close > 0


@settings(max_examples=200)
@given(st.lists(st.tuples(KEYS, st.booleans()), max_size=60))
def test_while_there_is_room_nothing_is_lost_and_nothing_confused(told):
    kept, plain = shelves(warm=3, quiet=100, close=100), {}
    for step, (key, close) in enumerate(told):
        kept.opened(key).append(str(step))
        kept.mark(key, close=close)
        plain.setdefault(key, []).append(str(step))

    assert {key: kept.get(key) for key in plain} == plain
    assert set(kept) == set(plain)
    assert kept.evicted == kept.evicted_close == 0


@settings(max_examples=200)
@given(st.dictionaries(KEYS, st.binary(min_size=1, max_size=40)), st.integers(2, 40))
def test_packed_row_is_the_same_after_it_was_written_down_and_read(values, most):
    row = _Packed(most)
    for key, value in values.items():
        row.put(key, value)
    left = set(row)

    again = pickle.loads(pickle.dumps(row))

    assert (len(again), again.evicted, set(again)) == (len(left), len(values) - len(left), left)
    assert {key: again.pop(key) for key in left} == {key: values[key] for key in left}
    assert (len(again), list(again)) == (0, [])


def test_row_is_read_by_a_process_that_hashes_in_another_way(monkeypatch):
    row = _Packed(4000)
    for number in range(1000):
        row.put(str(number), b"x")
    written = pickle.dumps(row)
    monkeypatch.setattr("appliance.judge.shelves.hash", lambda key: len(key), raising=False)

    again = pickle.loads(written)

    assert all(again.pop(str(number)) == b"x" for number in range(1000))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=200))
def test_bounds_hold_whatever_comes(told):
    kept = shelves(warm=3, quiet=8, close=4)
    for key, close in told:
        kept.opened(str(key)).append("x")
        kept.mark(str(key), close=close)

        assert len(kept) <= 3 + 8 + 4
        assert len(set(kept)) == len(kept)
