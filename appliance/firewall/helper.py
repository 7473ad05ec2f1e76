"""The privileged part of zward: `python -I -m appliance.firewall.helper --directory DIR --receiver USER`.

It alone holds CAP_NET_ADMIN and it believes nothing: it takes fixed records from the receiver, checks each element
against limits of its own and against root's orders, and changes the table `inet zward` and no other. It never sees a
log line. It outlives the receiver, and when it ends itself the kernel keeps the bans until their time is over.
"""

import argparse
import contextlib
import os
import pwd
import select
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from appliance.firewall.backend import Element
from appliance.firewall.firewall import Firewall, Refusing
from appliance.firewall.guard import Guard
from appliance.firewall.limits import MAX_BATCH
from appliance.firewall.orders import OrdersError
from appliance.firewall.places import ORDERS, SOCKET
from appliance.firewall.records import (
    MAX_PACKET,
    Malformed,
    Op,
    Reply,
    Request,
    Status,
    pack_reply,
    unpack_request,
)
from appliance.firewall.table.kernel import Kernel, KernelError, NoPermission
from appliance.firewall.table.netlink import Netlink
from appliance.systemd import inherited_once, notify

SEND_SECONDS = 5
"""How long a receiver may leave its answer unread before it is taken for gone."""

GLANCE = 0.25
"""Seconds between two looks at root's orders and at what is to be put back."""


SWITCH = 0.0005
"""Seconds after which the thread that ends sessions lets a ban go first: with Python's own 0.005 one ban in a hundred
took 9 ms instead of 0.6 (measured)."""


class Assembly:
    """Joins the packets of one request. Forgets an unfinished one as soon as another begins."""

    def __init__(self) -> None:
        self._op: Op | None = None
        self._sequence = -1
        self._elements: list[Element] = []
        self._spoilt = -1

    def add(self, packet: bytes) -> Request | None:
        """The whole request once its last packet is here. Raises Malformed; the rest is then ignored."""
        try:
            part = unpack_request(packet)
            if part.sequence == self._spoilt:
                return None
            if (part.op, part.sequence) != (self._op, self._sequence):
                self._op, self._sequence, self._elements = part.op, part.sequence, []
            self._elements += part.elements
            if len(self._elements) > MAX_BATCH:
                raise Malformed(f"more than {MAX_BATCH} elements in one request", part.sequence)
        except Malformed as error:
            self._op, self._spoilt, self._elements = None, error.sequence, []
            raise
        if part.more:
            return None
        self._op = None
        return Request(part.op, part.sequence, self._elements, counts=part.counts)


class Door:
    """Lets the receiver in: the right user, and one at a time."""

    def __init__(self, listening: socket.socket, receiver: int) -> None:
        self.listening = listening
        self._receiver = receiver
        self.client: socket.socket | None = None
        self._pid = 0
        self._assembly = Assembly()

    def enter(self) -> None:
        """Let whoever knocks in, or tell him why not."""
        knocking, _ = self.listening.accept()
        pid, uid, _gid = struct.unpack("3i", knocking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        knocking.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        if uid not in (0, self._receiver):
            knocking.close()
        elif self.client and not self._has_left():
            reason = f"another zward (pid {self._pid}) is connected to the firewall helper; end that one first"
            _send_away(knocking, reason)
        else:
            self.leave()
            self.client, self._pid, self._assembly = knocking, pid, Assembly()

    def leave(self) -> None:
        if self.client:
            self.client.close()
            self.client = None

    def _has_left(self) -> bool:
        ended = select.poll()
        ended.register(self.client or -1, select.POLLRDHUP)
        return bool(ended.poll(0))

    def serve(self, firewall: Firewall) -> None:
        """Answer the packet that waits."""
        if self.client is None:
            return
        try:
            packet = self.client.recv(MAX_PACKET + 1)  # one more than allowed: what is cut off must be seen
            if not packet and self._has_left():
                self.leave()
                return
            for reply in _replies(packet, self._assembly, firewall):
                self.client.send(pack_reply(reply))
        except OSError:  # gone, or it does not read its answers
            self.leave()


def _send_away(knocking: socket.socket, reason: str) -> None:
    """Say why and close. What was asked is read first: otherwise the answer would be thrown away with it (unix(7))."""
    with knocking, contextlib.suppress(OSError):
        knocking.send(pack_reply(Reply(Status.FAILED, 0, text=reason)))
        knocking.shutdown(socket.SHUT_RDWR)
        while knocking.recv(MAX_PACKET):
            pass


def _replies(packet: bytes, assembly: Assembly, firewall: Firewall) -> Iterator[Reply]:
    sequence = 0
    try:
        if request := assembly.add(packet):
            sequence = request.sequence
            yield from firewall.answer(request)
    except Malformed as error:
        yield Reply(Status.MALFORMED, error.sequence, text=str(error))
    except NoPermission as error:
        yield Reply(Status.NOT_PERMITTED, sequence, text=str(error))
    except KernelError as error:
        culprit = [Element(error.net, 0)] if error.net else []
        yield Reply(Status.FAILED, sequence, culprit, text=str(error))
    except (Refusing, OrdersError, OSError) as error:  # the last where the kernel does not tell our own addresses
        yield Reply(Status.FAILED, sequence, text=str(error))


def serve(door: Door, firewall: Firewall, guard: Guard, is_ending: Callable[[], bool]) -> None:
    """Answer, watch and mend, until told to end."""
    looked = 0.0
    while not is_ending():
        waiting = select.poll()
        waiting.register(door.listening, select.POLLIN)
        if door.client:
            waiting.register(door.client, select.POLLIN)
        for descriptor in guard.descriptors():
            waiting.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in waiting.poll(GLANCE * 1000)}
        if door.client and door.client.fileno() in ready:
            door.serve(firewall)
        if door.listening.fileno() in ready:
            door.enter()
        guard.look(ready)
        if time.monotonic() - looked > GLANCE:
            looked = time.monotonic()
            guard.glance()


def _listening(directory: Path, receiver: int) -> socket.socket:
    """Our own listening socket, where nobody handed one down. Raises OSError if another helper has it."""
    path = directory / SOCKET
    with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        if stat.S_ISSOCK(path.lstat().st_mode):
            try:
                other.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                sys.exit(f"another firewall helper serves {path}; end that one first")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.bind(str(path))
    path.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path, receiver, -1)
    made.listen(8)
    return made


def _user(text: str) -> int:
    """The number of a user given by number or name."""
    try:
        return int(text) if text.isdecimal() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no user {text!r}") from None


def main() -> None:
    """Serve until SIGTERM; Ctrl-C reaches the whole group, and is for whoever started us."""
    parser = argparse.ArgumentParser(prog="zward-firewall", description=__doc__)
    parser.add_argument("--directory", type=Path, required=True, help="where root's orders are, and our socket")
    parser.add_argument("--receiver", type=_user, required=True, metavar="USER", help="who may ask, beside root")
    parser.add_argument("--listen-fd", type=int, help="a listening socket that is kept over restarts")
    parser.add_argument("--netlink-fd", type=int, help="the socket that owns the table, kept over restarts")
    given = parser.parse_args()
    handed = inherited_once()
    listen = given.listen_fd if given.listen_fd is not None else handed.get("helper")
    owner = given.netlink_fd if given.netlink_fd is not None else handed.get("netlink")

    sys.setswitchinterval(SWITCH)
    ending: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ending.append(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # orders are read when they change

    listening = socket.socket(fileno=listen) if listen is not None else _listening(given.directory, given.receiver)
    netlink = Netlink(descriptor=owner)
    try:
        kernel = Kernel(netlink)
    except KernelError as error:
        sys.exit(str(error))
    if owner is None:
        notify("FDSTORE=1\nFDNAME=netlink", [netlink.socket.fileno()])
    firewall = Firewall(kernel, given.directory / ORDERS)
    guard = Guard(firewall, given.directory, netlink.port)
    notify("READY=1")
    serve(Door(listening, given.receiver), firewall, guard, lambda: bool(ending))
    notify("STOPPING=1")


if __name__ == "__main__":
    main()
