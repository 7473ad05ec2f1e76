"""The table `inet zward_policy`: what a gateway lets through, as text for libnftables.

A text has two parts. The first declares the table's sets, counters and chains, the second fills them. It can be loaded
where there is no such table, and over one with the same declarations: then every source's memory and every counter
stay as they are, and only rules and networks are exchanged. Over a table that declares something otherwise (another
mode, another limit, which the known sources' elements would not take up) that has to go first; `transaction` says
what. Each is one transaction. Every base chain ends in a drop of its own, since the kernel sets a new chain's policy a
moment after its rules.

A base chain goes only if its hook changes, and the whole table only if nobody knows what is in it. The kernel takes a
removed chain off its hook last, when the elements of its maps are gone already: until then what it finds in no map is
refused (measured on 6.18 with 1,000 new connections a second: every second such load refused one or two of them).
"""

import re
from collections.abc import Collection, Iterator

from appliance.address import Net
from appliance.firewall.policy.doors import door_chains, translation_chains
from appliance.firewall.policy.gateway import Gateway, Port, Shape
from appliance.firewall.policy.limits import COUNTED, REFUSED, SOURCES, limit_chains, limit_sets, refusal_chains
from appliance.firewall.policy.text import (
    DENIED,
    PINGS,
    PROTOCOL,
    Chain,
    block,
    from_networks,
    interfaces,
    network_set,
    one_of,
)

TABLE = "zward_policy"

COUNTERS = ("spoofed", "invalid", "admin", "rate", "connections", "denied", "full")
"""Why a packet was refused: a forged source; no packet of any connection; an admin port, from no admin network; too
many new connections; too many at once; nothing is open there; a set of sources is full."""

HYGIENE_PRIORITY = -305
"""After the bans (-310), before connection tracking (-200)."""

_BY_STATE = "ct state vmap { established : goto standing, related : accept, invalid : goto strays, new : goto opening }"
_NONSENSE = (
    "(fin | syn | rst | ack) == 0",
    "(fin | ack) == fin",
    "(syn | fin) == syn | fin",
    "(syn | rst) == syn | rst",
)
"""Flags that no segment of TCP has together (RFC 9293 3.10.7); the second is FIN without ACK, with or without more."""
_COUNTED = f"ct mark and {COUNTED | REFUSED:#x} == {COUNTED:#x} accept"

_FILLING = f"flush table inet {TABLE}\n"
"""Ends a text's declarations: removes the rules of all chains."""

_DECLARATION = re.compile(r"^\t(?P<name>(?P<kind>counter|set|chain) \w+) \{(?: \}|\n(?:\t\t.*\n)*\t\})\n", re.MULTILINE)
_UNFILLED = block(f"table inet {TABLE}")


def render(
    gateway: Gateway,
    *,
    allowed: Collection[Net] = (),
    syslog: Collection[Port] = (),
    senders: Collection[Net] = (),
    http: int | None = None,
    size: int = SOURCES,
) -> str:
    """The policy. `allowed` are favoured in limits; `syslog` is open to `senders`, the TCP port `http` to admin
    networks; `size` bounds each set of sources."""
    networks = {"admin": gateway.admin, "allowed": allowed, "senders": senders, "inside": tuple(_inside(gateway))}
    rooms = [gateway.limits.room(scope) for scope in sorted({publish.scope for publish in gateway.publish})]
    chains = [
        *_shared_chains(gateway),
        *refusal_chains(),
        *(chain for room in rooms for chain in limit_chains(room)),
        *door_chains(gateway),
        _local(syslog, http),
        *_base_chains(gateway),
    ]
    declared = [
        *(f"counter policy_{reason} {{ }}" for reason in COUNTERS),
        *(network_set(name, family) for name in networks for family in (4, 6)),
        *(text for room in rooms for text in limit_sets(room, size)),
        *(chain.declaration for chain in chains),
    ]
    filled = [
        *(network_set(name, family, nets) for name, nets in networks.items() for family in (4, 6)),
        *(chain.definition for chain in chains),
    ]
    emptied = "".join(f"flush set inet {TABLE} {name}{family}\n" for name in networks for family in (4, 6))
    table = f"table inet {TABLE}"
    return f"{block(table, *declared)}\n{_FILLING}{emptied}{block(table, *filled)}\n"


def transaction(text: str, standing: str | None) -> str:
    """What to load to put `text` in force where `standing` is, or where nobody knows what is."""
    there, wanted = _declared(standing or ""), _declared(text)
    if not there:
        return f"add table inet {TABLE}\ndelete table inet {TABLE}\n{text}"
    # chains before the sets and counters that their rules name, which `flush` has removed
    going = sorted(name for name, declaration in there.items() if wanted.get(name) != declaration)
    if not going:
        return text
    return _FILLING + "".join(f"delete {kind} inet {TABLE} {name}\n" for kind, name in map(str.split, going)) + text


def _declared(text: str) -> dict[str, str]:
    """`set web_rate4` → its declaration; nothing where a text is not one of ours."""
    declarations = text.partition(_FILLING)[0]
    if _DECLARATION.sub("", declarations).split() != _UNFILLED.split():
        return {}
    return {found["name"]: found[0] for found in _DECLARATION.finditer(declarations)}


def _inside(gateway: Gateway) -> Iterator[Net]:
    yield from gateway.inside
    if gateway.mode is Shape.BRIDGE:
        for publish in gateway.publish:
            yield from publish.to


def _wan(gateway: Gateway, key: str = "iifname", opposite: str = "iifname !=") -> str:
    """The match for packets from the world; with the keys exchanged for all others."""
    if names := (gateway.bridge,) if gateway.bridge else gateway.wan:
        return interfaces(key, names)
    return interfaces(opposite, ("lo",))


def _shared_chains(gateway: Gateway) -> Iterator[Chain]:
    yield Chain(
        "neighbours",
        (
            "# RFC 4861: a hop limit of 255 can only come from this link; RFC 2710: listener messages stay on theirs",
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } ip6 hoplimit 255 accept",
            "icmpv6 type nd-router-advert ip6 saddr fe80::/10 ip6 hoplimit 255 accept",
            "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } "
            "ip6 saddr { ::, fe80::/10 } ip6 hoplimit 1 accept",
        ),
    )
    yield Chain(
        "leases",
        (
            "# DHCP's answers to this host; those of DHCPv6 belong to no connection that is known",
            f"{_wan(gateway)} udp sport 67 udp dport 68 accept",
            f"{_wan(gateway)} ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
        ),
    )
    yield Chain(
        "strays",
        (
            "# errors about connections that are not tracked: a path's MTU is found out with them",
            "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept",
            "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
            "counter name policy_invalid drop",
        ),
    )


def _local(syslog: Collection[Port], http: int | None) -> Chain:
    """For this host's own ports."""
    rules = [f"{kind} type echo-request {PINGS}" for kind in ("icmp", "icmpv6")]
    rules.append("jump leases")
    for transport in ("udp", "tcp"):
        if numbers := sorted({port.number for port in syslog if port.transport == transport}):
            rules += from_networks("senders", "accept", f"{transport} dport {one_of(numbers)} ")
    if http is not None:
        rules += from_networks("admin", "accept", f"tcp dport {http} ")
    return Chain("local", (*rules, DENIED))


def _base_chains(gateway: Gateway) -> Iterator[Chain]:
    yield Chain("hygiene", tuple(_hygiene(gateway)), f"filter prerouting priority {HYGIENE_PRIORITY}")
    yield from translation_chains(gateway)
    yield Chain("forwarded", tuple(_forwarded(gateway)), "filter forward priority filter", "drop")
    yield Chain("incoming", tuple(_incoming(gateway)), "filter input priority filter", "drop")
    if untracked := tuple(_managed(gateway, "sport", "daddr", "notrack")):
        yield Chain("outgoing", untracked, f"filter output priority {HYGIENE_PRIORITY}")
    if gateway.mode is Shape.HOST:
        refused = f"ct mark and {REFUSED:#x} == {REFUSED:#x} tcp flags & rst == 0 reject with tcp reset"
        yield Chain("answers", (refused,), "filter output priority filter")


def _hygiene(gateway: Gateway) -> Iterator[str]:
    """Whatever nobody sends who means well, before it costs a look at connections."""
    yield "# never tracked: neither a full table of connections nor a load cuts the administrator off"
    yield from _managed(gateway, "dport", "saddr", "fib daddr type local notrack accept")
    yield f"{_wan(gateway, 'iifname !=', 'iifname')} accept"
    yield "jump neighbours"
    yield "jump leases"
    yield "# RFC 1122 3.2.1.3, RFC 4291 2.5 and 2.7: no source of a packet on a wire"
    yield "ip saddr { 0.0.0.0/8, 127.0.0.0/8, 224.0.0.0/3 } counter name policy_spoofed drop"
    yield "ip6 saddr { ::/96, ::ffff:0:0/96, ff00::/8 } counter name policy_spoofed drop"
    if gateway.mode is not Shape.BRIDGE:
        yield "# no route leads back there: a forged source, one of our own networks among them"
        yield "fib saddr . iif oif missing counter name policy_spoofed drop"
    for nonsense in _NONSENSE:
        yield f"tcp flags & {nonsense} counter name policy_invalid drop"


def _managed(gateway: Gateway, port: str, address: str, verdict: str) -> Iterator[str]:
    """The rules for management connections: this host's port, the admin network's address."""
    if gateway.management:
        for family in (4, 6):
            own = f"tcp {port} {one_of(sorted(gateway.management))}"
            yield f"{own} {PROTOCOL[family]} {address} @admin{family} {verdict}"


def _forwarded(gateway: Gateway) -> Iterator[str]:
    if gateway.bridge:
        yield f"{interfaces('iifname !=', [gateway.bridge])} {DENIED}"
        yield f"{interfaces('oifname !=', [gateway.bridge])} {DENIED}"
    if gateway.mode is not Shape.HOST:
        yield _COUNTED
        yield _BY_STATE
    if gateway.bridge:
        yield "jump neighbours"
    yield DENIED


def _incoming(gateway: Gateway) -> Iterator[str]:
    yield 'iifname "lo" accept'
    yield from _managed(gateway, "dport", "saddr", "accept")
    if gateway.mode is Shape.HOST:
        yield _COUNTED
        yield _BY_STATE
    else:
        yield "ct state vmap { established : accept, related : accept, invalid : goto strays }"
    yield "jump neighbours"
    yield "goto local"
