"""A way to a SIEM, and what all connections have in common: limits of time, and a peer that is watched."""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

TIMEOUT = 10.0
"""Seconds that connecting, writing, and the other kernel's acknowledging may each take; then the peer is dead."""

STEP = 32
"""Lines that are written together: a millisecond, for which nothing else is done."""

_READ_BYTES = 4096
"""A syslog receiver sends nothing; what it does send is thrown away."""

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
"""A peer that died while there was nothing to say is noticed after a minute."""


class Way(Protocol):
    """One connection to a SIEM, made anew after each break. What fails raises OSError."""

    at_once: int
    """Lines that are sent together."""
    pause: float
    """Seconds between one sending and the next."""
    repeats: bool
    """Whether lines that were sent shortly before a break are to be sent again."""

    async def open(self) -> None:
        """Reach the other side, within `TIMEOUT`."""

    async def send(self, lines: Sequence[bytes]) -> None:
        """Hand lines, without ends of line, to the kernel, within `TIMEOUT`."""

    async def broken(self) -> None:
        """Returns when the other side has hung up; never where nobody can know."""

    def settled(self) -> bool:
        """Whether the other side's kernel has acknowledged all that was sent."""

    async def close(self) -> None:
        """Say goodbye; what was sent still goes out."""

    def drop(self) -> None:
        """Let go at once."""


@contextlib.asynccontextmanager
async def limited() -> AsyncIterator[None]:
    """At most `TIMEOUT` for what is inside. The error says so, where asyncio's says nothing."""
    try:
        async with asyncio.timeout(TIMEOUT):
            yield
    except TimeoutError as late:
        if late.args:  # the kernel's own, ETIMEDOUT
            raise
        raise TimeoutError(f"no answer within {TIMEOUT:g} s") from None


class Stream:
    """An open TCP connection, with TLS or without."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._reader = reader
        self._socket: socket.socket = writer.get_extra_info("socket")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            self._socket.setsockopt(socket.IPPROTO_TCP, option, value)
        # The same for one that dies with something on its way to it, or that takes nothing any more (tcp(7)).
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(TIMEOUT * 1000))

    async def broken(self) -> None:
        while await self._reader.read(_READ_BYTES):
            pass

    def settled(self) -> bool:
        if self._socket.fileno() < 0 or self.writer.transport.get_write_buffer_size():
            return False
        (unacknowledged,) = struct.unpack("i", fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, bytes(4)))
        return bool(unacknowledged == 0)

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()

    def drop(self) -> None:
        self.writer.transport.abort()
