"""The file under the store, on real files: a kill loses nothing acknowledged, damage and a full disk end nothing."""

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from appliance.address import Net, parse_network
from appliance.model import Act, Ban, Scope
from appliance.store.store import Store, StoreError
from appliance.store.versions import MIGRATIONS

NOW = 1_700_000_000.0
NOBODY = 65534
HOST = parse_network("203.0.113.9")
SITE = parse_network("2001:db8:0:7::/64")


def ban(net: Net = HOST, since: float = NOW, seconds: float = 1800.0) -> Ban:
    return Ban(net, since, since + seconds, "guessing", "6 of 6 points in 30 min")


@asynccontextmanager
async def opened(path: Path, now: float = NOW) -> AsyncIterator[Store]:
    store = await Store.open(path, now)
    try:
        yield store
    finally:
        await store.close()


FROM_THE_FUTURE = (
    f"of version 99, which a newer zward wrote; this one knows versions up to {len(MIGRATIONS)}. "
    "Install that zward again; or stop zward and "
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "zward.db"


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


@pytest.mark.asyncio
async def test_directory_and_files_are_for_the_owner_alone(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban()])

        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {file.name for file in path.parent.iterdir()} == {"zward.db", "zward.db-wal", "zward.db-shm"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


@pytest.mark.asyncio
@pytest.mark.parametrize("content", [b"this is no database " * 500, b"SQLite format 3\0" + b"\xff" * 8000])
async def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(path: Path, content: bytes) -> None:
    put(path, content)

    async with opened(path) as store:
        assert store.quarantined == path.with_name("zward.db.corrupt-20231114T221320Z")
        assert store.quarantined.read_bytes() == content
        await store.add_bans([ban()])
        assert await store.bans_in_force(NOW) == [ban()]


@pytest.mark.asyncio
async def test_a_damaged_page_of_bans_is_found_at_the_start(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(Net(number.to_bytes(4, "big"), 32)) for number in range(2000)])
    with path.open("r+b") as file:
        for page in range(20, 40):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)

    async with opened(path) as store:
        assert store.quarantined is not None
        assert await store.bans_in_force(NOW) == []


@pytest.mark.asyncio
async def test_a_second_damaged_file_in_one_second_does_not_replace_the_first(path: Path) -> None:
    for number in range(2):
        put(path, b"no database %d" % number * 100)
        async with opened(path):
            pass

    kept = sorted(file.read_bytes()[:13] for file in path.parent.glob("*.corrupt-*"))
    assert kept == [b"no database 0", b"no database 1"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("PRAGMA user_version = 99", f"{FROM_THE_FUTURE}begin with an empty one, which knows no ban: mv "),
        ("CREATE TABLE mail (id INTEGER)", "a database of some other program"),
    ],
)
async def test_a_database_that_is_not_ours_is_left_alone(path: Path, script: str, fault: str) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute(script)
    other.close()
    before = content_of(path)

    with pytest.raises(StoreError) as raised:
        await Store.open(path, NOW)

    assert str(raised.value).startswith(f"{path}: {fault}")
    assert content_of(path) == before
    assert list(path.parent.glob("*.corrupt-*")) == []


@pytest.mark.asyncio
async def test_bans_of_the_first_version_close_every_port(path: Path) -> None:
    path.parent.mkdir()
    old = sqlite3.connect(path)
    old.executescript(MIGRATIONS[0] + "PRAGMA user_version = 1")
    columns = (HOST.packed + b"\x20", NOW, NOW + 1800, "guessing", "6 of 6 points in 30 min", 2)
    old.execute("INSERT INTO bans (net, since, until, detector, reason, step) VALUES (?, ?, ?, ?, ?, ?)", columns)
    old.commit()
    old.close()

    async with opened(path) as store:
        (standing,) = await store.bans_in_force(NOW)
        await store.add_bans([ban(SITE)])

    assert (standing.net, standing.step, standing.scope) == (HOST, 2, Scope.ALL)
    async with opened(path) as store:
        assert len(await store.bans_in_force(NOW)) == 2


@pytest.mark.asyncio
async def test_bans_of_the_second_version_keep_scope_order_and_tombstones_and_may_begin_together(path: Path) -> None:
    path.parent.mkdir()
    old = sqlite3.connect(path)
    old.executescript("".join(MIGRATIONS[:2]) + "PRAGMA user_version = 2")
    query = "INSERT INTO bans (net, since, until, detector, reason, step, scope) VALUES (?, ?, ?, 'x', 'y', 1, ?)"
    host, site, gone = HOST.packed + b"\x20", SITE.packed + b"\x40", parse_network("198.51.100.1").packed + b"\x20"
    rows = [(site, NOW + 9, NOW + 7200, "smtp-in"), (host, NOW, NOW + 1800, "login"), (gone, NOW, NOW + 1800, "all")]
    old.executemany(query, rows)
    old.execute("INSERT INTO lifts (net, time, by, reason) VALUES (?, ?, 'ana', '')", (gone, NOW + 1))
    old.commit()
    old.close()

    async with opened(path) as store:
        login, mail = Ban(HOST, NOW, NOW + 1800, "x", "y", 1, Scope.LOGIN), ban()
        history = await store.history(NOW)
        await store.add_bans([mail, login])
        standing = await store.bans_in_force(NOW + 10)

    assert [(each.net, each.scope) for each in history] == [(SITE, Scope.SMTP_IN), (HOST, Scope.LOGIN)]
    assert history[1] == login
    assert set(standing) == {*history, mail}
    with sqlite3.connect(path) as file:
        found = file.execute("SELECT name FROM sqlite_master WHERE name LIKE 'bans%' ORDER BY name").fetchall()
        assert found == [("bans",), ("bans_until",)]
    file.close()


WRITER = """
import asyncio, sys
from pathlib import Path
from appliance.address import Net
from appliance.model import Ban
from appliance.store.store import Store

async def main():
    store = await Store.open(Path(sys.argv[1]), 0.0)
    for number in range(1_000_000):
        await store.add_bans([Ban(Net(number.to_bytes(4, "big"), 32), 0.0, 1e9, "guessing", "", 0)])
        print(number, flush=True)

asyncio.run(main())
"""


def acknowledged_by_a_killed_writer(path: Path) -> list[int]:
    """The numbers of the bans that a program says it wrote, until it is killed in the midst of it."""
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        return acknowledged + [int(number) for number in writer.stdout]


@pytest.mark.asyncio
async def test_no_acknowledged_ban_is_lost_when_the_program_is_killed(path: Path) -> None:
    acknowledged = acknowledged_by_a_killed_writer(path)

    async with opened(path) as store:
        found = [int.from_bytes(ban.net.packed, "big") for ban in await store.bans_in_force(0.0)]

    assert store.quarantined is None
    assert sorted(found) in (acknowledged, [*acknowledged, len(acknowledged)])  # the last one's word may be lost


# A disk that refuses


@contextmanager
def files_no_longer_than(limit: int) -> Iterator[None]:
    """The kernel refuses writes beyond `limit` bytes of a file, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.asyncio
async def test_a_full_disk_is_told_and_changes_nothing(path: Path) -> None:
    many = [ban(Net(number.to_bytes(4, "big"), 32)) for number in range(20_000)]
    async with opened(path) as store:
        await store.add_bans([ban()])
        with files_no_longer_than(200_000), pytest.raises(StoreError) as raised:
            await store.add_bans(many)
        assert str(path) in str(raised.value)
        assert await store.bans_in_force(NOW) == [ban()]

        await store.add_bans(many)
        assert len(await store.bans_in_force(NOW)) == 20_001


@contextmanager
def read_only_directory() -> Iterator[Path]:
    """A directory that may be read and not written; root, whom no mode stops, becomes nobody for a while."""
    with tempfile.TemporaryDirectory() as name:  # not tmp_path: its parents are closed to nobody
        place, caller = Path(name), os.geteuid()
        (place / "sound.db").touch(0o444)
        place.chmod(0o555)
        os.seteuid(caller or NOBODY)
        try:
            yield place
        finally:
            os.seteuid(caller)
            place.chmod(0o755)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["absent.db", "sound.db"])
async def test_a_place_that_cannot_be_written_is_told(name: str) -> None:
    with read_only_directory() as place:
        with pytest.raises(StoreError) as raised:
            await Store.open(place / name, NOW)

        assert str(raised.value) == f"{place}/{name}: Permission denied"
        assert [file.name for file in place.iterdir()] == ["sound.db"]


@pytest.mark.asyncio
async def test_a_path_through_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    with pytest.raises(StoreError, match=r"Not a directory|File exists"):
        await Store.open(tmp_path / "state" / "zward.db", NOW)


@pytest.mark.asyncio
async def test_a_cancelled_write_leaves_no_transaction_open(path: Path) -> None:
    many = [ban(Net(number.to_bytes(4, "big"), 32)) for number in range(5_000)]
    async with opened(path) as store:
        writing = asyncio.create_task(store.add_bans(many))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await store.add_bans([ban(SITE)])

        assert await store.bans_in_force(NOW) in ([ban(SITE)], [*many, ban(SITE)])


@pytest.mark.asyncio
async def test_writes_at_the_same_time_take_turns(path: Path) -> None:
    async with opened(path) as store:
        await asyncio.gather(
            *(store.add_bans([ban(Net(number.to_bytes(4, "big"), 32))]) for number in range(20)),
            store.add_act(Act(NOW, "ana", "ban", "203.0.113.9", "")),
        )

        assert len(await store.bans_in_force(NOW)) == 20
        assert len(await store.acts()) == 1
