"""The store's schema from its first version on, and how a file of an older version becomes one of today's.

A file of a newer version is refused: an older zward would not see what it means.
"""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import aiosqlite

from appliance.store.faults import StoreError

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


async def recognise(writer: aiosqlite.Connection, path: Path) -> int:
    """How many migrations the file has seen; raises StoreError where it is not ours to touch."""
    version = await _number(writer, "PRAGMA user_version")
    if version > len(MIGRATIONS):
        raise StoreError(_from_the_future(path, version))
    if not version and await _number(writer, "SELECT count(*) FROM sqlite_master"):
        raise StoreError(f"{path}: a database of some other program")
    return version


async def migrate(writer: aiosqlite.Connection, path: Path, version: int) -> None:
    """Bring the file to our version, after a copy: all of it, or nothing. Raises StoreError, OSError, sqlite3.Error."""
    if version == len(MIGRATIONS):
        return
    if version:
        await _copy(writer, path, version)
    scripts = "".join(MIGRATIONS[version:])
    try:
        await writer.executescript(f"BEGIN IMMEDIATE; {scripts} PRAGMA user_version = {len(MIGRATIONS)}; COMMIT")
    except sqlite3.Error:
        await writer.rollback()
        raise


def copy_of(path: Path, version: int) -> Path:
    """Where the store lies as it was before it was changed from this version."""
    return Path(f"{path}.version-{version}")


def _from_the_future(path: Path, version: int) -> str:
    known = len(MIGRATIONS)
    kept = next((copy for number in range(known, 0, -1) if (copy := copy_of(path, number)).exists()), None)
    if kept:
        cure = f"put back the store of before that upgrade, which knows no later ban: mv {kept} {path}"
    else:
        cure = f"begin with an empty one, which knows no ban: mv {path} {copy_of(path, version)}"
    cure += f"; rm -f {path}-wal {path}-shm"  # else SQLite would write them into another file than theirs
    reason = f"of version {version}, which a newer zward wrote; this one knows versions up to {known}"
    return f"{path}: {reason}. Install that zward again; or stop zward and {cure}"


async def _copy(writer: aiosqlite.Connection, path: Path, version: int) -> None:
    """Keep the store as it is beside it, for whoever has to go back to the older zward."""
    size = await _number(writer, "PRAGMA page_count") * await _number(writer, "PRAGMA page_size")
    beside = _begun(path, version, size)
    try:
        with closing(sqlite3.connect(beside, check_same_thread=False)) as target:
            await writer.backup(target)
        _settle(beside, path, version)
    finally:
        _remove(beside)


def _begun(path: Path, version: int, size: int) -> Path:
    """An empty file for the copy, for nobody but us. Raises StoreError where there is no room for it."""
    if (free := shutil.disk_usage(path.parent).free) < size:
        raise StoreError(f"{path}: to be copied before it is changed, which takes {size} bytes; {free} are free there")
    beside = Path(f"{copy_of(path, version)}.new")
    _remove(beside)
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return beside


def _settle(beside: Path, path: Path, version: int) -> None:
    """The copy is whole: it alone is kept."""
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(copy_of(path, version))
    for number in range(len(MIGRATIONS)):
        if number != version:
            _remove(copy_of(path, number))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _number(connection: aiosqlite.Connection, query: str) -> int:
    ((number,),) = await connection.execute_fetchall(query)
    return int(number)
