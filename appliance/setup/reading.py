"""What somebody typed as an answer → what it means. Raises ValueError: what was found and what was expected."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from appliance.address import LOOPBACK, Net, parse_address, parse_network
from appliance.config.faults import show
from appliance.config.notify import MOST, mail_address, server
from appliance.config.values import NAMED, host_name, interface, named_hosts, network, time_zone
from appliance.firewall.backend import PORTS
from appliance.model import Scope
from appliance.setup.answers import Around, Found, Host

NOTHING = ("none", "-")
"""Typed where an empty list is meant: an empty line takes what stands in the brackets."""

RESERVED = (*NOTHING, "all", "keep")
"""No names for hosts."""

ADDRESSES = 16
"""Of one host: a name with more is no mail host of a site's own."""
NETWORKS = 256
"""Of administrators; a person types a few."""

_BETWEEN = re.compile(r"[\s,;]+")
_NOWHERE = tuple(map(parse_network, ("0.0.0.0/8", "224.0.0.0/3", "169.254.0.0/16", "::/127", "fe80::/10", "ff00::/8")))
"""No host of a site: unspecified, multicast and beyond, link-local."""

Kind = TypeVar("Kind")


def expected(found: str, what: object) -> ValueError:
    return ValueError(f"found {show(found)}, expected {what}")


def words(text: str) -> list[str]:
    """The parts of a list; none for `none`."""
    parts = [part for part in _BETWEEN.split(text.strip()) if part]
    return [] if [part.lower() for part in parts] in ([word] for word in NOTHING) else parts


def _each(text: str, read: Callable[[str], Kind], most: int, what: str) -> tuple[Kind, ...]:
    parts = words(text)
    if len(parts) > most:
        raise ValueError(f"found {len(parts)} {what}, expected at most {most}")
    return tuple(dict.fromkeys(_one(part, read) for part in parts))


def _one(part: str, read: Callable[[str], Kind]) -> Kind:
    try:
        return read(part)
    except ValueError as fault:
        if str(fault).startswith("found "):
            raise
        raise expected(part, fault) from None


def hosts(text: str, resolve: Callable[[str], tuple[Net, ...]]) -> tuple[Host, ...]:
    """`mbox1.example.org 192.0.2.11 mx1=192.0.2.12+2001:db8::12`: names are resolved."""
    found = _each(text, lambda part: _host(part, resolve), NAMED, "hosts")
    if not found:
        raise ValueError("found nothing, expected at least one host: its name or its address")
    nets = [net for host in found for net in host.nets]
    if twice := next((net for number, net in enumerate(nets) if net in nets[:number]), None):
        raise ValueError(f"found {twice} twice, expected each address at one host")
    return _told_apart(found)


def _host(part: str, resolve: Callable[[str], tuple[Net, ...]]) -> Host:
    name, equals, listed = part.rpartition("=")
    if equals:
        label = _one(name, _label)
        nets = tuple(dict.fromkeys(_one(each, _reachable) for each in listed.split("+")[: ADDRESSES + 1]))
    elif _is_numeric(part):
        label, nets = None, tuple(dict.fromkeys(_one(each, _reachable) for each in part.split("+")[: ADDRESSES + 1]))
    else:
        label, nets = None, _resolved(part, resolve)
        label = _fitting(host_name(part))
    if len(nets) > ADDRESSES:
        raise expected(part, f"at most {ADDRESSES} addresses of one host")
    return Host(label, nets)


def _is_numeric(part: str) -> bool:
    """Whether this was meant as an address, so that nobody asks the DNS for `192.0.2.300`."""
    return ":" in part or "/" in part or not re.search(r"[A-Za-z]", part)


def _resolved(part: str, resolve: Callable[[str], tuple[Net, ...]]) -> tuple[Net, ...]:
    try:
        name = host_name(part)
    except ValueError:
        raise expected(part, 'a name such as "mbox1.example.org", or an address such as "192.0.2.10"') from None
    try:
        found = resolve(name)
    except ValueError as fault:
        raise ValueError(
            f"found no address of {name} ({fault}), expected a name that has one, or the address"
        ) from None
    nets = tuple(net for net in found if _why_not(net) is None)
    if not nets:
        told = ", ".join(map(str, found)) or "no address"
        raise ValueError(f"found {told} for {name}, expected the address of a host on the network: name it instead")
    return nets


def _reachable(text: str) -> Net:
    net = network(text)
    if why := _why_not(net):
        raise ValueError(f'an address of a host, such as "192.0.2.10", not {why}')
    return net


def _why_not(net: Net) -> str | None:
    if LOOPBACK.touching(net):
        return "this machine's own loopback"
    if not net.prefix or any(each.covers(net) or net.covers(each) for each in _NOWHERE):
        return "one that no host has"
    return None


def _label(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"another name: {name} means something as an answer")
    named_hosts({name: "192.0.2.1"})
    return name


def _fitting(name: str) -> str | None:
    """A host's short name where the configuration takes it, else the whole one, else none."""
    for label in (name.partition(".")[0], name):
        try:
            return _label(label)
        except ValueError:
            continue
    return None


def _told_apart(found: Sequence[Host]) -> tuple[Host, ...]:
    """Of several hosts with one name only the first has it."""
    taken: set[str] = set()
    told: list[Host] = []
    for host in found:
        told.append(host if host.name not in taken else Host(None, host.nets))
        taken |= {host.name} if host.name else set()
    return tuple(told)


def among(text: str, those: Sequence[Host]) -> tuple[Host, ...]:
    """`all`, `none`, or some of the hosts by name, address or number from 1."""
    if text.strip().lower() == "all":
        return tuple(those)
    return _each(text, lambda part: one_of(part, those), len(those), "hosts")


def one_of(part: str, those: Sequence[Host]) -> Host:
    """A host that was named before. A number counts from 1."""
    address = parse_address(part.encode("utf-8", "replace"))
    for number, host in enumerate(those, start=1):
        if part in (str(number), str(host), host.name) or part in map(str, host.nets) or address in host.nets:
            return host
    for host in those:
        if host.name and part.lower().startswith(f"{host.name}."):  # the whole name of mbox1
            return host
    raise expected(part, f"one of {', '.join(host.label for host in those)}")


def destinations(text: str, scopes: Iterable[Scope], those: Sequence[Host]) -> Mapping[Scope, Host]:
    """`smtp-in=mbox1 web=proxy1`, a host for each of the scopes; one host alone is for all of them."""
    wanted = tuple(scopes)
    if "=" not in text:
        host = one_of(text.strip(), those)
        return dict.fromkeys(wanted, host)
    found: dict[Scope, Host] = {}
    for part in words(text):
        name, _, called = part.partition("=")
        if name not in map(str, wanted):
            raise expected(name, f"one of {', '.join(map(str, wanted))}")
        found[Scope(name)] = one_of(called, those)
    if missing := [scope for scope in wanted if scope not in found]:
        raise ValueError(f"found no host for {', '.join(missing)}, expected one for each scope")
    return {scope: found[scope] for scope in wanted}


def networks(text: str) -> tuple[Net, ...]:
    return _each(text, network, NETWORKS, "networks")


def public(text: str, behind: Iterable[Host]) -> tuple[Net, ...]:
    """Addresses of this gateway's that lead to published hosts."""
    targets = {net for host in behind for net in host.addresses}

    def read(part: str) -> Net:
        net = _reachable(part)
        if not net.is_host:
            raise ValueError('one address such as "203.0.113.1"')
        if net in targets:
            raise ValueError('an address of this gateway, not the mail host\'s own; "none" if there is none')
        if net.family not in {target.family for target in targets}:
            raise ValueError(f"none: no published host has an IPv{net.family} address to stand behind it")
        return net

    return _each(text, read, ADDRESSES, "addresses")


def scopes(text: str, *, may_keep: bool) -> tuple[Scope, ...] | None:
    """`smtp-in login web`; None for `keep`."""
    if may_keep and text.strip().lower() == "keep":
        return None
    known = {str(scope): scope for scope in PORTS}
    names = [*known, "none", *(["keep"] if may_keep else [])]

    def read(part: str) -> Scope:
        if part.lower() not in known:
            raise ValueError(f"one of {', '.join(names)}")
        return known[part.lower()]

    return _each(text, read, len(known), "scopes")


def interfaces(text: str, found: Found) -> tuple[str, ...]:
    """Names of interfaces that are there."""
    there = ", ".join(found.interfaces) or "none"

    def read(part: str) -> str:
        if interface(part) not in found.interfaces:
            raise ValueError(f"an interface of this machine ({there})")
        return part

    names = _each(text, read, ADDRESSES, "interfaces")
    if not names:
        raise ValueError(f"found nothing, expected an interface of this machine ({there})")
    return names


def around(text: str, choices: Sequence[Around]) -> Around:
    word = text.strip().lower()
    if word not in map(str, choices):
        raise expected(text, f"one of {', '.join(choices)}")
    return Around(word)


def zone(text: str) -> str:
    return _one(text.strip(), time_zone)


def recipients(text: str) -> tuple[str, ...]:
    return _each(text, mail_address, MOST, "recipients")


def mail_server(text: str) -> str:
    """A host and a port; without one it is port 25."""
    word = text.strip()
    if (net := parse_address(word.encode("utf-8", "replace"))) is not None:
        word = f"[{net}]:25" if net.family == 6 else f"{net}:25"
    elif ":" not in word:
        word = f"{word}:25"
    return str(_one(word, server))
