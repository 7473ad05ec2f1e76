"""Sockets that systemd holds for us (systemd.socket(5)): what arrives while nobody runs waits in them.

They stay open as long as the daemon lives, those that no endpoint names too: systemd has their ports, so that we
could not bind them when a reload names them. A listener reads a duplicate, which it may close; the queue stays.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Collection, Iterable

from appliance.config.values import Endpoint
from appliance.listen.sockets import endpoint_of

log = logging.getLogger(__name__)

Place = tuple[str, Endpoint]
"""A transport (`udp`, `tcp`) and where it is bound."""

_TRANSPORTS = {socket.SOCK_DGRAM: "udp", socket.SOCK_STREAM: "tcp"}


class Passed:
    """What was handed over at the start."""

    def __init__(self, descriptors: Iterable[int] = ()) -> None:
        """Takes over open descriptors. What is no bound datagram socket and no listening one is closed, with a word."""
        self._held: dict[Place, socket.socket] = {}
        self._unread: set[Place] = set()
        for descriptor in descriptors:
            self._take(descriptor)

    def opened(self, transport: str, endpoint: Endpoint) -> socket.socket | None:
        """A socket bound to exactly this endpoint, ready for a listener; None where none was handed over."""
        held = self._held.get((transport, endpoint))
        return held.dup() if held else None

    def tell_unread(self, listening: Collection[Place]) -> None:
        """Say once of each socket that no listener reads it."""
        unread = self._held.keys() - set(listening)
        for transport, endpoint in sorted(unread - self._unread):
            log.warning(
                "systemd holds %s %s for zward, and nobody reads what arrives there: name it in [listen] %s, "
                "or stop the socket's unit",
                *(transport, endpoint, transport),
            )
        self._unread = unread

    def close(self) -> None:
        """Let go of all; systemd keeps them, with what waits in them."""
        for held in self._held.values():
            held.close()
        self._held.clear()

    def _take(self, descriptor: int) -> None:
        try:
            sock = socket.socket(fileno=descriptor)
        except OSError as fault:
            log.warning("what systemd handed over as descriptor %d is no socket: %s", descriptor, fault.strerror)
            with contextlib.suppress(OSError):
                os.close(descriptor)
            return
        place = _place_of(sock)
        if place is None or place in self._held:
            log.warning("a socket that systemd handed over is none to receive logs at, or is one twice: %s", sock)
            sock.close()
            return
        sock.setblocking(False)
        self._held[place] = sock


def _place_of(sock: socket.socket) -> Place | None:
    """Where it is bound; None where nothing can be received."""
    transport = _TRANSPORTS.get(sock.type)
    if transport is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    if transport == "tcp" and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return None
    endpoint = endpoint_of(sock)
    return (transport, endpoint) if endpoint.port else None
