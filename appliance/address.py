"""Internet addresses and networks as small, hashable values.

`ipaddress` parses and prints them; between those two moments a network is a pair of packed bytes and a
prefix length, because every log line asks for a dictionary look-up and `ipaddress` objects hash slowly
(measured: 0.2 µs against 0.03 µs for this tuple).
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

SOURCE_PREFIX = {4: 32, 6: 64}
"""How wide one source is: an IPv4 host, or the IPv6 /64 that one customer is given (RFC 6177)."""


class Net(NamedTuple):
    """A network, or a single address when `prefix` is the full width. Host bits are zero."""

    packed: bytes
    """4 bytes for IPv4, 16 for IPv6, in network order."""
    prefix: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return 4 if len(self.packed) == 4 else 6

    @property
    def is_host(self) -> bool:
        return self.prefix == len(self.packed) * 8

    def __str__(self) -> str:
        return _text(self)

    @property
    def bounds(self) -> tuple[int, int]:
        """The first and the last address as numbers. Host bits that are set after all are not taken away."""
        first = int.from_bytes(self.packed, "big")
        return first, first | ((1 << (len(self.packed) * 8 - self.prefix)) - 1)

    def widened(self, prefix: int) -> "Net":
        """The network of `prefix` bits around this one; itself if it is that wide already."""
        return self if self.prefix <= prefix else _masked(self.packed, prefix)

    def covers(self, other: "Net") -> bool:
        """Whether every address of `other` lies in this network."""
        return (
            len(self.packed) == len(other.packed)
            and self.prefix <= other.prefix
            and other.widened(self.prefix).packed == self.packed
        )


@lru_cache(maxsize=65536)
def _text(net: Net) -> str:
    """Canonical text (RFC 5952); `ipaddress` takes 2 µs for it, and the same sources come again and again."""
    if net.prefix == 32 and len(net.packed) == 4:  # nearly all there are, in a fifth of the time
        return "%d.%d.%d.%d" % tuple(net.packed)  # noqa: UP031 - a format string would name each byte
    address = ipaddress.ip_address(net.packed)
    return str(address) if net.is_host else f"{address}/{net.prefix}"


@lru_cache(maxsize=65536)
def _masked(packed: bytes, prefix: int) -> Net:
    width = len(packed) * 8
    number = int.from_bytes(packed, "big") >> (width - prefix) << (width - prefix)
    return Net(number.to_bytes(len(packed), "big"), prefix)


_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_DOTTED = re.compile(rb"%b(?:\.%b){3}" % (_OCTET, _OCTET))
"""Just the IPv4 addresses that `ipaddress` takes: four numbers up to 255 without leading zeros."""


@lru_cache(maxsize=65536)
def parse_address(text: bytes) -> Net | None:
    """Read one address as a log writes it; None where it is none.

    Accepts brackets around IPv6, unmaps ::ffff:0:0/96 to IPv4 (RFC 4291 2.5.5.2) and refuses scope ids:
    `ipaddress` takes any text behind a `%`, a semicolon and a firewall command included.
    """
    if _DOTTED.fullmatch(text):  # 1.5 µs where `ipaddress` takes 8: a flood comes from ever new addresses
        return Net(bytes(map(int, text.split(b"."))), 32)
    if len(text) > 47 or b"%" in text:  # the longest textual form is 45 characters, plus brackets
        return None
    if text[:1] == b"[" and text[-1:] == b"]":
        text = text[1:-1]
    try:
        address = ipaddress.ip_address(text.decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        return None
    if address.version == 6 and address.ipv4_mapped:
        address = address.ipv4_mapped
    return Net(address.packed, address.max_prefixlen)


def parse_network(text: str) -> Net:
    """Read `192.0.2.0/24`, `2001:db8::/32` or a single address.

    Raises ValueError saying what is wrong: a scope id, host bits set, a prefix out of range.
    """
    if "%" in text:
        raise ValueError(f"{text!r} has a scope id; write the address without it")
    network = ipaddress.ip_network(text.strip())
    if network.version == 6 and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        return Net(network.network_address.ipv4_mapped.packed, network.prefixlen - 96)
    return Net(network.network_address.packed, network.prefixlen)


def source_of(address: Net) -> Net:
    """The unit that is counted and banned: an IPv4 address itself, an IPv6 address's /64."""
    return address if len(address.packed) == 4 else address.widened(SOURCE_PREFIX[6])


def source_at(packed: bytes) -> Net:
    """The source whose packed address this is: `source_of(…).packed` the other way round."""
    return Net(packed, SOURCE_PREFIX[4 if len(packed) == 4 else 6])


class NetSet:
    """A fixed collection of networks that answers quickly which of them hold an address.

    One dictionary look-up for each distinct prefix length of a family, so the cost does not grow with the
    number of networks.
    """

    def __init__(self, networks: Iterable[Net] = ()) -> None:
        self.networks = frozenset(networks)
        heads: dict[tuple[int, int], set[int]] = {}
        for net in self.networks:
            width = len(net.packed)
            heads.setdefault((width, net.prefix), set()).add(
                int.from_bytes(net.packed, "big") >> width * 8 - net.prefix
            )
        self._heads = {width: [(prefix, heads[w, prefix]) for w, prefix in heads if w == width] for width in (4, 16)}
        """Width in bytes → for each prefix length in use the leading bits of its networks."""

    def __len__(self) -> int:
        return len(self.networks)

    def __or__(self, other: "NetSet") -> "NetSet":
        return NetSet(self.networks | other.networks)

    def holding(self, net: Net) -> Net | None:
        """The network of this set that covers all of `net`, or None."""
        width = len(net.packed)
        number = int.from_bytes(net.packed, "big")
        for prefix, heads in self._heads[width]:
            if prefix <= net.prefix and number >> width * 8 - prefix in heads:
                return _masked(net.packed, prefix)
        return None

    def touching(self, net: Net) -> Net | None:
        """A network of this set that shares at least one address with `net`, or None."""
        if found := self.holding(net):
            return found
        return next((own for own in self._narrower(net) if net.covers(own)), None)

    def _narrower(self, net: Net) -> Iterable[Net]:
        """Those that could lie inside `net`: none for a host, which keeps a start with 100,000 bans short."""
        return () if net.is_host else (own for own in self.networks if own.prefix > net.prefix)

    def __contains__(self, net: Net) -> bool:
        return self.holding(net) is not None


LOOPBACK = NetSet((parse_network("127.0.0.0/8"), parse_network("::1")))
"""This host, by whichever of its names (RFC 1122 3.2.1.3, RFC 4291 2.5.3)."""
