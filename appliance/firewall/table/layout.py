"""What the table `inet zward` is made of: sets, maps, counters, chains and rules, each as text and as netlink.

A packet to an exposed port pays for one port look-up and two ban look-ups (IPv6: three), and for two more while
anybody is banned in a narrow scope. All ban sets are hash sets: a network is looked up by the masked address, because
one change of an interval set of 100,000 networks costs 13 ms and one of a hash set 8 µs (measured).

Chains:
`early`   prerouting, before connection tracking: a dropped packet costs 170 ns here, 660 in forward (measured).
          What a mail host answers goes to `from_login4` …: to a banned client a reset, which frees its socket; to
          anybody else, data proves that the client really is there (`seen4`, `seen6`). It is here, too, since a chain
          in forward costs every packet 230 ns more (measured).
          What a client sends goes by port to `login4`, `smtp_in6` …, and from there to `banned4_login` …
          While somebody fences ports, a new connection to one of them goes to `fenced4`, after the bans.
`sent`    output: the same answers, where the mail server is this host itself
`forged`  output: our own SYNs that make an idle mail host speak leave connection tracking alone
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from appliance.address import SOURCE_PREFIX
from appliance.firewall.backend import CLOSED_PORTS, EXPOSED_PORTS, FENCEABLE, Drop, closed_ports, drops
from appliance.firewall.limits import BAN_PREFIXES, SET_SIZE
from appliance.firewall.orders import Orders
from appliance.firewall.table import expressions as x
from appliance.model import BAN_SCOPES, Scope

TABLE = "zward"

HOOK_PRIORITY = -310
"""Before connection tracking (-200) and raw (-300), after the reassembly of fragments (-400)."""
REPLY_PRIORITY = -10
"""Before any filter in forward or output: those accept what is established."""

FAVOURED = 0x2000_0000
"""Bit of a packet's mark: its source is allowed or familiar."""
FORGED = 0x7A77_6172
"""Mark ("zwar") of the SYNs that we send in a banned client's name: in conntrack they would be a new flow."""

PROOF_SECONDS = 1800
"""How long an answered source counts as seen."""
SEEN_SIZE = 262_144
"""Sources with proof, each family. A full set proves nobody new, which bans nobody wrongly."""
SAMPLES_A_SECOND, SAMPLES_BURST, SAMPLE_BYTES = 5, 20, 96

PROTOCOL = {4: x.IPV4, 6: x.IPV6}
_SAYS = {4: "ip", 6: "ip6"}
WIDTH = {4: 32, 6: 128}
"""Bits of an address."""
_NARROW = (Scope.LOGIN, Scope.SMTP_IN)
FENCE = "fence"
"""The set of fenced ports. What is on neither list of its networks nor familiar may begin no connection to them."""
FENCE_SIZE = 8 * len(FENCEABLE)
"""Each may be written anew a few times before the kernel tidies up what is over."""
_SIDES = ("from", "sent")
"""Answers of mail hosts behind this one, and of this one."""


class Set(NamedTuple):
    """A set or map. `kind` is what it holds beside its keys, in the words of nft."""

    name: str
    family: int
    """4 or 6: addresses; 0: ports."""
    kind: str = "set"
    timeout: bool = False
    interval: bool = False
    dynamic: bool = False
    size: int = 0


class Chain(NamedTuple):
    name: str
    hook: str = ""
    priority: int = 0


class Rule(NamedTuple):
    chain: str
    text: str
    """As `nft list` writes it."""
    expressions: bytes


class PortElement(NamedTuple):
    """An element of a map from ports to verdicts or counters."""

    map: str
    port: int
    chain: str = ""
    jump: bool = False
    """Whether to come back from that chain."""
    counter: str = ""


def _suffix(scope: Scope) -> str:
    return "" if scope is Scope.ALL else "_" + scope.replace("-", "_")


def _ban_set(scope: Scope, family: int, prefix: int) -> str:
    kind = "" if prefix == WIDTH[family] else "n48" if prefix == 48 else "n"
    return f"ban{family}{kind}{_suffix(scope)}"


SET_OF = {
    (scope, family, prefix): _ban_set(scope, family, prefix)
    for scope in BAN_SCOPES
    for family, prefixes in BAN_PREFIXES.items()
    for prefix in prefixes
    if prefix != 128 or scope is Scope.ALL
}
"""The set that holds the bans of one scope, family and prefix length."""

PLACE_OF = {name: key for key, name in SET_OF.items()}
NARROW_SETS = {name: WIDTH[family] // 8 for name, (scope, family, _) in PLACE_OF.items() if scope is not Scope.ALL}
FAMILIAR_SETS = {f"familiar{family}": width // 8 for family, width in WIDTH.items()}
"""With the bytes of their keys."""

RESETS = "resets"
"""Counts the resets that the mail host got in a banned client's name."""
FENCED = "fenced"
"""Counts the packets that the fence dropped."""

Extra = tuple[int, ...]
"""The ports that root ordered to be closed by bans of scope `all` beside the exposed ones. They have chains of their
own; where there are none, nothing at all is made for them."""


def counter_of(extra: Extra = ()) -> dict[Drop, str]:
    """The name of every drop counter."""
    return {drop: f"d{drop.family}_{drop.port}_{drop.scope.replace('-', '_')}" for drop in drops(extra)}


def _scopes(extra: Extra) -> tuple[Scope, ...]:
    """Of ports: each has chains of its own. Extra ports are closed by bans of scope `all` only."""
    return (*_NARROW, Scope.ALL) if extra else _NARROW


def sets(size: int = SET_SIZE, extra: Extra = ()) -> list[Set]:
    """All sets and maps; `size` is how many elements a ban set may hold."""
    made = [Set(name, family, timeout=True, size=size) for (_, family, _), name in SET_OF.items()]
    made.append(Set(FENCE, 0, timeout=True, size=FENCE_SIZE))
    ports = len(EXPOSED_PORTS) + len(extra)
    for family in (4, 6):
        made += [
            Set(f"allow{family}", family, interval=True),
            Set(f"fence_from{family}", family, interval=True),
            Set(f"familiar{family}", family, timeout=True, size=size),
            Set(f"seen{family}", family, timeout=True, dynamic=True, size=SEEN_SIZE),
            *(Set(f"{name}{family}", 0, "verdict", size=ports) for name in ("ports", "served", "sent")),
            *(Set(_dropped(family, each), 0, "counter", size=len(closed_ports(each, extra))) for each in BAN_SCOPES),
        ]
    return made


def counters(extra: Extra = ()) -> list[str]:
    return [*counter_of(extra).values(), RESETS, FENCED]


def chains(extra: Extra = ()) -> list[Chain]:
    """Every chain, those without a hook first in the sense that nothing jumps to what is not there yet."""
    hooked = [
        Chain("early", "prerouting", HOOK_PRIORITY),
        Chain("sent", "output", REPLY_PRIORITY),
        Chain("forged", "output", HOOK_PRIORITY),
    ]
    inner = ["favoured"]
    for family in (4, 6):
        inner += [_dispatch(scope, family) for scope in _scopes(extra)]
        inner += [_banned(scope, family) for scope in BAN_SCOPES]
        inner += [f"first{family}", f"{FENCED}{family}"]
        for side in _SIDES:
            inner += [_answers(side, scope, family) for scope in _scopes(extra)]
            inner += [f"{side}_banned{family}", f"{side}_proof{family}"]
    return hooked + [Chain(name) for name in inner]


def _scope_of(port: int) -> Scope:
    """The scope in whose chains a port is looked at."""
    return next((scope for scope in _NARROW if port in CLOSED_PORTS[scope]), Scope.ALL)


def port_elements(extra: Extra = ()) -> Iterator[PortElement]:
    for family in (4, 6):
        for port in (*EXPOSED_PORTS, *extra):
            scope = _scope_of(port)
            yield PortElement(f"ports{family}", port, chain=_dispatch(scope, family))
            yield PortElement(f"served{family}", port, chain=_answers("from", scope, family), jump=True)
            yield PortElement(f"sent{family}", port, chain=_answers("sent", scope, family))
    for (port, scope, family), name in counter_of(extra).items():
        yield PortElement(_dropped(family, scope), port, counter=name)


def rules(orders: Orders, *, narrow: bool = True, fenced: bool = True) -> list[Rule]:
    """All rules. Those for narrow scopes only if `narrow`, and those of the fence only if `fenced`: looking into an
    empty set costs a packet 60 ns too."""
    made = [
        Rule("forged", f"meta mark 0x{FORGED:08x} notrack", x.marked(FORGED) + x.notrack()),
        Rule("favoured", f"meta mark set meta mark | 0x{FAVOURED:08x}", x.set_mark(FAVOURED)),
        Rule("favoured", "accept", x.verdict(x.ACCEPT)),
    ]
    for family in (4, 6):
        made += _entrance(family)
        for scope in _scopes(orders.extra_ports):
            made += _coming(scope, family, orders, narrow=narrow, fenced=fenced)
            for side in _SIDES:
                made += _answering(side, scope, family, narrow=narrow)
        for scope in BAN_SCOPES:
            made += _dropping(scope, family, orders)
        made += _beginning(family)
        made += _fencing(family, orders) if fenced else ()
        for side in _SIDES:
            made += _freeing(side, family)
            made.append(_proving(side, family))
    return made


def _entrance(family: int) -> Iterator[Rule]:
    protocol = x.family(PROTOCOL[family]) + x.tcp()
    says = f"meta nfproto ipv{family} tcp"
    for chain, side, name in (("early", "s", "served"), ("early", "d", "ports"), ("sent", "s", "sent")):
        dispatch = protocol + x.port(side) + x.verdict_of(f"{name}{family}")
        yield Rule(chain, f"{says} {side}port vmap @{name}{family}", dispatch)


def _coming(scope: Scope, family: int, orders: Orders, *, narrow: bool, fenced: bool) -> Iterator[Rule]:
    """What a client sends to a port of this scope. Who is allowed is asked only of whoever is banned: it costs more."""
    chain = _dispatch(scope, family)
    for banned_in in _looked_into(scope, narrow=narrow):
        for name, prefix in _sets_of(banned_in, family):
            yield _on_address(chain, family, "s", name, _banned(banned_in, family), prefix)
    if fenced and scope is Scope.LOGIN:
        closed = x.tcp() + x.port("d") + x.in_set(FENCE) + x.verdict(x.GOTO, f"{FENCED}{family}")
        yield Rule(chain, f"tcp dport @{FENCE} goto {FENCED}{family}", closed)
    if orders.mark:
        first = x.tcp() + x.tcp_flags(x.SYN | x.ACK, x.SYN)
        yield Rule(chain, f"tcp flags syn / syn,ack goto first{family}", first + x.verdict(x.GOTO, f"first{family}"))


def _looked_into(scope: Scope, *, narrow: bool) -> tuple[Scope, ...]:
    """The scopes in which a ban closes a port of this one."""
    return (Scope.ALL, scope) if narrow and scope is not Scope.ALL else (Scope.ALL,)


def _fencing(family: int, orders: Orders) -> Iterator[Rule]:
    """What comes to a fenced port: only a connection's first packet bears neither flag.

    A packet so short that its flags are in another fragment does not get past the first rule and counts as a first one.
    """
    chain = f"{FENCED}{family}"
    yield Rule(chain, "tcp flags rst,ack accept", x.tcp() + x.tcp_flag_set(x.RST | x.ACK) + x.verdict(x.ACCEPT))
    known = (f"allow{family}", 128), (f"familiar{family}", SOURCE_PREFIX[family]), (f"fence_from{family}", 128)
    for name, prefix in known:
        yield _on_address(chain, family, "s", name, f"first{family}" if orders.mark else "", prefix)
    yield Rule(chain, f'counter name "{FENCED}"', x.counter(FENCED))
    if orders.reset:
        yield Rule(chain, "meta l4proto tcp reject with tcp reset", x.tcp() + x.reset())
    yield Rule(chain, "drop", x.verdict(x.DROP))


def _beginning(family: int) -> Iterator[Rule]:
    """The first packet of a connection: whose limits are wide?"""
    yield _on_address(f"first{family}", family, "s", f"allow{family}", "favoured")
    prefix = SOURCE_PREFIX[family]
    yield _on_address(f"first{family}", family, "s", f"familiar{family}", "favoured", prefix)


def _dropping(scope: Scope, family: int, orders: Orders) -> Iterator[Rule]:
    chain, counting = _banned(scope, family), _dropped(family, scope)
    yield _on_address(chain, family, "s", f"allow{family}", "favoured" if orders.mark else "")
    yield Rule(chain, f"counter name tcp dport map @{counting}", x.tcp() + x.port("d") + x.counter_of(counting))
    if orders.samples:
        yield Rule(
            chain,
            f"limit rate {SAMPLES_A_SECOND}/second burst {SAMPLES_BURST} packets "
            f"log group {orders.samples} snaplen {SAMPLE_BYTES}",
            x.at_most(SAMPLES_A_SECOND, SAMPLES_BURST) + x.log_to(orders.samples, SAMPLE_BYTES),
        )
    if orders.reset:
        yield Rule(chain, "meta l4proto tcp reject with tcp reset", x.tcp() + x.reset())
    else:
        prefix = SOURCE_PREFIX[family]
        says, loaded = _address(family, "s", prefix)
        text = f"meta l4proto tcp {says} @familiar{family} reject with tcp reset"
        yield Rule(chain, text, x.tcp() + loaded + x.in_set(f"familiar{family}") + x.reset())
    yield Rule(chain, "drop", x.verdict(x.DROP))


def _answering(side: str, scope: Scope, family: int, *, narrow: bool) -> Iterator[Rule]:
    """What a mail host sends from a port of this scope."""
    chain = _answers(side, scope, family)
    for banned_in in _looked_into(scope, narrow=narrow):
        for name, prefix in _sets_of(banned_in, family):
            yield _on_address(chain, family, "d", name, f"{side}_banned{family}", prefix)
    proof = f"{side}_proof{family}"
    yield Rule(chain, f"tcp flags psh goto {proof}", x.tcp() + x.tcp_flag_set(x.PSH) + x.verdict(x.GOTO, proof))


def _freeing(side: str, family: int) -> Iterator[Rule]:
    """What goes to a banned client ends the connection instead, unless the client is allowed all the same."""
    chain = f"{side}_banned{family}"
    if side == "sent":  # the reset that answers a banned client in `early` leaves by here
        yield Rule(chain, "tcp flags rst accept", x.tcp() + x.tcp_flag_set(x.RST) + x.verdict(x.ACCEPT))
    yield _on_address(chain, family, "d", f"allow{family}", f"{side}_proof{family}")
    reset = x.tcp() + x.counter(RESETS) + x.reset()
    yield Rule(chain, f'meta l4proto tcp counter name "{RESETS}" reject with tcp reset', reset)


def _proving(side: str, family: int) -> Rule:
    """A mail host sends data only where the handshake is complete; the flag PSH is on the last segment of each answer.

    A bare acknowledgement proves nothing: one goes to the address of a forged packet too (RFC 5961). And nobody on
    the world's side can speak as a mail host.
    """
    says, loaded = _address(family, "d", SOURCE_PREFIX[family])
    masked = says.removesuffix(" ==")
    name = f"seen{family}"
    true_words, is_true = ("fib saddr . iif oif exists ", x.from_where_it_belongs()) if side == "from" else ("", b"")
    return Rule(
        f"{side}_proof{family}",
        f"{masked} != @{name} {true_words}add @{name} {{ {masked} timeout {PROOF_SECONDS // 60}m }}",
        loaded + x.not_in_set(name) + is_true + loaded + x.remember(name, PROOF_SECONDS * 1000),
    )


def _on_address(chain: str, family: int, direction: str, name: str, target: str, prefix: int = 128) -> Rule:
    """Go to `target`, or accept where there is none, if an address is in a set."""
    says, loaded = _address(family, direction, min(prefix, WIDTH[family]))
    end = x.verdict(x.GOTO, target) if target else x.verdict(x.ACCEPT)
    return Rule(chain, f"{says} @{name} {f'goto {target}' if target else 'accept'}", loaded + x.in_set(name) + end)


def _address(family: int, direction: str, prefix: int) -> tuple[str, bytes]:
    loaded = x.family(PROTOCOL[family]) + x.address(PROTOCOL[family], direction, prefix)
    says = f"{_SAYS[family]} {direction}addr"
    if prefix == WIDTH[family]:
        return says, loaded
    return f"{says} & {_MASKS[family, prefix]} ==", loaded


_MASKS = {(4, 24): "255.255.255.0", (6, 64): "ffff:ffff:ffff:ffff::", (6, 48): "ffff:ffff:ffff::"}


def _sets_of(scope: Scope, family: int) -> Iterable[tuple[str, int]]:
    return [(name, prefix) for (s, f, prefix), name in SET_OF.items() if (s, f) == (scope, family)]


def _dispatch(scope: Scope, family: int) -> str:
    return f"{scope.replace('-', '_')}{family}"


def _banned(scope: Scope, family: int) -> str:
    return f"banned{family}_{scope.replace('-', '_')}"


def _answers(side: str, scope: Scope, family: int) -> str:
    return f"{side}_{scope.replace('-', '_')}{family}"


def _dropped(family: int, scope: Scope) -> str:
    return f"dropped{family}_{scope.replace('-', '_')}"


def digest(size: int = SET_SIZE, extra: Extra = ()) -> str:
    """Changes whenever sets, maps, counters or chains do: such a table is made anew around its bans."""
    made = repr((sets(size, extra), counters(extra), chains(extra), list(port_elements(extra))))
    return hashlib.sha256(made.encode()).hexdigest()[:16]
