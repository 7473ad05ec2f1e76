"""The records that receiver and helper exchange over a SOCK_SEQPACKET socket: fixed widths, strict, binary.

A packet is a header of 12 bytes, then elements of 24 bytes, counts of 20 bytes and a short ASCII text, as
many of each as the header says. The whole parser of the privileged side is `_unpack` and `_element`.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from appliance.address import Net
from appliance.firewall.backend import Element
from appliance.model import BAN_SCOPES

VERSION = 2

MAX_PACKET = 32_768
"""Bytes. Linux gives a socket 208 kB of buffer by default; six packets fit, so neither end waits for each."""

MAX_TEXT = 512
"""Bytes of a text."""

FOREVER = 0xFFFF_FFFF
"""Remaining seconds of an element without a timeout. zward never makes one; an operator's hand can."""

_HEADER = struct.Struct("!BBBxIHH")
_ELEMENT = struct.Struct("!BBBx16sI")
_COUNT = struct.Struct("!HBBQQ")

ELEMENTS_IN_PACKET = (MAX_PACKET - _HEADER.size) // _ELEMENT.size

_WIDTHS = {4: 4, 6: 16}
"""Bytes of an address of each family."""


class Op(IntEnum):
    """What the receiver asks."""

    OPEN = 1
    BAN = 2
    UNBAN = 3
    BANNED = 4
    ALLOW = 5
    DROPPED = 6
    FAVOUR = 7
    SEEN = 8
    HEALTH = 9
    SAMPLES = 10
    FENCE = 11


class Status(IntEnum):
    """What the helper answers."""

    OK = 0
    MALFORMED = 1
    FAILED = 2
    NOT_PERMITTED = 3


class Count(NamedTuple):
    """Two numbers under a key: a drop counter's, a figure of `Health`, or a port and its seconds (FENCE)."""

    port: int
    scope: int
    """Index in `BAN_SCOPES`."""
    family: int
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Request:
    """One packet to the helper."""

    op: Op
    sequence: int
    elements: Sequence[Element] = ()
    """The seconds mean something for BAN and FAVOUR only, the scope for BAN only."""
    more: bool = False
    """Whether the elements of this request go on in the next packet."""
    counts: Sequence[Count] = ()
    """Of FENCE only."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One packet from the helper. What `elements` are depends on the request:

    refused ones, the seconds being the `Refusal` (BAN); lifted ones (UNBAN); standing bans (BANNED); proved sources
    (SEEN). With status FAILED the one that it stumbled over, if known.
    """

    status: Status
    sequence: int
    elements: Sequence[Element] = ()
    counts: Sequence[Count] = ()
    text: str = ""
    """What went wrong; what a person should know (HEALTH); a dropped packet (SAMPLES)."""
    more: bool = False


class Malformed(Exception):
    """The packet is none of ours. `sequence` is 0 if the header could not be read."""

    def __init__(self, message: str, sequence: int = 0) -> None:
        super().__init__(message)
        self.sequence = sequence


def pack_request(request: Request) -> bytes:
    return _pack(request.op, request.more, request.sequence, request.elements, request.counts, b"")


def pack_reply(reply: Reply) -> bytes:
    text = reply.text.encode("ascii", "replace")[:MAX_TEXT]
    return _pack(reply.status, reply.more, reply.sequence, reply.elements, reply.counts, text)


def unpack_request(packet: bytes) -> Request:
    """Raises Malformed, and nothing else, whatever the bytes are."""
    kind, more, sequence, elements, counts, text = _unpack(packet)
    if text or (counts and (kind != Op.FENCE or elements or more)):
        raise Malformed("a request holds counts or text", sequence)
    try:
        return Request(Op(kind), sequence, elements, more, counts)
    except ValueError:
        raise Malformed(f"there is no operation {kind}", sequence) from None


def unpack_reply(packet: bytes) -> Reply:
    """Raises Malformed, and nothing else, whatever the bytes are."""
    kind, more, sequence, elements, counts, text = _unpack(packet)
    try:
        return Reply(Status(kind), sequence, elements, counts, text.decode("ascii"), more)
    except ValueError:  # UnicodeDecodeError is one
        raise Malformed(f"there is no status {kind}, or its text is not ASCII", sequence) from None


def in_packets(elements: Sequence[Element]) -> Iterator[tuple[Sequence[Element], bool]]:
    """The elements cut to what fits in a packet, each with whether more follow; one empty cut for none."""
    for start in range(0, max(len(elements), 1), ELEMENTS_IN_PACKET):
        end = start + ELEMENTS_IN_PACKET
        yield elements[start:end], end < len(elements)


def _pack(
    kind: int, more: bool, sequence: int, elements: Sequence[Element], counts: Sequence[Count], text: bytes
) -> bytes:
    parts = [
        _HEADER.pack(VERSION, kind, more, sequence, len(elements), len(counts)),
        *(_ELEMENT.pack(n.family, n.prefix, BAN_SCOPES.index(scope), n.packed, left) for n, left, scope in elements),
        *(_COUNT.pack(*count) for count in counts),
        text,
    ]
    packet = b"".join(parts)
    if len(packet) > MAX_PACKET:
        raise ValueError(f"a packet of {len(packet)} bytes; the limit is {MAX_PACKET}")
    return packet


def _unpack(packet: bytes) -> tuple[int, bool, int, tuple[Element, ...], tuple[Count, ...], bytes]:
    if not _HEADER.size <= len(packet) <= MAX_PACKET:
        raise Malformed(f"a packet of {len(packet)} bytes; they have {_HEADER.size} to {MAX_PACKET}")
    version, kind, more, sequence, elements, counts = _HEADER.unpack_from(packet)
    if version != VERSION or more > 1:
        raise Malformed(f"version {version}; this is version {VERSION}", sequence)
    counts_at = _HEADER.size + elements * _ELEMENT.size
    text_at = counts_at + counts * _COUNT.size
    if not text_at <= len(packet) <= text_at + MAX_TEXT:
        raise Malformed(f"{elements} elements and {counts} counts in {len(packet)} bytes", sequence)
    found = tuple(_element(sequence, *each) for each in _ELEMENT.iter_unpack(packet[_HEADER.size : counts_at]))
    counted = tuple(Count(*fields) for fields in _COUNT.iter_unpack(packet[counts_at:text_at]))
    return kind, bool(more), sequence, found, counted, packet[text_at:]


def _element(sequence: int, family: int, prefix: int, scope: int, address: bytes, seconds: int) -> Element:
    width = _WIDTHS.get(family)
    if width is None or prefix > width * 8 or scope >= len(BAN_SCOPES) or any(address[width:]):
        raise Malformed(f"family {family}, prefix length {prefix}, scope {scope} or the padding is wrong", sequence)
    return Element(Net(address[:width], prefix), seconds, BAN_SCOPES[scope])
