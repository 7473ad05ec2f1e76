"""The SQLite file under the store: its schema, how it is opened, and what happens when it is damaged.

Two connections, each with a thread of its own: one writes, one reads, so that `why` does not wait for a slow
disk. Every fault of the disk becomes a StoreError; nothing here ends the program.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, cast

import aiosqlite

MIGRATIONS = (
    """
    CREATE TABLE bans (
        id       INTEGER PRIMARY KEY,
        net      BLOB NOT NULL,          -- packed address, then one byte: the prefix length
        since    REAL NOT NULL,
        until    REAL NOT NULL,
        detector TEXT NOT NULL,
        reason   TEXT NOT NULL,
        step     INTEGER NOT NULL,
        UNIQUE (net, since)              -- writing a ban once more changes nothing
    ) STRICT;
    CREATE INDEX bans_until ON bans (until);

    CREATE TABLE lifts (                 -- tombstones: they outlive the ban, which may reach the disk later
        id     INTEGER PRIMARY KEY,
        net    BLOB NOT NULL,
        time   REAL NOT NULL,
        by     TEXT NOT NULL,
        reason TEXT NOT NULL
    ) STRICT;
    CREATE INDEX lifts_net ON lifts (net, time);

    CREATE TABLE allowed (
        net     BLOB PRIMARY KEY,
        comment TEXT NOT NULL,
        by      TEXT NOT NULL,
        time    REAL NOT NULL
    ) STRICT;

    CREATE TABLE acts (
        id      INTEGER PRIMARY KEY,
        time    REAL NOT NULL,
        who     TEXT NOT NULL,
        what    TEXT NOT NULL,
        subject TEXT NOT NULL,
        reason  TEXT NOT NULL
    ) STRICT;

    CREATE TABLE evidence (
        id       INTEGER PRIMARY KEY,    -- in order of arrival: the least is the oldest
        source   BLOB NOT NULL,
        received REAL NOT NULL,
        time     REAL NOT NULL,
        first    REAL NOT NULL,          -- of the events that this line stands for
        last     REAL NOT NULL,
        count    INTEGER NOT NULL,
        address  TEXT NOT NULL,
        account  TEXT,
        protocol TEXT NOT NULL,
        outcome  TEXT NOT NULL,
        rule     TEXT NOT NULL,
        sender   TEXT NOT NULL,
        host     TEXT,
        program  TEXT NOT NULL,
        line     BLOB NOT NULL
    ) STRICT;
    CREATE INDEX evidence_source ON evidence (source, received);

    CREATE TABLE rest (                  -- events of which no line is kept, nor one that is alike
        source BLOB NOT NULL,
        hour   INTEGER NOT NULL,
        count  INTEGER NOT NULL,
        PRIMARY KEY (source, hour)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX rest_hour ON rest (hour);
    """,
    """
    ALTER TABLE bans ADD COLUMN scope TEXT NOT NULL DEFAULT 'all';  -- which ports: until now all of them
    """,
    """
    CREATE TABLE bans_by_scope (         -- SQLite changes no constraint: a table with another one takes the place
        id       INTEGER PRIMARY KEY,    -- in the order in which they were decided
        net      BLOB NOT NULL,
        since    REAL NOT NULL,
        until    REAL NOT NULL,
        detector TEXT NOT NULL,
        reason   TEXT NOT NULL,
        step     INTEGER NOT NULL,
        scope    TEXT NOT NULL,
        UNIQUE (net, since, scope)       -- one network may be banned in two scopes at one instant
    ) STRICT;
    INSERT INTO bans_by_scope SELECT id, net, since, until, detector, reason, step, scope FROM bans ORDER BY id;
    DROP TABLE bans;
    ALTER TABLE bans_by_scope RENAME TO bans;
    CREATE INDEX bans_until ON bans (until);
    """,
    """
    CREATE TABLE familiar (              -- who logged in from where
        account TEXT NOT NULL,
        source  BLOB NOT NULL,
        first   REAL NOT NULL,
        last    REAL NOT NULL,
        PRIMARY KEY (account, source)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX familiar_last ON familiar (last);
    CREATE INDEX evidence_account ON evidence (account COLLATE NOCASE, received);
    """,
)
"""One script a version; PRAGMA user_version says how many have run. Never change one that was released."""

CRITICAL = ("bans", "lifts", "allowed")
"""Tables that are read through at each start: a damaged page in them must show at once. Evidence is far too
much for that; damage there shows as a StoreError of the question that meets it."""

WAL_BYTES = 64 << 20
"""What the write-ahead log is cut back to after a checkpoint: a burst must not hold the disk for ever."""

CACHE_KIB = 16384
"""Pages that each connection keeps in memory: the inner nodes of the index over 10 million lines."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class StoreError(Exception):
    """The disk did not take or give what was asked: full, read-only, damaged. The message is the fact."""


class _DamagedError(Exception):
    """The file is no sound database."""


class StoreFile:
    """An open database."""

    def __init__(self, path: Path, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self.path = path
        self.quarantined: Path | None = None
        """Where a damaged file was put when this one was opened; None where there was none."""
        self._writer = writer
        self._reader = reader
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path, now: float) -> Self:
        """Open or create; a damaged file is moved aside for an empty one. Raises StoreError."""
        try:
            _create(path)
            try:
                return await cls._connect(path)
            except _DamagedError:
                moved = _quarantine(path, now)
            _create(path)
            file = await cls._connect(path)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error
        except sqlite3.Error as error:
            raise StoreError(f"{path}: {error}") from error
        except _DamagedError as error:
            raise StoreError(f"{path}: a new file is damaged at once: {error}") from error
        file.quarantined = moved
        return file

    @classmethod
    async def _connect(cls, path: Path) -> Self:
        writer = await aiosqlite.connect(path, isolation_level=None)
        try:
            await _prepare(writer, path)
            reader = await aiosqlite.connect(path, isolation_level=None)
        except sqlite3.DatabaseError as error:
            await writer.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise _DamagedError(str(error)) from error
            raise
        except BaseException:
            await writer.close()
            raise
        await reader.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        await reader.execute("PRAGMA query_only = ON")
        return cls(path, writer, reader)

    async def close(self) -> None:
        """Close both connections; the write-ahead log goes back into the file."""
        await self._reader.close()
        await self._writer.close()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[aiosqlite.Connection]:
        """One transaction, durable when the block ends, undone if it raises. Raises StoreError."""
        async with self._lock:
            try:
                await self._writer.execute("BEGIN IMMEDIATE")
                yield self._writer
                await self._writer.commit()
            except BaseException as error:  # a cancelled task too must not leave a transaction open
                with suppress(sqlite3.Error):
                    await self._writer.rollback()
                if isinstance(error, sqlite3.Error):
                    raise self._fault(error) from error
                raise

    async def read(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one query, as of the last finished transaction. Raises StoreError."""
        try:
            return cast("list[tuple[Any, ...]]", await self._reader.execute_fetchall(query, parameters))
        except sqlite3.Error as error:
            raise self._fault(error) from error

    def _fault(self, error: sqlite3.Error) -> Exception:
        """The disk's faults become StoreError; a wrong statement is our own and stays what it is."""
        return error if isinstance(error, sqlite3.ProgrammingError) else StoreError(f"{self.path}: {error}")


def _create(path: Path) -> None:
    """Make directory and file for nobody but us; SQLite gives its side files the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


async def _prepare(writer: aiosqlite.Connection, path: Path) -> None:
    version = await _recognise(writer, path)
    await writer.execute("PRAGMA journal_mode = WAL")
    await writer.execute("PRAGMA synchronous = FULL")  # a ban that was acknowledged survives a power cut
    await writer.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    await writer.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    await writer.execute("PRAGMA temp_store = MEMORY")
    await _migrate(writer, version)
    for table in CRITICAL:
        rows = await writer.execute_fetchall(f"PRAGMA quick_check({table})")
        for (finding,) in rows:
            if finding != "ok":
                raise _DamagedError(finding)


async def _recognise(writer: aiosqlite.Connection, path: Path) -> int:
    """How many migrations the file has seen; raises StoreError where it is not ours to touch."""
    version = await _number(writer, "PRAGMA user_version")
    if version > len(MIGRATIONS):
        raise StoreError(f"{path}: of version {version}; this zward knows versions up to {len(MIGRATIONS)}")
    if not version and await _number(writer, "SELECT count(*) FROM sqlite_master"):
        raise StoreError(f"{path}: a database of some other program")
    return version


async def _migrate(writer: aiosqlite.Connection, version: int) -> None:
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        try:
            await writer.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT")
        except sqlite3.Error:
            await writer.rollback()
            raise


async def _number(connection: aiosqlite.Connection, query: str) -> int:
    ((number,),) = await connection.execute_fetchall(query)
    return int(number)


def _quarantine(path: Path, now: float) -> Path:
    """Move a damaged database and its log aside, never over an earlier one."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (f"{path}.corrupt-{stamp}" + (f"-{number}" if number else "") for number in range(1000))
    target = next(target for target in map(Path, names) if not target.exists())
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{target}{suffix}")
    return target
