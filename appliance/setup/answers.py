"""What the wizard knows and what it is told: nouns without behaviour of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from appliance.address import Net
from appliance.config.gateway import Gateway
from appliance.config.schema import Config
from appliance.model import Scope


class Around(StrEnum):
    """What becomes of the table `[gateway]`."""

    NONE = "none"
    """There is none: only banned sources are dropped."""
    ROUTED = "routed"
    HOST = "host"
    KEEP = "keep"
    """It stays as it is written."""


class Host(NamedTuple):
    """A Zimbra host: all its addresses, and how it is called where that is known."""

    name: str | None
    nets: tuple[Net, ...]

    @property
    def addresses(self) -> tuple[Net, ...]:
        """At most one of each family, which is what a published port can lead to."""
        one_each = {net.family: net for net in reversed(self.nets) if net.is_host}
        return tuple(one_each[family] for family in sorted(one_each))

    @property
    def label(self) -> str:
        """How a person may call it in an answer."""
        return self.name or str(self.nets[0])

    def __str__(self) -> str:
        """As it would be typed: `mbox1=192.0.2.10+2001:db8::10`."""
        nets = "+".join(map(str, self.nets))
        return f"{self.name}={nets}" if self.name else nets


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything the wizard asks. The defaults stand for questions that were not asked."""

    hosts: tuple[Host, ...] = ()
    proxies: tuple[Host, ...] = ()
    gateway: Around = Around.NONE
    wan: tuple[str, ...] = ()
    lan: tuple[str, ...] = ()
    admin: tuple[Net, ...] = ()
    publish: tuple[Scope, ...] | None = ()
    """None: what is published stays as it is written."""
    to: Mapping[Scope, Host] = field(default_factory=dict)
    """Which host answers for a scope."""
    public: tuple[Net, ...] = ()
    """Addresses of the gateway that are translated to the hosts'."""
    time_zone: str = "UTC"
    mail_to: tuple[str, ...] = ()
    mail_server: str = ""


class Own(NamedTuple):
    """One address of this machine."""

    address: Net
    network: Net
    """The network on that link."""


@dataclass(frozen=True, slots=True)
class Found:
    """What this machine tells of itself."""

    interfaces: Mapping[str, tuple[Own, ...]] = field(default_factory=dict)
    """Every interface but loopback, with the addresses that are worth telling."""
    way_out: str | None = None
    """The interface of the default route."""
    ssh_client: Net | None = None
    """Who is logged in over ssh and runs this."""
    time_zone: str = "UTC"
    has_ipv6: bool = True

    @property
    def is_appliance(self) -> bool:
        """Whether this is our virtual machine, which names its interfaces so."""
        return {"wan", "lan"} <= self.interfaces.keys()

    @property
    def own(self) -> frozenset[Net]:
        return frozenset(own.address for each in self.interfaces.values() for own in each)


@dataclass(frozen=True, slots=True)
class Scene:
    """What questions are asked upon."""

    found: Found
    present: Config | None
    """The configuration that is there."""
    resolve: Callable[[str], tuple[Net, ...]]
    """The addresses of a DNS name. Raises ValueError saying why there are none."""


class SoFar(NamedTuple):
    """What a question may look at: the answers before it, and upon what they were given."""

    answers: Answers
    scene: Scene

    @property
    def found(self) -> Found:
        return self.scene.found

    @property
    def present(self) -> Config | None:
        return self.scene.present

    @property
    def gateway(self) -> Gateway | None:
        """The policy that is there."""
        return self.scene.present.gateway if self.scene.present else None
