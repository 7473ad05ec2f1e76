import logging
from types import SimpleNamespace

import pytest
from story import ENFORCE, START, line

from appliance.address import source_of
from appliance.config.rule_files import load_rules
from appliance.judge.judge import Judge
from appliance.keeper import Keeper
from appliance.model import Banned, Evidence
from appliance.store.evidence import EvidenceLine
from appliance.store.store import Store

RULES = load_rules().rules
SEED = b"a seed for tests"


class Running:
    """A judge with a store, as a gate has them, and a clock that stands."""

    def __init__(self, store, path):
        self.judge = Judge(ENFORCE, SEED)
        self.reader = SimpleNamespace(rules=RULES)
        self.now = START
        self.store = store
        self.keeper = Keeper(self, store, path, lambda: self.now)
        self.bans = []

    def judged(self, event, now):
        verdicts = self.judge.judge(event, now)
        self.bans += [verdict.ban for verdict in verdicts if isinstance(verdict, Banned)]
        return verdicts

    async def fails(self, at, **facts):
        """A line comes, is judged, and is kept as evidence."""
        event = line(at, **facts)
        self.now = START + at
        verdicts = self.judged(event, self.now)
        kept = EvidenceLine.of(event, source_of(event.source), self.now)
        kept.program = "zimbra-audit"
        await self.store.add_evidence([kept])
        return verdicts[-1]


async def opened(path):
    return await Store.open(path, START, 1 << 30)


@pytest.mark.asyncio
async def test_attacker_on_the_brink_is_banned_by_the_first_try_after_a_restart(tmp_path):
    path = tmp_path / "zward.db"
    store = await opened(path)
    before = Running(store, path)
    for second in range(5):
        await before.fails(second)
    await before.keeper.keep()

    after = Running(store, path)
    after.now = START + 60
    await after.keeper.load()

    assert isinstance(await after.fails(61), Banned)
    await store.close()


@pytest.mark.asyncio
async def test_what_came_after_the_counts_were_written_is_found_in_the_evidence(tmp_path):
    path = tmp_path / "zward.db"
    store = await opened(path)
    before = Running(store, path)
    for second in range(3):
        await before.fails(second)
    await before.keeper.keep()
    for second in range(10, 12):
        await before.fails(second)

    after = Running(store, path)
    after.now = START + 60
    await after.keeper.load()

    assert after.judge.attempts == 5
    assert isinstance(await after.fails(61), Banned)
    await store.close()


@pytest.mark.asyncio
async def test_without_any_counts_a_day_of_evidence_is_counted(tmp_path):
    path = tmp_path / "zward.db"
    store = await opened(path)
    before = Running(store, path)
    for second in range(5):
        await before.fails(second)

    after = Running(store, path)
    after.now = START + 60
    await after.keeper.load()

    assert isinstance(await after.fails(61), Banned)
    await store.close()


@pytest.mark.asyncio
async def test_weak_lines_are_as_weak_when_they_are_counted_again(tmp_path):
    path = tmp_path / "zward.db"
    store = await opened(path)
    before = Running(store, path)
    for second in range(9):
        await before.fails(second * 4, rule="mailbox-soap-bad-password", evidence=Evidence.WEAK)

    after = Running(store, path)
    after.now = START + 60
    await after.keeper.load()

    assert after.bans == []
    await store.close()


@pytest.mark.asyncio
async def test_lines_that_led_to_a_ban_are_not_counted_for_another(tmp_path):
    path = tmp_path / "zward.db"
    store = await opened(path)
    before = Running(store, path)
    for second in range(6):
        await before.fails(second)
    assert len(before.bans) == 1

    after = Running(store, path)
    after.judge.restore([], before.bans)
    after.now = before.bans[0].until + 1
    await after.keeper.load()

    assert after.bans == []
    assert after.judge.attempts == 0
    await store.close()


@pytest.mark.asyncio
async def test_damaged_counts_are_told_and_the_evidence_serves(tmp_path, caplog):
    path = tmp_path / "zward.db"
    store = await opened(path)
    before = Running(store, path)
    for second in range(5):
        await before.fails(second)
    await before.keeper.keep()
    counts = tmp_path / "zward.db.counts"
    counts.write_bytes(counts.read_bytes()[:-20])

    after = Running(store, path)
    after.now = START + 60
    with caplog.at_level(logging.WARNING):
        await after.keeper.load()

    assert "zward.db.counts: damaged" in caplog.text
    assert isinstance(await after.fails(61), Banned)
    await store.close()


@pytest.mark.asyncio
async def test_disk_that_takes_nothing_is_told_once_and_the_old_counts_stay(tmp_path, caplog):
    path = tmp_path / "zward.db"
    store = await opened(path)
    running = Running(store, path)
    await running.keeper.keep()
    counts = tmp_path / "zward.db.counts"
    old = counts.read_bytes()
    (tmp_path / "zward.db.counts.new").mkdir()

    await running.keeper.keep()
    await running.keeper.keep()

    assert counts.read_bytes() == old
    assert caplog.text.count("the counts are not written down") == 1
    assert running.keeper.fault
    (tmp_path / "zward.db.counts.new").rmdir()
    await running.keeper.keep()
    assert not running.keeper.fault
    await store.close()


@pytest.mark.asyncio
async def test_counts_are_for_nobody_but_us(tmp_path):
    path = tmp_path / "zward.db"
    store = await opened(path)
    running = Running(store, path)
    await running.keeper.keep()

    assert (tmp_path / "zward.db.counts").stat().st_mode & 0o777 == 0o600
    await store.close()
