"""Stores that zwards of earlier versions wrote (tests/data/store), as if they had written them just now."""

import contextlib
import gzip
import sqlite3
from pathlib import Path

DATA = Path(__file__).parent / "data" / "store"
VERSIONS = (1, 2, 4)
"""Which are there; the last is today's."""

WRITTEN = 1_700_000_000.0
"""Seconds since the epoch: the moment at which all of them were written."""

REMAINING = {
    "198.51.100.9": 6600.0,
    "198.51.100.10": 1740.0,
    "2001:db8:bad::/64": 171_600.0,
    "203.0.113.0/24": 604_500.0,
}
"""Bans in force then, of every port, and the seconds that were left of each."""

NARROW = "198.51.100.25"
"""Banned on port 25 only, for an hour: in stores of version 2 and later."""

LIFTED, ENDED = "192.0.2.77", "192.0.2.66"

_TIMES = {
    "bans": ("since", "until"),
    "lifts": ("time",),
    "allowed": ("time",),
    "evidence": ("received", "time", "first", "last"),
}


def old_store(path: Path, version: int, now: float) -> None:
    """Put the store of a version at `path`; what it holds happened right before `now`."""
    path.write_bytes(gzip.decompress((DATA / f"version-{version}.db.gz").read_bytes()))
    with contextlib.closing(sqlite3.connect(path)) as file:
        for table, columns in _TIMES.items():
            moved = ", ".join(f"{column} = {column} + :by" for column in columns)
            file.execute(f"UPDATE {table} SET {moved}", {"by": now - WRITTEN})
        file.commit()


def version_of(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as file:
        ((version,),) = file.execute("PRAGMA user_version").fetchall()
        return version
