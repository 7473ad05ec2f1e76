"""Who logged in from where: what a ban may have cost honest people, and devices with an old password."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.address import SOURCE_PREFIX, Net
from appliance.judge.attempts import NEAR
from appliance.replay.standing import AROUND, Kept

PAIRS = 200_000
"""Pairs of source and account that are remembered as having logged in or failed: about 80 MB. The least recent give
way, which the report tells."""

STEP = 600.0
"""Seconds of logins that are counted as one entry: a phone asks every few minutes."""

NEIGHBOURS = {4: 24, 16: 48}
"""Width of an address in bytes → how wide its neighbourhood is."""


@dataclass(slots=True)
class Visits:
    """Logins of one source as one account."""

    times: list[list[float]] = field(default_factory=list)
    """[first, last, number] of each `STEP`, the oldest first; older than a day only by the last entry."""
    last: float = -AROUND
    rules: frozenset[str] = frozenset()
    """Rules whose lines told of the last login."""

    def add(self, time: float, rule: str) -> bool:
        """Take note of a line; whether it is a login of its own, and not another line about the last one."""
        if time - self.last <= NEAR and rule not in self.rules:
            self.rules |= {rule}
            return False
        self.last, self.rules = time, frozenset({rule})
        if self.times and time - self.times[-1][0] < STEP:
            self.times[-1][1] = max(time, self.times[-1][1])
            self.times[-1][2] += 1
        else:
            self.times.append([time, time, 1])
        if self.times[0][1] < time - AROUND:
            del self.times[0]
        return True


@dataclass(slots=True)
class Cost:
    """Logins of one account from one source around one ban."""

    kept: Kept
    source: Net
    account: str
    before: int = 0
    refused: int = 0
    """While it stood."""
    after: int = 0
    first: float = 0.0
    last: float = 0.0

    def add(self, first: float, last: float, number: int, where: str) -> None:
        self.first = min(self.first or first, first)
        self.last = max(self.last, last)
        setattr(self, where, getattr(self, where) + number)

    @property
    def total(self) -> int:
        return self.before + self.refused + self.after


@dataclass(slots=True)
class Device:
    """Failures of one source at one account."""

    failures: int = 0
    first: float = 0.0
    last: float = 0.0
    protocols: tuple[str, ...] = ()


_Pairs = OrderedDict[tuple[Net, str], None]
_Devices = OrderedDict[tuple[Net, str], Device]
_Networks = OrderedDict[Net, int]


class Logins:
    """Successes and failures by source and account."""

    def __init__(self) -> None:
        self.forgotten = 0
        """Pairs that gave way to newer ones."""
        self.costs: dict[tuple[int, Net, str], Cost] = {}
        """By ban, source and account."""
        self._recent: OrderedDict[Net, dict[str, Visits]] = OrderedDict()
        """Sources somebody logged in from within a day, the least recent first."""
        self._ever: _Pairs = OrderedDict()
        self._failing: _Devices = OrderedDict()
        self._networks: _Networks = OrderedDict()
        """/24 and /48 with the number of sources in it that somebody logged in from."""

    def success(
        self, source: Net, account: str, time: float, rule: str, around: Sequence[Kept], *, strong: bool
    ) -> bool:
        """Somebody logged in; whether it is a login of its own, and not another line about the last one.

        `around` are the bans of this source that stand or stood. Lines that a client can write make nobody familiar.
        """
        self._expire(time)
        visits = self._recent.setdefault(source, {})
        self._recent.move_to_end(source)
        if not visits.setdefault(account, Visits()).add(time, rule):
            return False
        if strong:
            self._learn(source, account)
        for kept in around:
            self._cost(kept, source, account).add(time, time, 1, "refused" if kept.until > time else "after")
        return True

    def _learn(self, source: Net, account: str) -> None:
        if (source, account) not in self._ever:
            network = source.widened(NEIGHBOURS[len(source.packed)])
            self._networks[network] = self._networks.get(network, 0) + 1
            self._bound(self._networks)
        self._ever[source, account] = None
        self._ever.move_to_end((source, account))
        self._bound(self._ever)

    def banned(self, kept: Kept) -> None:
        """A ban begins: who logged in from there in the day before?"""
        net, since = kept.ban.net, kept.ban.since
        inside = [net] if net in self._recent else []
        if net.prefix < SOURCE_PREFIX[net.family]:
            inside = [source for source in self._recent if net.covers(source)]
        for source in inside:
            for account, visits in self._recent[source].items():
                for first, last, number in visits.times:
                    if last >= since - AROUND:
                        self._cost(kept, source, account).add(first, last, int(number), "before")

    def failure(self, source: Net, account: str, protocol: str, time: float) -> None:
        device = self._failing.get((source, account))
        if device is None:
            device = self._failing[source, account] = Device(first=time)
        self._failing.move_to_end((source, account))
        device.failures += 1
        device.first, device.last = min(device.first, time), max(device.last, time)
        if protocol not in device.protocols:
            device.protocols += (protocol,)
        self._bound(self._failing)

    def neighbours(self, net: Net) -> int:
        """How many sources of the /24 or /48 around a network somebody logged in from."""
        width = NEIGHBOURS[len(net.packed)]
        return self._networks.get(net.widened(width), 0) if net.prefix >= width else 0

    def stale(self, failures: int) -> list[tuple[Net, str, Device]]:
        """Sources that log in as somebody and failed more often than that at the same account."""
        return sorted(
            (source, account, device)
            for (source, account), device in self._failing.items()
            if device.failures > failures and (source, account) in self._ever
        )

    def _cost(self, kept: Kept, source: Net, account: str) -> Cost:
        return self.costs.setdefault((kept.number, source, account), Cost(kept, source, account))

    def _expire(self, now: float) -> None:
        while self._recent:
            source = next(iter(self._recent))
            if len(self._recent) <= PAIRS and any(v.last >= now - AROUND for v in self._recent[source].values()):
                return
            del self._recent[source]

    def _bound(self, table: _Pairs | _Devices | _Networks) -> None:
        if len(table) > PAIRS:
            table.popitem(last=False)
            self.forgotten += 1
