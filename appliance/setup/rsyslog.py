"""The snippet that makes a Zimbra host send its logs here, and where a configuration says that "here" is."""

from collections.abc import Callable
from enum import StrEnum
from importlib.resources import files
from typing import NamedTuple

from appliance.address import LOOPBACK, Net, parse_address
from appliance.config.schema import Config

TEMPLATE = "zward.conf.template"


class Transport(StrEnum):
    """How rsyslog sends."""

    TCP = "tcp"
    UDP = "udp"


_SENDING = {
    Transport.TCP: 'protocol="tcp" TCP_Framing="octet-counted"',
    Transport.UDP: 'protocol="udp"',
}
_REASONS = {
    Transport.TCP: "Octet counting keeps a message whole whatever is in it",
    Transport.UDP: "UDP loses lines just when there are many: TCP is better",
}


class Target(NamedTuple):
    """Where a host sends to."""

    gateway: Net
    """A single address. omfwd's `target=` takes an IPv6 address as it is: with brackets it is a name to be resolved."""
    port: int


class Nowhere(Exception):
    """No address of ours can be told; the message says why, and what to do."""


def snippet(target: Target, transport: Transport = Transport.TCP) -> str:
    """The whole file. Nothing of it was typed by anybody: an address, a number, words of ours."""
    text = (files("appliance.setup") / TEMPLATE).read_text(encoding="utf-8")
    told = {
        "@GATEWAY@": str(target.gateway),
        "@PORT@": str(target.port),
        "@TRANSPORT@": _SENDING[transport],
        "@REASON@": _REASONS[transport],
    }
    for mark, meant in told.items():
        text = text.replace(mark, meant)
    return text


def target(config: Config, transport: Transport, host: Net, way_to: Callable[[Net], Net]) -> Target:
    """Where `host` reaches the listener that the configuration names.

    `way_to` says our address towards a host, and raises OSError where there is no route. Raises Nowhere.
    """
    endpoints = config.listen.tcp if transport is Transport.TCP else config.listen.udp
    key = f"listen.{transport}"
    places = [(parse_address(each.host.encode()), each.port) for each in endpoints]
    fitting = [(place, port) for place, port in places if place and place.family == host.family and port]
    for place, port in fitting:
        if any(place.packed) and place not in LOOPBACK:
            return Target(place, port)
    for place, port in fitting:
        if not any(place.packed):
            return Target(_towards(host, way_to), port)
    told = ", ".join(map(str, endpoints)) or "nothing"
    raise Nowhere(f"{key}: {told}: nothing that {host} could send to over IPv{host.family}; put an address there")


def _towards(host: Net, way_to: Callable[[Net], Net]) -> Net:
    try:
        found = way_to(host)
    except OSError as fault:
        raise Nowhere(f"no way to {host} ({fault.strerror or fault}): name this gateway's address: --gateway") from None
    if found in LOOPBACK:
        raise Nowhere(f"{host} is this machine itself: name the address that it sends to: --gateway 127.0.0.1")
    return found


def port_of(config: Config, transport: Transport, gateway: Net) -> int:
    """The port to send to at an address that somebody chose. Raises Nowhere."""
    endpoints = config.listen.tcp if transport is Transport.TCP else config.listen.udp
    places = [(parse_address(each.host.encode()), each.port) for each in endpoints]
    same = [(place, port) for place, port in places if place and place.family == gateway.family and port]
    exact = [port for place, port in same if place == gateway]
    if ports := exact or [port for place, port in same if not any(place.packed)] or [port for _, port in same]:
        return ports[0]
    told = ", ".join(map(str, endpoints)) or "nothing"
    raise Nowhere(f"listen.{transport}: {told}: nothing takes IPv{gateway.family}; name the port: --port")
