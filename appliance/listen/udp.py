"""Syslog over UDP (RFC 5426): one datagram, one message.

Nothing tells a sender that a datagram was lost. What found no room in the socket's buffer is counted by the
kernel, exactly, and read from there.
"""

import asyncio
import socket
import struct
import time

from appliance.listen.mmsg import DatagramReader
from appliance.listen.senders import Senders
from appliance.listen.sockets import DRAIN_SECONDS, Limits, Receive, endpoint_of
from appliance.read.frames import Count, join_datagrams

_SO_MEMINFO = 55
_DROPS = 8  # SK_MEMINFO_DROPS: which of the nine u32 that SO_MEMINFO gives


class UdpListener:
    """One bound socket, read until it is closed."""

    transport = "udp"

    def __init__(self, sock: socket.socket, senders: Senders, receive: Receive, count: Count, limits: Limits) -> None:
        """Takes over `sock`, bound and non-blocking; the running loop reads it from now on."""
        self.endpoint = endpoint_of(sock)
        self._sock = sock
        self._senders = senders
        self._receive = receive
        self._count = count
        self._limits = limits
        self._dropped = 0
        self.dropped_before = _kernel_drops(sock)
        """Datagrams that found no room before we read here: of a socket that systemd held meanwhile."""
        self._reader = DatagramReader(sock)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel threw away because this socket's buffer was full, since we read here."""
        if self._sock.fileno() >= 0:
            self._dropped = (_kernel_drops(self._sock) - self.dropped_before) % (1 << 32)  # as the kernel counts
        return self._dropped

    async def close(self) -> None:
        """Take what waits in the socket's buffer, for half a second at most, and close it."""
        self._loop.remove_reader(self._sock)
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._read() and time.monotonic() < deadline:  # noqa: ASYNC110 - the kernel tells by a read
            await asyncio.sleep(0)
        _ = self.dropped  # the last figure outlives the socket
        self._sock.close()

    def _read(self) -> bool:
        """One batch; bounded, so that the loop can look after others. Whether there was any."""
        batch = self._reader.read()
        now = time.time()
        for source, datagrams in batch.items():
            sender = self._senders.admitted(socket.inet_ntop(self._sock.family, source))
            if sender is None:
                self._count("sender_refused", len(datagrams))
                continue
            block = join_datagrams(datagrams, self._limits.frame_bytes, self._count)
            if block:
                self._senders.heard(sender, now, len(block), len(block.data))
                self._receive(block, sender, self.transport)
        return bool(batch)


def _kernel_drops(sock: socket.socket) -> int:
    drops: int = struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))[_DROPS]
    return drops
