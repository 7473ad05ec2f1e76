"""Questions to the kernel over netlink whose answers may be long: conntrack's table, this host's sockets.

Answers come one by one as they are read, so that a table of a million flows is never in memory at once. The
payload is the caller's: conntrack begins it with a family, sock_diag with a whole structure (sock_diag(7)).
"""

import errno
import struct
from collections.abc import Iterator
from types import TracebackType

from appliance.firewall.table.netlink import (
    ACK,
    DUMP,
    HEADER,
    NLMSG_DONE,
    NLMSG_ERROR,
    RECEIVE_BYTES,
    REQUEST,
    Netlink,
    NetlinkError,
)

_NUMBER = struct.Struct("=i")


class Asking:
    """A netlink socket for a few questions, closed on leaving. Blocking; not to be shared between threads.

    Meant to live for one round of questions (opening one costs 10 µs): what a failed question leaves unread goes
    with it.
    """

    def __init__(self, protocol: int) -> None:
        """Raises OSError where the kernel has no such protocol."""
        self._netlink = Netlink(protocol)
        self._sequence = 0

    def __enter__(self) -> "Asking":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._netlink.close()

    def each(self, kind: int, payload: bytes) -> Iterator[bytes]:
        """The payload of every object that answers. Raises NetlinkError.

        Read it to its end before the next question. A table that changes meanwhile may show an object twice or
        not at all.
        """
        self._send(kind, DUMP, payload)
        while True:
            for answer, body in self._answers():
                if answer in (NLMSG_DONE, NLMSG_ERROR):
                    _raise(body)
                    return
                yield body

    def order(self, kind: int, payload: bytes) -> bool:
        """Have something done to one object; whether it was there. Raises NetlinkError."""
        self._send(kind, ACK, payload)
        while True:
            for answer, body in self._answers():
                if answer == NLMSG_ERROR:
                    try:
                        _raise(body)
                    except NetlinkError as refusal:
                        if refusal.errno == errno.ENOENT:
                            return False
                        raise
                    return True

    def _send(self, kind: int, flags: int, payload: bytes) -> None:
        self._sequence += 1
        header = HEADER.pack(HEADER.size + len(payload), kind, REQUEST | flags, self._sequence, 0)
        self._netlink.socket.send(header + payload)

    def _answers(self) -> Iterator[tuple[int, bytes]]:
        """Kind and payload of each message in the next datagram that answers the last question."""
        received = self._netlink.socket.recv(RECEIVE_BYTES)
        at = 0
        while at + HEADER.size <= len(received):
            length, kind, _flags, sequence, _port = HEADER.unpack_from(received, at)
            if length < HEADER.size:
                return
            if sequence == self._sequence:
                yield kind, received[at + HEADER.size : at + length]
            at += length + 3 & ~3


def _raise(body: bytes) -> None:
    """The error number that an acknowledgement or the end of a dump begins with; 0 is none."""
    (number,) = _NUMBER.unpack_from(body)
    if number:
        raise NetlinkError(-number)
