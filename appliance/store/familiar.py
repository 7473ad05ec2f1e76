"""Who logged in from where, on disk: what the judge's memory is rebuilt from after a restart.

A row is one account at one source. It is forgotten 30 days after its last login, as in memory, or when a person
asks for it.
"""

from collections.abc import Sequence
from typing import Any

from appliance.address import Net, source_of
from appliance.judge.familiar import KEPT, Seen
from appliance.store.evidence import clean, key_of, net_of, span
from appliance.store.file import StoreFile

PAGE = 5000
"""Rows in one answer, so that a listing of a million holds nobody up."""

AFTER_ALL = "\U0010ffff"
"""An account that sorts behind every other."""

_LEARN = """
    INSERT INTO familiar (account, source, first, last) VALUES (?, ?, ?, ?)
    ON CONFLICT (account, source) DO UPDATE SET first = min(first, excluded.first), last = max(last, excluded.last)
"""
_FORGET_OLD = "DELETE FROM familiar WHERE last <= ?"
_FRESH = """
    SELECT source, account, first, last FROM familiar WHERE (last, account, source) > (?, ?, ?)
    ORDER BY last, account, source LIMIT ?
"""
_PAGE = """
    SELECT source, account, first, last FROM familiar WHERE last > :since AND (account, source) > (:name, :place){}
    ORDER BY account, source LIMIT :most
"""
_COUNT = "SELECT count(*) FROM familiar WHERE last > :since{}"
_FORGET = "DELETE FROM familiar WHERE last > 0{} RETURNING source, account, first, last"

_OF_ACCOUNT = " AND account = :account"
_OF_NET = " AND source > :first AND source <= :end AND length(source) = length(:end)"
"""A clause is there only when it is asked for: with `:account IS NULL OR …` SQLite would look at every row."""


class FamiliarTable:
    """The table `familiar`. Every method may raise StoreError."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    async def learn(self, news: Sequence[Seen], now: float) -> None:
        """Write logins down, new or renewed, and forget what is older than 30 days: one transaction."""
        rows = [(clean(seen.account), key_of(seen.source), seen.first, seen.last) for seen in news]
        async with self._file.writing() as db:
            await db.executemany(_LEARN, rows)
            await db.execute(_FORGET_OLD, (now - KEPT,))

    async def fresh(self, now: float, after: Seen | None = None) -> list[Seen]:
        """A page of the last 30 days, the latest last: the first one, or the one behind a row."""
        place = (
            (now - KEPT, AFTER_ALL, b"") if after is None else (after.last, clean(after.account), key_of(after.source))
        )
        return list(map(_seen, await self._file.read(_FRESH, (*place, PAGE))))

    async def page(
        self,
        now: float,
        account: str | None = None,
        net: Net | None = None,
        after: tuple[str, Net] | None = None,
        most: int = PAGE,
    ) -> list[Seen]:
        """The rows of an account, of a network, or all, by account and source; those behind the row `after`."""
        name, place = (clean(after[0]), key_of(after[1])) if after else ("", b"")
        clause, asked = _asked(account, net)
        asked |= {"since": now - KEPT, "name": name, "place": place, "most": most}
        return list(map(_seen, await self._file.read(_PAGE.format(clause), asked)))

    async def count(self, now: float, account: str | None = None, net: Net | None = None) -> int:
        """How many rows there are of an account, of a network, or at all."""
        clause, asked = _asked(account, net)
        ((number,),) = await self._file.read(_COUNT.format(clause), asked | {"since": now - KEPT})
        return int(number)

    async def forget(self, account: str | None = None, net: Net | None = None) -> list[Seen]:
        """Delete the rows of an account, of a network, or of what they have in common; what was there."""
        clause, asked = _asked(account, net)
        async with self._file.writing() as db:
            return [_seen(tuple(row)) for row in await db.execute_fetchall(_FORGET.format(clause), asked)]


def _asked(account: str | None, net: Net | None) -> tuple[str, dict[str, Any]]:
    """The clauses of a question and what they name; of an address its source, for IPv6 the /64."""
    clause, asked = "", dict[str, Any]()
    if account is not None:
        clause += _OF_ACCOUNT
        asked["account"] = clean(account)
    if net is not None:
        clause += _OF_NET
        asked["first"], asked["end"] = span(source_of(net))
    return clause, asked


def _seen(row: Sequence[Any]) -> Seen:
    source, account, first, last = row
    return Seen(net_of(source), account, first, last)
