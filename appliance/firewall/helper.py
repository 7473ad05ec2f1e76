"""The privileged part of zward: `python -m appliance.firewall.helper FD`.

It alone holds CAP_NET_ADMIN and it believes nothing: it takes fixed records from the receiver, checks each
element against limits of its own, and changes the table `inet zward` and no other. It never sees a log line.
When the receiver is gone it ends, and the kernel keeps the bans until their time is over.
"""

import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence

from appliance.address import Net
from appliance.firewall import own
from appliance.firewall.backend import Element, LibnftablesMissing, NotPermitted
from appliance.firewall.limits import MAX_ALLOWED, MAX_BATCH, Protected, covering, refusal_of
from appliance.firewall.listing import FOREVER
from appliance.firewall.nft import Nft, NftError
from appliance.firewall.records import (
    MAX_PACKET,
    Malformed,
    Op,
    Reply,
    Request,
    Status,
    in_packets,
    pack_reply,
    unpack_request,
)

OWN_ADDRESSES_AGE = 1.0
"""Seconds for which the list of our own addresses is good: an address added now is safe a second later."""

NOT_OPEN = "the firewall is not open"


class Refusing(Exception):
    """This request is not carried out; the words go back to the receiver."""


class Firewall:
    """The table, and what the helper itself knows about who may not be banned."""

    def __init__(self) -> None:
        self._nft: Nft | None = None
        self._allowed = Protected()
        self._own = Protected()
        self._own_read = float("-inf")

    def answer(self, request: Request) -> Iterator[Reply]:
        """Carry out a whole request. One reply, or several packets for a listing."""
        if request.op is Op.OPEN:
            self._nft = self._nft or Nft()
            self._nft.load()
            yield Reply(Status.OK, request.sequence)
            return
        if self._nft is None:
            raise Refusing(NOT_OPEN)
        match request.op:
            case Op.BAN:
                found = self._ban(self._nft, request.elements)
            case Op.UNBAN:
                wanted = dict.fromkeys(narrow for net, _ in request.elements for narrow in covering(net))
                found = [Element(net, 0) for net in self._nft.unban(list(wanted))]
            case Op.ALLOW:
                found = self._allow(self._nft, [net for net, _ in request.elements])
            case Op.BANNED:
                found = [Element(net, min(left, FOREVER)) for listed in self._nft.banned() for net, left in listed]
            case Op.DROPPED:
                yield Reply(Status.OK, request.sequence, counts=self._nft.dropped())
                return
        for part, more in in_packets(found):
            yield Reply(Status.OK, request.sequence, part, more=more)

    def _ban(self, nft: Nft, elements: Sequence[Element]) -> list[Element]:
        """Put in what may be put in; returns the others, each with its refusal in place of the seconds."""
        if time.monotonic() - self._own_read > OWN_ADDRESSES_AGE:
            self._own = Protected(own.addresses())
            self._own_read = time.monotonic()
        refused = []
        wanted: dict[Net, Element] = {}
        for element in elements:
            if refusal := refusal_of(element, self._allowed, self._own):
                refused.append(Element(element.net, refusal))
            else:
                wanted[element.net] = element  # the last one holds
        if wanted:
            nft.ban(list(wanted.values()))
        return refused

    def _allow(self, nft: Nft, nets: list[Net]) -> list[Element]:
        if len(nets) > MAX_ALLOWED:
            raise Refusing(f"an allow list of {len(nets)} networks; the limit is {MAX_ALLOWED}")
        nft.allow(nets)
        self._allowed = Protected(nets)
        return []


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
        return Request(part.op, part.sequence, self._elements)


def serve(receiver: socket.socket, firewall: Firewall) -> None:
    """Answer requests until the receiver is gone."""
    assembly = Assembly()
    while packet := _receive(receiver):
        try:
            for reply in _replies(packet, assembly, firewall):
                receiver.send(pack_reply(reply))
        except (BrokenPipeError, ConnectionResetError):
            return


def _replies(packet: bytes, assembly: Assembly, firewall: Firewall) -> Iterator[Reply]:
    sequence = 0
    try:
        if request := assembly.add(packet):
            sequence = request.sequence
            yield from firewall.answer(request)
    except Malformed as error:
        yield Reply(Status.MALFORMED, error.sequence, text=str(error))
    except LibnftablesMissing as error:
        yield Reply(Status.LIBRARY_MISSING, sequence, text=str(error))
    except NotPermitted as error:
        yield Reply(Status.NOT_PERMITTED, sequence, text=str(error))
    except NftError as error:
        culprit = [Element(error.net, 0)] if error.net else []
        yield Reply(Status.FAILED, sequence, culprit, text=str(error))
    except (Refusing, OSError) as error:
        yield Reply(Status.FAILED, sequence, text=str(error))


def _receive(receiver: socket.socket) -> bytes:
    """The next packet; b"" once the receiver is gone. An empty packet comes out as one that is malformed."""
    packet = receiver.recv(MAX_PACKET + 1)  # one more than allowed: what is cut off must be seen
    if packet:
        return packet
    ended = select.poll()
    ended.register(receiver, select.POLLRDHUP)
    return b"" if ended.poll(0) else b"\0"


def main() -> None:
    """Serve the socket whose number is the only argument; its other end must be our parent's."""
    for number in (signal.SIGINT, signal.SIGTERM):  # both reach the whole group: Ctrl-C, a service that is stopped
        signal.signal(number, signal.SIG_IGN)  # the receiver decides, and ends us by closing the socket
    with socket.socket(fileno=int(sys.argv[1])) as receiver:
        peer = struct.unpack("3i", receiver.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        if peer != os.getppid():
            sys.exit(f"the socket belongs to pid {peer}, and our parent is {os.getppid()}: not serving it")
        serve(receiver, Firewall())


if __name__ == "__main__":
    main()
