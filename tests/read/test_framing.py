"""Bytes of a connection become frames; the properties hold for every cutting of the stream."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.read.frames import Block, Frame
from appliance.read.framing import Framer
from appliance.read.octets import FramingError

A = b"<86>Nov 21 19:00:00 mail1 saslauthd[812]: auth failure: [user=a@example.test]"
B = b"<86>Nov 21 19:00:00 mail1 saslauthd[812]: auth failure: [user=b@example.test]"


class Session:
    """One connection read to its end: what came out, what was counted."""

    def __init__(self, *pieces: bytes, limit: int = 65536) -> None:
        self.counted: Counter[str] = Counter()
        self.blocks: list[Block] = []
        framer = Framer(self._count, limit)
        for piece in pieces:
            if framer.error is None:
                self.blocks += framer.feed(piece)
        self.error = framer.error
        self.blocks += framer.close()

    def _count(self, reason: str, number: int) -> None:
        self.counted[reason] += number

    @property
    def frames(self) -> list[Frame]:
        return [frame for block in self.blocks for frame in block]

    @property
    def texts(self) -> list[bytes]:
        return [frame.data for frame in self.frames]

    @property
    def outcome(self) -> tuple[list[Frame], Counter[str]]:
        return self.frames, self.counted


def octets(*frames: bytes) -> bytes:
    return b"".join(b"%d %s" % (len(frame), frame) for frame in frames)


def each_byte(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[start:stop] for start, stop in pairwise(edges)]


STREAMS = st.one_of(
    st.lists(st.sampled_from([b"<8>a", b"\n", b"\r", b"\0", b" ", b"x" * 9, b"12 <", b"7 ", b"<"])).map(b"".join),
    st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=30).map(octets),
            st.sampled_from([b"\n", b"\r\n", b"\0", b"13 <86>abcdefghi", b"2 \r\n", b"1 \n", b"11 <86>abcdef\n"]),
        )
    ).map(lambda parts: b"5 <1>ab" + b"".join(parts)),
    st.binary(max_size=80),
)


class TestTheBeginning:
    def test_a_count_a_space_and_a_less_than_sign_make_it_octet_counted(self) -> None:
        assert Session(octets(A, B)).texts == [A, B]

    @pytest.mark.parametrize(
        "line",
        [b"12 monkeys", b"117<86>x", b"58  <86>x", b"1q <86>x", b"00092 <86>x", b"-5 <86>x", b"2026-11-21"],
    )
    def test_digits_that_are_no_count_begin_a_line(self, line: bytes) -> None:
        assert Session(line + b"\n" + A + b"\n").texts == [line, A]

    def test_a_line_that_looks_like_a_count_swallows_nothing_in_an_lf_stream(self) -> None:
        assert Session(A + b"\n99999 <86>x\n" + B + b"\n").texts == [A, b"99999 <86>x", B]

    def test_digits_alone_leave_it_open_and_make_no_frame(self) -> None:
        session = Session(b"117")
        assert (session.texts, session.counted) == ([], {"incomplete_frame_at_close": 1})

    def test_it_is_told_once_decided(self) -> None:
        framer = Framer(lambda reason, number: None)
        told = []
        for piece in each_byte(b"92 <8"):
            framer.feed(piece)
            told.append(framer.counted)
        assert told == [None, None, None, True, True]

    def test_endless_digits_are_a_line_over_the_limit(self) -> None:
        session = Session(*[b"7" * 10] * 12, limit=100)
        assert session.frames == [Frame(b"7" * 100, True)]


class TestLines:
    def test_one_cr_and_nuls_before_lf_are_stripped(self) -> None:
        assert Session(b"a\r\nb\0\0\nc\r\r\nd\r\0\n").texts == [b"a", b"b", b"c\r", b"d"]

    def test_blank_lines_are_counted_and_are_no_frames(self) -> None:
        session = Session(b"\n\r\n\0\na\n\nb\n")
        assert (session.texts, session.counted) == ([b"a", b"b"], {"empty_frame": 4})
        assert sum(len(block) for block in session.blocks) == 2

    def test_an_unfinished_line_is_a_frame_when_the_connection_ends(self) -> None:
        session = Session(b"a\nb")
        assert (session.texts, session.counted) == ([b"a", b"b"], {"unterminated_at_close": 1})

    def test_the_head_of_a_line_over_the_limit_is_kept_and_the_rest_skipped(self) -> None:
        session = Session(b"x" * 250 + b"\nnext\n", limit=100)
        assert session.frames == [Frame(b"x" * 100, True), Frame(b"next", False)]
        assert session.counted == {"truncated": 1}

    def test_a_line_of_the_limit_is_whole_whatever_trailer_follows(self) -> None:
        for trailer in (b"\n", b"\r\n", b"\0\n"):
            assert Session(b"x" * 100 + trailer, limit=100).frames == [Frame(b"x" * 100, False)]

    def test_memory_held_for_an_endless_line_is_bounded(self) -> None:
        framer = Framer(lambda reason, number: None, limit=100)
        heads = [frame for _ in range(1000) for block in framer.feed(b"x" * 90) for frame in block]
        assert heads == [Frame(b"x" * 100, True)]
        assert framer.begun


class TestOctetCounting:
    def test_one_trailer_that_was_counted_in_is_stripped(self) -> None:
        assert Session(octets(b"<1>a\n", b"<1>b\r\n", b"<1>c\0", b"<1>d\n\n")).texts == [
            b"<1>a",
            b"<1>b",
            b"<1>c",
            b"<1>d\n",
        ]

    def test_one_filler_between_frames_is_tolerated_and_counted(self) -> None:
        session = Session(octets(A) + b"\n" + octets(B) + b"\r\n" + octets(A) + b"\0" + octets(B) + b"\n")
        assert (session.texts, session.counted) == ([A, B, A, B], {"framing_filler": 4})

    def test_two_fillers_are_an_error(self) -> None:
        assert Session(octets(A) + b"\n\n" + octets(B)).counted == {"framing_filler": 1, "framing_error": 1}

    def test_frames_before_an_error_come_out_and_the_error_says_what_stood_there(self) -> None:
        session = Session(octets(A, B) + b"1q <86>x")
        assert (session.texts, session.counted) == ([A, B], {"framing_error": 1})
        assert "1q <86>x" in str(session.error)

    def test_a_stream_in_error_takes_no_more(self) -> None:
        framer = Framer(lambda reason, number: None)
        framer.feed(octets(A) + b"?")
        with pytest.raises(FramingError, match="where a count must stand"):
            framer.feed(octets(B))
        assert framer.close() == []

    @pytest.mark.parametrize("count", [b"4294967300", b"16777217", b"9" * 400])
    def test_a_count_over_sixteen_mebibytes_is_refused(self, count: bytes) -> None:
        session = Session(count + b" <86>x")
        assert (session.texts, session.counted) == ([], {"framing_error": 1})

    def test_an_unfinished_frame_is_none(self) -> None:
        session = Session(octets(A) + b"92 <86>Nov")
        assert (session.texts, session.counted) == ([A], {"incomplete_frame_at_close": 1})

    def test_the_head_of_a_frame_over_the_limit_is_kept_and_the_rest_skipped(self) -> None:
        session = Session(octets(b"<1>" + b"x" * 300, A[:80], b"<1>" + b"y" * 100), limit=100)
        assert session.frames == [
            Frame(b"<1>" + b"x" * 97, True),
            Frame(A[:80], False),
            Frame(b"<1>" + b"y" * 97, True),
        ]
        assert session.counted == {"truncated": 2}

    def test_a_frame_of_the_limit_is_whole_whatever_trailer_was_counted_in(self) -> None:
        frame = b"<1>" + b"x" * 97
        for trailer in (b"", b"\n", b"\r\n"):
            assert Session(octets(frame + trailer), limit=100).frames == [Frame(frame, False)]

    def test_a_blank_frame_is_none(self) -> None:
        session = Session(octets(A) + b"1 \n2 \r\n" + octets(B))
        assert (session.texts, session.counted) == ([A, B], {"empty_frame": 2})

    @given(st.lists(st.sampled_from([b"\n", b" ", B, octets(B), b"\n" + octets(B), b"\n" + B + b"\n"])))
    def test_a_frame_that_holds_another_stays_one(self, inside: list[bytes]) -> None:
        frame = b"<86>" + b"".join(inside) + b"."
        assert Session(octets(A, frame, A)).texts == [A, frame, A]


@given(STREAMS, st.lists(st.integers(0, 400)), st.sampled_from([8, 12, 65536]))
@example(b"5 <1>ab\r\n3 <1>", [8], 65536)
@example(b"xxxxxxxx\r\nyyyyyyyy\0\0\0\n", [9], 8)
@example(b"\n12 <86>abc", [1], 65536)
def test_any_cutting_of_a_stream_gives_the_same_frames(stream: bytes, places: list[int], limit: int) -> None:
    whole = Session(stream, limit=limit)
    assert Session(*cut(stream, places), limit=limit).outcome == whole.outcome
    assert Session(*each_byte(stream), limit=limit).outcome == whole.outcome


@given(STREAMS, st.lists(st.integers(0, 400)), st.sampled_from([8, 12, 65536]))
def test_blocks_say_how_many_frames_they_hold_and_where(stream: bytes, places: list[int], limit: int) -> None:
    for block in Session(*cut(stream, places), limit=limit).blocks:
        spans = dict.fromkeys(block.span_at(offset) for offset in range(len(block.data)))
        found = [Frame(block.data[span.start : span.stop], span.truncated) for span in spans if span.stop > span.start]
        assert found == list(block)
        assert len(block) == len(found) > 0
        for span in spans:
            assert all(block.span_at(offset) == span for offset in range(span.start, span.stop))


def test_a_framer_has_begun_a_frame_until_its_last_byte() -> None:
    for stream in (A + b"\n", octets(A)):
        framer = Framer(lambda reason, number: None)
        begun = []
        for piece in each_byte(stream):
            framer.feed(piece)
            begun.append(framer.begun)
        assert begun == [True] * (len(stream) - 1) + [False]
