"""How much one source may have of a scope: new connections a minute, and connections at the same time.

Both count complete handshakes only: the client's first packet that has ACK and neither SYN nor RST, once the mail host
has answered. So SYNs in an office's name use up nothing of the office's room, and the office's own RST to an answer
that it never asked for does not count either.

Connections at the same time can only be counted from their SYN on (a kernel of 2026 adds no connection to a count
once it is confirmed), so forged SYNs make that number too great. Therefore it decides only about a source that has
made many connections as well: as many as it may have at once, and a tenth of that for each further minute (`held`).

Sources are remembered in sets of bounded size. Whoever completes a handshake and finds a set full shares one rate
with all others who do: a full set closes the door to nobody and opens it to nobody. Favoured sources have sets and a
rate of their own, which strangers cannot fill; and forged SYNs fill no set but the one for connections at the same
time, without which `held` decides.
"""

from typing import NamedTuple

from appliance.firewall.policy.text import ADDRESS_TYPE, SOURCE, Chain, block
from appliance.firewall.table.layout import FAVOURED
from appliance.model import Scope

COUNTED = 0x0100_0000
"""Bit of a connection's mark: its handshake is complete, and was counted or needs not be."""
REFUSED = 0x0200_0000
"""Bit of a connection's mark: it is over a limit, and whatever still comes of it is answered with a reset."""

SOURCES = 65536
"""Sources that each set remembers: as many at the same time are an attack. 6 MiB of kernel memory."""

SHARED = 10
"""All sources that found a set full may together make so many times the connections that one alone may."""

_IS_FAVOURED = f"ct mark and {FAVOURED:#x} == {FAVOURED:#x} goto"


class Room(NamedTuple):
    """What one source may have of a scope: connections at once, and as many new ones a minute."""

    scope: Scope
    stranger: int
    favoured: int


def door(scope: Scope) -> str:
    """The chain that a connection's first packet goes through."""
    return f"door_{_word(scope)}"


def guard(scope: Scope) -> str:
    """The chain that judges a connection whose handshake is complete."""
    return f"guard_{_word(scope)}"


def limit_sets(room: Room, size: int) -> list[str]:
    """Each says its limit: an element keeps the one it was added with, so another limit needs another set."""
    return [
        _set(name, kind, family, size, most) for name, most in _classes(room) for kind in _MEMORY for family in (4, 6)
    ]


def limit_chains(room: Room) -> list[Chain]:
    """The chains that `door` and `guard` name, each for strangers and for favoured sources."""
    (stranger, few), (favoured, many) = _classes(room)
    return [
        *(
            chain
            for name, most in ((favoured, many), (stranger, few))
            for chain in (_many(name, most), _full(name, most))
        ),
        Chain(f"door_{favoured}", _door(favoured, many)),
        Chain(f"door_{stranger}", ("jump favour", f"{_IS_FAVOURED} door_{favoured}", *_door(stranger, few))),
        Chain(f"guard_{favoured}", _guard(favoured, many)),
        Chain(f"guard_{stranger}", (f"{_IS_FAVOURED} guard_{favoured}", *_guard(stranger, few))),
    ]


def refusal_chains() -> list[Chain]:
    """What all guards share."""
    return [
        Chain("refuse", (f"ct mark set ct mark or {REFUSED:#x}", "reject with tcp reset")),
        Chain(
            "refused",
            ("# a reset frees the other side's socket", "tcp flags & rst == rst accept", "reject with tcp reset"),
        ),
    ]


_MEMORY = {"rate": "1m", "held": "10m", "open": ""}
"""Kind of set → when it forgets an idle source: when the source's bucket is full again in any case, and at once when
its last connection ends."""


def _door(name: str, most: int) -> tuple[str, ...]:
    return (*(f"add @{name}_open{family} {{ {SOURCE[family]} ct count over {most} }}" for family in (4, 6)), "accept")


def _guard(name: str, most: int) -> tuple[str, ...]:
    """Rate first: it holds for everybody. `ct mark` comes before, since a connection is judged once."""
    return (
        f"ct mark set ct mark or {COUNTED:#x}",
        *_update(f"{name}_rate", f"{most}/minute burst {most} packets", "counter name policy_rate goto refuse"),
        *_absent(f"{name}_rate", f"goto full_{name}"),
        *_update(f"{name}_held", f"{6 * most}/hour burst {most} packets", f"goto many_{name}"),
        *_absent(f"{name}_held", f"goto many_{name}"),
        "accept",
    )


def _many(name: str, most: int) -> Chain:
    refusal = "counter name policy_connections goto refuse"
    over = (f"add @{name}_open{family} {{ {SOURCE[family]} ct count over {most} }} {refusal}" for family in (4, 6))
    return Chain(f"many_{name}", (*_absent(f"{name}_open", f"goto full_{name}"), *over, "accept"))


def _full(name: str, most: int) -> Chain:
    shared = f"limit rate {SHARED * most}/minute burst {most} packets accept"
    return Chain(f"full_{name}", (shared, "counter name policy_full goto refuse"))


def _update(name: str, rate: str, over: str) -> list[str]:
    return [f"update @{name}{family} {{ {SOURCE[family]} limit rate over {rate} }} {over}" for family in (4, 6)]


def _absent(name: str, verdict: str) -> list[str]:
    """For sources that are not in a set after they were put there: it is full."""
    return [f"{SOURCE[family]} != @{name}{family} {verdict}" for family in (4, 6)]


def _set(name: str, kind: str, family: int, size: int, most: int) -> str:
    timeout = _MEMORY[kind]
    flags = ("flags dynamic,timeout", f"timeout {timeout}") if timeout else ("flags dynamic",)
    return block(f"set {name}_{kind}{family}", f"# {most}", f"type {ADDRESS_TYPE[family]}", f"size {size}", *flags)


def _classes(room: Room) -> tuple[tuple[str, int], tuple[str, int]]:
    return (_word(room.scope), room.stranger), (f"{_word(room.scope)}_favoured", room.favoured)


def _word(scope: Scope) -> str:
    return scope.replace("-", "_")
