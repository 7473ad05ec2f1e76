"""Which bans are in force, and how long the next one lasts."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from heapq import heappop, heappush

from appliance.address import Net
from appliance.model import Ban, Scope

OPERATOR = "operator"
"""Who asked for a ban made by hand. Such bans have no part in the ladder."""
KERNEL = "kernel"
"""Who asked for a ban of which the kernel alone knew: nobody can say any more. Nor does it bring probation."""
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
    probation: float = 86400.0
    """Seconds after a ban's end in which one more failure of a stranger brings the next."""


class Bans:
    """The bans in force, of each network at most one a scope.

    None is ever dropped before its time: each rests on evidence of its own.
    """

    def __init__(self, seed: bytes, remembered: int = REMEMBERED) -> None:
        """`seed` keys the jitter (at most 64 bytes count); keep it secret."""
        self._seed = seed[:64]
        self._remembered = remembered
        self._bans: dict[Net, tuple[Ban, ...]] = {}
        """Each network's bans: one look-up finds those of all scopes, and there are three at the most."""
        self._ends: list[tuple[float, Net]] = []
        self._prefixes: dict[int, dict[int, int]] = {4: {}, 16: {}}
        """How many bans there are of each prefix length, by the width of the packed address in bytes."""
        self._numbers: dict[tuple[int, int, Scope], int] = {}
        """The same by family, prefix length and scope."""
        self._rungs: OrderedDict[Net, Ban] = OrderedDict()
        """The last ban of each network, whatever its scope, for the ladder."""
        self.forgotten = 0
        """Networks that start at the ladder's foot again because too many were remembered."""

    def __len__(self) -> int:
        return sum(number for lengths in self._prefixes.values() for number in lengths.values())

    def in_force(self, now: float) -> list[Ban]:
        self._expire(now)
        return self.all()

    def counted(self, now: float) -> Mapping[tuple[int, int, Scope], int]:
        """How many bans are in force of each family, prefix length and scope. Costs the same however many there are."""
        self._expire(now)
        return {kind: number for kind, number in self._numbers.items() if number}

    def all(self) -> list[Ban]:
        """The bans whose end nobody has noticed yet."""
        return [ban for bans in self._bans.values() for ban in bans]

    def covering(self, net: Net, now: float, scope: Scope | None = None) -> Ban | None:
        """The ban in force that keeps all of `net` out longest, or None; with a scope, out of those ports at least."""
        if self._ends and self._ends[0][0] <= now:
            self._expire(now)
        if not self._bans:
            return None
        longest: Ban | None = None
        for ban in self._around(net):
            if (longest is None or ban.until > longest.until) and (scope is None or ban.scope in (scope, Scope.ALL)):
                longest = ban
        return longest

    def open(
        self,
        net: Net,
        detector: str,
        reason: str,
        now: float,
        first: int,
        ladder: Ladder,
        scope: Scope = Scope.ALL,
        seconds: float | None = None,
    ) -> Ban:
        """Ban a network: on rung `first` of the ladder, or the one above its last ban's, in whatever scope that was.

        `seconds` is a term of its own, to the second, in the place of the rung's.
        """
        step = min(max(first, self._next_rung(net, now, ladder)), len(ladder.steps) - 1)
        if seconds is None:
            seconds = ladder.steps[step] * (1 + ladder.jitter * self._chance(net, step))
        until = now + seconds
        if scope is Scope.ALL:  # what closes the login ports for longer is widened, not repeated
            until = max([until, *(other.until for other in self._bans.get(net, ()) if other.scope is Scope.LOGIN)])
        ban = Ban(net, now, until, detector, reason, step, scope)
        self.add(ban)
        self.remember(ban)
        return ban

    def add(self, ban: Ban) -> None:
        """Put a ban in force, in the place of one of the same network and scope, beside those of other scopes.

        Where one lasts longer that closes those ports as well, it stays and the new one is not needed.
        """
        standing = self._bans.get(ban.net, ())
        if any(other.until >= ban.until and other.scope in (ban.scope, Scope.ALL) for other in standing):
            return
        beside = (other for other in standing if other.scope is not ban.scope and not _is_within(other, ban))
        self._keep(ban.net, (*beside, ban))
        heappush(self._ends, (ban.until, ban.net))

    def remember(self, ban: Ban) -> None:
        """Let a ban count for the ladder: of those that overlap the highest rung and the latest end."""
        if ban.detector == OPERATOR:
            return
        last = self._rungs.get(ban.net)
        if last is not None and last.until > ban.until:
            if ban.step > last.step:
                self._rungs[ban.net] = replace(last, step=ban.step)
            return
        self._rungs[ban.net] = ban
        self._rungs.move_to_end(ban.net)
        if len(self._rungs) > self._remembered:
            self._rungs.popitem(last=False)
            self.forgotten += 1

    def has(self, net: Net, now: float) -> bool:
        """Whether exactly this network is banned, in any scope."""
        self._expire(now)
        return net in self._bans

    def last(self, net: Net) -> Ban | None:
        """The last ban of a network that the ladder remembers, in force or ended; no operator's."""
        return self._rungs.get(net)

    def restore(self, bans: Iterable[Ban], history: Iterable[Ban]) -> None:
        """Take up, as it was decided, what an earlier run decided: bans in force, and ended ones for the ladder."""
        for ban in history:
            self.remember(ban)
        for ban in bans:
            self.add(ban)
            self.remember(ban)

    def end(self, net: Net) -> None:
        """End the bans of exactly this network, in every scope, if there are any."""
        self._keep(net, ())

    def lift(self, net: Net, now: float) -> list[Ban]:
        """End every ban that shares an address with `net`, in every scope, and forget it: whoever lifts a ban
        vouches."""
        self._expire(now)
        lifted = list(self._around(net))
        if not net.is_host:
            inside = (bans for other, bans in self._bans.items() if other != net and net.covers(other))
            lifted += [ban for bans in inside for ban in bans]
        for ban in lifted:
            self.end(ban.net)
        for freed in {net, *(ban.net for ban in lifted)}:
            self._rungs.pop(freed, None)
        return lifted

    def _keep(self, net: Net, bans: tuple[Ban, ...]) -> None:
        """Let a network have these bans and no others, and count them."""
        before = self._bans.get(net, ())
        grown = len(bans) - len(before)
        for ban, change in (*((ban, -1) for ban in before), *((ban, 1) for ban in bans)):
            kind = net.family, net.prefix, ban.scope
            self._numbers[kind] = self._numbers.get(kind, 0) + change
        if bans:
            self._bans[net] = bans
        else:
            self._bans.pop(net, None)
        lengths = self._prefixes[len(net.packed)]
        lengths[net.prefix] = lengths.get(net.prefix, 0) + grown
        if not lengths[net.prefix]:
            del lengths[net.prefix]

    def _around(self, net: Net) -> Iterator[Ban]:
        for prefix in self._prefixes[len(net.packed)]:
            if prefix <= net.prefix:
                yield from self._bans.get(net.widened(prefix), ())

    def _next_rung(self, net: Net, now: float, ladder: Ladder) -> int:
        last = self._rungs.get(net)
        return 0 if last is None or now - last.until > ladder.memory else last.step + 1

    def _chance(self, net: Net, step: int) -> float:
        """A number in [-1, 1] that only the holder of the seed can foretell, the same for the same ban."""
        digest = blake2b(net.packed + bytes((net.prefix, step)), digest_size=8, key=self._seed).digest()
        return int.from_bytes(digest, "big") / (2**63 - 0.5) - 1

    def _expire(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _until, net = heappop(self._ends)
            if net in self._bans:
                self._keep(net, tuple(ban for ban in self._bans[net] if ban.until > now))


def _is_within(narrow: Ban, wide: Ban) -> bool:
    """Whether a ban of the login ports closes nothing that the other one does not."""
    return wide.scope is Scope.ALL and narrow.scope is Scope.LOGIN and narrow.until <= wide.until
