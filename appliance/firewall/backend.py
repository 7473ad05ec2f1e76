"""What zward asks of a firewall. `client` asks the kernel through the helper, `observe` only writes down."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from appliance.address import Net
from appliance.model import BAN_SCOPES, Scope

PORTS: Mapping[Scope, tuple[int, ...]] = {
    Scope.SMTP_IN: (25,),
    Scope.LOGIN: (465, 587, 110, 143, 993, 995),
    Scope.WEB: (80, 443),
    Scope.ADMIN: (7071, 9071),
}
"""The TCP ports behind the gateway, by scope. 9071 is the proxy's admin console, 7071 the mail host's own."""

EXPOSED_PORTS = tuple(port for ports in PORTS.values() for port in ports)
"""The TCP ports that a ban of scope `all` closes; root may order that it closes a few more, such as sshd's."""

CLOSED_PORTS: Mapping[Scope, tuple[int, ...]] = {
    Scope.ALL: EXPOSED_PORTS,
    Scope.LOGIN: (*PORTS[Scope.LOGIN], *PORTS[Scope.WEB], *PORTS[Scope.ADMIN]),
    Scope.SMTP_IN: PORTS[Scope.SMTP_IN],
}
"""The ports that a ban of each scope closes."""


FENCEABLE = PORTS[Scope.LOGIN] + PORTS[Scope.WEB]
"""Never 25, where strangers bring mail; and the admin ports are closed to strangers anyway."""


def closed_ports(scope: Scope, extra: tuple[int, ...]) -> tuple[int, ...]:
    """The same where root ordered `extra` ports for the scope `all`."""
    return CLOSED_PORTS[scope] + extra if scope is Scope.ALL else CLOSED_PORTS[scope]


class Element(NamedTuple):
    """One network to keep out, and for how long from now. There is no ban without an end."""

    net: Net
    seconds: int
    scope: Scope = Scope.ALL


class Place(NamedTuple):
    """Where a ban stands. One network may stand in several scopes."""

    net: Net
    scope: Scope = Scope.ALL


class Refused(NamedTuple):
    """A network that did not go in, although the rest of its batch did."""

    net: Net
    reason: str


class Drop(NamedTuple):
    """What one of the kernel's counters counts."""

    port: int
    scope: Scope
    """Of the ban that the packet met."""
    family: int
    """4 or 6."""


def drops(extra: tuple[int, ...]) -> tuple[Drop, ...]:
    """All that the kernel counts: every port that a ban of each scope closes, in both families."""
    ports = {scope: closed_ports(scope, extra) for scope in BAN_SCOPES}
    return tuple(Drop(port, scope, family) for scope in BAN_SCOPES for port in ports[scope] for family in (4, 6))


DROPS = drops(())
"""The same where root ordered no extra ports."""


class Dropped(NamedTuple):
    """A counter's value. Falls to 0 only when the table was made anew."""

    packets: int
    bytes: int


class Health(NamedTuple):
    """How the firewall side has fared since it was started."""

    repairs: int = 0
    """How often somebody else's change was undone."""
    crowded_out: int = 0
    """Bans that gave way because their set was full: the soonest to end go first."""
    ended: int = 0
    """Connections of banned sources whose end on the mail host was freed."""
    told: str = ""
    """The last thing that a person should know, in words: who changed our table, which set is full; "" if nothing."""
    fenced: int = 0
    """Packets of strangers that the fence dropped (`Backend.fence`). Falls to 0 only when the table was made anew."""


class SampledDrop(NamedTuple):
    """A packet of a banned source that was dropped; the kernel samples a few a second."""

    time: float
    """Seconds since the epoch."""
    source: str
    port: int
    flags: str
    """`SYN`, `PSH,ACK`; `-` for none."""
    device: str
    """Where it came in; `-` if unknown."""


class BackendError(Exception):
    """The firewall did not do what was asked. `net` is the element it stumbled over, where that is known."""

    def __init__(self, message: str, net: Net | None = None) -> None:
        super().__init__(message)
        self.net = net


class NotPermitted(BackendError):
    """The helper lacks CAP_NET_ADMIN."""


class Backend(Protocol):
    """A firewall that keeps networks out of exposed ports until their time is over.

    Every call may raise BackendError. Then nothing of that batch is in force, unless the call timed out:
    ask `banned()`.
    """

    async def open(self) -> None:
        """Make sure that everything bans need is in place. Standing bans stay.

        May be called again at any time; it puts back what somebody else removed.
        Raises NotPermitted, saying what cures it.
        """

    async def close(self) -> None:
        """Let go. Bans stay in force until they end by themselves."""

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        """Keep these networks out, in one transaction up to `limits.MAX_BATCH` elements.

        A network that is out in that scope already gets the new time, be it longer or shorter. Where a network
        is named twice the last one holds. Returns those that may not be banned; all others are in force.
        """

    async def unban(self, nets: Sequence[Net]) -> list[Net]:
        """Lift every ban that covers one of these networks, in every scope; returns what was lifted."""

    async def banned(self) -> dict[Place, float]:
        """All standing bans with their remaining seconds, rounded down; infinity for one without an end."""

    async def allow(self, nets: Collection[Net]) -> None:
        """Replace the receiver's allow list: whoever is on it passes, banned or not, and is refused by `ban`.

        What root's never-ban file holds is allowed besides, whatever is said here.
        """

    async def favour(self, sources: Sequence[Element]) -> None:
        """Take these sources for familiar ones for that time: more room in limits, and a reset instead of silence
        when they are banned. The scope means nothing here."""

    async def fence(self, ports: Collection[int], seconds: int) -> None:
        """For so long take new connections to these ports from allowed and familiar sources only, and from the
        networks that root named; 0 seconds end it. It ends by itself unless it is renewed; what stands goes on.

        Only ports that root ordered to be fenced, and for `limits.LONGEST_FENCE` at most; and only while somebody is
        familiar, since a fence around nobody would keep all out: `favour` comes first, again after a repair.
        """

    async def seen(self, sources: Collection[Net]) -> set[Net]:
        """Which of these sources (/32 or /64) a mail host has answered with data in the last half hour.

        That proves that the address is not forged: nobody else could have completed the handshake.
        """

    async def dropped(self) -> Mapping[Drop, Dropped]:
        """Packets and bytes of banned sources dropped so far. Lists no set: as cheap with 100,000 bans as with none."""

    async def health(self) -> Health:
        """How the firewall side has fared."""

    async def samples(self) -> list[SampledDrop]:
        """The last packets that were dropped, a few a second at most; none where samples are off."""
