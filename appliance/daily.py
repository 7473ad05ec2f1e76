"""Gathers what the daily digest tells: from the judge, the store, and the senders. Changes nothing."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from appliance.address import SOURCE_PREFIX, Net, source_of
from appliance.judge.bans import OPERATOR
from appliance.judge.familiar import network_of
from appliance.judge.judge import Judge
from appliance.judge.reasons import PROVED
from appliance.judge.words import listed, moment, shown
from appliance.listen.senders import Sender
from appliance.model import Ban, Mode
from appliance.notify.mail.digest import ROWS, Attacked, Day, Doubtful, Quiet, Stale
from appliance.store.days import BANS_PAGE, NEWEST, AccountDay, Failures, LiftedBan, PairDay
from appliance.store.store import Store, StoreError

DAY = 86400.0

STALE = 20
"""Failures of a known device in a day from which on it is told: a person mistypes less, a phone tries all day."""

STALE_SINCE = 14 * DAY
"""Seconds back that are looked through for when a device began to fail."""

QUIET_AFTER = 3600.0
"""Seconds without a line after which a sender is quiet. `silence` tells of unusual quiet far sooner."""

LOOKED_AT = 100_000
"""Bans of a day that are looked at for doubts, the newest."""

KEPT = 200
"""Doubtful bans that are kept while the others are looked at; the mail shows the gravest."""

PEOPLE, LIFTED, NEIGHBOURS, FORGEABLE = range(4)
"""How grave a doubt is, the gravest first."""

Answer = TypeVar("Answer")


class Daily:
    """Answers what happened in the last 24 hours."""

    def __init__(
        self,
        judge: Judge,
        store: Store,
        senders: Callable[[], Mapping[str, Sender]],
        named: Callable[[], Mapping[str, Net]],
        funnel: Callable[[], Mapping[str, int]],
        dropped: Callable[[], int | None],
        mode: Callable[[], Mode],
        clock: Callable[[], float],
    ) -> None:
        """`named` gives the senders' names, `funnel` the lines `received`, `parsed` and `events` since the start,
        `dropped` the packets that the kernel dropped; None where nobody counts them."""
        self._judge = judge
        self._store = store
        self._senders = senders
        self._named = named
        self._funnel = funnel
        self._dropped = dropped
        self._mode = mode
        self._clock = clock
        self._before: Mapping[str, int] = {}
        self._dropped_before = 0
        """What the counters said at the last digest; the first tells of what came since the start."""

    async def day(self) -> Day:
        """What happened. Where the store does not answer, the digest says so and tells the rest."""
        now = self._clock()
        since = now - DAY
        faults: list[str] = []
        days = self._store.days
        nobody = Failures([], 0, [], is_partial=False)
        failures = await _told(days.failures(since), nobody, faults)
        bans = await _told(days.bans(since), {}, faults)
        unbans = await _told(days.unbans(since), 0, faults)
        lifted = await _told(days.lifted(since), [], faults)
        stale = await _told(self._stale(failures.pairs, now), (), faults)
        is_observing = self._mode() is Mode.OBSERVE
        rehearsals = [ban for ban in self._judge.rehearsals(now) if ban.since >= since] if is_observing else []
        nothing: tuple[list[Doubtful], int] = [], 0
        doubtful, doubtful_in_all = await _told(self._doubtful(rehearsals, lifted, since, now), nothing, faults)
        attacked = self._attacked(failures, now)
        read = self._counted()
        dropped = self._dropped()
        packets = None if dropped is None else _rise(dropped, self._dropped_before)
        self._dropped_before = dropped or 0
        return Day(
            begins=since,
            ends=now,
            is_observing=is_observing,
            bans=Counter(ban.detector for ban in rehearsals) if is_observing else bans,
            in_force=len(self._judge.bans_in_force(now)),
            dropped=packets,
            lifted=unbans,
            conditions=self._judge.conditions(now),
            attacked=attacked[:ROWS],
            attacked_in_all=len(attacked) + max(0, failures.accounts_in_all - len(failures.accounts)),
            stale=stale,
            doubtful=tuple(doubtful),
            doubtful_in_all=doubtful_in_all,
            quiet=self._quiet(now),
            lines=read["received"],
            read=read["parsed"],
            unknown=max(0, read["parsed"] - read["events"]),
            is_partial=failures.is_partial,
            faults=tuple(dict.fromkeys(faults)),
        )

    # Accounts

    def _attacked(self, failures: Failures, now: float) -> tuple[Attacked, ...]:
        """Accounts at which strangers failed. Among the loudest pairs are those who log in: they are taken off."""
        known: dict[str, list[PairDay]] = {}
        for pair in failures.pairs:
            if self._judge.familiar.has_succeeded(pair.source, now):
                known.setdefault(pair.account.lower(), []).append(pair)
        found = [self._attacked_one(each, known.get(each.account.lower(), []), now) for each in failures.accounts]
        ranked = sorted(found, key=lambda each: (-each.failures, -each.strangers, each.account))
        return tuple(each for each in ranked if each.strangers)

    def _attacked_one(self, of: AccountDay, known: list[PairDay], now: float) -> Attacked:
        budget = self._judge.budget(of.account, now)
        is_besieged = budget is not None and budget.besieged_since is not None
        is_near = budget is not None and budget.of > 0 and 2 * budget.used >= budget.of
        return Attacked(
            of.account,
            max(0, of.failures - sum(each.failures for each in known)),
            max(0, of.sources - len(known)),
            str(budget) if is_near or is_besieged else "",
            is_besieged,
        )

    async def _stale(self, pairs: Iterable[PairDay], now: float) -> tuple[Stale, ...]:
        """Devices that fail where their owners log in, since they began to."""
        familiar = self._judge.familiar
        failing = [
            each for each in pairs if each.failures >= STALE and familiar.knows(each.source, each.account.lower(), now)
        ]
        found: list[Stale] = []
        for each in failing[: 2 * ROWS]:
            whole = await self._store.days.pair(each.source, each.account, now - STALE_SINCE) or each
            people = len(familiar.accounts_at(each.source, now))
            source = str(each.source)
            found.append(Stale(source, each.account, whole.protocols, whole.failures, whole.first, whole.last, people))
        return tuple(found)

    # Bans

    async def _doubtful(
        self, rehearsals: list[Ban], lifted: list[LiftedBan], since: float, now: float
    ) -> tuple[list[Doubtful], int]:
        """The bans that most likely hit the wrong one, and how many there are."""
        found: list[tuple[int, float, Doubtful]] = []
        number = 0
        ended = {(each.ban.net, each.ban.since): each for each in lifted}
        async for bans in self._pages(rehearsals, since):
            for ban in bans:
                rank, why = self._doubts(ban, ended.get((ban.net, ban.since)), now)
                if why:
                    number += 1
                    found.append((rank, -ban.since, self._told_of(ban, why, ended.get((ban.net, ban.since)))))
            found.sort(key=lambda each: each[:2])
            del found[KEPT:]
            await asyncio.sleep(0)  # between two pages everybody else has a turn
        return [each for _, _, each in found[:ROWS]], number

    async def _pages(self, rehearsals: list[Ban], since: float) -> AsyncIterator[list[Ban]]:
        """The bans of the day, some at a time: those that there would have been, or those that were made."""
        for begin in range(0, min(len(rehearsals), LOOKED_AT), BANS_PAGE):
            yield rehearsals[begin : begin + BANS_PAGE]
        looked_at, before = 0, NEWEST
        while looked_at < LOOKED_AT:
            bans, before = await self._store.days.bans_page(since, before)
            if not bans:
                return
            looked_at += len(bans)
            yield [ban for ban in bans if ban.detector != OPERATOR]

    def _told_of(self, ban: Ban, why: list[str], lifted: LiftedBan | None) -> Doubtful:
        ended = None if lifted is None else lifted.time
        return Doubtful(str(ban.net), ban.detector, ban.since, ban.until, tuple(why), ended)

    def _doubts(self, ban: Ban, lifted: LiftedBan | None, now: float) -> tuple[int, list[str]]:
        """Why a ban may have hit the wrong one, and how grave that is."""
        why: list[str] = []
        ranks: list[int] = []
        familiar = self._judge.familiar
        source = source_of(ban.net)
        if ban.net.prefix < SOURCE_PREFIX[ban.net.family]:
            if familiar.lives_in(network_of(ban.net), now):
                why.append("people log in from that network")
                ranks.append(PEOPLE)
        elif people := familiar.accounts_at(source, now):
            why.append(f"{listed(people)} log{'s' * (len(people) == 1)} in from there, {self._last(source, people[0])}")
            ranks.append(PEOPLE)
        elif familiar.lives_in(network_of(source), now):
            why.append(f"people log in from its neighbourhood, {network_of(source)}")
            ranks.append(NEIGHBOURS)
        if lifted is not None:
            because = f": {shown(lifted.reason)}" if lifted.reason else ""
            why.append(f"{shown(lifted.who)} lifted it{because}")
            ranks.append(LIFTED)
        if PROVED in ban.reason:
            why.append("decided by lines that a client can write; only the address is proved")
            ranks.append(FORGEABLE)
        return min(ranks, default=FORGEABLE), why

    def _last(self, source: Net, account: str) -> str:
        last = [seen.last for seen in self._judge.familiar.sources_of(account) if seen.source == source]
        return f"last {moment(last[0])}" if last else "of late"

    # Senders

    def _quiet(self, now: float) -> tuple[Quiet, ...]:
        """Senders that were not heard for an hour, and named ones that never were."""
        heard = self._senders()
        names = {str(net): name for name, net in self._named().items()}
        quiet = [
            Quiet(_named(address, names), sender.last_seen)
            for address, sender in heard.items()
            if now - sender.last_seen >= QUIET_AFTER
        ]
        return (*quiet, *(Quiet(_named(address, names), None) for address in names if address not in heard))

    def _counted(self) -> dict[str, int]:
        """Lines since the last digest."""
        counts = self._funnel()
        since = {name: _rise(number, self._before.get(name, 0)) for name, number in counts.items()}
        self._before = dict(counts)
        return since


def _rise(now: int, before: int) -> int:
    """By how much a counter rose; one that is lower than it was began anew."""
    return now - before if now >= before else now


def _named(address: str, names: Mapping[str, str]) -> str:
    """`mbox1 (192.0.2.10)`."""
    return f"{names[address]} ({address})" if address in names else address


async def _told(question: Awaitable[Answer], otherwise: Answer, faults: list[str]) -> Answer:
    """The answer, or something in its place where the store has none."""
    try:
        return await question
    except StoreError as fault:
        faults.append(str(fault))
        return otherwise
