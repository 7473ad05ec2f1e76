"""One SYN in a banned client's name, which makes the mail host let go of that client's connection.

To a SYN on a connection that stands, a host answers with a challenge ACK of the right sequence number (RFC 5961
section 4.2). The chain `replies` rejects what is on its way to a banned client with a TCP reset, so that ACK comes
back as a reset that the host must believe, even where the connection was idle.
"""

import os
import socket
import struct
from types import TracebackType

from appliance.firewall.sessions.conntrack import Ends
from appliance.firewall.table.layout import FORGED

_SYN = 0x02
_HOPS = 64
_TCP = 6
_HEADER = struct.Struct("!HHIIBBHHH")
"""Ports, sequence, acknowledgement, length of the header, flags, window, checksum, urgent pointer."""
_WINDOW = 1024


class Forger:
    """Raw sockets for a few packets, closed on leaving. Needs CAP_NET_RAW, and CAP_NET_ADMIN for the mark."""

    def __init__(self) -> None:
        self._sockets: dict[int, socket.socket] = {}

    def __enter__(self) -> "Forger":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        for raw in self._sockets.values():
            raw.close()

    def send(self, ends: Ends) -> None:
        """Send a SYN from the source of `ends` to its target. Raises OSError, as where there is no way to it."""
        family = socket.AF_INET if len(ends.source) == 4 else socket.AF_INET6
        packet = syn(ends, int.from_bytes(os.urandom(4), "big"))
        self._socket(family).sendto(packet, (socket.inet_ntop(family, ends.target), 0))

    def _socket(self, family: socket.AddressFamily) -> socket.socket:
        """IPPROTO_RAW: the packet brings its own IP header, in both families, and nothing is ever received."""
        if family not in self._sockets:
            raw = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.IPPROTO_RAW)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, FORGED)
            self._sockets[family] = raw
        return self._sockets[family]


def syn(ends: Ends, sequence: int) -> bytes:
    """The whole packet, IP header and checksums included (RFC 791, RFC 8200, RFC 9293)."""
    bare = _HEADER.pack(ends.source_port, ends.target_port, sequence, 0, 5 << 4, _SYN, _WINDOW, 0, 0)
    addresses = ends.source + ends.target
    total = _checksum(addresses + struct.pack("!II", len(bare), _TCP) + bare)
    segment = bare[:16] + struct.pack("!H", total) + bare[18:]
    if len(ends.source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(segment), _TCP, _HOPS) + addresses + segment
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, _HOPS, _TCP, 0) + addresses
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + segment


def _checksum(octets: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071); 0 over what holds its own."""
    total: int = sum(number for (number,) in struct.iter_unpack("!H", octets))
    total = (total >> 16) + (total & 0xFFFF)
    return 0xFFFF - (total + (total >> 16) & 0xFFFF)
