"""The table `inet zward` as text that libnftables reads. Nothing here touches the kernel.

A packet pays for a port look-up; if the port is exposed for one allow look-up and at most three ban look-ups.
All sets are hash sets: a network is looked up by the masked source address, because one change of an
interval set of 100,000 networks costs 13 ms and one of a hash set 8 µs (measured).

Text is made from packed bytes by `ipaddress` only: libnftables would look up a host name in the DNS.
"""

import ipaddress
from collections.abc import Collection, Iterable

from appliance.address import Net
from appliance.firewall.backend import EXPOSED_PORTS, Element
from appliance.firewall.limits import SET_SIZE

TABLE = "inet zward"

SET_OF = {(4, 32): "ban4", (4, 24): "ban4n", (6, 128): "ban6", (6, 64): "ban6n", (6, 48): "ban6n48"}
"""The set that holds the bans of one family and prefix length."""

PREFIX_OF = {name: key for key, name in SET_OF.items()}

HOOK_PRIORITY = -310
"""Before connection tracking (-200) and raw (-300): a dropped packet costs 170 ns here, 660 in forward."""

TYPE_OF = {4: "ipv4_addr", 6: "ipv6_addr"}

CHAINS = ("early", "exposed", "exposed4", "exposed6", "banned")


def load() -> str:
    """Make the table, or bring its rules up to date, in one transaction; no element is touched.

    Named sets, counters and their contents survive `add`; chains are emptied and filled within the
    transaction, so no packet sees them empty.
    """
    ports = ", ".join(map(str, EXPOSED_PORTS))
    counters = ", ".join(f'{port} : "{counter_name(port)}"' for port in EXPOSED_PORTS)
    rules = {
        "early": [f"tcp dport {{ {ports} }} goto exposed"],
        "exposed": ["meta nfproto vmap { ipv4 : goto exposed4, ipv6 : goto exposed6 }"],
        "exposed4": [
            "ip saddr @allow4 accept",
            "ip saddr @ban4 goto banned",
            "ip saddr & 255.255.255.0 @ban4n goto banned",
        ],
        "exposed6": [
            "ip6 saddr @allow6 accept",
            "ip6 saddr & ffff:ffff:ffff:ffff:: @ban6n goto banned",
            "ip6 saddr & ffff:ffff:ffff:: @ban6n48 goto banned",
            "ip6 saddr @ban6 goto banned",
        ],
        "banned": [f"counter name tcp dport map {{ {counters} }}", "drop"],
    }
    return "\n".join(
        [
            f"add table {TABLE}",
            *(_ban_set(name, family) for (family, _), name in SET_OF.items()),
            *(_allow_set(family) for family in (4, 6)),
            *(f"add counter {TABLE} {counter_name(port)}" for port in EXPOSED_PORTS),
            f"add chain {TABLE} early {{ type filter hook prerouting priority {HOOK_PRIORITY}; policy accept; }}",
            *(f"add chain {TABLE} {chain}" for chain in CHAINS[1:]),
            *(f"flush chain {TABLE} {chain}" for chain in CHAINS),
            *(f"add rule {TABLE} {chain} {rule}" for chain in CHAINS for rule in rules[chain]),
        ]
    )


def _ban_set(name: str, family: int) -> str:
    return f"add set {TABLE} {name} {{ type {TYPE_OF[family]}; flags timeout; size {SET_SIZE}; }}"


def _allow_set(family: int) -> str:
    return f"add set {TABLE} allow{family} {{ type {TYPE_OF[family]}; flags interval; }}"


def counter_name(port: int) -> str:
    return f"dropped_{port}"


def ban(elements: Iterable[Element], portable: bool) -> str:
    """Put these elements in, each with its time, as one transaction on one line.

    Kernels before 6.12 accept a new timeout for an element that is there already, and ignore it. `portable`
    adds each element (so that deleting cannot fail), deletes it, and adds it again: right on every kernel,
    and twice the work (0.7 s against 0.3 s for 100,000, measured).
    """
    timed: dict[str, list[str]] = {}
    bare: dict[str, list[str]] = {}
    for net, seconds in elements:
        name = SET_OF[net.family, net.prefix]
        address = str(ipaddress.ip_address(net.packed))
        timed.setdefault(name, []).append(f"{address} timeout {seconds}s")
        bare.setdefault(name, []).append(address)
    added = [_change("add", name, texts) for name, texts in timed.items()]
    if not portable:
        return "; ".join(added)
    return "; ".join([*added, *(_change("delete", name, texts) for name, texts in bare.items()), *added])


def unban(nets: Iterable[Net]) -> str:
    """Take these networks out: one command for each, so that the kernel answers for each missing one."""
    return "; ".join(
        _change("delete", SET_OF[net.family, net.prefix], [str(ipaddress.ip_address(net.packed))]) for net in nets
    )


def _change(verb: str, name: str, texts: Collection[str]) -> str:
    return f"{verb} element {TABLE} {name} {{ {', '.join(texts)} }}"


def element_at(command: str, column: int) -> Net | None:
    """The network that stands at this place of a command made by `ban` or `unban`; None where none does.

    libnftables names the culprit only by its column.
    """
    head = command.rfind(f"element {TABLE} ", 0, column)
    words = command[head:column].split()
    if head < 0 or len(words) < 4 or words[3] not in PREFIX_OF:
        return None
    address = command[column:].partition(" ")[0].rstrip(",")
    try:
        return Net(ipaddress.ip_address(address).packed, PREFIX_OF[words[3]][1])
    except ValueError:
        return None


def allow(nets: Iterable[Net]) -> str:
    """Replace the contents of both allow sets in one transaction."""
    commands = [f"flush set {TABLE} allow4", f"flush set {TABLE} allow6"]
    for family, merged in _merged(nets).items():
        if merged:
            commands.append(_change("add", f"allow{family}", merged))
    return "; ".join(commands)


def _merged(nets: Iterable[Net]) -> dict[int, list[str]]:
    """Each family's networks without overlaps: an interval set refuses them."""
    v4 = []
    v6 = []
    for net in nets:
        if net.family == 4:
            v4.append(ipaddress.IPv4Network((net.packed, net.prefix)))
        else:
            v6.append(ipaddress.IPv6Network((net.packed, net.prefix)))
    return {
        4: [str(net) for net in ipaddress.collapse_addresses(v4)],
        6: [str(net) for net in ipaddress.collapse_addresses(v6)],
    }
