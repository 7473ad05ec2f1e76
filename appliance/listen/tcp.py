"""Syslog over TCP (RFC 6587): one framer a connection, limits on connections and on slow frames."""

import asyncio
import socket
import time

from appliance.config.values import Endpoint
from appliance.listen.senders import Senders
from appliance.listen.sockets import BACKLOG, DRAIN_SECONDS, Limits, Receive, endpoint_of
from appliance.read.frames import Block, Count
from appliance.read.framing import Framer

READ_BYTES = 65536
"""Bytes of one read: room for some 350 lines, small enough to stay in the processor's cache until scanned."""

QUIET_TURNS = 4
"""Turns of the loop without a read after which a closing listener has taken what arrived: a connection that was
accepted last is read in the third."""

SWEEP_SECONDS = 1.0
"""How often slow frames are looked for: a thirtieth of what they are allowed."""

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""A mail host that died without a word gives its connection back after two minutes."""


class Slots:
    """How many connections there may be, over all TCP listeners of a receiver."""

    def __init__(self, senders: Senders, limits: Limits) -> None:
        self._senders = senders
        self._limits = limits
        self.taken = 0

    def take(self, sender: str) -> bool:
        """Take a slot for a connection of `sender`, if it may have one more.

        One slot stays free for each listed host that has no connection, so that misbehaving senders cannot
        keep it out; half of all slots at most, for the sake of listed networks.
        """
        own = self._senders.connections_of(sender)
        kept = min(self._senders.awaited(sender), self._limits.connections // 2)
        if own >= self._limits.connections_each or self.taken + kept >= self._limits.connections:
            return False
        self.taken += 1
        self._senders.heard(sender, time.time()).connections += 1
        return True

    def give_back(self, sender: str) -> None:
        self.taken -= 1
        self._senders.left(sender)


class TcpListener:
    """One listening socket and the connections that came through it."""

    transport = "tcp"

    def __init__(
        self,
        endpoint: Endpoint,
        senders: Senders,
        slots: Slots,
        receive: Receive,
        count: Count,
        limits: Limits,
    ) -> None:
        self.endpoint = endpoint
        self.senders = senders
        self.slots = slots
        self.count = count
        self.limits = limits
        self.connections: set[Connection] = set()
        self.buffer = bytearray(READ_BYTES)
        """One for all connections: a selector loop reads and hands over without turning to another."""
        self.reads = 0
        self._receive = receive
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    @classmethod
    async def opened(
        cls,
        sock: socket.socket,
        senders: Senders,
        slots: Slots,
        receive: Receive,
        count: Count,
        limits: Limits,
    ) -> "TcpListener":
        """Listen at `sock`, which is bound and now ours."""
        listener = cls(endpoint_of(sock), senders, slots, receive, count, limits)
        loop = asyncio.get_running_loop()
        listener._server = await loop.create_server(lambda: Connection(listener), sock=sock, backlog=BACKLOG)
        listener._sweep()
        return listener

    async def close(self) -> None:
        """Accept nobody, take what has arrived (for half a second at most), and end the connections.

        Who waits to be accepted at a socket that was handed over goes on waiting there.
        """
        loop = asyncio.get_running_loop()
        for listening in self._server.sockets if self._server else ():
            loop.remove_reader(listening.fileno())  # `close` now would lose who was accepted in this very turn
        if self._sweeping:
            self._sweeping.cancel()
        deadline = time.monotonic() + DRAIN_SECONDS
        quiet = 0
        while quiet < QUIET_TURNS and time.monotonic() < deadline:
            before = self.reads
            await asyncio.sleep(0)  # one turn of the loop reads every connection once
            quiet = quiet + 1 if self.reads == before else 0
        for connection in list(self.connections):
            connection.end()
        if self._server:
            self._server.close()
        await asyncio.sleep(0)  # their sockets are closed in the loop's next turn

    def end_unlisted(self) -> None:
        """End the connections of senders that a reload has struck off the list."""
        for connection in list(self.connections):
            connection.end_if_unlisted()

    def take(self, blocks: list[Block], sender: str) -> None:
        """Hand blocks upward."""
        for block in blocks:
            self.senders.heard(sender, time.time(), len(block), len(block.data))
            self._receive(block, sender, self.transport)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        for connection in list(self.connections):
            connection.end_if_slow(loop.time())
        self._sweeping = loop.call_later(SWEEP_SECONDS, self._sweep)


class Connection(asyncio.BufferedProtocol):
    """One sender's connection."""

    def __init__(self, listener: TcpListener) -> None:
        self._listener = listener
        self._framer = Framer(listener.count, listener.limits.frame_bytes)
        self._view = memoryview(listener.buffer)
        self._transport: asyncio.Transport | None = None
        self._sender: str | None = None
        self._begun_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = transport.get_extra_info("peername")
        sender = self._listener.senders.admitted(peer[0]) if peer else None  # none: gone before we looked
        if sender is None:
            self._listener.count("sender_refused", 1)
            transport.abort()
        elif not self._listener.slots.take(sender):
            self._listener.count("too_many_connections", 1)
            transport.abort()
        else:
            self._transport, self._sender = transport, sender
            self._listener.connections.add(self)
            _keep_alive(transport.get_extra_info("socket"))

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        if self._sender is None:
            return
        self._listener.reads += 1
        blocks = self._framer.feed(bytes(self._view[:nbytes]))
        self._listener.take(blocks, self._sender)
        if self._framer.error:
            self._abort()
        elif not self._framer.begun:
            self._begun_at = None
        elif blocks or self._begun_at is None:
            self._begun_at = asyncio.get_running_loop().time()

    def eof_received(self) -> None:
        """The sender has ended its side: asyncio then closes ours."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.end()

    def end(self) -> None:
        """Take what there is of the last frame, and close."""
        if self._sender is not None:
            self._listener.take(self._framer.close(), self._sender)
            self._abort()

    def end_if_unlisted(self) -> None:
        """Close where the sender may not send any more; what came before it was struck off is taken."""
        if self._sender is not None and self._listener.senders.admitted(self._sender) is None:
            self._listener.count("sender_refused", 1)
            self.end()

    def end_if_slow(self, now: float) -> None:
        """Close where a frame began too long ago; what there is of it is thrown away."""
        if self._begun_at is not None and now - self._begun_at >= self._listener.limits.frame_seconds:
            self._listener.count("idle_or_slow_frame", 1)
            self._abort()

    def _abort(self) -> None:
        if self._transport and self._sender is not None:
            self._transport.abort()
            self._listener.connections.discard(self)
            self._listener.slots.give_back(self._sender)
            self._sender = None


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
