"""This host's own addresses, asked from the kernel (rtnetlink RTM_GETADDR, see rtnetlink(7)).

The helper asks for itself: a receiver that is no longer ours could otherwise cut the gateway off.
"""

import socket
import struct

from appliance.address import Net

NLMSG_ERROR = 2
NLMSG_DONE = 3
RTM_NEWADDR = 20
RTM_GETADDR = 22
NLM_F_REQUEST = 0x1
NLM_F_DUMP = 0x300
IFA_ADDRESS = 1
IFA_LOCAL = 2
"""IPv4: our end; IFA_ADDRESS is the peer's on a point-to-point link. IPv6 mostly has IFA_ADDRESS only."""

RECEIVE_BYTES = 65_536
"""The kernel fills at most 32 kB into one datagram of a dump."""

_HEADER = struct.Struct("=IHHII")
_IFADDR = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_REQUEST = _HEADER.pack(_HEADER.size + _IFADDR.size, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + bytes(8)


def addresses() -> set[Net]:
    """Every address of every interface in this network namespace. Raises OSError."""
    found: set[Net] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.send(_REQUEST)
        while _collect(kernel.recv(RECEIVE_BYTES), found):
            pass
    return found


def _collect(datagram: bytes, found: set[Net]) -> bool:
    """Add the addresses of one datagram; whether more follow."""
    at = 0
    while at + _HEADER.size <= len(datagram):
        length, kind, *_ = _HEADER.unpack_from(datagram, at)
        if kind == NLMSG_DONE:
            return False
        if kind == NLMSG_ERROR or length < _HEADER.size:
            raise OSError("the kernel refused to list the addresses of this host")
        if kind == RTM_NEWADDR and (net := _address(datagram[at + _HEADER.size : at + length])):
            found.add(net)
        at += length + 3 & ~3
    return True


def _address(message: bytes) -> Net | None:
    attributes = {}
    at = _IFADDR.size
    while at + _ATTRIBUTE.size <= len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            break
        attributes[kind] = message[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    packed = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
    return Net(packed, len(packed) * 8) if packed and len(packed) in (4, 16) else None
