"""A connection's bytes become frames: RFC 6587, with the framing fixed by how the connection begins.

A connection that begins `[1-9][0-9]* <` is octet-counted, any other is cut at LF, and that is never guessed
again. A receiver that guesses at every frame lets a client's line `99999 <86>…` swallow what follows it
(measured on rsyslogd 8.2302: one message came out of three). For the same reason the rest of a frame over the
limit is skipped, and not made into a message that begins where an attacker chose.
"""

import re

from appliance.read.frames import Block, Count
from appliance.read.lines import LineCutter
from appliance.read.octets import FramingError, OctetCutter

FRAME_LIMIT = 65536
"""Bytes of a message, its syslog header included. The rsyslog before us cuts at 8 KiB unless told otherwise;
this leaves room for stack traces, and 1,024 connections hold at most 64 MiB of frames that have begun."""

_DIGITS = re.compile(rb"(?:[1-9][0-9]*)?")
_MORE_DIGITS = re.compile(rb"[0-9]*")


class Framer:
    """Cuts one connection's bytes into blocks of whole frames.

    Counted, with these reasons: `empty_frame`, `truncated`, `unterminated_at_close` (LF),
    `incomplete_frame_at_close`, `framing_filler`, `framing_error` (octet counting).
    """

    def __init__(self, count: Count, limit: int = FRAME_LIMIT) -> None:
        self._count = count
        self._limit = limit
        self._beginning = bytearray()
        self._cutter: LineCutter | OctetCutter | None = None  # None: not decided yet

    @property
    def error(self) -> FramingError | None:
        """Why this stream can be read no further. The frames before the fault have been returned; the
        connection is to be closed."""
        return self._cutter.error if isinstance(self._cutter, OctetCutter) else None

    @property
    def counted(self) -> bool | None:
        """Whether the connection is octet-counted; None as long as its bytes leave that open."""
        return None if self._cutter is None else isinstance(self._cutter, OctetCutter)

    @property
    def begun(self) -> bool:
        """Whether a frame has begun and not ended: what a time limit is set on."""
        return self._cutter.begun if self._cutter else bool(self._beginning)

    def feed(self, data: bytes) -> list[Block]:
        """The frames that `data` completes. Raises the FramingError that an earlier call left in `error`."""
        if self._cutter is None:
            return self._feed_beginning(data)
        if self.error:
            raise self.error
        return self._cutter.feed(data)

    def close(self) -> list[Block]:
        """The connection has ended. An unfinished line is a frame; an unfinished counted frame is none."""
        if self._cutter:
            return self._cutter.close()
        if self._beginning:  # digits, which would most likely have been a count
            self._count("incomplete_frame_at_close", 1)
        return []

    def _feed_beginning(self, data: bytes) -> list[Block]:
        """Undecided while only digits, or digits and one space, have come."""
        counted = _is_counted(bytes(self._beginning[-1:]), data)
        self._beginning += data
        if counted is None and len(self._beginning) <= self._limit:
            return []
        cutter = OctetCutter if counted else LineCutter
        self._cutter = cutter(self._count, self._limit)
        beginning = bytes(self._beginning)
        self._beginning.clear()
        return self._cutter.feed(beginning)


def _is_counted(last: bytes, data: bytes) -> bool | None:
    """Whether `data` makes a stream octet-counted that ended in `last` (a digit, a space, or nothing)."""
    if last == b" ":
        after = b" " + data[:1]
    else:
        digits = (_MORE_DIGITS if last else _DIGITS).match(data)
        end = digits.end() if digits else 0
        if not last and not end:
            return False if data else None
        after = data[end : end + 2]
    return None if after in (b"", b" ") else after == b" <"
