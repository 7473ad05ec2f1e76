"""Netlink by hand: messages, attributes, transactions, dumps (netlink(7), linux/netfilter/nfnetlink.h).

A hand-packed message costs 10 µs where libnftables' text costs 50 and pyroute2's nftables module 300, and the
kernel's own error comes back with the message that it means (measured). Nothing here knows what a ban is.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from sys import byteorder
from typing import NamedTuple

NETLINK_NETFILTER = 12
NETLINK_SOCK_DIAG = 4

NFTABLES = 10
"""The subsystem's number (linux/netfilter/nfnetlink.h)."""
INET = 1
"""NFPROTO_INET: a table for both families."""

NLMSG_ERROR = 2
NLMSG_DONE = 3

REQUEST = 0x1
ACK = 0x4
DUMP = 0x300
CREATE = 0x400
APPEND = 0x800
EXCLUSIVE = 0x200
"""Flags of a message (netlink(7))."""
_INTERRUPTED = 0x10

NESTED = 0x8000
"""Flag of an attribute that holds attributes."""
_KIND = 0x3FFF

_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_NETLINK_CAP_ACK = 10
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
SEND_BUFFER = 64 << 20
"""Bytes. One transaction is one `send`: 32,768 elements in messages of their own take 3 MB of payload, and the kernel
counts its own overhead against this too."""
RECEIVE_BUFFER = 8 << 20
"""Bytes. A failed transaction answers once for each message that failed."""
RECEIVE_BYTES = 1 << 18

INTERRUPTIONS = 32
"""How often a dump that was cut through by a change is begun again before it is an error."""

ATTRIBUTE = struct.Struct("=HH")
HEADER = struct.Struct("=IHHII")
_NFGEN = struct.Struct(">BBH")
HEAD = HEADER.size + _NFGEN.size
"""Bytes before the attributes of a netfilter message."""

be16 = struct.Struct(">H").pack
be32 = struct.Struct(">I").pack
be64 = struct.Struct(">Q").pack


class NetlinkError(OSError):
    """The kernel refused. `index` is the message of the batch that it means, counted from 0; -1 for the batch."""

    def __init__(self, number: int, index: int = -1) -> None:
        super().__init__(number, os.strerror(number))
        self.index = index


class Message(NamedTuple):
    """One message of a transaction or a question: its type within the subsystem, flags, family, attributes."""

    kind: int
    flags: int
    family: int
    body: bytes


def attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return ATTRIBUTE.pack(length, kind) + data + bytes(-length & 3)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode("ascii") + b"\0")


def attributes(data: bytes, at: int = 0) -> dict[int, bytes]:
    """The attributes from `at` to the end, by kind; of several of one kind the last. Stops at a malformed one."""
    return dict(each_attribute(data, at))


def each_attribute(data: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    end = len(data)
    while at + 4 <= end:
        length, kind = ATTRIBUTE.unpack_from(data, at)
        if length < 4 or at + length > end:
            return
        yield kind & _KIND, data[at + 4 : at + length]
        at += length + 3 & ~3


class Netlink:
    """One netlink socket. Blocking; not to be shared between threads."""

    def __init__(self, protocol: int = NETLINK_NETFILTER, descriptor: int | None = None) -> None:
        """`descriptor` is a socket that an earlier process opened: what it owned is still ours. Raises OSError."""
        if descriptor is None:
            self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
            self.socket.bind((0, 0))
        else:
            self.socket = socket.socket(fileno=descriptor)
            self._drain()
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self.socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        for forced, plain, size in (
            (_SO_SNDBUFFORCE, socket.SO_SNDBUF, SEND_BUFFER),
            (_SO_RCVBUFFORCE, socket.SO_RCVBUF, RECEIVE_BUFFER),
        ):
            try:
                self.socket.setsockopt(socket.SOL_SOCKET, forced, size)
            except PermissionError:
                self.socket.setsockopt(socket.SOL_SOCKET, plain, size)
        self.commits = 0
        """Transactions that came true."""
        self._sequence = int.from_bytes(os.urandom(4), "big") & 0x3FFF_FFFF  # an earlier process's answers are not ours

    @property
    def port(self) -> int:
        """The number by which the kernel knows this socket; events carry it."""
        number: int = self.socket.getsockname()[0]
        return number

    def close(self) -> None:
        self.socket.close()

    def transact(self, subsystem: int, messages: Sequence[Message], *, every: bool = False) -> list[tuple[int, int]]:
        """Send one transaction: all of it comes true, or nothing.

        Raises NetlinkError for the first message that failed; with `every`, returns each failed message's index
        with its errno instead.
        """
        if not messages:
            return []
        first = self._take_sequences(len(messages) + 2)
        last = first + len(messages)
        begin = _message(0x10, REQUEST, first, 0, b"", subsystem)
        end = _message(0x11, REQUEST, last + 1, 0, b"", subsystem)
        base = subsystem << 8
        parts = [begin]
        parts += [
            _message(base | kind, REQUEST | flags, sequence, family, body)
            for sequence, (kind, flags, family, body) in enumerate(messages[:-1], first + 1)
        ]
        kind, flags, family, body = messages[-1]
        parts += [_message(base | kind, REQUEST | ACK | flags, last, family, body), end]
        self._send(b"".join(parts))
        failed = self._answers(first, last)
        if not failed:
            self.commits += 1
        elif not every:
            raise NetlinkError(failed[0][1], failed[0][0])
        return failed

    def _answers(self, first: int, last: int) -> list[tuple[int, int]]:
        """The failed messages of a transaction. The last message answers always, the first only for the batch."""
        failed: list[tuple[int, int]] = []
        while True:
            data = self._receive()
            done = False
            for kind, _flags, sequence, at, _end in each_message(data):
                if kind == NLMSG_ERROR and first <= sequence <= last:
                    number = -int.from_bytes(data[at : at + 4], byteorder, signed=True)
                    if number:
                        failed.append((sequence - first - 1, number))
                    done = done or sequence in (first, last)
            if done:
                return failed

    def ask(self, subsystem: int, question: Message) -> bytes | None:
        """The attributes of the one object that answers; None where there is none. Raises NetlinkError."""
        sequence = self._take_sequences(1)
        kind, flags, family, body = question
        self._send(_message(subsystem << 8 | kind, REQUEST | flags, sequence, family, body))
        while True:
            data = self._receive()
            for kind, _flags, answered, at, end in each_message(data):
                if answered != sequence:
                    continue
                if kind != NLMSG_ERROR:
                    return data[at + 4 : end]
                number = -int.from_bytes(data[at : at + 4], byteorder, signed=True)
                if number in (errno.ENOENT, 0):
                    return None
                raise NetlinkError(number)

    def dump(self, subsystem: int, question: Message) -> list[bytes]:
        """The attributes of every object that answers, as of one generation. Raises NetlinkError."""
        for _ in range(INTERRUPTIONS):
            found = self._dumped(subsystem, question)
            if found is not None:
                return found
        raise NetlinkError(errno.EINTR)

    def _dumped(self, subsystem: int, question: Message) -> list[bytes] | None:
        """None if a change cut through the dump: what was read fits no moment (NLM_F_DUMP_INTR)."""
        sequence = self._take_sequences(1)
        kind, flags, family, body = question
        self._send(_message(subsystem << 8 | kind, REQUEST | DUMP | flags, sequence, family, body))
        found: list[bytes] = []
        interrupted = False
        while True:
            data = self._receive()
            for kind, flags, answered, at, end in each_message(data):
                if answered != sequence:
                    continue
                interrupted = interrupted or bool(flags & _INTERRUPTED)
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    number = -int.from_bytes(data[at : at + 4], byteorder, signed=True)
                    if number == errno.EINTR or interrupted:
                        return None
                    if number and number != errno.ENOENT:
                        raise NetlinkError(number)
                    return found
                found.append(data[at + 4 : end])

    def _send(self, datagram: bytes) -> None:
        try:
            self.socket.send(datagram)
        except OSError as fault:  # EMSGSIZE, where the send buffer could not be made larger
            raise NetlinkError(fault.errno or errno.EIO) from fault

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(RECEIVE_BYTES)
        except OSError as fault:  # ENOBUFS: until all is read that it kept, the kernel drops further answers in silence
            self._drain()
            raise NetlinkError(fault.errno or errno.EIO) from fault

    def _take_sequences(self, number: int) -> int:
        first = self._sequence
        self._sequence += number
        if self._sequence > 0x7FFF_0000:
            self._sequence = 1
        return first

    def _drain(self) -> None:
        """Throw away what waits: answers that an earlier process, or we ourselves, did not read."""
        self.socket.setblocking(False)
        number = errno.ENOBUFS
        while number == errno.ENOBUFS:
            try:
                while True:
                    self.socket.recv(RECEIVE_BYTES)
            except OSError as fault:
                number = fault.errno or errno.EIO
        self.socket.setblocking(True)


def _message(kind: int, flags: int, sequence: int, family: int, body: bytes, resource: int = 0) -> bytes:
    return HEADER.pack(HEAD + len(body), kind, flags, sequence, 0) + _NFGEN.pack(family, 0, resource) + body


def each_message(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Kind, flags, sequence, begin and end of the payload of each message in a datagram."""
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, flags, sequence, _port = HEADER.unpack_from(data, at)
        if length < HEADER.size:
            return
        yield kind, flags, sequence, at + HEADER.size, at + length
        at += length + 3 & ~3
