"""What the policy of a gateway is made from: where it stands, what it publishes, how much one source may have."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from appliance.address import Net
from appliance.firewall.policy.limits import Room
from appliance.model import Scope


class Shape(StrEnum):
    """Where the gateway stands."""

    ROUTED = "routed"
    """Between two networks; addresses of the mail hosts are translated, or routed as they are."""
    BRIDGE = "bridge"
    """In the middle of one network, as a bridge that nobody sees."""
    HOST = "host"
    """On the mail host itself."""


@dataclass(frozen=True, slots=True)
class Publish:
    """Ports of a mail host that are open to the world, or to admin networks (scope admin)."""

    scope: Scope
    to: tuple[Net, ...]
    """The mail host, at most one address of each family; in shape host none is every address of this host."""
    ports: tuple[int, ...]
    at: tuple[Net, ...] = ()
    """Public addresses that are translated to it; a family without one is routed."""

    def door(self, family: int) -> Net | None:
        return next((net for net in self.to if net.family == family), None)


@dataclass(frozen=True, slots=True)
class Limits:
    """For one source: connections at the same time, and as many new ones a minute."""

    login: int = 300
    web: int = 300
    smtp_in: int = 50
    admin: int = 300
    favoured: int = 10
    """Times that for allowed and familiar sources."""

    def room(self, scope: Scope) -> Room:
        stranger: int = getattr(self, scope.replace("-", "_"))
        return Room(scope, stranger, stranger * self.favoured)


@dataclass(frozen=True, slots=True)
class Gateway:
    """What `[gateway]` says."""

    mode: Shape
    wan: tuple[str, ...] = ()
    """Interfaces to the world. In shape host none is every interface but loopback."""
    lan: tuple[str, ...] = ()
    bridge: str | None = None
    admin: tuple[Net, ...] = ()
    management: tuple[int, ...] = (22,)
    snat: Net | None = None
    inside: tuple[Net, ...] = ()
    """Shape bridge: who stands behind it besides the published hosts. Shape host: the other Zimbra hosts."""
    publish: tuple[Publish, ...] = ()
    limits: Limits = Limits()


class Port(NamedTuple):
    """Where this host itself listens."""

    transport: str
    """`udp` or `tcp`."""
    number: int
