"""What the kept evidence says of one account: who failed on it, from where, how often."""

from collections.abc import Collection
from dataclasses import dataclass

from appliance.address import Net
from appliance.store.evidence import ROWS_READ, clean, net_of
from appliance.store.file import StoreFile

HOUR = 3600.0
"""A kept line goes on counting until the hour is over in which it came (appliance/store/evidence.py)."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What one source did on one account over one protocol, of one kind."""

    source: Net
    account: str
    """The name as it was typed."""
    protocol: str
    outcome: str
    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Trials:
    """What was tried on an account since a time."""

    tried: list[Tried]
    """The latest first."""
    is_partial: bool
    """Whether there is more than one answer reads: it covers the newest lines only."""


_TRIED = """
    SELECT source, min(account), protocol, outcome, sum(count), min(first), max(last), count(*) FROM (
        SELECT source, account, protocol, outcome, count, first, last FROM evidence
        WHERE account COLLATE NOCASE IN ({}) AND received >= ? AND last >= ? ORDER BY received DESC LIMIT ?
    ) GROUP BY source, account COLLATE NOCASE, protocol, outcome
"""


async def tried(file: StoreFile, names: Collection[str], since: float) -> Trials:
    """What was tried on an account, which may be known by several names, since a time. Case does not matter."""
    marks = ",".join("?" * len(names))
    asked = (*map(clean, names), since - HOUR, since, ROWS_READ)
    rows = await file.read(_TRIED.format(marks), asked)
    found = [Tried(net_of(source), *columns) for source, *columns, _rows in rows]
    return Trials(sorted(found, key=lambda each: each.last, reverse=True), sum(row[-1] for row in rows) >= ROWS_READ)
