from hypothesis import given
from hypothesis import strategies as st

from appliance.judge.tallies import Tally


def test_lines_of_several_shapes_are_one_attempt():
    tally = Tally()
    for shape in ("audit", "mailbox", "saslauthd"):
        tally.add("smtp", shape, 10.0, 1, 100)

    assert tally.within(60, 10.0) == 1


def test_protocols_are_counted_apart():
    tally = Tally()
    for protocol in ("smtp", "imap"):
        tally.add(protocol, "audit", 10.0, 1, 100)

    assert tally.within(60, 10.0) == 2


def test_log_that_lags_joins_the_attempts_it_tells_of():
    tally = Tally()
    for shape in ("saslauthd", "audit"):
        for time in range(0, 100, 10):
            tally.add("smtp", shape, float(time), 1, 100)

    assert tally.within(200, 100.0) == 10


def test_only_as_many_times_as_matter_are_kept():
    tally = Tally(joinable=8)
    for time in range(1000):
        tally.add("imap", "audit", float(time), 1, 5)

    assert tally.times == [995.0, 996.0, 997.0, 998.0, 999.0]


@given(
    st.lists(st.sampled_from(("audit", "mailbox", "saslauthd")), max_size=30).flatmap(
        lambda shapes: st.tuples(st.just(shapes), st.permutations(shapes))
    )
)
def test_tally_does_not_depend_on_the_order_of_a_burst(orders):
    counts = []
    for shapes in orders:
        tally = Tally()
        for place, shape in enumerate(shapes):
            tally.add("smtp", shape, place / 10, 1, 100)
        counts.append(tally.within(60, 10.0))

    assert counts[0] == counts[1] == max((orders[0].count(shape) for shape in orders[0]), default=0)
