"""Whether a sender's lines tell the right time; a wrong time zone is corrected and told.

Zimbra's logs name no zone. A mail host whose zone is not the configured one looks hours late or early, and a
late line bans nobody. Such an offset is steady and near a multiple of a quarter of an hour; a queue being
drained, or a file sent again, is neither.
"""

import logging
from collections import OrderedDict, deque
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

QUARTER = 900.0
"""Time zones differ by multiples of this, in seconds."""

STEADY_SECONDS = 60.0
"""For how long an offset must hold before it is corrected."""

NEAR = 60.0
"""How far from a multiple of a quarter of an hour a line may be: clocks drift and queues wait."""

STREAMS = 4096
"""Pairs of sender and program that are followed; the least recently heard gives way."""

_KEPT = 32
"""Lags kept of each, for the median that `doctor` tells."""


@dataclass(slots=True)
class Stream:
    """The lines of one program from one sender."""

    offset: float = 0.0
    """Seconds that are added to the times of its lines."""
    candidate: float = 0.0
    since: float = 0.0
    """When the candidate was first seen, seconds since the epoch."""
    lags: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """Arrival minus the time in the line, before any correction; newest last."""

    @property
    def median(self) -> float:
        return sorted(self.lags)[len(self.lags) // 2]


class Clocks:
    """The time that each sender's lines tell."""

    def __init__(self) -> None:
        self.streams: OrderedDict[tuple[str, str], Stream] = OrderedDict()

    def right(self, sender: str, program: str, time: float, now: float) -> float:
        """The time of a line in seconds since the epoch, corrected where its sender's zone is known to be wrong."""
        key = sender, program
        stream = self.streams.get(key)
        if stream is None:
            stream = self.streams[key] = Stream()
            if len(self.streams) > STREAMS:
                self.streams.popitem(last=False)
        else:
            self.streams.move_to_end(key)
        lag = now - time
        stream.lags.append(lag)
        nearest = round(lag / QUARTER) * QUARTER
        if abs(lag - nearest) > NEAR or nearest != stream.candidate:
            stream.candidate, stream.since = nearest, now
        elif nearest != stream.offset and now - stream.since >= STEADY_SECONDS:
            stream.offset = nearest
            log.warning(
                "%s: the lines of %s are %g h off; their zone is not time_zone, and is corrected from now on",
                sender, program, nearest / 3600,
            )  # fmt: skip
        return time + stream.offset
