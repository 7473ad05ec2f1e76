"""Whole frames lying side by side in one buffer: what framing hands on, and what a sieve scans in one go.

A `Block` never makes an object of a frame that nobody asks for. A scanner looks at `block.data` once, asks
`span_at` for the frame around each of its hits, and leaves the other frames alone. Which frame a byte belongs
to is decided by structure only: among counted frames the counts decide, never a boundary that was searched
for, because a client can write whatever a search looks for.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

Count = Callable[[str, int], None]
"""Told a reason (`truncated`, `empty_frame`, …) and how often it arose."""


class Frame(NamedTuple):
    """The bytes of one message, without count and trailer."""

    data: bytes
    truncated: bool
    """Whether the sender sent more than the limit; `data` is then the beginning."""


class Span(NamedTuple):
    """Where one frame lies in `Block.data`: `data[start:stop]` is the message without its trailer."""

    start: int
    stop: int
    truncated: bool


class Block(Protocol):
    """A run of whole frames in one buffer; never without a frame."""

    @property
    def data(self) -> bytes:
        """The buffer. Counts and trailers may stand between the frames."""

    def __len__(self) -> int:
        """The number of frames; blank ones are none."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames in the order in which they came."""

    def span_at(self, offset: int) -> Span:
        """The frame that holds the byte at `offset`; for a byte between two frames, one beside it."""


class SpanBlock:
    """Frames whose places were known beforehand: datagrams side by side, or one frame on its own."""

    __slots__ = ("_starts", "_stops", "_truncated", "data")

    def __init__(self, data: bytes, starts: list[int], stops: list[int], truncated: frozenset[int]) -> None:
        """`truncated` holds the starts of those frames that the limit cut."""
        self.data = data
        self._starts = starts
        self._stops = stops
        self._truncated = truncated

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Frame]:
        for start, stop in zip(self._starts, self._stops, strict=True):
            yield Frame(self.data[start:stop], start in self._truncated)

    def span_at(self, offset: int) -> Span:
        index = max(0, bisect_right(self._starts, offset) - 1)
        start = self._starts[index]
        return Span(start, self._stops[index], start in self._truncated)


def one_frame(data: bytes, *, truncated: bool = False) -> SpanBlock:
    """A block of a single frame, whose trailer is off already."""
    return SpanBlock(data, [0], [len(data)], frozenset([0]) if truncated else frozenset())


def join_datagrams(datagrams: Sequence[bytes], limit: int, count: Count) -> SpanBlock | None:
    """Put datagrams side by side; each is one message whatever it holds (RFC 5426 3.1).

    LF, CR and NUL at the end are stripped; None if that leaves nothing of any of them. An LF between the
    frames keeps a scanner's patterns from running over a joint.
    """
    kept: list[bytes] = []
    starts: list[int] = []
    stops: list[int] = []
    truncated: set[int] = set()
    start = 0
    for datagram in datagrams:
        frame = datagram.rstrip(b"\n\r\0")
        if not frame:
            count("empty_frame", 1)
            continue
        if len(frame) > limit:
            count("truncated", 1)
            truncated.add(start)
            frame = frame[:limit]
        kept.append(frame)
        starts.append(start)
        stops.append(start + len(frame))
        start += len(frame) + 1
    return SpanBlock(b"\n".join(kept), starts, stops, frozenset(truncated)) if kept else None
