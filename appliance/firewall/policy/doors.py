"""What a gateway publishes: the ways to its mail hosts, and from them outwards."""

from collections.abc import Callable, Iterator

from appliance.firewall.policy.gateway import Gateway, Shape
from appliance.firewall.policy.limits import COUNTED, REFUSED, door, guard
from appliance.firewall.policy.text import (
    DENIED,
    PINGS,
    PROTOCOL,
    Chain,
    from_networks,
    interfaces,
    one_of,
    quoted,
    table_of,
)
from appliance.firewall.table.layout import FAVOURED
from appliance.model import Scope

_FAVOUR = f"ct mark set ct mark or {FAVOURED:#x}"


def door_chains(gateway: Gateway) -> Iterator[Chain]:
    """The chains for what goes to the mail host: a first packet, and one of a connection that was answered."""
    yield Chain(
        "favour",
        (f"meta mark and {FAVOURED:#x} == {FAVOURED:#x} {_FAVOUR}", *from_networks("allowed", _FAVOUR)),
    )
    only_syn = "tcp flags & (fin | syn | rst | ack) != syn counter name policy_invalid drop"
    for scope in sorted({publish.scope for publish in gateway.publish}):
        admin = (*from_networks("admin", f"goto {door(scope)}"), "counter name policy_admin drop")
        yield Chain(_entrance(scope), (only_syn, *(admin if scope is Scope.ADMIN else [f"goto {door(scope)}"])))
    yield Chain("standing", tuple(_standing(gateway)))
    yield Chain("opening", tuple(_opening(gateway)))


def translation_chains(gateway: Gateway) -> Iterator[Chain]:
    """Public addresses to the mail hosts', and back; the mail hosts' own to the chosen one."""
    targets: dict[int, dict[str, str]] = {4: {}, 6: {}}
    for publish in gateway.publish:
        for at in publish.at:
            targets[at.family] |= {f"{at} . {port}": str(publish.door(at.family)) for port in publish.ports}
    rules = tuple(
        table_of(f"dnat {PROTOCOL[family]} to {PROTOCOL[family]} daddr . tcp dport map", entries)
        for family, entries in targets.items()
    )
    sources = []
    if any(rules):
        yield Chain("publish", rules, "nat prerouting priority dstnat")
        hairpin = ", ".join(f"{quoted(name)} . {quoted(name)}" for name in gateway.lan)
        sources.append("# a neighbour of the mail host came by the public address: the answer must come back here")
        sources.append(f"ct status dnat iifname . oifname {{ {hairpin} }} masquerade")
    if gateway.snat:
        both = f"{interfaces('iifname', gateway.lan)} {interfaces('oifname', gateway.wan)}"
        sources.append(f"{both} snat ip to {gateway.snat}")
    if sources:
        yield Chain("translate", tuple(sources), "nat postrouting priority srcnat")


def _standing(gateway: Gateway) -> Iterator[str]:
    yield f"ct mark and {REFUSED:#x} == {REFUSED:#x} goto refused"
    yield "ct direction reply accept"
    yield "# a SYN again, or the reset of somebody in whose name it was sent: not a complete handshake"
    yield "tcp flags & (syn | rst | ack) != ack accept"
    counted = f"ct mark set ct mark or {COUNTED:#x} accept"
    if gateway.mode is Shape.ROUTED:
        yield f"{interfaces('iifname', gateway.lan)} {counted}"
    yield from _published(gateway, guard)
    yield counted


def _opening(gateway: Gateway) -> Iterator[str]:
    if gateway.mode is not Shape.HOST:
        yield from _outward(gateway)
    yield from _published(gateway, _entrance)
    if gateway.mode is Shape.HOST:
        yield from from_networks("inside", "accept", "meta l4proto tcp ")
        yield "goto local"
        return
    hosts = {net for publish in gateway.publish for net in publish.to}
    for family, kind in ((4, "icmp"), (6, "icmpv6")):
        if own := sorted(net for net in hosts if net.family == family):
            yield f"{PROTOCOL[family]} daddr {one_of(own)} {kind} type echo-request {PINGS}"
    yield DENIED


def _outward(gateway: Gateway) -> Iterator[str]:
    """What the mail hosts begin."""
    if gateway.mode is Shape.ROUTED:
        yield f"{interfaces('iifname', gateway.lan)} accept"
        yield f"{interfaces('iifname !=', gateway.wan)} {DENIED}"
        return
    yield "# all of them are on one side: between them nothing crosses the bridge"
    for family in (4, 6):
        own = f"{PROTOCOL[family]} saddr @inside{family} {PROTOCOL[family]} daddr"
        yield f"{own} @inside{family} counter name policy_spoofed drop"
        yield f"{own} != @inside{family} accept"


def _entrance(scope: Scope) -> str:
    return f"entrance_{scope.replace('-', '_')}"


def _published(gateway: Gateway, chain_of: Callable[[Scope], str]) -> Iterator[str]:
    """The rules that send a packet for a published port to its chain."""
    for family in (4, 6):
        targets = {
            f"{host} . {port}": f"goto {chain_of(publish.scope)}"
            for publish in gateway.publish
            if (host := publish.door(family))
            for port in publish.ports
        }
        yield table_of(f"{PROTOCOL[family]} daddr . tcp dport vmap", targets)
    anywhere = {
        str(port): f"goto {chain_of(publish.scope)}"
        for publish in gateway.publish
        if not publish.to
        for port in publish.ports
    }
    yield table_of("tcp dport vmap", anywhere)
