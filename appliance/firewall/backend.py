"""What zward asks of a firewall. `client` asks the kernel through the helper, `observe` only writes down."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from appliance.address import Net

EXPOSED_PORTS = (25, 465, 587, 80, 443, 110, 143, 993, 995, 7071)
"""The TCP ports behind the gateway that a ban closes."""


class Element(NamedTuple):
    """One network to keep out, and for how long from now. There is no ban without an end."""

    net: Net
    seconds: int


class Refused(NamedTuple):
    """A network that did not go in, although the rest of its batch did."""

    net: Net
    reason: str


class BackendError(Exception):
    """The firewall did not do what was asked. `net` is the element it stumbled over, where that is known."""

    def __init__(self, message: str, net: Net | None = None) -> None:
        super().__init__(message)
        self.net = net


class LibnftablesMissing(BackendError):
    """libnftables.so.1 is not installed."""


class NotPermitted(BackendError):
    """The helper lacks CAP_NET_ADMIN."""


class Backend(Protocol):
    """A firewall that keeps networks out of every exposed port until their time is over.

    Every call may raise BackendError. Then nothing of that batch is in force, unless the call timed out:
    ask `banned()`.
    """

    async def open(self) -> None:
        """Make sure that everything bans need is in place. Standing bans stay.

        May be called again at any time; it puts back what somebody else removed.
        Raises LibnftablesMissing or NotPermitted, saying what cures it.
        """

    async def close(self) -> None:
        """Let go. Bans stay in force until they end by themselves."""

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        """Keep these networks out, in one transaction up to `limits.MAX_BATCH` elements.

        A network that is out already gets the new time, be it longer or shorter. Where a network is named
        twice the last one holds. Returns those that may not be banned; all others are in force.
        """

    async def unban(self, nets: Sequence[Net]) -> list[Net]:
        """Lift every ban that covers one of these networks; returns what was lifted."""

    async def banned(self) -> dict[Net, float]:
        """All standing bans with their remaining seconds, rounded down; infinity for one without an end."""

    async def allow(self, nets: Collection[Net]) -> None:
        """Replace the allow list: whoever is on it passes, banned or not, and is refused by `ban`."""

    async def dropped(self) -> Mapping[int, int]:
        """Packets dropped so far, for each exposed port. Falls to 0 only when the table was made anew."""
