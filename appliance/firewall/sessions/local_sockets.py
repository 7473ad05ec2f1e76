"""This host's own TCP sockets, for a gateway that is the mail host itself: found by their peer and destroyed.

sock_diag(7), linux/inet_diag.h. Destroying needs CAP_NET_ADMIN, and a kernel built with INET_DIAG_DESTROY.
"""

import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from appliance.address import Net, NetSet
from appliance.firewall.sessions.asking import Asking
from appliance.firewall.sessions.conntrack import Ends
from appliance.firewall.table.netlink import NETLINK_SOCK_DIAG, attribute

FEW = 8
"""Up to so many networks the kernel is asked for one by one; it walks all sockets of the machine for each."""

_BY_FAMILY, _DESTROY = 20, 21
_REQ_BYTECODE = 1
_D_COND = 8
"""The one instruction of a program for INET_DIAG_REQ_BYTECODE: does the peer lie in this network?"""
_ANY_PORT = -1

_SYN_RECV = 3
_STATES = sum(1 << state for state in (1, _SYN_RECV, 4, 5, 8, 9, 11))
"""ESTABLISHED, SYN_RECV, FIN_WAIT1 and 2, CLOSE_WAIT, LAST_ACK, CLOSING (net/tcp_states.h): those that a peer keeps
alive. Not LISTEN; not SYN_SENT, which nobody but ourselves opened."""

_REQUEST = struct.Struct("=BBBBI")
"""inet_diag_req_v2 up to the socket's identity: family, protocol, extensions, padding, states."""
_ID_SIZE = 48
_ID_AT = 4
_ADDRESSES = struct.Struct("!HH16s16s")
"""What the identity begins with: our port, the peer's, our address, the peer's; IPv4 in the first four bytes."""
_MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address begins with on a socket that listens on `::` (RFC 4291 2.5.5.2), as Java's do."""


class LocalSocket(NamedTuple):
    """One TCP connection of this host."""

    inward: Ends
    """From the peer to us."""
    family: int
    """Of the socket, as the kernel numbers it; one of IPv6 may have an IPv4 peer."""
    state: int
    identity: bytes
    """The kernel's name for it, which no later socket has."""

    @property
    def peer(self) -> Net:
        return Net(self.inward.source, len(self.inward.source) * 8)

    @property
    def port(self) -> int:
        return self.inward.target_port


class LocalSockets:
    """The TCP sockets of this network namespace, for one round of questions."""

    def __init__(self) -> None:
        self._asking = Asking(NETLINK_SOCK_DIAG)

    def __enter__(self) -> "LocalSockets":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._asking.__exit__(kind, fault, at)

    def of(self, peers: NetSet) -> list[LocalSocket]:
        """The connected sockets whose peer lies in one of these networks. Raises OSError."""
        programs = [_program(net) for net in peers.networks] if len(peers) <= FEW else [b""]
        found = {}
        for family in (socket.AF_INET, socket.AF_INET6):
            for program in programs:
                found.update({made.identity: made for made in self._shown(family, program) if made.peer in peers})
        return list(found.values())

    def destroy(self, which: LocalSocket) -> bool:
        """Reset this connection; whether it was still there. Raises OSError: EOPNOTSUPP where the kernel cannot."""
        states = 1 << which.state
        return self._asking.order(_DESTROY, _REQUEST.pack(which.family, 6, 0, 0, states) + which.identity)

    def _shown(self, family: int, program: bytes) -> Iterator[LocalSocket]:
        question = _REQUEST.pack(family, 6, 0, 0, _STATES) + bytes(_ID_SIZE)
        for answer in self._asking.each(_BY_FAMILY, question + program):
            if found := read(answer):
                yield found


def _program(net: Net) -> bytes:
    """Have the kernel show only sockets whose peer lies in this network, mapped addresses included."""
    family = socket.AF_INET if net.family == 4 else socket.AF_INET6
    condition = struct.pack("=BBxxi", family, net.prefix, _ANY_PORT) + net.packed
    length = 4 + len(condition)
    return attribute(_REQ_BYTECODE, struct.pack("=BBH", _D_COND, length, length + 4) + condition)


def read(answer: bytes) -> LocalSocket | None:
    """A socket as the kernel shows it (inet_diag_msg); None if the answer is too short to be one."""
    if len(answer) < _ID_AT + _ID_SIZE:
        return None
    port, peer_port, address, peer = _ADDRESSES.unpack_from(answer, _ID_AT)
    family = answer[0]
    inward = Ends(_plain(family, peer), peer_port, _plain(family, address), port)
    return LocalSocket(inward, family, answer[1], answer[_ID_AT : _ID_AT + _ID_SIZE])


def _plain(family: int, address: bytes) -> bytes:
    if family == socket.AF_INET:
        return address[:4]
    return address[12:] if address.startswith(_MAPPED) else address
