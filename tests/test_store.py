"""The database, on real files: nothing that was acknowledged is lost, and no fault of the disk ends the program."""

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
from appliance.model import Ban
from appliance.store import Act, Allowed, Lift, Store, StoreError

NOW = 1_700_000_000.0
DAY = 86400.0
HOST = parse_network("203.0.113.9")
SITE = parse_network("2001:db8:0:7::/64")


def ban(net: Net = HOST, since: float = NOW, seconds: float = 1800.0, step: int = 0) -> Ban:
    return Ban(net, since, since + seconds, "guessing", "6 of 6 points in 30 min", step)


@asynccontextmanager
async def opened(path: Path, now: float = NOW) -> AsyncIterator[Store]:
    store = await Store.open(path, now)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "zward.db"


# Bans


@pytest.mark.asyncio
async def test_a_ban_is_in_force_until_it_ends(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(), ban(SITE, seconds=7200.0)])

        assert await store.bans_in_force(NOW + 1799) == [ban(), ban(SITE, seconds=7200.0)]
        assert await store.bans_in_force(NOW + 1800) == [ban(SITE, seconds=7200.0)]


@pytest.mark.asyncio
async def test_bans_are_there_after_a_restart(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(step=3)])

    async with opened(path) as store:
        assert await store.bans_in_force(NOW) == [ban(step=3)]
        assert store.quarantined is None


@pytest.mark.asyncio
async def test_a_ban_written_twice_is_not_doubled(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban()])
        await store.add_bans([ban(), ban()])

        assert [past.ban for past in await store.verdicts(HOST)] == [ban()]


@pytest.mark.asyncio
async def test_of_overlapping_bans_of_one_network_the_longest_is_in_force(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(seconds=7200.0), ban(since=NOW + 60, seconds=600.0)])

        assert await store.bans_in_force(NOW + 100) == [ban(seconds=7200.0)]


@pytest.mark.asyncio
async def test_a_lifted_ban_is_over_and_a_later_one_counts(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(), ban(SITE)])
        await store.lift([HOST], NOW + 60, "ana", "the office")
        assert await store.bans_in_force(NOW + 61) == [ban(SITE)]

        await store.add_bans([ban(since=NOW + 120)])
        assert ban(since=NOW + 120) in await store.bans_in_force(NOW + 121)


@pytest.mark.asyncio
async def test_a_tombstone_holds_for_a_ban_that_reaches_the_disk_after_it(path: Path) -> None:
    async with opened(path) as store:
        await store.lift([HOST], NOW + 60, "ana", "the office")
        await store.add_bans([ban()])

        assert await store.bans_in_force(NOW + 61) == []


@pytest.mark.asyncio
async def test_a_clock_set_back_does_not_make_a_lift_void(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban()])
        await store.lift([HOST], NOW - 3600, "ana", "the office")

        assert await store.bans_in_force(NOW - 3599) == []


@pytest.mark.asyncio
async def test_lifts_tell_when_each_network_was_lifted_last(path: Path) -> None:
    async with opened(path) as store:
        await store.lift([HOST, SITE], NOW, "ana", "")
        await store.lift([HOST], NOW + 60, "ana", "")

        assert await store.lifts(NOW - 1) == {HOST: NOW + 60, SITE: NOW}
        assert await store.lifts(NOW + 1) == {HOST: NOW + 60}


@pytest.mark.asyncio
async def test_history_holds_what_the_ladder_remembers_and_no_lifted_ban(path: Path) -> None:
    old, ended, lifted, standing = (
        ban(since=NOW - 40 * DAY),
        ban(since=NOW - 20 * DAY),
        ban(SITE, since=NOW - 10 * DAY),
        ban(since=NOW),
    )
    async with opened(path) as store:
        await store.add_bans([old, ended, lifted, standing])
        await store.lift([SITE], NOW - 10 * DAY + 60, "ana", "")

        assert await store.history(NOW - 30 * DAY) == [ended, standing]


@pytest.mark.asyncio
async def test_verdicts_are_the_bans_of_every_network_around_and_inside(path: Path) -> None:
    around, beside = parse_network("203.0.113.0/24"), parse_network("203.0.113.10")
    bans = [ban(HOST, NOW), ban(around, NOW + 1), ban(beside, NOW + 2), ban(SITE, NOW + 3)]
    async with opened(path) as store:
        await store.add_bans(bans)

        assert [past.ban for past in await store.verdicts(HOST)] == [bans[1], bans[0]]
        assert [past.ban for past in await store.verdicts(around)] == [bans[2], bans[1], bans[0]]
        assert [past.ban for past in await store.verdicts(parse_network("0.0.0.0/0"))] == bans[2::-1]
        assert [past.ban for past in await store.verdicts(parse_network("2001:db8:0:7::1"))] == [bans[3]]


@pytest.mark.asyncio
async def test_verdicts_name_who_lifted_which_ban(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(since=NOW - DAY), ban()])
        await store.lift([HOST], NOW + 60, "ana", "the office")

        newest, oldest = await store.verdicts(HOST)

    assert newest.lift == Lift(NOW + 60, "ana", "the office")
    assert oldest.lift is None  # it had ended by itself


@pytest.mark.asyncio
async def test_ended_bans_beyond_the_limit_are_forgotten_and_standing_ones_never(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.store.BANS_KEPT", 2)
    async with opened(path) as store:
        await store.add_bans([ban(SITE, seconds=30 * DAY)])
        for day in range(1, 6):
            await store.add_bans([ban(since=NOW + day * DAY)])

        kept = [past.ban for past in await store.verdicts(HOST)]
        assert kept == [ban(since=NOW + 5 * DAY), ban(since=NOW + 4 * DAY)]
        assert await store.bans_in_force(NOW + 5 * DAY + 3600) == [ban(SITE, seconds=30 * DAY)]


# Operators


@pytest.mark.asyncio
async def test_the_run_time_allowlist_grows_and_shrinks(path: Path) -> None:
    async with opened(path) as store:
        await store.allow_add(HOST, "uptime probe", "ana", NOW)
        await store.allow_add(SITE, "office", "bob", NOW + 1)
        await store.allow_add(HOST, "the new probe", "bob", NOW + 2)

        assert await store.allow_list() == [
            Allowed(SITE, "office", "bob", NOW + 1),
            Allowed(HOST, "the new probe", "bob", NOW + 2),
        ]
        assert await store.allow_remove(SITE)
        assert not await store.allow_remove(SITE)
        assert [entry.net for entry in await store.allow_list()] == [HOST]


@pytest.mark.asyncio
async def test_acts_are_told_newest_first(path: Path) -> None:
    async with opened(path) as store:
        await store.add_act(NOW, "ana", "ban", "203.0.113.9", "phoned by the provider")
        await store.add_act(NOW + 1, "bob", "unban", "203.0.113.9", "")

        assert await store.acts(1) == [Act(NOW + 1, "bob", "unban", "203.0.113.9", "")]
        assert len(await store.acts()) == 2


@pytest.mark.asyncio
async def test_text_with_quotes_zeros_and_broken_unicode_comes_back_harmless(path: Path) -> None:
    reason = "'); DROP TABLE bans; --\0\udcff"
    async with opened(path) as store:
        await store.add_act(NOW, "ana", "ban", "203.0.113.9", reason)

        (act,) = await store.acts()
        assert act.reason == "'); DROP TABLE bans; --\0\\udcff"


# The file


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
    path.parent.mkdir()
    path.write_bytes(content)

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
    path.parent.mkdir()
    for number in range(2):
        path.write_bytes(b"no database %d" % number * 100)
        async with opened(path):
            pass

    kept = sorted(file.read_bytes()[:13] for file in path.parent.glob("*.corrupt-*"))
    assert kept == [b"no database 0", b"no database 1"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("PRAGMA user_version = 99", "of version 99; this zward knows versions up to 1"),
        ("CREATE TABLE mail (id INTEGER)", "a database of some other program"),
    ],
)
async def test_a_database_that_is_not_ours_is_left_alone(path: Path, script: str, fault: str) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute(script)
    other.close()
    before = path.read_bytes()

    with pytest.raises(StoreError) as raised:
        await Store.open(path, NOW)

    assert str(raised.value) == f"{path}: {fault}"
    assert path.read_bytes()[100:] == before[100:]
    assert list(path.parent.glob("*.corrupt-*")) == []


WRITER = """
import asyncio, sys
from pathlib import Path
from appliance.address import Net
from appliance.model import Ban
from appliance.store import Store

async def main():
    store = await Store.open(Path(sys.argv[1]), 0.0)
    for number in range(1_000_000):
        await store.add_bans([Ban(Net(number.to_bytes(4, "big"), 32), 0.0, 1e9, "guessing", "", 0)])
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.asyncio
async def test_no_acknowledged_ban_is_lost_when_the_program_is_killed(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        writer.send_signal(signal.SIGKILL)
        acknowledged += [int(number) for number in writer.stdout]

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
def nobody() -> Iterator[Path]:
    """A directory that whoever runs the tests may read and not write: root becomes nobody for a while."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        yield_to = 65534 if os.geteuid() == 0 else None
        place.chmod(0o555)
        if yield_to:
            os.seteuid(yield_to)
        try:
            yield place
        finally:
            if yield_to:
                os.seteuid(0)
            place.chmod(0o755)


@pytest.mark.asyncio
async def test_a_directory_that_cannot_be_written_is_told() -> None:
    with nobody() as place, pytest.raises(StoreError) as raised:
        await Store.open(place / "zward.db", NOW)

    assert str(raised.value) == f"{place}/zward.db: Permission denied"


@pytest.mark.asyncio
async def test_a_database_that_cannot_be_written_is_told_and_not_moved_aside(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban()])
    content = path.read_bytes()
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "zward.db"
        copy.write_bytes(content)
        copy.chmod(0o444)
        copy.parent.chmod(0o755)
        if os.geteuid() == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(StoreError) as raised:
                await Store.open(copy, NOW)
        finally:
            if os.getuid() == 0:
                os.seteuid(0)
        assert str(raised.value) == f"{copy}: Permission denied"
        assert copy.read_bytes() == content


@pytest.mark.asyncio
async def test_a_path_through_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    with pytest.raises(StoreError, match="Not a directory|File exists"):
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
            store.add_act(NOW, "ana", "ban", "203.0.113.9", ""),
        )

        assert len(await store.bans_in_force(NOW)) == 20
        assert len(await store.acts()) == 1
