"""Lines to a SIEM over UDP and TCP, by aiosyslog.

Of aiosyslog 0.2.1 only `SyslogClient.send` is used, which takes finished bytes. What is above it stays unused: its
RFC 5424 has no structured data and times that are wrong, and a newline in a text passes through as a line of its own.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Sequence
from time import monotonic

from appliance.config.notify import Server
from appliance.notify.siem.streams import STEP, TIMEOUT, Stream, limited

_root = logging.getLogger()
_outputs, _level = _root.handlers[:], _root.level
from aiosyslog import exceptions  # type: ignore[import-untyped]  # noqa: E402 - see below
from aiosyslog.syslog_client import SyslogClient  # type: ignore[import-untyped]  # noqa: E402

# Importing it gives the root logger an output of its own and level INFO: every line of our log would come twice.
_root.handlers[:] = _outputs
_root.setLevel(_level)

LOOK_UP = 60.0
"""Seconds after which a SIEM's name is looked up again; aiosyslog would look it up for each datagram."""

PACE = 0.005
"""Seconds between two datagrams. A receiver's buffer holds a few hundred of them (net.core.rmem_default); and aiosyslog
takes a new port for each, which the gateway's connection table remembers for 30 s: 6,000 entries at this pace."""

_FAULTS = (
    exceptions.SyslogConnectionFailure,
    exceptions.SyslogConnectionTimeout,
    exceptions.SyslogUnmanagedSocketError,
    exceptions.UnknownSyslogResponseError,
)


def _client(host: str, port: int, transport: str) -> SyslogClient:
    """Without `clientname`, which `send` does not use, its constructor stands still and asks the resolver.

    It would cut a line at its limit, the LF first; ours are short enough. Its idle limit would close a connection
    without a word, and lines with it.
    """
    return SyslogClient(
        host, port, proto=transport, clientname="-", maxMessageLength=sys.maxsize, timeout=TIMEOUT, idle_timeout=0
    )


async def _send(client: SyslogClient, data: bytes) -> None:
    """Raises OSError where aiosyslog has exceptions of its own, which tell Linux's error numbers as unknown.

    It waits by `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes as the wait ends
    (gh-86296), and we could not be stopped; so it has a task to itself.
    """
    sending = asyncio.ensure_future(client.send(data))
    try:
        async with limited():
            await asyncio.wait([sending])
        sending.result()
    except _FAULTS as fault:
        cause = fault.__context__
        raise cause if isinstance(cause, OSError) and cause.args else OSError(str(fault)) from None
    finally:
        if not sending.done():
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


class Datagrams:
    """RFC 5426: one line a datagram. Nobody can know what arrives."""

    at_once = 1
    pause = PACE
    repeats = False

    def __init__(self, server: Server) -> None:
        self._server = server
        self._client: SyslogClient | None = None
        self._looked_up = 0.0

    async def open(self) -> None:
        async with limited():
            found = await asyncio.get_running_loop().getaddrinfo(*self._server, type=socket.SOCK_DGRAM)
        host, port = found[0][4][:2]
        self._client = _client(str(host), int(port), "UDP")
        self._looked_up = monotonic()

    async def send(self, lines: Sequence[bytes]) -> None:
        if monotonic() - self._looked_up > LOOK_UP:
            with contextlib.suppress(OSError):  # the resolver's fault; the address that we have may well be right
                await self.open()
        for line in lines:
            await _send(self._client, line)

    async def broken(self) -> None:
        await asyncio.get_running_loop().create_future()

    def settled(self) -> bool:
        return True

    async def close(self) -> None:
        """aiosyslog opens and closes a socket for each datagram."""

    def drop(self) -> None:
        """The same."""


class Lines:
    """RFC 6587 3.4.2: lines that end in LF, which no line of ours holds; what every receiver takes over TCP."""

    at_once = STEP
    pause = 0.0
    repeats = True

    def __init__(self, server: Server) -> None:
        self._client = _client(*server, "TCP")
        self._stream: Stream | None = None

    async def open(self) -> None:
        await _send(self._client, b"")  # connects, and sends nothing
        # There is no other way to learn from it that the peer hung up, nor to let go of a peer that takes nothing: its
        # own `close` waits for that peer without end.
        self._stream = Stream(self._client._reader, self._client._writer)

    async def send(self, lines: Sequence[bytes]) -> None:
        await _send(self._client, b"".join(line + b"\n" for line in lines))
        if not self._stream or self._client._writer is not self._stream.writer:
            # It connected anew of its own accord, and what it sent before the break would be lost without a word.
            raise ConnectionResetError("the connection broke")

    async def broken(self) -> None:
        assert self._stream, "not open"
        await self._stream.broken()

    def settled(self) -> bool:
        return self._stream is not None and self._stream.settled()

    async def close(self) -> None:
        if self._stream:
            await self._stream.close()

    def drop(self) -> None:
        if self._stream:
            self._stream.drop()
        if self._client._writer:  # that of a connection which it made anew
            self._client._writer.transport.abort()
