"""The SQLite file under the store: how it is opened, and what happens when it is damaged.

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

from appliance.store.faults import StoreError
from appliance.store.versions import migrate, recognise

CRITICAL = ("bans", "lifts", "allowed")
"""Tables that are read through at each start: a damaged page in them must show at once. Evidence is far too
much for that; damage there shows as a StoreError of the question that meets it."""

WAL_BYTES = 64 << 20
"""What the write-ahead log is cut back to after a checkpoint: a burst must not hold the disk for ever."""

CACHE_KIB = 16384
"""Pages that each connection keeps in memory: the inner nodes of the index over 10 million lines."""

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


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
    version = await recognise(writer, path)
    await writer.execute("PRAGMA journal_mode = WAL")
    await writer.execute("PRAGMA synchronous = FULL")  # a ban that was acknowledged survives a power cut
    await writer.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    await writer.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    await writer.execute("PRAGMA temp_store = MEMORY")
    await migrate(writer, path, version)
    for table in CRITICAL:
        rows = await writer.execute_fetchall(f"PRAGMA quick_check({table})")
        for (finding,) in rows:
            if finding != "ok":
                raise _DamagedError(finding)


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
