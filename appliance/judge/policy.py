"""What the operator decided: an immutable value, exchanged whole at a reload."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.address import LOOPBACK, Net, NetSet
from appliance.judge.accounts import Lockout
from appliance.judge.bans import Ladder
from appliance.judge.detect.table import Watches, default_detectors, default_tellers
from appliance.judge.detector import Detector, Teller
from appliance.model import Mode, Outcome

POINTS: Mapping[Outcome, int] = {
    Outcome.BAD_PASSWORD: 1,
    Outcome.UNKNOWN_ACCOUNT: 2,
    Outcome.ADMIN_BAD_PASSWORD: 2,
    Outcome.ACCOUNT_LOCKED: 1,
    Outcome.ACCOUNT_INACTIVE: 1,
    Outcome.SECOND_FACTOR_FAILED: 1,
}
"""What a failed login is worth. No outcome that is missing here says that somebody guessed a password."""

ABUSES = frozenset({Outcome.AUTH_INCOMPLETE, Outcome.PROTOCOL_ABUSE, Outcome.RECIPIENT_UNKNOWN, Outcome.RELAY_DENIED})
"""What a stranger does that is no login, one point each."""

WIDEST = {4: 24, 6: 48}
"""The widest networks that an operator bans without insisting."""


class Ours(StrEnum):
    """Why an address is never banned, in the words of a reason."""

    LOOPBACK = "loopback"
    OWN = "our own address"
    ZIMBRA = "a Zimbra host"
    PROXY = "a proxy"
    SENDER = "a sender of logs"
    RESOLVER = "a resolver"
    ROUTE = "the default route"
    ADMIN = "an admin network"


class Office(StrEnum):
    """What a detection leads to at a place where several people log in."""

    ALERT = "alert"
    BAN = "ban"


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom to spare, what to count, how long to ban."""

    mode: Mode = Mode.OBSERVE
    allowlist: NetSet = field(default_factory=NetSet)
    never_ban: Mapping[Ours, NetSet] = field(default_factory=dict)
    """Loopback need not be named."""
    detectors: tuple[Detector, ...] = field(default_factory=default_detectors)
    tellers: tuple[Teller, ...] = field(default_factory=default_tellers)
    watches: Watches = field(default_factory=Watches)
    office: Office = Office.ALERT
    ladder: Ladder = field(default_factory=Ladder)
    lockout: Lockout = field(default_factory=Lockout)
    """When Zimbra itself locks an account."""
    relays: NetSet = field(default_factory=NetSet)
    """Mail filters and partners: they hand on other people's mail, unknown recipients included."""
    sees_traffic: bool = True
    """Whether the firewall can prove that a source was here: it stands in the path of the traffic."""
    _spared: NetSet = field(init=False, repr=False, compare=False, default_factory=NetSet)
    """All of them in one set: nearly every network that is asked for is in none."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_spared", NetSet(self.untouchable()) | LOOPBACK)

    def spares(self, net: Net) -> str | None:
        """Why nothing of `net` may be banned: `198.51.100.0/24 is on the allowlist`; None if it may.

        One shared address is enough: a /64 that holds a single allowed address is spared whole.
        """
        if not self._spared.touching(net):
            return None
        if found := self.allowlist.touching(net):
            return f"{found} is on the allowlist"
        if found := LOOPBACK.touching(net):
            return f"{found} is {Ours.LOOPBACK}"
        for label, nets in self.never_ban.items():
            if found := nets.touching(net):
                return f"{found} is {label}"
        return None

    def untouchable(self) -> frozenset[Net]:
        """Every network of which nothing may be banned; loopback need not be named."""
        return self.allowlist.networks.union(*(nets.networks for nets in self.never_ban.values()))
