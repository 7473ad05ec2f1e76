"""Samples of dropped packets: the first bytes of a few of them, as the kernel's NFLOG target hands them out.

The rule that logs them holds the rate down (`limit rate 5/second burst 20 packets log group N snaplen 64`), so a
flood yields no more than that. What arrives was sent by an attacker: a forged address is as likely as any bytes.
Formats: linux/netfilter/nfnetlink_log.h; RFC 791 3.1, RFC 8200 3, RFC 9293 3.1.
"""

import errno
import os
import socket
import struct
import time
from collections import deque
from typing import NamedTuple

from appliance.address import Net
from appliance.firewall.table.netlink import (
    ACK,
    HEAD,
    HEADER,
    NETLINK_NETFILTER,
    NLMSG_ERROR,
    REQUEST,
    attribute,
    attributes,
    be16,
    be32,
    each_message,
)

_PACKET = 4 << 8
_CONFIG = 4 << 8 | 1
_NFULA_CFG_CMD = 1
_NFULA_CFG_MODE = 2
_NFULA_CFG_TIMEOUT = 4
_NFULA_CFG_QTHRESH = 5
_BIND = b"\1"
_COPY_PACKET = b"\2\0"
_NFULA_IFINDEX_INDEV = 4
_NFULA_PAYLOAD = 9

PACKET_BYTES = 64
"""Of each packet: an IPv6 header and a TCP header without options take 60."""
RECENT = 256
"""Kept at most: at five a second the last minute of a flood, some 100 KB."""
DATAGRAMS = 64
"""Read at most at once; each holds one packet. The burst of the rule is 20."""
DATAGRAM_BYTES = 4096
"""One packet's 64 bytes with all that the kernel says about it take 200."""

TCP = 6
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
"""From the lowest bit up."""


class Packet(NamedTuple):
    """What a packet's headers say."""

    source: Net
    """The single address that it claims to come from."""
    port: int
    """The TCP port that it was sent to; 0 where no whole TCP header stands right behind the IP header."""
    flags: str
    """Of TCP: `SYN`, `PSH ACK`; "" without a port."""


class Sample(NamedTuple):
    """One dropped packet."""

    time: float
    """When it was read, in seconds since the epoch."""
    source: Net
    port: int
    flags: str
    device: str
    """Name of the interface that it came in by; "" where there is none any more."""

    @property
    def family(self) -> int:
        """4 or 6."""
        return self.source.family


class Samples:
    """A socket bound to one NFLOG group in the network namespace that it was made in."""

    def __init__(self, group: int) -> None:
        """Raises OSError; the kernel says EPERM without CAP_NET_ADMIN, and where another socket has the group."""
        self.group = group
        self.recent: deque[Sample] = deque(maxlen=RECENT)
        self.overruns = 0
        """How often the kernel had to throw samples away because nobody read them."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
        )
        try:
            self._socket.bind((0, 0))
            self._socket.send(_binding(group))
            self._confirm()
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> list[Sample]:
        """The packets that wait, `DATAGRAMS` at most. Does not wait. Raises OSError where the socket itself fails."""
        found: list[Sample] = []
        for _ in range(DATAGRAMS):
            try:
                datagram = self._socket.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except OSError as fault:
                if fault.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1
                continue
            now = time.time()
            found += [Sample(now, *packet, _name(device)) for packet, device in logged(datagram)]
        self.recent.extend(found)
        return found

    def _confirm(self) -> None:
        """The kernel has answered before `send` returned; packets may already stand before its answer."""
        while True:
            datagram = self._socket.recv(DATAGRAM_BYTES)
            for kind, _flags, _sequence, at, _end in each_message(datagram):
                if kind == NLMSG_ERROR:
                    (negative,) = struct.unpack_from("=i", datagram, at)
                    if negative:
                        raise OSError(-negative, os.strerror(-negative))
                    return


def _binding(group: int) -> bytes:
    """Ask for the group, 64 bytes of each packet, each in a datagram of its own and without delay."""
    wishes = (
        (_NFULA_CFG_CMD, _BIND),
        (_NFULA_CFG_MODE, be32(PACKET_BYTES) + _COPY_PACKET),
        (_NFULA_CFG_TIMEOUT, be32(1)),  # in 1/100 s
        (_NFULA_CFG_QTHRESH, be32(1)),
    )
    body = b"".join(attribute(kind, value) for kind, value in wishes)
    head = HEADER.pack(HEAD + len(body), _CONFIG, REQUEST | ACK, 1, 0)
    return head + struct.pack("BB", socket.AF_UNSPEC, 0) + be16(group) + body


def logged(datagram: bytes) -> list[tuple[Packet, int]]:
    """The packets in one datagram of the kernel's, each with the number of the interface it came in by, or 0."""
    found = []
    for kind, _flags, _sequence, at, end in each_message(datagram):
        if kind == _PACKET:
            told = attributes(datagram[at + HEAD - HEADER.size : end])
            if packet := parse(told.get(_NFULA_PAYLOAD, b"")):
                found.append((packet, int.from_bytes(told.get(_NFULA_IFINDEX_INDEV, b"")[:4], "big")))
    return found


def parse(packet: bytes) -> Packet | None:
    """Read the headers at the beginning of an IP packet; None where there is no whole IP header. Never raises."""
    match packet[0] >> 4 if packet else 0:
        case 4:
            length = (packet[0] & 0xF) * 4
            if length < 20 or len(packet) < length:
                return None
            later_fragment = int.from_bytes(packet[6:8], "big") & 0x1FFF
            carries = packet[9] if not later_fragment else None
            return Packet(Net(packet[12:16], 32), *_tcp(carries, packet[length:]))
        case 6 if len(packet) >= 40:  # behind an extension header we do not look
            return Packet(Net(packet[8:24], 128), *_tcp(packet[6], packet[40:]))
    return None


def _tcp(carries: int | None, segment: bytes) -> tuple[int, str]:
    """Destination port and flags."""
    if carries != TCP or len(segment) < 20:
        return 0, ""
    flags = " ".join(name for bit, name in enumerate(_FLAGS) if segment[13] >> bit & 1)
    return int.from_bytes(segment[2:4], "big"), flags


def _name(device: int) -> str:
    """Looked up each time: interfaces come, go and are renamed, and samples are few."""
    try:
        name = socket.if_indextoname(device)
    except (OSError, OverflowError):  # gone, or never there
        return ""
    return name if name.isascii() and name.isprintable() else "?"
