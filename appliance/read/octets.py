"""Frames that say their length (RFC 6587 3.4.1, octet counting): `92 <86>Nov 21 …`.

The counts are walked one after the other from the first; nothing is ever searched for. A count that is none
ends the stream, because there is no way back into step that an attacker could not have written.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

from appliance.read.frames import Block, Count, Frame, Span, one_frame

REFUSED_COUNT = 16 * 1024 * 1024
"""A count above this is no message but a mistake or an attack (CVE-2018-16881 was an overflow of it)."""

_TRAILER = 2
"""Bytes of CRLF that a sender may have counted in with a message of exactly the limit's length."""

_COUNT = re.compile(rb"([1-9][0-9]{0,7}) ")  # REFUSED_COUNT has eight digits
_COUNT_BEGUN = re.compile(rb"[1-9][0-9]{0,7}\Z")
_FILLER = re.compile(rb"\r?\n|\0")

_ADVANCE = {b"%d <" % count: count + 3 for count in range(10, 100)}
_ADVANCE |= {b"%d " % count: count + 4 for count in range(100, 1000)}
"""From a frame's first four bytes to how far on the next frame begins: nearly all counts have two or three
digits, and a look-up is several times as fast as a pattern and `int`."""


class FramingError(Exception):
    """An octet-counted stream holds something that is no count."""


class OctetBlock:
    """Counted frames in one buffer, none over the limit."""

    __slots__ = ("_heads", "data")

    def __init__(self, data: bytes, heads: list[int]) -> None:
        """`heads` holds the places of the frames' counts, as the walk found them."""
        self.data = data
        self._heads = heads

    def __len__(self) -> int:
        return len(self._heads)

    def __iter__(self) -> Iterator[Frame]:
        for head in self._heads:
            start, stop, truncated = self._span(head)
            yield Frame(self.data[start:stop], truncated)

    def span_at(self, offset: int) -> Span:
        return self._span(self._heads[max(0, bisect_right(self._heads, offset) - 1)])

    def _span(self, head: int) -> Span:
        space = self.data.index(b" ", head)
        start = space + 1
        return Span(start, _stop_of_frame(self.data, start, start + int(self.data[head:space])), False)


class OctetCutter:
    """Cuts one connection's bytes by their counts, and keeps the frame that has begun."""

    def __init__(self, count: Count, limit: int) -> None:
        self.error: FramingError | None = None
        self._count = count
        self._limit = limit
        self._advance = _ADVANCE if limit >= 999 else {}
        self._rest = bytearray()
        self._needed = 0  # bytes that `_rest` must reach before the walk can go on
        self._skip = 0  # bytes of a frame over the limit that are still to come
        self._filler_allowed = False

    @property
    def begun(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._rest) or self._skip > 0

    def feed(self, data: bytes) -> list[Block]:
        """The frames that `data` completes; sets `error` when it comes upon something that is no count."""
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        data = data[skipped:]
        if len(self._rest) + len(data) < self._needed:
            self._rest += data
            return []
        return self._walk(b"".join((self._rest, data)) if self._rest else data)

    def close(self) -> list[Block]:
        """The connection has ended: what has come of a frame is none."""
        if self.begun and not self.error:
            self._count("incomplete_frame_at_close", 1)
        return []

    def _walk(self, data: bytes) -> list[Block]:
        blocks: list[Block] = []
        heads: list[int] = []
        base = at = self._needed = 0  # `base`: where the block that is being gathered begins
        while (at := self._stride(data, at, heads)) < len(data):
            found = _COUNT.match(data, at)
            if found is None:
                after = self._after_filler(data, at)
                if after == at:
                    self._check_begun(data, at)
                    break
                at = after
                continue
            size, start = int(found[1]), found.end()
            held = min(size, self._limit + _TRAILER)
            if size > REFUSED_COUNT:
                self._fail(f"a count of {size}; the limit is {REFUSED_COUNT}")
                break
            if start + held > len(data):
                self._needed = start + held - at
                break
            if size <= self._limit:
                self._take(data, at, start, start + size, heads)
                at = start + size
            else:
                blocks += _gathered(data, base, at, heads)
                blocks.append(self._long_frame(data[start : start + held], size))
                self._skip = max(0, start + size - len(data))
                base = at = min(start + size, len(data))
            self._filler_allowed = True
        blocks += _gathered(data, base, at, heads)
        self._rest = bytearray(memoryview(data)[at:])
        return blocks

    def _stride(self, data: bytes, at: int, heads: list[int]) -> int:
        """Walk over whole frames with usual counts; where the first other thing begins."""
        advance, first, append = self._advance, len(heads), heads.append
        try:
            while True:
                step = advance[data[at : at + 4]]
                append(at)
                at += step
        except KeyError:  # an unusual count, filler, or the end
            if at > len(data):
                at = heads.pop()
        if len(heads) > first:
            self._filler_allowed = True
        return at

    def _take(self, data: bytes, head: int, start: int, stop: int, heads: list[int]) -> None:
        if _stop_of_frame(data, start, stop) > start:
            heads.append(head)
        else:
            self._count("empty_frame", 1)

    def _long_frame(self, frame: bytes, size: int) -> Block:
        """A frame over the limit, of which `frame` has come; a trailer alone may have made it too long."""
        stop = _stop_of_frame(frame, 0, size) if size == len(frame) else size
        if stop <= self._limit:
            return one_frame(frame[:stop])
        self._count("truncated", 1)
        return one_frame(frame[: self._limit], truncated=True)

    def _after_filler(self, data: bytes, at: int) -> int:
        """Where to go on behind one LF, CRLF or NUL that a sender put between two frames; else `at`."""
        found = _FILLER.match(data, at) if self._filler_allowed else None
        if found is None:
            return at
        self._filler_allowed = False
        self._count("framing_filler", 1)
        return found.end()

    def _check_begun(self, data: bytes, at: int) -> None:
        """What is left must be the beginning of a count, or of filler."""
        if _COUNT_BEGUN.match(data, at) or (self._filler_allowed and data[at:] == b"\r"):
            return
        self._fail(f"{data[at : at + 16]!r} where a count must stand")

    def _fail(self, fact: str) -> None:
        self.error = FramingError(fact)
        self._count("framing_error", 1)


def _gathered(data: bytes, base: int, stop: int, heads: list[int]) -> list[Block]:
    """The frames at `heads`, all between `base` and `stop`, as a block; `heads` is emptied."""
    if not heads:
        return []
    block = OctetBlock(data[base:stop], [head - base for head in heads] if base else heads.copy())
    heads.clear()
    return [block]


def _stop_of_frame(data: bytes, start: int, stop: int) -> int:
    """Where a frame ends without the one LF, CRLF or NUL that its sender counted in."""
    if data[stop - 1] not in b"\n\0":
        return stop
    crlf = data[stop - 1] == 0x0A and stop - 2 >= start and data[stop - 2] == 0x0D
    return stop - 2 if crlf else stop - 1
