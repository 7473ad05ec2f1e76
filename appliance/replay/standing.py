"""The bans of a replay: which would stand when a line was written, and what each kept away."""

import heapq
from dataclasses import dataclass

from appliance.address import Net
from appliance.model import Ban, Scope

AROUND = 86400.0
"""Seconds before and behind a ban in which a success from its source makes it doubtful."""


@dataclass(slots=True)
class Kept:
    """One ban, and what the logs say around it."""

    number: int
    ban: Ban
    accounts: tuple[str, ...]
    proved: bool
    """Whether it needed no proof that a replay cannot have: packets of its source."""
    avoided: int = 0
    """Failed attempts that it would have kept away."""
    refused: int = 0
    """Logins that it would have kept away."""

    @property
    def until(self) -> float:
        return self.ban.until


class Standing:
    """Bans by network, until a day after their end."""

    def __init__(self) -> None:
        self._bans: dict[Net, list[Kept]] = {}
        self._prefixes: dict[tuple[int, int], int] = {}
        """(bytes of the address, prefix) → networks that are kept."""
        self._ends: list[tuple[float, int, Kept]] = []

    def open(self, kept: Kept) -> None:
        net = kept.ban.net
        if net not in self._bans:
            length = len(net.packed), net.prefix
            self._prefixes[length] = self._prefixes.get(length, 0) + 1
            self._bans[net] = []
        self._bans[net].append(kept)
        heapq.heappush(self._ends, (kept.until + AROUND, kept.number, kept))

    def around(self, source: Net, now: float) -> list[Kept]:
        """Bans of this source that stand, or ended less than a day ago; the oldest first."""
        while self._ends and self._ends[0][0] <= now:
            self._forget(heapq.heappop(self._ends)[2])
        found = [
            kept
            for width, prefix in self._prefixes
            if width == len(source.packed) and prefix <= source.prefix
            for kept in self._bans.get(source.widened(prefix), ())
        ]
        return sorted(found, key=lambda kept: kept.number) if len(found) > 1 else found

    def _forget(self, kept: Kept) -> None:
        net = kept.ban.net
        self._bans[net].remove(kept)
        if not self._bans[net]:
            del self._bans[net]
            length = len(net.packed), net.prefix
            self._prefixes[length] -= 1
            if not self._prefixes[length]:
                del self._prefixes[length]


def closing(bans: list[Kept], door: Scope, now: float) -> Kept | None:
    """The one of these bans that would keep a client out of this door now."""
    return next((kept for kept in bans if kept.until > now and kept.ban.scope in (Scope.ALL, door)), None)
