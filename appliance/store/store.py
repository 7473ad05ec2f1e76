"""What zward remembers across restarts: bans, tombstones, evidence, the allowlist, operators' acts.

Whoever calls batches the writes: each call is one transaction and one fsync. A fault of the disk is a
StoreError and changes nothing; the kernel's bans stand without the store.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from appliance.address import Net
from appliance.model import Act, Ban, Scope
from appliance.store.accounts import Trials, tried
from appliance.store.days import Days
from appliance.store.evidence import Count, EvidenceLine, about, add, clean, key_of, net_of, since, span
from appliance.store.familiar import FamiliarTable
from appliance.store.faults import StoreError
from appliance.store.file import StoreFile

__all__ = ["Act", "Allowed", "Count", "EvidenceLine", "Known", "Lift", "PastBan", "Store", "StoreError"]

EVIDENCE_BYTES_IN_ALL = 2 << 30
"""Where the file stops to grow unless configured: five million lines."""

BANS_KEPT = 1_000_000
"""Ended bans that `why` can tell of: 140 MB. The oldest go first; a ban in force is never forgotten."""

LIFTS_SECONDS = 400 * 86400
"""How long a tombstone is kept: far longer than the longest ban, which it may have to outlive."""

ACTS_KEPT = 100_000
"""What operators did: 20 MB, decades of a busy site."""

PAST_SHOWN = 1000
"""Bans in an answer about a wide network; one source has a few."""

REASON_CHARS = 2000
"""Kept characters of a reason, a comment, a name."""


@dataclass(frozen=True, slots=True)
class Lift:
    """A tombstone: from this time on no earlier ban of the network counts."""

    time: float
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class PastBan:
    """A ban as it was written down, in force or not."""

    ban: Ban
    lift: Lift | None
    """What ended it before its time."""


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that is known of an address or a network."""

    bans: list[PastBan]
    """Past and present, the newest first; of every network that shares an address with the one asked for."""
    counts: list[Count]
    lines: list[EvidenceLine]
    unnamed: int
    """Events beyond `counts`: known by their number alone."""
    is_partial: bool
    """Whether there is more evidence than one answer reads, so that `counts` are too low."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """An entry of the allowlist that operators made at run time."""

    net: Net
    comment: str
    by: str
    time: float


_ADD_BAN = """
    INSERT INTO bans (net, since, until, detector, reason, step, scope) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (net, since, scope) DO UPDATE SET until = excluded.until, detector = excluded.detector,
        reason = excluded.reason, step = excluded.step
"""
_FORGET_BANS = "DELETE FROM bans WHERE id <= (SELECT max(id) FROM bans) - ? AND until <= ?"

# A clock that was set back must not make a tombstone older than the ban that it ends.
_LIFT = """
    INSERT INTO lifts (net, time, by, reason)
    VALUES (:net, max(:now, ifnull((SELECT max(since) FROM bans WHERE net = :net), 0)), :by, :reason)
"""
_FORGET_LIFTS = "DELETE FROM lifts WHERE time < ?"
_IN_FORCE = """
    SELECT net, since, until, detector, reason, step, scope FROM bans
    WHERE until > ? AND NOT EXISTS (SELECT 1 FROM lifts WHERE lifts.net = bans.net AND time >= since)
    ORDER BY until
"""
_LIFTED = """
    SELECT DISTINCT net FROM bans
    WHERE until > ? AND EXISTS (SELECT 1 FROM lifts WHERE lifts.net = bans.net AND time >= since)
"""
_HISTORY = """
    SELECT net, since, until, detector, reason, step, scope FROM bans
    WHERE until >= ? AND NOT EXISTS (SELECT 1 FROM lifts WHERE lifts.net = bans.net AND time >= since)
    ORDER BY id
"""
_PAST = """
    SELECT bans.net, since, until, detector, bans.reason, step, scope, time, by, lifts.reason
    FROM bans LEFT JOIN lifts ON lifts.id = (
        SELECT id FROM lifts AS l WHERE l.net = bans.net AND l.time BETWEEN since AND until
        ORDER BY time LIMIT 1
    )
"""
_PAST_INSIDE = _PAST + "WHERE bans.net > ? AND bans.net <= ? AND length(bans.net) = ? ORDER BY since DESC LIMIT ?"
_PAST_AROUND = _PAST + "WHERE bans.net IN ({}) ORDER BY since DESC LIMIT ?"


class Store:
    """The database behind one running zward. Every method but `quarantined` may raise StoreError."""

    def __init__(self, file: StoreFile, evidence_bytes: int) -> None:
        self._file = file
        self._evidence_bytes = evidence_bytes
        self.familiar = FamiliarTable(file)
        self.days = Days(file)

    @classmethod
    async def open(cls, path: Path, now: float, evidence_bytes: int = EVIDENCE_BYTES_IN_ALL) -> Self:
        """Open or create a database; a damaged one is moved aside, which `quarantined` tells."""
        return cls(await StoreFile.open(path, now), evidence_bytes)

    async def close(self) -> None:
        await self._file.close()

    @property
    def quarantined(self) -> Path | None:
        """Where a damaged database was put at `open`; None where it was sound."""
        return self._file.quarantined

    # Bans

    async def add_bans(self, bans: Sequence[Ban]) -> None:
        """Write bans down; one that is there already, by network, beginning and scope, is not doubled."""
        if not bans:
            return
        async with self._file.writing() as db:
            await db.executemany(_ADD_BAN, map(_ban_row, bans))
            await db.execute(_FORGET_BANS, (BANS_KEPT, max(ban.since for ban in bans)))

    async def lift(self, nets: Iterable[Net], now: float, by: str, reason: str) -> None:
        """Write tombstones: the bans of exactly these networks are over, also those not yet written down."""
        keys = dict.fromkeys(map(key_of, nets))
        rows = [{"net": key, "now": now, "by": _told(by), "reason": _told(reason)} for key in keys]
        async with self._file.writing() as db:
            await db.executemany(_LIFT, rows)
            await db.execute(_FORGET_LIFTS, (now - LIFTS_SECONDS,))

    async def lifted(self, now: float) -> set[Net]:
        """Networks that a written ban would still keep out, had nobody lifted it: the kernel must not hold them."""
        return {net_of(net) for (net,) in await self._file.read(_LIFTED, (now,))}

    async def bans_in_force(self, now: float) -> list[Ban]:
        """Bans that have not ended and are not lifted, of each network and scope the one that ends last."""
        bans = map(_ban, await self._file.read(_IN_FORCE, (now,)))
        return list({(ban.net, ban.scope): ban for ban in bans}.values())

    async def history(self, since: float) -> list[Ban]:
        """Bans that ended since a time, or have not, without those that were lifted; as they were decided.

        Taken up in this order they lead to the same book: of two bans of one network and scope the later may have
        replaced the one before.
        """
        return list(map(_ban, await self._file.read(_HISTORY, (since,))))

    async def verdicts(self, net: Net) -> list[PastBan]:
        """Every ban written down of a network that shares an address with `net`, the newest first."""
        below, last = span(net)
        inside = await self._file.read(_PAST_INSIDE, (below, last, len(last), PAST_SHOWN))
        wider = [key_of(net.widened(prefix)) for prefix in range(net.prefix)]
        around = await self._file.read(_PAST_AROUND.format(",".join("?" * len(wider))), (*wider, PAST_SHOWN))
        found = [PastBan(_ban(row), Lift(*row[7:]) if row[7] is not None else None) for row in inside + around]
        unique = {(past.ban.net, past.ban.since, past.ban.scope): past for past in found}
        return sorted(unique.values(), key=lambda past: past.ban.since, reverse=True)

    # Evidence

    async def add_evidence(self, lines: Sequence[EvidenceLine]) -> None:
        """Keep lines within the shares and the limit; what is not kept is counted."""
        if lines:
            await add(self._file, lines, self._evidence_bytes)

    async def evidence_since(self, received: float, most: int) -> list[EvidenceLine]:
        """The newest lines that came after a time, at most so many, the oldest first."""
        return await since(self._file, received, most)

    async def why(self, net: Net) -> Known:
        """What is known of an address: for IPv6 of its /64, as that is what is counted and banned."""
        seen = await about(self._file, net)
        bans = await self.verdicts(net)
        return Known(bans, seen.counts, seen.lines, seen.unnamed, seen.is_partial)

    async def tried(self, names: Collection[str], since: float) -> Trials:
        """What was tried since a time on an account, which may be known by several names."""
        return await tried(self._file, names, since)

    # Operators

    async def allow_add(self, net: Net, comment: str, by: str, now: float) -> None:
        """Put a network on the run-time allowlist, or renew its comment."""
        query = "INSERT OR REPLACE INTO allowed (net, comment, by, time) VALUES (?, ?, ?, ?)"
        async with self._file.writing() as db:
            await db.execute(query, (key_of(net), _told(comment), _told(by), now))

    async def allow_remove(self, net: Net) -> bool:
        """Take a network off the run-time allowlist; whether it was there."""
        async with self._file.writing() as db:
            cursor = await db.execute("DELETE FROM allowed WHERE net = ?", (key_of(net),))
            return cursor.rowcount > 0

    async def allow_list(self) -> list[Allowed]:
        """The run-time allowlist, the oldest entry first."""
        rows = await self._file.read("SELECT net, comment, by, time FROM allowed ORDER BY time, net")
        return [Allowed(net_of(net), *columns) for net, *columns in rows]

    async def add_act(self, act: Act) -> None:
        """Write down what an operator did."""
        words = (act.who, act.what, act.subject, act.reason)
        query = "INSERT INTO acts (time, who, what, subject, reason) VALUES (?, ?, ?, ?, ?)"
        async with self._file.writing() as db:
            await db.execute(query, (act.time, *map(_told, words)))
            await db.execute("DELETE FROM acts WHERE id <= (SELECT max(id) FROM acts) - ?", (ACTS_KEPT,))

    async def acts(self, limit: int = 100) -> list[Act]:
        """What operators did, the newest first."""
        query = "SELECT time, who, what, subject, reason FROM acts ORDER BY id DESC LIMIT ?"
        return [Act(*row) for row in await self._file.read(query, (limit,))]


def _told(text: str) -> str:
    return clean(text, REASON_CHARS)


def _ban_row(ban: Ban) -> tuple[object, ...]:
    return key_of(ban.net), ban.since, ban.until, ban.detector, _told(ban.reason), ban.step, ban.scope.value


def _ban(row: tuple[Any, ...]) -> Ban:
    net, since, until, detector, reason, step, scope = row[:7]
    return Ban(net_of(net), since, until, detector, reason, step, Scope(scope))
