"""The sieve against a plain search."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.read.sieve import Sieve

LITERALS = (b"failed", b"SASL LOGIN", b"\xff;] [", b'" 401 ', b"a.c*(x")
SIEVE = Sieve(LITERALS)


def ends(data: bytes) -> list[int]:
    """Where each occurrence of each literal ends, found one by one."""
    found = []
    for literal in LITERALS:
        at = data.find(literal)
        while at >= 0:
            found.append(at + len(literal) - 1)
            at = data.find(literal, at + 1)
    return sorted(found)


@given(st.lists(st.one_of(st.sampled_from(LITERALS), st.binary(max_size=12)), max_size=40).map(b"".join))
def test_every_hit_is_found_where_it_ends_and_in_order(data):
    assert SIEVE.hits(data) == ends(data)


@given(st.text("aAfFiIlLeEdD.c*(x", max_size=60).map(str.encode))
def test_a_literal_is_no_pattern_and_its_case_counts(data):
    assert SIEVE.hits(data) == ends(data)


def test_nothing_is_found_in_nothing():
    assert SIEVE.hits(b"") == []
