"""Which bans are in force, and how long the next one lasts."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from heapq import heappop, heappush

from appliance.address import Net
from appliance.model import Ban, Scope

OPERATOR = "operator"
"""Who asked for a ban made by hand. Such bans have no part in the ladder."""
REMEMBERED = 262_144
"""Networks whose earlier bans are remembered for the ladder; the longest unbanned gives way."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """How bans grow when a source comes back."""

    steps: tuple[float, ...] = (1800.0, 7200.0, 43200.0, 172800.0, 604800.0)
    """Seconds: 30 min, 2 h, 12 h, 48 h, 7 d."""
    memory: float = 30 * 86400.0
    """Seconds after its end for which a ban makes the next one longer."""
    jitter: float = 0.1
    """Share by which a ban is longer or shorter, so that its end cannot be foretold."""


class Bans:
    """The bans in force. None is ever dropped before its time: each rests on evidence of its own."""

    def __init__(self, seed: bytes, remembered: int = REMEMBERED) -> None:
        """`seed` keys the jitter (at most 64 bytes count); keep it secret, and the same over restarts."""
        self._seed = seed[:64]
        self._remembered = remembered
        self._bans: dict[Net, Ban] = {}
        self._ends: list[tuple[float, Net]] = []
        self._prefixes: dict[int, dict[int, int]] = {4: {}, 16: {}}
        """How many bans there are of each prefix length, by the width of the packed address in bytes."""
        self._rungs: OrderedDict[Net, Ban] = OrderedDict()
        """The last ban of each network, for the ladder."""
        self.forgotten = 0
        """Networks that start at the ladder's foot again because too many were remembered."""

    def __len__(self) -> int:
        return len(self._bans)

    def in_force(self, now: float) -> list[Ban]:
        self._expire(now)
        return self.all()

    def counted(self, now: float) -> dict[tuple[int, int], int]:
        """How many bans are in force of each (family, prefix length). Costs the same however many there are."""
        self._expire(now)
        return {
            (4 if width == 4 else 6, prefix): number
            for width, lengths in self._prefixes.items()
            for prefix, number in lengths.items()
        }

    def all(self) -> list[Ban]:
        """The bans whose end nobody has noticed yet."""
        return list(self._bans.values())

    def covering(self, net: Net, now: float, scope: Scope | None = None) -> Ban | None:
        """The ban in force that keeps all of `net` out longest, or None; with a scope, out of those ports at least."""
        if self._ends and self._ends[0][0] <= now:
            self._expire(now)
        if not self._bans:
            return None
        around = (ban for ban in self._around(net) if scope is None or ban.scope in (scope, Scope.ALL))
        return max(around, key=lambda ban: ban.until, default=None)

    def open(self, net: Net, detector: str, reason: str, now: float, first: int, ladder: Ladder) -> Ban:
        """Ban a network: on rung `first` of the ladder, or the one above its last ban's."""
        step = min(max(first, self._next_rung(net, now, ladder)), len(ladder.steps) - 1)
        seconds = ladder.steps[step] * (1 + ladder.jitter * self._chance(net, step))
        ban = Ban(net, now, now + seconds, detector, reason, step)
        self.add(ban)
        self.remember(ban)
        return ban

    def add(self, ban: Ban) -> None:
        """Put a ban in force. One of the same network stays if it lasts longer and closes those ports as well; else
        it gives way, for each network has one ban."""
        standing = self._bans.get(ban.net)
        if standing is not None and standing.until >= ban.until and standing.scope in (ban.scope, Scope.ALL):
            return
        if standing is None:
            lengths = self._prefixes[len(ban.net.packed)]
            lengths[ban.net.prefix] = lengths.get(ban.net.prefix, 0) + 1
        self._bans[ban.net] = ban
        heappush(self._ends, (ban.until, ban.net))

    def remember(self, ban: Ban) -> None:
        """Let a ban count for the ladder."""
        last = self._rungs.get(ban.net)
        if ban.detector == OPERATOR or (last is not None and last.until > ban.until):
            return
        self._rungs[ban.net] = ban
        self._rungs.move_to_end(ban.net)
        if len(self._rungs) > self._remembered:
            self._rungs.popitem(last=False)
            self.forgotten += 1

    def restore(self, bans: Iterable[Ban], history: Iterable[Ban]) -> None:
        """Take up what an earlier run decided: bans in force, and ended ones that the ladder remembers."""
        for ban in history:
            self.remember(ban)
        for ban in bans:
            self.add(ban)
            self.remember(ban)

    def end(self, net: Net) -> None:
        """End the ban of a network, which there must be."""
        del self._bans[net]
        lengths = self._prefixes[len(net.packed)]
        lengths[net.prefix] -= 1
        if not lengths[net.prefix]:
            del lengths[net.prefix]

    def lift(self, net: Net, now: float) -> list[Ban]:
        """End every ban that shares an address with `net`, and forget it: whoever lifts a ban vouches."""
        self._expire(now)
        lifted = list(self._around(net))
        if not net.is_host:
            lifted += [ban for ban in self._bans.values() if ban.net != net and net.covers(ban.net)]
        for ban in lifted:
            self.end(ban.net)
            self._rungs.pop(ban.net, None)
        return lifted

    def _around(self, net: Net) -> Iterator[Ban]:
        for prefix in self._prefixes[len(net.packed)]:
            if prefix <= net.prefix and (ban := self._bans.get(net.widened(prefix))):
                yield ban

    def _next_rung(self, net: Net, now: float, ladder: Ladder) -> int:
        last = self._rungs.get(net)
        return 0 if last is None or now - last.until > ladder.memory else last.step + 1

    def _chance(self, net: Net, step: int) -> float:
        """A number in [-1, 1] that only the holder of the seed can foretell, the same for the same ban."""
        digest = blake2b(net.packed + bytes((net.prefix, step)), digest_size=8, key=self._seed).digest()
        return int.from_bytes(digest, "big") / (2**63 - 0.5) - 1

    def _expire(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            until, net = heappop(self._ends)
            if (ban := self._bans.get(net)) is not None and ban.until == until:
                self.end(net)
