"""What happens at each account, whoever tries it: the lockout budget that is used up, and by whom."""

from array import array
from bisect import bisect_right, insort
from collections.abc import Iterator
from math import isnan, nan
from struct import Struct, pack, unpack_from
from typing import NamedTuple

from appliance.judge.shelves import Shelves
from appliance.judge.tallies import Tally
from appliance.judge.words import span

ACCOUNTS = 262_144
"""Accounts counted at a time. Attackers invent names, so those that were not tried for long give way."""
ATTACKED = 262_144
"""Accounts under attack by several strangers: more than any site has. They stand apart from invented names."""
WARM = 16_384
"""Accounts that lie unpacked; the lines of one attempt come within seconds."""
FAILING = 64
"""Sources that fail at one account and are told apart: well over every limit."""


class Lockout(NamedTuple):
    """When Zimbra locks an account: zimbraPasswordLockoutMaxFailures, zimbraPasswordLockoutFailureLifetime."""

    max_failures: int = 10
    """0 where it never does."""
    within: float = 1800.0


class Budget(NamedTuple):
    """How near an account is to being locked by Zimbra, and whose doing that is."""

    used: int
    of: int
    within: float
    strangers: int
    known: int
    """Sources that are familiar for this account: its owner's devices."""
    besieged_since: float | None = None

    def __str__(self) -> str:
        """`4 of 10 in 30 min (2 strangers, 1 known phone)`."""
        sources = f"{self.strangers} stranger{'s' * (self.strangers != 1)}"
        known = f", {self.known} known device{'s' * (self.known != 1)}" if self.known else ""
        return f"{self.used} of {self.of or 'unlimited'} in {span(self.within)} ({sources}{known})"


class Account:
    """The failures at one account."""

    __slots__ = ("besieged_since", "known", "pressed_at", "stranger_times", "strangers", "tally")

    def __init__(self, name: str) -> None:
        self.tally = Tally(name)
        self.strangers: dict[bytes, float] = {}
        """Sources that never logged in anywhere and failed here, with their last failure; the latest last."""
        self.known: dict[bytes, float] = {}
        """The same of sources that are familiar for this account."""
        self.stranger_times: list[float] = []
        """When strangers tried it, sorted; as many as can matter."""
        self.besieged_since: float | None = None
        self.pressed_at = 0.0
        """The last failure of a stranger."""

    @property
    def name(self) -> str:
        """The one copy of the name that all attempts share."""
        return self.tally.account

    def note_stranger(self, source: bytes, time: float, attempts: int, depth: int) -> None:
        """A stranger failed here; of the times of such tries the `depth` newest are kept."""
        _note(self.strangers, source, time)
        self.pressed_at = max(self.pressed_at, time)
        for _ in range(min(attempts, depth)):
            insort(self.stranger_times, time)
        del self.stranger_times[:-depth]

    def note_pressure(self, time: float) -> None:
        """A stranger was refused because the account is locked: what besieges it goes on."""
        self.pressed_at = max(self.pressed_at, time)

    def note_known(self, source: bytes, time: float) -> None:
        """A source that is familiar for this account failed here."""
        _note(self.known, source, time)

    def strangers_within(self, seconds: float, now: float) -> int:
        """How many strangers failed here in the window (now - seconds, now]."""
        return _lately(self.strangers, now - seconds, now)

    def strangers_tries(self, seconds: float, now: float) -> int:
        """How often strangers failed here in that window."""
        times = self.stranger_times
        return bisect_right(times, now) - bisect_right(times, now - seconds)

    def is_besieged(self, quiet: float, now: float) -> bool:
        """Whether it is under siege: one began, and no `quiet` seconds went by without a stranger's failure."""
        return self.besieged_since is not None and now - self.pressed_at < quiet

    def end_siege(self, quiet: float, now: float) -> None:
        """Forget a siege that is over, before a further stranger's failure would let it go on."""
        if not self.is_besieged(quiet, now):
            self.besieged_since = None

    def budget(self, lockout: Lockout, quiet: float, now: float) -> Budget:
        within = lockout.within
        since = now - within
        return Budget(
            self.tally.within(within, now),
            lockout.max_failures,
            within,
            _lately(self.strangers, since, now),
            _lately(self.known, since, now),
            self.besieged_since if self.is_besieged(quiet, now) else None,
        )


class Accounts:
    """Every account that anybody failed at."""

    def __init__(self, most: int = ACCOUNTS, attacked: int = ATTACKED, warm: int = WARM) -> None:
        self._shelves: Shelves[str, Account] = Shelves(warm, most, attacked, Account, packed, unpacked)
        self._besieged: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._shelves)

    def of(self, name: str) -> Account:
        return self._shelves.opened(name)

    def known(self, name: str) -> Account | None:
        """An account, if anybody failed at it."""
        return self._shelves.get(name)

    def mark(self, account: Account, *, close: bool) -> None:
        """Say whether an account is under attack by several strangers."""
        self._shelves.mark(account.name, close=close)

    def besiege(self, account: Account, now: float) -> None:
        """A siege begins."""
        account.besieged_since = now
        self._besieged[account.name] = None

    def besieged(self, quiet: float, now: float) -> list[str]:
        """The accounts under siege."""
        return [name for name in self._besieged if self._is_besieged(name, quiet, now)]

    def relieved(self, quiet: float, now: float) -> list[str]:
        """The accounts whose siege ended since this was asked last."""
        over = [name for name in self._besieged if not self._is_besieged(name, quiet, now)]
        for name in over:
            del self._besieged[name]
        return over

    def budgets(self, lockout: Lockout, quiet: float, now: float) -> Iterator[tuple[str, Budget]]:
        """The accounts that failed in the lockout's window, among those that were tried last."""
        for account in self._shelves.warm:
            times = account.tally.times
            if times and times[-1] > now - lockout.within:
                yield account.name, account.budget(lockout, quiet, now)

    @property
    def evicted(self) -> int:
        """Accounts forgotten because there were too many."""
        return self._shelves.evicted

    @property
    def evicted_close(self) -> int:
        """The same of accounts under attack by several strangers."""
        return self._shelves.evicted_close

    def _is_besieged(self, name: str, quiet: float, now: float) -> bool:
        account = self._shelves.get(name)
        return account is not None and account.is_besieged(quiet, now)


_HEAD = Struct("<ddHHHH")
"""When the siege began (NaN: none), the last failure of a stranger; how many times, times of strangers, strangers and
known sources follow."""


def packed(account: Account) -> bytes:
    """An account as bytes. Lines that still come for one of its attempts will count as another."""
    times, theirs = account.tally.times, account.stranger_times
    strangers, known = account.strangers, account.known
    since = nan if account.besieged_since is None else account.besieged_since
    return b"".join(
        (
            _HEAD.pack(since, account.pressed_at, len(times), len(theirs), len(strangers), len(known)),
            array("d", [*times, *theirs]).tobytes(),
            *(pack(f"<B{len(each)}sd", len(each), each, last) for each, last in (*strangers.items(), *known.items())),
        )
    )


def unpacked(name: str, data: bytes) -> Account:
    """The account that was packed."""
    since, pressed_at, tried, theirs, strangers, known = _HEAD.unpack_from(data)
    account = Account(name)
    account.besieged_since = None if isnan(since) else since
    account.pressed_at = pressed_at
    ends = _HEAD.size + 8 * (tried + theirs)
    times = array("d", data[_HEAD.size : ends])
    account.tally.times = list(times[:tried])
    account.stranger_times = list(times[tried:])
    for _ in range(strangers):
        ends = _unpack_source(data, ends, account.strangers)
    for _ in range(known):
        ends = _unpack_source(data, ends, account.known)
    return account


def _unpack_source(data: bytes, place: int, into: dict[bytes, float]) -> int:
    """Take an address and the time of its last failure, packed behind the address's length; where the next begins."""
    width = data[place]
    source, last = unpack_from(f"<{width}sd", data, place + 1)
    into[source] = last
    return place + 1 + width + 8


def _note(sources: dict[bytes, float], source: bytes, time: float) -> None:
    sources[source] = max(time, sources.pop(source, time))
    if len(sources) > FAILING:
        del sources[next(iter(sources))]


def _lately(sources: dict[bytes, float], since: float, now: float) -> int:
    return sum(1 for last in sources.values() if since < last <= now)
