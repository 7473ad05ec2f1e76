"""The words that UDP and TCP share: where blocks of frames go, within which limits, through which sockets."""

import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass

from appliance.config.values import Endpoint
from appliance.read.frames import Block
from appliance.read.framing import FRAME_LIMIT

Receive = Callable[[Block, str, str], None]
"""Called at once with a block, its sender's address and the transport (`udp`, `tcp`)."""

BACKLOG = 1024
"""Connections that may wait for us; the kernel cuts it to net.core.somaxconn. Where it is full, a sender
tries again only a second later."""

RECEIVE_BUFFER = 16 * 1024 * 1024
"""Bytes asked of the kernel for datagrams: a tenth of a second at 200,000 messages a second, while we are busy."""

_SO_RCVBUFFORCE = 33  # goes over net.core.rmem_max; needs CAP_NET_ADMIN

DRAIN_SECONDS = 0.5
"""How long a closing listener goes on taking what has arrived already."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one receiver allows its senders."""

    frame_bytes: int = FRAME_LIMIT
    frame_seconds: float = 30.0
    """A frame begun and not ended by then closes its connection: senders write a line in one go."""
    connections_each: int = 64
    """TCP connections of one sender: rsyslog opens one for each action."""
    connections: int = 1024
    """TCP connections in all; their begun frames then hold 64 MiB at most."""


def bound_socket(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    """A non-blocking socket at `endpoint`. An IPv6 one takes no IPv4. Raises OSError, naming the endpoint."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        sock.bind((endpoint.host, endpoint.port))
        if kind == socket.SOCK_STREAM:
            sock.listen(BACKLOG)
        else:
            _enlarge_buffer(sock)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"{endpoint}: {error.strerror}") from error
    return sock


def _enlarge_buffer(sock: socket.socket) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # cut to net.core.rmem_max


def allow_open_files(connections: int) -> None:
    """Raise our limit of open files, as far as the hard one lets us, so that so many connections fit.

    All that wait in the queue may be accepted, and refused, in one turn; 256 are for everything else.
    """
    wanted = connections + BACKLOG + 256
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def endpoint_of(sock: socket.socket) -> Endpoint:
    """Where a socket is bound, with the port that the kernel chose."""
    host, port, *_ = sock.getsockname()
    return Endpoint(host, port)
