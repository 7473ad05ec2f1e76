"""Stores of every version there was, opened by today's code."""

import contextlib
import shutil
import sqlite3
import stat
from collections import namedtuple
from pathlib import Path

import pytest
from oldstores import ENDED, LIFTED, NARROW, REMAINING, VERSIONS, WRITTEN, old_store, version_of

from appliance.address import parse_network
from appliance.model import Scope
from appliance.store import versions
from appliance.store.store import Store, StoreError
from appliance.store.versions import MIGRATIONS, copy_of

TODAY = len(MIGRATIONS)
OLD = [version for version in VERSIONS if version != TODAY]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "zward.db"


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as file:
        return file.execute(query).fetchall()


async def open_and_close(path: Path) -> None:
    await (await Store.open(path, WRITTEN)).close()


def test_there_is_a_store_of_todays_version():
    """A new version of the schema wants one more: tests/data/store/make.py."""
    assert VERSIONS[-1] == TODAY


@pytest.mark.asyncio
@pytest.mark.parametrize("version", VERSIONS)
async def test_bans_of_every_version_have_as_long_left_as_they_had(path, version):
    old_store(path, version, WRITTEN)

    store = await Store.open(path, WRITTEN)
    bans = await store.bans_in_force(WRITTEN)
    lifted = (await store.verdicts(parse_network(LIFTED)))[0].lift
    ended = (await store.verdicts(parse_network(ENDED)))[0].ban
    known = await store.why(parse_network("198.51.100.9"))
    allowed = await store.allow_list()
    await store.close()

    assert {str(ban.net): ban.until - WRITTEN for ban in bans if ban.scope is Scope.ALL} == REMAINING
    assert {str(ban.net) for ban in bans if ban.scope is Scope.SMTP_IN} == ({NARROW} if version > 1 else set())
    assert (lifted.by, lifted.reason) == ("ana", "was our own office")
    assert ended.until < WRITTEN
    assert [(each.account, each.count) for each in known.counts] == [("ana@example.com", 6)]
    assert [(str(entry.net), entry.comment) for entry in allowed] == [("192.0.2.128/28", "the branch")]
    assert version_of(path) == TODAY


@pytest.mark.asyncio
@pytest.mark.parametrize("version", OLD)
async def test_the_store_as_it_was_is_kept_beside_for_nobody_but_us(path, version):
    old_store(path, version, WRITTEN)
    before = rows(path, "SELECT * FROM bans ORDER BY id"), rows(path, "SELECT * FROM evidence ORDER BY id")

    await open_and_close(path)

    copy = copy_of(path, version)
    assert sorted(file.name for file in path.parent.iterdir()) == ["zward.db", copy.name]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert version_of(copy) == version
    assert (rows(copy, "SELECT * FROM bans ORDER BY id"), rows(copy, "SELECT * FROM evidence ORDER BY id")) == before
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.asyncio
async def test_a_store_of_today_and_a_new_one_are_not_copied(path, tmp_path):
    old_store(path, TODAY, WRITTEN)

    await open_and_close(path)
    await open_and_close(tmp_path / "new.db")

    assert {file.name for file in tmp_path.iterdir()} == {"zward.db", "new.db"}


@pytest.mark.asyncio
async def test_only_the_last_copy_is_kept(path):
    copy_of(path, 2).write_text("of an earlier upgrade")
    old_store(path, 1, WRITTEN)

    await open_and_close(path)

    assert sorted(file.name for file in path.parent.iterdir()) == ["zward.db", "zward.db.version-1"]


@pytest.mark.asyncio
@pytest.mark.parametrize("version", OLD)
async def test_a_change_that_fails_half_way_changes_nothing(path, version, monkeypatch):
    old_store(path, version, WRITTEN)
    tables = rows(path, "SELECT sql FROM sqlite_master ORDER BY name")
    monkeypatch.setattr(
        versions, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x INTEGER); INSERT INTO nowhere VALUES (1);")
    )

    with pytest.raises(StoreError, match="no such table: nowhere"):
        await Store.open(path, WRITTEN)

    assert version_of(path) == version
    assert rows(path, "SELECT sql FROM sqlite_master ORDER BY name") == tables
    monkeypatch.undo()
    await open_and_close(path)
    assert version_of(path) == TODAY


@pytest.mark.asyncio
async def test_where_there_is_no_room_for_a_copy_nothing_is_changed_and_the_numbers_are_told(path, monkeypatch):
    old_store(path, 1, WRITTEN)
    size = path.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("usage", "free")(free=4096))

    with pytest.raises(StoreError, match=f"which takes {size} bytes; 4096 are free there"):
        await Store.open(path, WRITTEN)

    assert version_of(path) == 1
    assert [file.name for file in path.parent.iterdir()] == ["zward.db"]


@pytest.mark.asyncio
async def test_a_copy_that_was_broken_off_is_begun_anew(path):
    Path(f"{copy_of(path, 1)}.new").write_text("half of one")
    old_store(path, 1, WRITTEN)

    await open_and_close(path)

    assert sorted(file.name for file in path.parent.iterdir()) == ["zward.db", "zward.db.version-1"]


@pytest.mark.asyncio
async def test_a_store_of_a_newer_zward_is_refused_and_what_to_type_puts_the_older_one_back(path, monkeypatch):
    old_store(path, TODAY, WRITTEN)
    with monkeypatch.context() as newer:
        newer.setattr(versions, "MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x INTEGER);"))
        await open_and_close(path)

    with pytest.raises(StoreError) as refused:
        await Store.open(path, WRITTEN)

    reason = f"{path}: of version {TODAY + 1}, which a newer zward wrote; this one knows versions up to {TODAY}. "
    assert str(refused.value).startswith(f"{reason}Install that zward again; or stop zward and put back the store")
    assert version_of(path) == TODAY + 1
    typed = str(refused.value).partition("later ban: ")[2]
    assert typed == f"mv {path}.version-{TODAY} {path}; rm -f {path}-wal {path}-shm"
    copy_of(path, TODAY).replace(path)
    await open_and_close(path)


@pytest.mark.asyncio
async def test_where_no_copy_is_kept_the_newer_store_is_put_aside(path):
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")

    with pytest.raises(StoreError, match=f"mv {path} {path}.version-99; rm -f {path}-wal {path}-shm$"):
        await Store.open(path, WRITTEN)
