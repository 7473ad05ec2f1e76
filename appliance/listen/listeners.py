"""All sockets that one receiver listens on; a reload may open and close any of them."""

import asyncio
import logging
import socket
from collections.abc import Iterable

from appliance.address import NetSet
from appliance.config.values import Endpoint
from appliance.listen.passed import Passed
from appliance.listen.senders import Senders
from appliance.listen.sockets import Limits, Receive, allow_open_files, bound_socket
from appliance.listen.tcp import Slots, TcpListener
from appliance.listen.udp import UdpListener
from appliance.read.frames import Count

log = logging.getLogger(__name__)

Listener = UdpListener | TcpListener


class Listeners:
    """What is open, what came in, and who sent it.

    Reasons that are counted: those of framing, `sender_refused`, `too_many_connections`,
    `idle_or_slow_frame`.
    """

    def __init__(
        self,
        networks: NetSet,
        receive: Receive,
        count: Count,
        limits: Limits | None = None,
        passed: Passed | None = None,
    ) -> None:
        """`passed`: sockets that are taken instead of bound, where they are at the very endpoint; ours from now on."""
        self.senders = Senders(networks)
        self.opened: list[Listener] = []
        self._receive = receive
        self._count = count
        self._limits = limits or Limits()
        self._slots = Slots(self.senders, self._limits)
        self._passed = passed or Passed()
        self._dropped_before = 0

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped at our UDP sockets, those closed since included."""
        live = sum(listener.dropped for listener in self.opened if isinstance(listener, UdpListener))
        return self._dropped_before + live

    async def open_udp(self, endpoint: Endpoint) -> UdpListener:
        """Listen for datagrams. Raises OSError, naming the endpoint."""
        sock = self._passed.opened("udp", endpoint) or bound_socket(endpoint, socket.SOCK_DGRAM)
        listener = UdpListener(sock, self.senders, self._receive, self._count, self._limits)
        self.opened.append(listener)
        if lost := listener.dropped_before:
            log.warning("udp %s: %d datagrams found no room before we read here", endpoint, lost)
        return listener

    async def open_tcp(self, endpoint: Endpoint) -> TcpListener:
        """Listen for connections. Raises OSError, naming the endpoint."""
        sock = self._passed.opened("tcp", endpoint) or bound_socket(endpoint, socket.SOCK_STREAM)
        listener = await TcpListener.opened(sock, self.senders, self._slots, self._receive, self._count, self._limits)
        self.opened.append(listener)
        return listener

    async def adopt(self, udp: Iterable[Endpoint], tcp: Iterable[Endpoint], networks: NetSet) -> None:
        """Listen exactly there from now on, to exactly these senders: all of it, or nothing and OSError."""
        wanted = [("udp", endpoint) for endpoint in udp] + [("tcp", endpoint) for endpoint in tcp]
        standing = {(listener.transport, listener.endpoint): listener for listener in self.opened}
        added: list[Listener] = []
        try:
            for transport, endpoint in wanted:
                if (transport, endpoint) not in standing:
                    added.append(await (self.open_udp if transport == "udp" else self.open_tcp)(endpoint))
        except OSError:
            for listener in added:
                await self.close_one(listener)
            raise
        self.senders.networks = networks
        for listener in self.opened:
            if isinstance(listener, TcpListener):
                listener.end_unlisted()
        for place, listener in standing.items():
            if place not in wanted:
                await self.close_one(listener)
        self.tell_unread()

    def tell_unread(self) -> None:
        """Say of each socket that systemd holds whether nobody reads it."""
        self._passed.tell_unread([(listener.transport, listener.endpoint) for listener in self.opened])

    async def close_one(self, listener: Listener) -> None:
        """Close one listener; what it has received already is handed on first."""
        self.opened.remove(listener)
        await listener.close()
        if isinstance(listener, UdpListener):
            self._dropped_before += listener.dropped

    async def close(self) -> None:
        """Close all of them, within a second."""
        await asyncio.gather(*(self.close_one(listener) for listener in list(self.opened)))
        self._passed.close()


async def open_listeners(
    udp: Iterable[Endpoint],
    tcp: Iterable[Endpoint],
    networks: NetSet,
    receive: Receive,
    count: Count,
    limits: Limits | None = None,
    passed: Passed | None = None,
) -> Listeners:
    """Open all or none. Raises OSError for the first endpoint that could not be had."""
    listeners = Listeners(networks, receive, count, limits, passed)
    allow_open_files((limits or Limits()).connections)
    try:
        for endpoint in udp:
            await listeners.open_udp(endpoint)
        for endpoint in tcp:
            await listeners.open_tcp(endpoint)
    except OSError:
        await listeners.close()
        raise
    listeners.tell_unread()
    return listeners
