"""Noticing that somebody else changed our tables, by the events of nftables (group NFNLGRP_NFTABLES of netlink).

The kernel tells of each table, chain, rule, set, element and object that a transaction made or removed, then who
committed it (NEWGEN). Every event carries the port number of the socket that sent the transaction, so a filter in
the kernel drops our own. An element that expires or a packet that adds one makes no event (measured on Linux 6.18).

While anybody listens, the kernel writes an event into a buffer of 8 KiB for each element of a transaction before a
filter can drop it, and keeps all of them until the end: 100,000 elements took 280 to 480 ms instead of 150 to 300, and
781 MB of kernel memory for that moment (measured). So we step aside for large transactions of our own: `Watch.aside`.
"""

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from appliance.firewall.table.netlink import (
    HEAD,
    HEADER,
    NETLINK_NETFILTER,
    NFTABLES,
    Message,
    Netlink,
    NetlinkError,
    attributes,
    each_attribute,
    each_message,
)

_NFNLGRP_NFTABLES = 7
_NFT_MSG_NEWGEN = 15
_NFT_MSG_GETGEN = 16
_NFTA_TABLE = 1
"""The table's name, in events of every kind: NFTA_TABLE_NAME, NFTA_CHAIN_TABLE … (linux/netfilter/nf_tables.h)."""
_NFTA_GEN_ID = 1
_NFTA_GEN_PROC_PID = 2
_NFTA_GEN_PROC_NAME = 3
_NFPROTO_INET = b"\1"

_SOL_NETLINK = 270
_NETLINK_ADD_MEMBERSHIP = 1
_NETLINK_DROP_MEMBERSHIP = 2
_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
RECEIVE_BUFFER = 16 << 20
"""Bytes of kernel memory. Holds the events of a foreign transaction of 100,000 elements; where it does not suffice,
events are lost, the kernel says so, and everything is compared instead."""
DATAGRAM_BYTES = 16384
"""The kernel writes events into buffers of at most 8192 bytes (NLMSG_GOODSIZE)."""
DATAGRAMS = 16
"""Read at most at once: some 700 events, 2 to 4 ms of work (measured). Bans must not wait for a flood of changes."""
NAME_BYTES = 16
"""Of a program's name. Linux keeps no more (TASK_COMM_LEN)."""


class Changes(NamedTuple):
    """What one transaction that was not ours did to our tables; `NOTHING` if nothing was told."""

    tables: frozenset[str] = frozenset()
    """The changed ones among those that are watched."""
    by: str = ""
    """Who committed it, in words: `nft (pid 4711)`. Any program can choose its name."""
    pid: int = 0
    """As the host's first pid namespace counts: inside a container not what `getpid` says."""
    lost: bool = False
    """Whether events were lost: what changed, and by whom, is not known. Compare everything."""


NOTHING = Changes()


class Events:
    """Reads what the kernel tells, transaction by transaction."""

    def __init__(self, tables: frozenset[str]) -> None:
        self._tables = {name.encode("ascii") + b"\0": name for name in tables}
        self._touched: set[str] = set()
        """By a transaction whose end is not read yet."""

    def take(self, datagram: bytes) -> Changes:
        """The transaction that this datagram ends, if it touched our tables. Never raises."""
        for kind, _flags, _sequence, at, end in each_message(datagram):
            if kind >> 8 != NFTABLES:
                continue
            if kind & 0xFF == _NFT_MSG_NEWGEN:
                touched, self._touched = frozenset(self._touched), set()
                return _committed(datagram[at + HEAD - HEADER.size : end], touched) if touched else NOTHING
            if datagram[at : at + 1] == _NFPROTO_INET and (name := self._named(datagram, at, end)):
                self._touched.add(name)
        return NOTHING

    @property
    def unfinished(self) -> bool:
        """Whether a transaction that touched our tables has not ended."""
        return bool(self._touched)

    def forget(self) -> None:
        """What follows does not belong to what was taken."""
        self._touched.clear()

    def _named(self, datagram: bytes, at: int, end: int) -> str | None:
        """Our table that an event is about, or None."""
        found = each_attribute(datagram[at + HEAD - HEADER.size : end])
        return self._tables.get(next((value for kind, value in found if kind == _NFTA_TABLE), b""))


class Watch:
    """A socket that hears of foreign changes to `inet` tables in the network namespace that it was made in.

    Poll it for reading; an error condition (POLLERR) is for `read` to clear as well.
    """

    def __init__(self, own_port: int, tables: frozenset[str]) -> None:
        """`own_port` is the `Netlink.port` whose transactions are ours. Raises OSError."""
        self._events = Events(tables)
        self._losing = False
        """Events were lost and the queue has not been empty since: the kernel drops on, and does not say so twice."""
        self._stepped_aside = False
        """Since the queue was last empty: the end of a transaction in it may be missing."""
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
        )
        try:
            _enlarge(self._socket)
            _ignore(self._socket, own_port)  # before it joins: nothing of ours may slip in
            self._socket.bind((0, 0))
            self._listen(_NETLINK_ADD_MEMBERSHIP)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> Changes:
        """The next foreign transaction that touched our tables, or `NOTHING`. Does not wait.

        At most `DATAGRAMS` are read; while there are more, the socket stays readable. Loss is told at once, and
        again when all is read that the kernel kept: only what is compared after that is surely the end of it.
        Raises OSError where the socket itself fails.
        """
        for _ in range(DATAGRAMS):
            try:
                datagram = self._socket.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                return self._at_the_end()
            except OSError as fault:
                if fault.errno != errno.ENOBUFS:
                    raise
                self._losing = True
                self._events.forget()
                return Changes(lost=True)
            if not self._losing and (changes := self._events.take(datagram)).tables:
                return changes
        return NOTHING

    @contextlib.contextmanager
    def aside(self, netlink: Netlink) -> Iterator[None]:
        """Do not listen during some transactions of `netlink`, so that the kernel writes no events for them.

        Worth its 15 µs from about 1000 elements on. Call `read` afterwards, although the socket may not ask for it:
        if somebody else's transaction was between, which their number tells, events were lost. Raises OSError.
        """
        before, committed = generation(netlink), netlink.commits
        self._listen(_NETLINK_DROP_MEMBERSHIP)
        try:
            yield
        finally:
            self._listen(_NETLINK_ADD_MEMBERSHIP)
            self._stepped_aside = True
            if generation(netlink) - before != netlink.commits - committed:
                self._losing = True

    def _listen(self, membership: int) -> None:
        self._socket.setsockopt(_SOL_NETLINK, membership, _NFNLGRP_NFTABLES)

    def _at_the_end(self) -> Changes:
        lost = self._losing or (self._stepped_aside and self._events.unfinished)
        self._losing = self._stepped_aside = False
        if not lost:
            return NOTHING
        self._events.forget()
        return Changes(lost=True)


def generation(netlink: Netlink) -> int:
    """How many transactions this network namespace has seen, modulo 2^32. Raises NetlinkError.

    Our own transaction raises it by one: by more, and somebody else's was between (9 µs, measured).
    """
    answer = netlink.ask(NFTABLES, Message(_NFT_MSG_GETGEN, 0, 0, b""))
    number = attributes(answer or b"").get(_NFTA_GEN_ID)
    if number is None:
        raise NetlinkError(errno.EPROTO)
    return int.from_bytes(number, "big")


def _committed(body: bytes, touched: frozenset[str]) -> Changes:
    """What the notice of a new generation says of its author."""
    found = attributes(body)
    pid = int.from_bytes(found.get(_NFTA_GEN_PROC_PID, b"")[:4], "big")
    name = printable(found.get(_NFTA_GEN_PROC_NAME, b"").partition(b"\0")[0]) or "an unnamed program"
    return Changes(touched, f"{name} (pid {pid})", pid)


def printable(name: bytes) -> str:
    """A program's name as one can show it anywhere: at most 16 characters, a question mark for anything odd."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in name[:NAME_BYTES])


def _enlarge(watching: socket.socket) -> None:
    try:
        watching.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except PermissionError:  # in a container: as much as the host allows
        watching.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def _ignore(watching: socket.socket, port: int) -> None:
    """Let the kernel drop events of transactions sent from `port`, and its own (port 0).

    It packs several events into a datagram, always of one transaction, so the first one's nlmsg_pid speaks for
    all. What the kernel does by itself (a quota used up, an interface gone) is no transaction: nothing ends it.
    """
    nlmsg_pid = 12
    port = int.from_bytes(struct.pack("=I", port), "big")  # the filter reads every word as big endian
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (0x20, 0, 0, nlmsg_pid),  # ld [12]
            (0x15, 2, 0, port),  # jeq #port, drop
            (0x15, 1, 0, 0),  # jeq #0, drop
            (0x06, 0, 0, 0xFFFFFFFF),  # ret #-1: all of it
            (0x06, 0, 0, 0),  # drop: ret #0
        )
    )
    instructions = ctypes.create_string_buffer(program, len(program))
    watching.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    )
