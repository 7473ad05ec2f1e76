"""The tables of the configuration that concern the firewall; docs/gateway.md explains what they do."""

from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from appliance.address import Net
from appliance.config.table import Networks, Table, at_most
from appliance.config.values import address, interface, socket_directory, whole
from appliance.firewall.backend import PORTS
from appliance.firewall.policy.gateway import Shape
from appliance.model import Scope

Address = Annotated[Net, PlainValidator(address), PlainSerializer(str, when_used="json")]
Interface = Annotated[str, PlainValidator(interface)]
Interfaces = Annotated[tuple[Interface, ...], at_most(16, "interfaces")]
Port = Annotated[int, whole(1, 65535)]
Ports = Annotated[tuple[Port, ...], at_most(64, "ports")]
Ceiling = Annotated[int, whole(1, 100_000)]


_SCOPES = '"login", "web", "smtp-in" or "admin"'


def _scope(found: object) -> Scope:
    scopes = {str(scope): scope for scope in PORTS}
    if not isinstance(found, str) or found not in scopes:
        raise ValueError(_SCOPES)
    return scopes[found]


def _one_of_each_family(hosts: tuple[Net, ...]) -> tuple[Net, ...]:
    if len({net.family for net in hosts}) != len(hosts):
        raise ValueError("one mail host: at most one IPv4 and one IPv6 address")
    return hosts


def _no_port_is_missing(ports: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if ports is not None and not ports:
        raise ValueError("at least one port; without this key it is the scope's own ports")
    return ports


class Firewall(Table):
    """The helper that bans, with or without a gateway around it."""

    directory: Annotated[Path, PlainValidator(socket_directory)] | None = None
    """None: beside the admin socket's directory, which belongs to the receiver; this one is root's."""
    answer: Literal["drop", "reset"] = "drop"
    sees_traffic: bool = Field(default=True, strict=True)
    drop_samples: bool = Field(default=True, strict=True)


class Publish(Table):
    """Ports of one mail host that are open to the world, or to admin networks."""

    scope: Annotated[Scope, PlainValidator(_scope)] = Field(description=_SCOPES)
    to: Annotated[tuple[Address, ...], AfterValidator(_one_of_each_family)] = ()
    at: Annotated[tuple[Address, ...], at_most(16, "addresses")] = ()
    ports: Annotated[Ports | None, AfterValidator(_no_port_is_missing)] = None

    @property
    def open_ports(self) -> tuple[int, ...]:
        return self.ports or PORTS[self.scope]

    @property
    def entrances(self) -> tuple[Net | None, ...]:
        """The addresses that clients come to; None is every address of this host."""
        translated = {net.family for net in self.at}
        return (*self.at, *(net for net in self.to if net.family not in translated)) or (None,)

    @model_validator(mode="after")
    def _public_addresses_have_a_host_behind_them(self) -> Self:
        families = {net.family for net in self.to}
        for net in self.at:
            if net.family not in families:
                text = f"found {net}, expected an IPv{net.family} address in `to` as well: nothing stands behind it"
                _refuse(text, "at")
        return self


class Limits(Table):
    """For one source: connections at the same time, and as many new ones a minute."""

    login: Ceiling = 300
    web: Ceiling = 300
    smtp_in: Ceiling = Field(default=50, alias="smtp-in")
    admin: Ceiling = 300
    favoured: Annotated[int, whole(1, 1000)] = 10


class Gateway(Table):
    """The ingress policy. Without this table nothing of the host's changes but that banned sources are dropped."""

    mode: Shape = Field(description='"routed", "bridge" or "host"')
    wan: Interfaces = ()
    lan: Interfaces = ()
    bridge: Interface | None = None
    admin: Networks = ()
    management: Annotated[tuple[Port, ...], at_most(16, "ports")] = (22,)
    snat: Address | None = None
    inside: Networks = ()
    publish: Annotated[tuple[Publish, ...], at_most(256, "tables")] = ()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _the_mode_has_what_it_needs(self) -> Self:
        for key in _NEEDED[self.mode]:
            if not getattr(self, key):
                _refuse(f"found nothing, expected {_WHAT[key]}: mode is {self.mode}", key)
        for key in _USELESS[self.mode]:
            if found := getattr(self, key):
                first = found[0] if isinstance(found, tuple) and not isinstance(found, Net) else found
                _refuse(f"found {first}, expected nothing: mode {self.mode} has no use for {_WHAT[key]}", key)
        if both := sorted({*self.wan} & {*self.lan}):
            _refuse(f"found {both[0]}, which is in `wan` as well, expected an interface on one side", "lan")
        if self.snat and self.snat.family == 6:
            _refuse(f"found {self.snat}, expected an IPv4 address: IPv6 is never translated on its way out", "snat")
        return self

    @model_validator(mode="after")
    def _each_entrance_leads_to_one_place(self) -> Self:
        open_so_far: dict[int, list[tuple[int, Publish]]] = {}
        for number, publish in enumerate(self.publish):
            if not publish.to and self.mode is not Shape.HOST:
                _refuse("found nothing, expected the address of the mail host", "publish", number, "to")
            if publish.at and self.mode is not Shape.ROUTED:
                text = f"found {publish.at[0]}, expected nothing: mode {self.mode} translates no address"
                _refuse(text, "publish", number, "at")
            for port in publish.open_ports:
                if port in self.management and (publish.at or self.mode is Shape.HOST):
                    text = f"found {port}, which is for management of this host, expected a port that is not"
                    _refuse(text, "publish", number, "ports")
                for before, other in open_so_far.setdefault(port, []):
                    if reason := _clash(publish, other):
                        text = f"port {port} {reason} already, by [[gateway.publish]] number {before + 1}"
                        _refuse(text, "publish", number, "ports")
                open_so_far[port].append((number, publish))
        return self


def _clash(publish: Publish, other: Publish) -> str | None:
    """Why both cannot have the same port."""
    for entrance in publish.entrances:
        if None in (entrance, *other.entrances) or entrance in other.entrances:
            return f"at {entrance or 'every address'} is published"
    for host in publish.to:
        if host in other.to and publish.scope is not other.scope:
            return f"of {host} is published in scope {other.scope}"
    return None


_NEEDED = {Shape.ROUTED: ("wan", "lan"), Shape.BRIDGE: ("bridge",), Shape.HOST: ()}
_USELESS = {
    Shape.ROUTED: ("bridge", "inside"),
    Shape.BRIDGE: ("wan", "lan", "snat"),
    Shape.HOST: ("lan", "bridge", "snat"),
}
_WHAT = {
    "wan": "the interfaces to the world",
    "lan": "the interfaces to the mail hosts",
    "bridge": "the name of a bridge",
    "snat": "another source for what the mail hosts send",
    "inside": "what its interfaces tell",
}


def _refuse(text: str, *key: str | int) -> NoReturn:
    """Blame one key of a table for what the whole table shows."""
    raise PydanticCustomError("table", text, {"key": key})
