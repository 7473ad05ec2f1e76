"""What is kept of the lines that blame a source, within a share for each source and a limit for all.

Of one source in one hour the first `LINES_AN_HOUR` lines are kept. Those that follow are counted: on a kept
line of the same account, protocol and outcome, or else, where no kept line is alike, as a bare number of that
hour. So the counts of `why` are exact while the disk is not filled by one loud source.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Self

import aiosqlite

from appliance.address import SOURCE_PREFIX, Net, source_of
from appliance.model import EVIDENCE_BYTES, AuthEvent, Outcome, Protocol
from appliance.store.file import StoreFile

LINES_AN_HOUR = 32
"""Kept lines of one source in one hour, by the time of receipt: a sender cannot choose that."""

TEXT_CHARS = 320
"""Kept characters of an account, a host or a program: an address in a mail has at most 254 (RFC 5321)."""

LINES_SHOWN = 20
"""Newest lines in an answer: what a person reads."""

COUNTS_SHOWN = 200
"""Accounts and outcomes in an answer, the most frequent first; a spraying source tries thousands."""

ROWS_READ = 20_000
"""Lines that one answer reads: 26 days of a source that uses its whole share (measured: 90 ms)."""

SOURCES_READ = 256
"""Sources that one answer about a network looks at: all of an IPv4 /24."""


_TEXT: dict[str, str] = {member: member.value for kind in (Protocol, Outcome) for member in kind}
"""The plain text of an enumeration's member: `.value` is a Python call, 0.3 µs."""


@dataclass(slots=True)
class EvidenceLine:
    """One line that blames one source, on its way to the disk or back.

    Not frozen: one is made of every failure, and that takes a third of the time so.
    """

    source: Net
    """What is counted and banned: an IPv4 address or an IPv6 /64."""
    address: str
    """The single address in the line."""
    time: float
    """When it happened by the line itself."""
    received: float
    account: str | None
    protocol: str
    outcome: str
    rule: str
    sender: str
    host: str | None
    program: str
    line: bytes
    count: int = 1
    """How many events it stands for."""

    @classmethod
    def of(cls, event: AuthEvent, source: Net, received: float) -> Self:
        """What is kept of an event that has a source."""
        account, host = event.account, event.host
        return cls(  # by position, which is a quarter quicker: once a failure
            source,
            str(event.source),
            event.time,
            received,
            None if account is None else clean(account),
            _TEXT[event.protocol],
            _TEXT[event.outcome],
            event.rule,
            event.sender,
            None if host is None else clean(host),
            clean(event.program),
            event.line[:EVIDENCE_BYTES],
            event.count,
        )

    @property
    def hour(self) -> int:
        return int(self.received // 3600)


@dataclass(frozen=True, slots=True)
class Count:
    """How often one thing happened to one account over one protocol."""

    account: str | None
    protocol: str
    outcome: str
    count: int
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Sightings:
    """What the kept evidence says of a source or a network."""

    counts: list[Count]
    """The most frequent first."""
    lines: list[EvidenceLine]
    """The newest first."""
    unnamed: int
    """Events beyond `counts`: known by their number alone."""
    is_partial: bool
    """Whether there is more than one answer reads, so that the counts are too low."""


def key_of(net: Net) -> bytes:
    """A network as a column: packed address, then the prefix length. Sorts a network's sources together."""
    return net.packed + bytes((net.prefix,))


def net_of(key: bytes) -> Net:
    """The network that `key_of` made a column of."""
    return Net(key[:-1], key[-1])


def span(net: Net) -> tuple[bytes, bytes]:
    """Columns of the networks that begin inside `net` sort after the first of these, up to the second.

    Columns of the other family can sort between them; their length tells them apart.
    """
    hosts = (1 << (len(net.packed) * 8 - net.prefix)) - 1
    last = int.from_bytes(net.packed, "big") | hosts
    return net.packed, last.to_bytes(len(net.packed), "big") + b"\xff"


def clean(text: str, limit: int = TEXT_CHARS) -> str:
    """Text that SQLite takes: lone surrogates, which stand for bytes that are no UTF-8, become escapes."""
    if text.isascii():
        return text[:limit]
    return text[:limit].encode("utf-8", "backslashreplace").decode("utf-8")


_HAVE = """
    SELECT source, hour, (
        SELECT count(*) FROM evidence AS e
        WHERE e.source = asked.source AND e.received >= hour * 3600 AND e.received < hour * 3600 + 3600
    ) FROM temp.asked
"""
_INSERT = """
    INSERT INTO evidence (source, time, first, last, received, count, address, account, protocol, outcome,
        rule, sender, host, program, line)
    VALUES (?1, ?2, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
"""
_COLUMNS = attrgetter(
    *("time", "received", "count", "address", "account", "protocol", "outcome"),
    *("rule", "sender", "host", "program", "line"),
)
_ALIKE = """
    SELECT id FROM evidence
    WHERE source = :source AND received >= :hour * 3600 AND received < :hour * 3600 + 3600
        AND account IS :account AND protocol = :protocol AND outcome = :outcome LIMIT 1
"""
_ADD_TO_REST = f"""
    INSERT INTO rest (source, hour, count) SELECT :source, :hour, :count WHERE NOT EXISTS ({_ALIKE})
    ON CONFLICT (source, hour) DO UPDATE SET count = count + excluded.count
"""
_ADD_TO_LINE = f"""
    UPDATE evidence SET count = count + :count, first = min(first, :first), last = max(last, :last)
    WHERE id = ({_ALIKE})
"""  # noqa: S608 - put together from constants


async def add(file: StoreFile, lines: Sequence[EvidenceLine], limit: int) -> None:
    """Keep what the shares allow, count the rest, and forget the oldest beyond `limit` bytes of database."""
    places = [(key_of(line.source), line.hour) for line in lines]
    async with file.writing() as db:
        room = await _room(db, set(places))
        kept: list[tuple[object, ...]] = []
        beyond: list[EvidenceLine] = []
        for line, place in zip(lines, places, strict=True):
            left = room[place]
            room[place] = left - 1
            if left > 0:
                kept.append((place[0], *_COLUMNS(line)))
            else:
                beyond.append(line)
        await db.executemany(_INSERT, kept)
        sums = list(_summed(beyond))
        await db.executemany(_ADD_TO_REST, sums)
        await db.executemany(_ADD_TO_LINE, sums)
        await _forget(db, limit, rows=4 * len(lines) + 256)


async def _room(db: aiosqlite.Connection, asked: set[tuple[bytes, int]]) -> dict[tuple[bytes, int], int]:
    """How many more lines each source may have kept in each hour."""
    await db.execute("CREATE TEMP TABLE IF NOT EXISTS asked (source BLOB, hour INTEGER)")
    await db.execute("DELETE FROM temp.asked")
    await db.executemany("INSERT INTO temp.asked VALUES (?, ?)", asked)
    have = await db.execute_fetchall(_HAVE)
    return {(source, hour): LINES_AN_HOUR - count for source, hour, count in have}


def _summed(lines: Iterable[EvidenceLine]) -> Iterable[dict[str, Any]]:
    """Lines that are not kept, those of one source, hour, account, protocol and outcome together."""
    sums: dict[tuple[object, ...], dict[str, Any]] = {}
    for line in lines:
        alike = (line.source, line.hour, line.account, line.protocol, line.outcome)
        total = sums.setdefault(
            alike,
            {
                "source": key_of(line.source),
                "hour": line.hour,
                "account": line.account,
                "protocol": line.protocol,
                "outcome": line.outcome,
                "count": 0,
                "first": line.time,
                "last": line.time,
            },
        )
        total["count"] += line.count
        total["first"] = min(total["first"], line.time)
        total["last"] = max(total["last"], line.time)
    return sums.values()


async def _forget(db: aiosqlite.Connection, limit: int, rows: int) -> None:
    """Delete at most `rows` of the oldest lines if the pages in use exceed `limit` bytes.

    More rows go than came, so a lowered limit is reached within some writes and none of them is slow. The
    file keeps its greatest size; SQLite fills the freed pages again.
    """
    ((used,),) = await db.execute_fetchall(_USED)
    if used > limit:
        await db.execute(_DELETE_OLDEST, (rows,))
        await db.execute(_DELETE_REST)


_USED = """
    SELECT (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_DELETE_OLDEST = "DELETE FROM evidence WHERE id IN (SELECT id FROM evidence ORDER BY id LIMIT ?)"
_DELETE_REST = """
    DELETE FROM rest
    WHERE hour < (SELECT CAST(received / 3600 AS INTEGER) FROM evidence ORDER BY id LIMIT 1)
"""
_COUNTS = """
    SELECT account, protocol, outcome, sum(count), min(first), max(last), count(*) FROM (
        SELECT account, protocol, outcome, count, first, last FROM evidence
        WHERE source = ? ORDER BY received DESC LIMIT ?
    ) GROUP BY account, protocol, outcome
"""
_LINES = """
    SELECT address, time, received, account, protocol, outcome, rule, sender, host, program, line, count
    FROM evidence WHERE source = ? ORDER BY received DESC, id DESC LIMIT ?
"""
_SINCE = """
    SELECT source, address, time, received, account, protocol, outcome, rule, sender, host, program, line, count
    FROM evidence WHERE id > (SELECT ifnull(max(id), 0) FROM evidence) - ? AND received > ? ORDER BY id
"""
_REST = "SELECT ifnull(sum(count), 0) FROM rest WHERE source = ?"
_NEXT_SOURCE = """
    SELECT source FROM evidence
    WHERE source > ? AND source <= ? AND length(source) = ? ORDER BY source LIMIT 1
"""


async def since(file: StoreFile, received: float, most: int) -> list[EvidenceLine]:
    """The newest lines that came after a time, the oldest first."""
    rows = await file.read(_SINCE, (most, received))
    return [EvidenceLine(net_of(source), *row) for source, *row in rows]


async def about(file: StoreFile, asked: Net) -> Sightings:
    """What is known of an address's source (for IPv6 its whole /64), or of all sources in a wider network."""
    sources, is_partial = await _sources(file, asked)
    share = ROWS_READ // max(1, len(sources))
    counts: dict[tuple[str | None, str, str], Count] = {}
    lines: list[EvidenceLine] = []
    unnamed = 0
    for source in sources:
        rows = await file.read(_COUNTS, (source, share))
        is_partial |= sum(row[-1] for row in rows) == share
        for row in rows:
            _merge(counts, Count(*row[:-1]))
        lines += [EvidenceLine(net_of(source), *row) for row in await file.read(_LINES, (source, LINES_SHOWN))]
        ((rest,),) = await file.read(_REST, (source,))
        unnamed += rest
    ranked = sorted(counts.values(), key=lambda each: (-each.count, -each.last))
    lines.sort(key=lambda line: line.received, reverse=True)
    unnamed += sum(each.count for each in ranked[COUNTS_SHOWN:])
    return Sightings(ranked[:COUNTS_SHOWN], lines[:LINES_SHOWN], unnamed, is_partial)


def _merge(counts: dict[tuple[str | None, str, str], Count], new: Count) -> None:
    what = (new.account, new.protocol, new.outcome)
    if old := counts.get(what):
        new = Count(*what, old.count + new.count, min(old.first, new.first), max(old.last, new.last))
    counts[what] = new


async def _sources(file: StoreFile, asked: Net) -> tuple[list[bytes], bool]:
    """The columns of the sources that an address or a network means, and whether there are still more."""
    if asked.prefix >= SOURCE_PREFIX[asked.family]:
        return [key_of(source_of(asked))], False
    found: list[bytes] = []
    after, last = span(asked)
    while rows := await file.read(_NEXT_SOURCE, (after, last, len(last))):
        if len(found) == SOURCES_READ:
            return found, True
        ((after,),) = rows
        found.append(after)
    return found, False
