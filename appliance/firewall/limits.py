"""What may be banned at all. The helper and the observing backend ask the same question here.

The receiver decides who is banned; these limits hold even if the receiver is wrong, or is no longer ours.
"""

from bisect import bisect_right
from collections.abc import Iterable
from enum import IntEnum

from appliance.address import Net, parse_network
from appliance.firewall.backend import Element
from appliance.model import Scope

BAN_PREFIXES = {4: (32, 24), 6: (128, 64, 48)}
"""The prefix lengths with a set, narrowest first; /128 in scope `all` only. Wider ones hold innocent neighbours."""

LONGEST_BAN = 45 * 86400
"""Seconds. The ladder ends at 30 days and jitter adds a tenth; beyond that an element is a mistake."""

LONGEST_FENCE = 3600
"""Seconds. Whoever fences renews it: where nobody is left to, doors that keep users out must open by themselves."""

MAX_BATCH = 32_768
"""Elements in one transaction, so that no other request waits long behind one: it takes 50 ms (measured)."""

MAX_ALLOWED = 4096
"""Networks on the allow list. Interval sets commit in time that grows with them (13 ms a change at 100k)."""

MAX_SOURCES = 4096
"""Sources in one question for packet proof: each is looked up on its own, 4 µs (measured)."""

BANS_A_MINUTE = 2_097_152
"""Two full sets: more in a minute is no attack but a fault of ours, and would only wear the kernel out."""

SET_SIZE = 1_048_576
"""Elements in one kernel set: 89 bytes each for IPv4, 128 for IPv6 (measured), so about 130 MB when full."""


class Refusal(IntEnum):
    """Why one element may not be banned. The number travels in the reply, the words are for people."""

    PREFIX = 1
    HOST_BITS = 2
    SECONDS = 3
    SPECIAL = 4
    ALLOWED = 5
    OWN = 6
    RATE = 7

    @property
    def words(self) -> str:
        return REASONS[self]


REASONS = {
    Refusal.PREFIX: "only /32 and /24, /64 and /48 can be banned, and /128 in scope all",
    Refusal.HOST_BITS: "the address has bits set beyond its prefix length",
    Refusal.SECONDS: f"a ban lasts from 1 to {LONGEST_BAN} seconds",
    Refusal.SPECIAL: "loopback, link-local, multicast and reserved addresses are never banned",
    Refusal.ALLOWED: "it overlaps the allow list",
    Refusal.OWN: "it overlaps an address of this host",
    Refusal.RATE: f"more than {BANS_A_MINUTE} bans in a minute",
}


class Protected:
    """Networks that no ban may touch. Asking costs one bisection, however many there are."""

    def __init__(self, nets: Iterable[Net] = ()) -> None:
        self._starts: dict[int, list[int]] = {4: [], 6: []}
        self._ends: dict[int, list[int]] = {4: [], 6: []}
        for first, last, family in sorted((*net.bounds, net.family) for net in nets):
            ends = self._ends[family]
            self._starts[family].append(first)
            ends.append(max(last, ends[-1]) if ends else last)

    def touches(self, net: Net) -> bool:
        """Whether any address of `net` is protected."""
        first, last = net.bounds
        before = bisect_right(self._starts[net.family], last) - 1
        return before >= 0 and self._ends[net.family][before] >= first


SPECIAL = Protected(
    map(
        parse_network,
        (
            # RFC 6890: this network, loopback, link-local, multicast, reserved with broadcast
            *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
            # RFC 4291: unspecified, loopback and embedded IPv4, link-local, multicast
            *("::/64", "fe80::/10", "ff00::/8"),
        ),
    )
)


def refusal_of(element: Element, allowed: Protected, own: Protected) -> Refusal | None:
    """Why this element may not be banned; None if it may."""
    net, seconds, scope = element
    if net.prefix not in BAN_PREFIXES[net.family] or (net.prefix == 128 and scope is not Scope.ALL):
        return Refusal.PREFIX
    if net.bounds[0] & ((1 << (len(net.packed) * 8 - net.prefix)) - 1):
        return Refusal.HOST_BITS
    if not 1 <= seconds <= LONGEST_BAN:
        return Refusal.SECONDS
    if SPECIAL.touches(net):
        return Refusal.SPECIAL
    if allowed.touches(net):
        return Refusal.ALLOWED
    if own.touches(net):
        return Refusal.OWN
    return None


def covering(net: Net) -> list[Net]:
    """Every network that can be banned and covers all of `net`, narrowest first."""
    return [net.widened(prefix) for prefix in BAN_PREFIXES[net.family] if prefix <= net.prefix]
