"""This host's own addresses and gateways, asked from the kernel (RTM_GETADDR, RTM_GETROUTE: rtnetlink(7)).

The helper asks for itself: a receiver that is no longer ours could otherwise cut the gateway off.
"""

import socket
import struct

from appliance.address import Net
from appliance.firewall.table.netlink import DUMP, HEADER, NLMSG_DONE, NLMSG_ERROR, REQUEST, attributes

RTM_NEWADDR = 20
RTM_GETADDR = 22
RTM_NEWROUTE = 24
RTM_GETROUTE = 26
RTA_GATEWAY = 5
RT_TABLE_MAIN = 254
IFA_ADDRESS = 1
IFA_LOCAL = 2
"""IPv4: our end; IFA_ADDRESS is the peer's on a point-to-point link. IPv6 mostly has IFA_ADDRESS only."""

RECEIVE_BYTES = 65_536
"""The kernel fills at most 32 kB into one datagram of a dump."""

_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")


def addresses() -> set[Net]:
    """Every address of every interface in this network namespace. Raises OSError."""
    return _dumped(RTM_GETADDR, bytes(_IFADDR.size))


def gateways() -> set[Net]:
    """The next hops of this namespace's default routes, both families. Raises OSError."""
    return _dumped(RTM_GETROUTE, bytes(_RTMSG.size))


def _dumped(request: int, body: bytes) -> set[Net]:
    found: set[Net] = set()
    header = HEADER.pack(HEADER.size + len(body), request, REQUEST | DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.send(header + body)
        while _collect(kernel.recv(RECEIVE_BYTES), found):
            pass
    return found


def _collect(datagram: bytes, found: set[Net]) -> bool:
    """Add the addresses of one datagram; whether more follow."""
    at = 0
    while at + HEADER.size <= len(datagram):
        length, kind, *_ = HEADER.unpack_from(datagram, at)
        if kind == NLMSG_DONE:
            return False
        if kind == NLMSG_ERROR or length < HEADER.size:
            raise OSError("the kernel refused to list the addresses or routes of this host")
        if (read := _READERS.get(kind)) and (net := read(datagram[at + HEADER.size : at + length])):
            found.add(net)
        at += length + 3 & ~3
    return True


def _address(message: bytes) -> Net | None:
    found = attributes(message, _IFADDR.size)
    return _host(found.get(IFA_LOCAL) or found.get(IFA_ADDRESS))


def _gateway(message: bytes) -> Net | None:
    """The next hop, if it is a default route of the main table."""
    if len(message) < _RTMSG.size:
        return None
    _family, length, _source, _tos, table, *_ = _RTMSG.unpack_from(message)
    return _host(attributes(message, _RTMSG.size).get(RTA_GATEWAY)) if not length and table == RT_TABLE_MAIN else None


_READERS = {RTM_NEWADDR: _address, RTM_NEWROUTE: _gateway}


def _host(packed: bytes | None) -> Net | None:
    return Net(packed, len(packed) * 8) if packed and len(packed) in (4, 16) else None
