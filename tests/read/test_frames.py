"""Datagrams side by side in one buffer."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from appliance.read.frames import Frame, join_datagrams


def ignore(reason: str, number: int) -> None:
    """A count that nobody reads."""


def test_a_datagram_with_two_lines_is_one_frame() -> None:
    block = join_datagrams([b"<1>a\n<1>b\n", b"<1>c"], 65536, ignore)
    assert block is not None
    assert [frame.data for frame in block] == [b"<1>a\n<1>b", b"<1>c"]


def test_trailing_lf_cr_and_nul_are_stripped_and_what_is_blank_is_counted() -> None:
    counted: Counter[str] = Counter()
    block = join_datagrams([b"", b"a\r\n\0", b"\n"], 65536, lambda reason, n: counted.update({reason: n}))
    assert block is not None
    assert list(block) == [Frame(b"a", False)]
    assert counted == {"empty_frame": 2}


def test_nothing_but_blank_datagrams_makes_no_block() -> None:
    assert join_datagrams([b"", b"\0"], 65536, ignore) is None


def test_a_datagram_over_the_limit_keeps_its_head() -> None:
    block = join_datagrams([b"ab", b"x" * 9], 5, ignore)
    assert block is not None
    assert list(block) == [Frame(b"ab", False), Frame(b"xxxxx", True)]
    assert block.span_at(4).truncated


@given(st.lists(st.binary(max_size=20)))
def test_every_byte_belongs_to_the_datagram_that_brought_it(datagrams: list[bytes]) -> None:
    block = join_datagrams(datagrams, 12, ignore)
    frames = list(block or ())
    assert [frame.data for frame in frames] == [d.rstrip(b"\n\r\0")[:12] for d in datagrams if d.rstrip(b"\n\r\0")]
    if block:
        spans = dict.fromkeys(block.span_at(offset) for offset in range(len(block.data)))
        assert [Frame(block.data[s.start : s.stop], s.truncated) for s in spans] == frames
