"""Pieces of text for libnftables: chains, rules, sets of networks. Nothing goes in that is not a `Net`, a number or a
checked interface name, so there is nothing to escape."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from appliance.address import SOURCE_PREFIX, Net

ADDRESS_TYPE = {4: "ipv4_addr", 6: "ipv6_addr"}
PROTOCOL = {4: "ip", 6: "ip6"}
SOURCE = {4: "ip saddr", 6: f"ip6 saddr and {'ffff:' * (SOURCE_PREFIX[6] // 16)}:"}
"""What one source is: an IPv4 address, an IPv6 /64."""

DENIED = "counter name policy_denied drop"
PINGS = "limit rate 50/second burst 100 packets accept"
"""A gateway should answer a ping, and need not answer a flood."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and its rules; empty rules are left out."""

    name: str
    rules: tuple[str, ...]
    hook: str = ""
    """`filter input priority filter` makes it a base chain."""
    policy: str = "accept"

    @property
    def declaration(self) -> str:
        kind, _, where = self.hook.partition(" ")
        head = f"type {kind} hook {where}; policy {self.policy};" if self.hook else ""
        return block(f"chain {self.name}", head)

    @property
    def definition(self) -> str:
        return block(f"chain {self.name}", *self.rules)


def block(head: str, *lines: str) -> str:
    return f"{head} {{\n{indented(filter(None, lines))}}}"


def indented(texts: Iterable[str]) -> str:
    return "".join(f"\t{line}\n" for text in texts for line in text.splitlines())


def network_set(name: str, family: int, nets: Collection[Net] = ()) -> str:
    """A set of networks, perhaps empty."""
    own = sorted(net for net in _outermost(frozenset(nets)) if net.family == family)
    elements = f"elements = {{ {', '.join(map(str, own))} }}" if own else ""
    return block(f"set {name}{family}", f"type {ADDRESS_TYPE[family]}", "flags interval", elements)


def from_networks(name: str, verdict: str, before: str = "") -> tuple[str, str]:
    """The rules for packets whose source is in `name4` or `name6`."""
    return f"{before}ip saddr @{name}4 {verdict}", f"{before}ip6 saddr @{name}6 {verdict}"


def interfaces(key: str, names: Iterable[str]) -> str:
    """`iifname { "wan0", "wan1" }`."""
    return f"{key} {one_of(map(quoted, names))}"


def quoted(name: str) -> str:
    """An interface's name: without quotes `any` or `40` would be something else."""
    return f'"{name}"'


def one_of(values: Iterable[object]) -> str:
    """`{ 25, 587 }`, or the value alone if there is but one."""
    texts = list(map(str, values))
    return texts[0] if len(texts) == 1 else f"{{ {', '.join(texts)} }}"


def table_of(what: str, entries: Mapping[str, str]) -> str:
    """`tcp dport vmap { 25 : goto door }`; nothing if it would be empty, which nft refuses."""
    pairs = ", ".join(f"{key} : {value}" for key, value in entries.items())
    return f"{what} {{ {pairs} }}" if entries else ""


def _outermost(nets: frozenset[Net]) -> list[Net]:
    """Without those that lie in another one: an interval set refuses overlaps."""
    prefixes = {(net.family, net.prefix) for net in nets}
    return [
        net
        for net in nets
        if not any(
            family == net.family and prefix < net.prefix and net.widened(prefix) in nets for family, prefix in prefixes
        )
    ]
