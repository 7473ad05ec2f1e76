"""What the store says of one day, for the digest: bans by detector, bans that were lifted, accounts under attack.

Each question reads a bounded number of rows; it is asked once a day.
"""

from dataclasses import dataclass
from typing import Any

from appliance.address import Net
from appliance.model import RESULT_OF, Ban, Outcome, Result, Scope
from appliance.store.accounts import HOUR
from appliance.store.evidence import clean, key_of, net_of
from appliance.store.file import StoreFile

LINES_READ = 100_000
"""Newest lines of evidence that an answer looks at: 0.7 s (measured), for which other questions wait."""

ACCOUNTS = 200
"""Accounts in an answer, those with most failures first."""

PAIRS = 5_000
"""Pairs of account and source in an answer, those with most failures first: the loud ones, as devices are."""

BANS_PAGE = 250
"""Bans that are looked at before others have their turn: 2 ms."""

LIFTED = 200
"""Lifted bans in an answer; an operator lifts a few."""

ZWARD = "zward"
"""Who lifts bans because a list changed: no operator."""


@dataclass(frozen=True, slots=True)
class AccountDay:
    """The failures at one account."""

    account: str
    failures: int
    sources: int


@dataclass(frozen=True, slots=True)
class PairDay:
    """The failures of one source at one account."""

    source: Net
    account: str
    protocols: tuple[str, ...]
    failures: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class LiftedBan:
    """A ban that an operator ended before its time."""

    ban: Ban
    time: float
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failures:
    """Who failed where since a time."""

    accounts: list[AccountDay]
    accounts_in_all: int
    pairs: list[PairDay]
    is_partial: bool
    """Whether there is more than was read."""


# Which index serves is said where SQLite, which does not know the bounds, would read the whole table.
_OUTCOMES = [each for each, result in RESULT_OF.items() if result in (Result.FAILURE, Result.LOCKOUT)]
_REAL = ", ".join(f"'{each.value}'" for each in _OUTCOMES if each is not Outcome.UNKNOWN_ACCOUNT)
"""What is about an account that exists; invented names are thousands, and nobody's."""

_LATELY = f"""
    FROM evidence NOT INDEXED
    WHERE id > (SELECT ifnull(max(id), 0) FROM evidence) - :lines AND received >= :since - {HOUR} AND last >= :since
        AND account IS NOT NULL AND outcome IN ({_REAL})
"""  # noqa: S608 - put together from constants
_ACCOUNTS = f"""
    SELECT min(account), sum(count), count(DISTINCT source), count(*) OVER () {_LATELY}
    GROUP BY account COLLATE NOCASE ORDER BY sum(count) DESC, min(account) LIMIT :most
"""
_PAIRS = f"""
    SELECT source, min(account), group_concat(DISTINCT protocol), sum(count), min(first), max(last) {_LATELY}
    GROUP BY account COLLATE NOCASE, source ORDER BY sum(count) DESC, source LIMIT :most
"""
_IS_PARTIAL = """
    SELECT received >= :since FROM evidence WHERE id <= (SELECT max(id) FROM evidence) - :lines ORDER BY id DESC LIMIT 1
"""
_PAIR = f"""
    SELECT group_concat(DISTINCT protocol), sum(count), min(first), max(last) FROM evidence INDEXED BY evidence_source
    WHERE source = ? AND received >= ? AND account = ? COLLATE NOCASE AND outcome IN ({_REAL})
"""  # noqa: S608
_BANS = "SELECT detector, count(*) FROM bans WHERE until >= :since AND since >= :since GROUP BY detector"
_BANS_PAGE = """
    SELECT id, net, since, until, detector, reason, step, scope FROM bans
    WHERE id < :before AND since >= :since ORDER BY id DESC LIMIT :most
"""
_LIFTED = """
    SELECT bans.net, since, until, detector, bans.reason, step, scope, time, by, lifts.reason
    FROM lifts JOIN bans ON bans.net = lifts.net AND lifts.time BETWEEN since AND until
    WHERE time >= ? AND by != ? ORDER BY time DESC LIMIT ?
"""
_UNBANS = "SELECT count(*) FROM acts WHERE what = 'unban' AND time >= ?"

NEWEST = 1 << 62
"""Before which every ban is."""


class Days:
    """Questions about the last day. Every method may raise StoreError."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file

    async def failures(self, since: float) -> Failures:
        """Who failed where since a time."""
        asked = {"lines": LINES_READ, "since": since}
        accounts = await self._file.read(_ACCOUNTS, asked | {"most": ACCOUNTS})
        pairs = await self._file.read(_PAIRS, asked | {"most": PAIRS})
        cut = await self._file.read(_IS_PARTIAL, asked)
        return Failures(
            [AccountDay(account, failures, sources) for account, failures, sources, _ in accounts],
            accounts[0][3] if accounts else 0,
            [_pair(net_of(source), account, row) for source, account, *row in pairs],
            bool(cut and cut[0][0]),
        )

    async def pair(self, source: Net, account: str, since: float) -> PairDay | None:
        """The failures of one source at one account since a time; None if there are none."""
        (row,) = await self._file.read(_PAIR, (key_of(source), since, clean(account)))
        return None if row[0] is None else _pair(source, account, row)

    async def bans(self, since: float) -> dict[str, int]:
        """How many bans each detector made since a time."""
        return dict(await self._file.read(_BANS, {"since": since}))

    async def bans_page(self, since: float, before: int = NEWEST) -> tuple[list[Ban], int]:
        """Bans made since a time, the newest first, and what to ask the next page with; an empty page is the end."""
        rows = await self._file.read(_BANS_PAGE, {"before": before, "since": since, "most": BANS_PAGE})
        return [_ban(row[1:]) for row in rows], rows[-1][0] if rows else before

    async def lifted(self, since: float) -> list[LiftedBan]:
        """Bans that operators lifted since a time, the latest first."""
        rows = await self._file.read(_LIFTED, (since, ZWARD, LIFTED))
        return [LiftedBan(_ban(row[:7]), *row[7:]) for row in rows]

    async def unbans(self, since: float) -> int:
        """How often operators lifted bans since a time."""
        ((number,),) = await self._file.read(_UNBANS, (since,))
        return int(number)


def _pair(source: Net, account: str, row: Any) -> PairDay:
    protocols, failures, first, last = row
    return PairDay(source, account, tuple(sorted(protocols.split(","))), failures, first, last)


def _ban(row: Any) -> Ban:
    net, since, until, detector, reason, step, scope = row
    return Ban(net_of(net), since, until, detector, reason, step, Scope(scope))
