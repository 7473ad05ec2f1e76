"""Lines to a SIEM inside TLS, each behind its length (RFC 5425); aiosyslog cannot count octets."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from appliance.config.notify import Siem
from appliance.notify.siem.streams import STEP, Stream, limited

if TYPE_CHECKING:
    from pathlib import Path

_GOODBYE = 1.0
"""Seconds that a peer has to answer our close_notify; few do."""


class CountedFrames:
    """RFC 5425 4.3: `92 <85>1 2026-…`, to a peer whose certificate names the host or the address we asked for."""

    at_once = STEP
    pause = 0.0
    repeats = True

    def __init__(self, config: Siem) -> None:
        self._config = config
        self._stream: Stream | None = None

    async def open(self) -> None:
        context = await asyncio.to_thread(_context, self._config)  # reads files; and each time, for they are renewed
        async with limited():
            reader, writer = await asyncio.open_connection(
                *self._config.server, ssl=context, ssl_shutdown_timeout=_GOODBYE
            )
        self._stream = Stream(reader, writer)

    async def send(self, lines: Sequence[bytes]) -> None:
        assert self._stream, "not open"
        writer = self._stream.writer
        writer.write(b"".join(b"%d %b" % (len(line), line) for line in lines))
        async with limited():
            await writer.drain()

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


def _context(config: Siem) -> ssl.SSLContext:
    """TLS 1.2 at least (RFC 9662), the peer's certificate checked, with its name. Raises OSError."""
    context = ssl.create_default_context(cafile=_name(config.ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.cert_file:
        # Without a password OpenSSL would ask the terminal for that of a key that has one.
        context.load_cert_chain(config.cert_file, _name(config.key_file), password="")
    return context


def _name(file: "Path | None") -> str | None:
    return None if file is None else str(file)
