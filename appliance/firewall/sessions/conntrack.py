"""The TCP flows that this gateway tracks: who opened which, found by their client and ended (ctnetlink).

Attribute numbers are those of linux/netfilter/nfnetlink_conntrack.h.
"""

import errno
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple

from appliance.address import Net, NetSet
from appliance.firewall.sessions.asking import Asking
from appliance.firewall.table.netlink import NETLINK_NETFILTER, NetlinkError, attribute, attributes, be16, nested

FEW = 8
"""Up to so many single IPv4 addresses are asked for one by one. With 100,000 flows in the table the kernel finds
those of one address in 29 ms; to show all takes 250 ms, and to look through them here 100 more (measured)."""

LIVE_STATES = range(2, 7)
"""SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK (nf_conntrack_tcp.h): the server has a socket for it."""

NEW, GET, DELETE = 0x100, 0x101, 0x102
"""Message types, subsystem NFNL_SUBSYS_CTNETLINK (1) included."""

CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_PROTOINFO, CTA_ID, CTA_FILTER = 1, 2, 4, 12, 25
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_PROTO_NUM, CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT = 1, 2, 3
CTA_PROTOINFO_TCP = 1
CTA_PROTOINFO_TCP_STATE = 1
CTA_FILTER_ORIG_FLAGS = 1
_BY_SOURCE, _BY_PROTOCOL = 0x1, 0x8
"""Flags of CTA_FILTER (net/netfilter/nf_conntrack_netlink.c, kernel 5.8)."""

_TCP = bytes([6])
_FLAGS = struct.Struct("=I")


class _Family(NamedTuple):
    """What differs between IPv4 and IPv6."""

    head: bytes
    """Family, version and resource: what a netfilter message begins with."""
    width: int
    """Of an address, in bytes."""
    source: int
    target: int
    """Attribute numbers of the two addresses."""


_FAMILIES = {4: _Family(bytes([2, 0, 0, 0]), 4, 1, 2), 6: _Family(bytes([10, 0, 0, 0]), 16, 3, 4)}

_SOURCE_AT = 16
"""Where the client's address stands in what the kernel shows: the original direction comes first, its source before
its target. `_Sieve` looks whether that is so."""


class Ends(NamedTuple):
    """One direction of a TCP connection; addresses packed, both of one family."""

    source: bytes
    source_port: int
    target: bytes
    target_port: int

    def turned(self) -> "Ends":
        return Ends(self.target, self.target_port, self.source, self.source_port)


class Flow(NamedTuple):
    """One tracked TCP connection."""

    original: Ends
    """As its client sent it to the gateway."""
    reply: Ends
    """As the answering host sends it: behind DNAT its source is the mail host, not what the client asked for."""
    state: int
    """Of conntrack; 0 is none."""
    id: bytes
    """Tells it from a later flow with the same ends."""

    @property
    def client(self) -> Net:
        return Net(self.original.source, len(self.original.source) * 8)

    @property
    def ports(self) -> tuple[int, int]:
        """The port that the client asked for, and the one that answers."""
        return self.original.target_port, self.reply.source_port

    @property
    def live(self) -> bool:
        return self.state in LIVE_STATES


class Conntrack:
    """The connection table of this network namespace, for one round of questions."""

    def __init__(self) -> None:
        self._asking = Asking(NETLINK_NETFILTER)

    def __enter__(self) -> "Conntrack":
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._asking.__exit__(kind, fault, at)

    def flows(self, clients: NetSet) -> list[Flow]:
        """The TCP flows opened by an address of one of these networks. Raises OSError.

        The kernel picks out single IPv4 addresses; everybody else is looked for in one reading of the family's
        whole table. (Its filter by an IPv6 source shows everybody but that source, 5.8 to 6.18 at least:
        ctnetlink_filter_match_tuple() takes ipv6_addr_cmp() for a test of equality.)
        """
        found: list[Flow] = []
        for family in _FAMILIES:
            own = [net for net in clients.networks if net.family == family]
            if family == 4 and len(own) <= FEW and all(net.is_host for net in own):
                for net in own:
                    found += self._matching(family, NetSet([net]), net.packed)
            elif own:
                found += self._matching(family, NetSet(own), None)
        return found

    def delete(self, flow: Flow) -> bool:
        """Forget this flow; whether it was still there. Raises OSError."""
        family = 4 if len(flow.original.source) == 4 else 6
        which = tuple_of(CTA_TUPLE_ORIG, flow.original)
        return self._asking.order(DELETE, _FAMILIES[family].head + which + attribute(CTA_ID, flow.id))

    def _matching(self, family: int, clients: NetSet, source: bytes | None) -> list[Flow]:
        """`source`: the kernel is to show flows of this address only. Kernels before 5.8 show all, or refuse."""
        head = _FAMILIES[family].head
        sieve = _Sieve(family, clients)
        try:
            return list(sieve.flows(self._asking.each(GET, head + _only(family, source))))
        except NetlinkError as refusal:
            if refusal.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        return list(sieve.flows(self._asking.each(GET, head)))


def tuple_of(kind: int, ends: Ends) -> bytes:
    """The attribute that names one direction of a flow."""
    family = _FAMILIES[4 if len(ends.source) == 4 else 6]
    return nested(
        kind,
        nested(CTA_TUPLE_IP, attribute(family.source, ends.source), attribute(family.target, ends.target)),
        nested(
            CTA_TUPLE_PROTO,
            attribute(CTA_PROTO_NUM, _TCP),
            attribute(CTA_PROTO_SRC_PORT, be16(ends.source_port)),
            attribute(CTA_PROTO_DST_PORT, be16(ends.target_port)),
        ),
    )


def _only(family: int, source: bytes | None) -> bytes:
    """Attributes that make the kernel show TCP only, and flows from `source` only."""
    parts = [nested(CTA_TUPLE_PROTO, attribute(CTA_PROTO_NUM, _TCP))]
    flags = _BY_PROTOCOL
    if source is not None:
        parts.insert(0, nested(CTA_TUPLE_IP, attribute(_FAMILIES[family].source, source)))
        flags |= _BY_SOURCE
    return nested(CTA_TUPLE_ORIG, *parts) + nested(CTA_FILTER, attribute(CTA_FILTER_ORIG_FLAGS, _FLAGS.pack(flags)))


class _Sieve:
    """Finds the flows of some clients among those of all others: 0.4 µs for each that is not theirs."""

    def __init__(self, family: int, clients: NetSet) -> None:
        kind = _FAMILIES[family]
        address = attribute(kind.source, bytes(kind.width))
        self._clients = clients
        self._before = nested(CTA_TUPLE_IP, address, attribute(kind.target, bytes(kind.width)))[:4] + address[:4]
        """The eight bytes in front of the client's address."""
        beginnings: dict[int, set[bytes]] = {}
        for net in clients.networks:
            beginnings.setdefault(_SOURCE_AT + net.prefix // 8, set()).add(net.packed[: net.prefix // 8])
        self._beginnings = list(beginnings.items())
        """Where a client's address may end for this purpose → its whole bytes up to there."""

    def flows(self, answers: Iterator[bytes]) -> Iterator[Flow]:
        for answer in answers:
            if self._may_be(answer) and (flow := read(answer)) and flow.client in self._clients:
                yield flow

    def _may_be(self, answer: bytes) -> bool:
        if answer[_SOURCE_AT - 8 : _SOURCE_AT] != self._before:
            return True  # a kernel that shows flows in another order
        for end, heads in self._beginnings:  # noqa: SIM110 - any() would make a generator for each flow
            if answer[_SOURCE_AT:end] in heads:
                return True
        return False


def read(answer: bytes) -> Flow | None:
    """A flow as the kernel shows it, the head of the message included; None if it is no TCP flow."""
    parts = attributes(answer, 4)
    original, reply = (_ends(parts.get(kind, b"")) for kind in (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY))
    if original is None or reply is None:
        return None
    info = attributes(parts.get(CTA_PROTOINFO, b""))
    state = attributes(info.get(CTA_PROTOINFO_TCP, b"")).get(CTA_PROTOINFO_TCP_STATE, b"\0")
    return Flow(original, reply, state[0], parts.get(CTA_ID, b""))


def _ends(body: bytes) -> Ends | None:
    parts = attributes(body)
    addresses = attributes(parts.get(CTA_TUPLE_IP, b""))
    ports = attributes(parts.get(CTA_TUPLE_PROTO, b""))
    if ports.get(CTA_PROTO_NUM) != _TCP:
        return None
    for family in _FAMILIES.values():
        source, target = addresses.get(family.source, b""), addresses.get(family.target, b"")
        if len(source) == len(target) == family.width:
            return Ends(
                source,
                int.from_bytes(ports.get(CTA_PROTO_SRC_PORT, b""), "big"),
                target,
                int.from_bytes(ports.get(CTA_PROTO_DST_PORT, b""), "big"),
            )
    return None
