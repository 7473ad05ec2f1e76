"""What is asked about people: what happens at an account, where its owner logs in, and to forget it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from appliance.address import SOURCE_PREFIX, Net, source_of
from appliance.desk import Asker, NotFound, Unusable, parsed, told_ban
from appliance.judge.accounts import Budget
from appliance.judge.familiar import KEPT
from appliance.judge.judge import Judge
from appliance.judge.words import shown
from appliance.learner import Learner
from appliance.model import Act, Ban, Mode
from appliance.moments import iso
from appliance.regulars import told_login
from appliance.store.accounts import Tried
from appliance.store.store import Store

LONGEST_LOOK = 400 * 86400.0
"""Seconds back that an answer can be asked for; the evidence seldom reaches as far."""

SOURCES_TOLD = 500
"""Failing sources in an answer: the owner's own, then the latest; a botnet has thousands."""


@dataclass(slots=True)
class _Failing:
    """One source that failed at an account."""

    source: Net
    kinds: list[Tried] = field(default_factory=list)

    @property
    def number(self) -> int:
        return sum(each.count for each in self.kinds)

    @property
    def first(self) -> float:
        return min(each.first for each in self.kinds)

    @property
    def last(self) -> float:
        return max(each.last for each in self.kinds)


class People:
    """Answers about accounts, for whoever has their owner on the phone."""

    def __init__(
        self,
        judge: Judge,
        learner: Learner,
        store: Store,
        clock: Callable[[], float],
        mode: Callable[[], Mode],
        tell: Callable[[Act, float], None],
    ) -> None:
        """`tell` is told of what operators do."""
        self._judge = judge
        self._learner = learner
        self._store = store
        self._clock = clock
        self._mode = mode
        self._tell = tell

    async def account(self, name: str, seconds: float) -> dict[str, Any]:
        """What happened at an account in the last `seconds`, and where its owner logs in.

        Raises NotFound when that is nothing, and StoreError.
        """
        if not 0 < seconds <= LONGEST_LOOK:
            raise Unusable(f"a look {seconds:g} s back; expected more than 0 and at most {LONGEST_LOOK:g}")
        account, now, judge = _account(name), self._clock(), self._judge
        trials = await self._store.tried(_names(account), now - seconds)
        bans = _by_place(judge.bans_in_force(now))
        logins = [seen for seen in judge.familiar.sources_of(account) if seen.last > now - KEPT]
        failing = sorted(_by_source(trials.tried), key=lambda each: each.last, reverse=True)
        failing.sort(key=lambda each: not judge.familiar.knows(each.source, account, now))
        budget = judge.budget(account, now)
        if not (failing or logins or (budget and (budget.used or budget.besieged_since))):
            raise NotFound(f"{shown(account)}: no failures, no logins, nothing known")
        return {
            "account": account,
            "mode": self._mode(),
            "asked": iso(now),
            "since": iso(now - seconds),
            "budget": told_budget(budget) if budget else None,
            "besieged_since": iso(budget.besieged_since) if budget and budget.besieged_since else None,
            "failures": sum(each.number for each in failing),
            "sources": [self._told_failing(each, account, bans, now) for each in failing[:SOURCES_TOLD]],
            "beyond": len(failing[SOURCES_TOLD:]),
            "logins": [
                told_login(seen)
                | {"is_office": judge.is_office(seen.source, now), "banned": _told(bans, seen.source, now)}
                for seen in reversed(logins)
            ],
            "is_partial": trials.is_partial,
        }

    def _told_failing(self, failing: _Failing, account: str, bans: dict[Net, Ban], now: float) -> dict[str, Any]:
        judge, source = self._judge, failing.source
        return {
            "address": str(source),
            "number": failing.number,
            "first": iso(failing.first),
            "last": iso(failing.last),
            "is_familiar": judge.familiar.knows(source, account, now),
            "is_stranger": not judge.familiar.has_succeeded(source, now),
            "is_office": judge.is_office(source, now),
            "banned": _told(bans, source, now),
            "kinds": [
                {"account": each.account, "protocol": each.protocol, "outcome": each.outcome, "number": each.count}
                for each in failing.kinds
            ],
        }

    # Who logs in from where

    async def familiar(
        self, whom: str | None, after: tuple[str, str] | None = None, most: int | None = None
    ) -> dict[str, Any]:
        """Who logs in from where, of an account, of a network, or all; a page of it, behind the row `after`.

        Of the first page also how many there are.

        Raises NotFound where nothing is known of the one asked for, and StoreError.
        """
        account, net = meant(whom)
        now = self._clock()
        await self._learner.flush()
        table = self._store.familiar
        begin = None if after is None else (after[0], parsed(after[1]))
        rows = await table.page(now, account, net, begin, *([] if most is None else [most]))
        number = None if after else await table.count(now, account, net)
        if number == 0 and whom is not None:
            raise NotFound(_nobody(account, net))
        return {"number": number, "logins": [told_login(seen) for seen in rows]}

    async def forget(self, whom: str, asker: Asker, reason: str) -> dict[str, Any]:
        """Forget who logs in from where, of an account or of a network. Raises NotFound and StoreError."""
        account, net = meant(whom)
        gone = await self._learner.forget(account, net)
        if not gone:
            raise NotFound(_nobody(account, net))
        act = Act(self._clock(), asker.name, "forget", account or str(net), reason)
        self._tell(act, act.time)
        await self._store.add_act(act)
        return {"forgotten": [told_login(seen) for seen in gone]}


def meant(whom: str | None) -> tuple[str | None, Net | None]:
    """The account or the network that a person typed; neither where nothing was typed. Raises Unusable."""
    if whom is None:
        return None, None
    if whom.strip() and "@" not in whom and (":" in whom or "/" in whom or not whom.strip("0123456789.")):
        return None, source_of(parsed(whom))
    return _account(whom), None


def told_budget(budget: Budget) -> dict[str, Any]:
    """How near Zimbra is to locking an account, and whose doing that is."""
    return {
        "used": budget.used,
        "of": budget.of,
        "within": budget.within,
        "strangers": budget.strangers,
        "known": budget.known,
        "words": str(budget),
    }


def _account(text: str) -> str:
    """An account as the judge names it: without regard to case."""
    if not text.strip():
        raise Unusable('found "", expected an account such as "ana@example.com"')
    return text.strip().lower()


def _names(account: str) -> set[str]:
    """The names by which lines may call it: Postfix writes what was typed, with or without the domain."""
    return {account, account.partition("@")[0]} - {""}


def _nobody(account: str | None, net: Net | None) -> str:
    return f"{net}: nobody logs in from there" if account is None else f"{shown(account)}: has logged in nowhere"


def _by_source(tried: Iterable[Tried]) -> list[_Failing]:
    found: dict[Net, _Failing] = {}
    for each in tried:
        found.setdefault(each.source, _Failing(each.source)).kinds.append(each)
    return list(found.values())


def _by_place(bans: Iterable[Ban]) -> dict[Net, Ban]:
    """The bans in force by network, those of part of a source by the source; of several the longest."""
    places: dict[Net, Ban] = {}
    for ban in bans:
        place = source_of(ban.net)
        if place not in places or places[place].until < ban.until:
            places[place] = ban
    return places


def _told(bans: dict[Net, Ban], source: Net, now: float) -> dict[str, Any] | None:
    """The ban in force that keeps a source out, if there is one; of several the longest."""
    around = (source.widened(prefix) for prefix in range(SOURCE_PREFIX[source.family] + 1))
    covering = [bans[net] for net in around if net in bans]
    return told_ban(max(covering, key=lambda ban: ban.until), now) if covering else None
