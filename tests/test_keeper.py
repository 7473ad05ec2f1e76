import logging
from contextlib import asynccontextmanager
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


@asynccontextmanager
async def disk(tmp_path):
    """What builds runs of zward, one after the other, on one disk."""
    path = tmp_path / "zward.db"
    store = await Store.open(path, START, 1 << 30)
    try:
        yield lambda: Running(store, path)
    finally:  # or its threads keep a failed run of the tests from ending
        await store.close()


async def on_the_brink(start, *, keeps=True):
    """A run in which somebody failed five times, and one after it that took up what it left."""
    before = start()
    for second in range(5):
        await before.fails(second)
    if keeps:
        await before.keeper.keep()
    return await again(start)


async def again(start, now=START + 60):
    after = start()
    after.now = now
    await after.keeper.load()
    return after


@pytest.mark.asyncio
async def test_attacker_on_the_brink_is_banned_by_the_first_try_after_a_restart(tmp_path):
    async with disk(tmp_path) as start:
        after = await on_the_brink(start)

        assert isinstance(await after.fails(61), Banned)


@pytest.mark.asyncio
async def test_what_came_after_the_counts_were_written_is_found_in_the_evidence(tmp_path):
    async with disk(tmp_path) as start:
        before = start()
        for second in range(3):
            await before.fails(second)
        await before.keeper.keep()
        for second in range(10, 12):
            await before.fails(second)

        after = await again(start)

        assert after.judge.attempts == 5
        assert isinstance(await after.fails(61), Banned)


@pytest.mark.asyncio
async def test_without_any_counts_a_day_of_evidence_is_counted(tmp_path):
    async with disk(tmp_path) as start:
        after = await on_the_brink(start, keeps=False)

        assert isinstance(await after.fails(61), Banned)


@pytest.mark.asyncio
async def test_weak_lines_are_as_weak_when_they_are_counted_again(tmp_path):
    async with disk(tmp_path) as start:
        before = start()
        for second in range(9):
            await before.fails(second * 4, rule="mailbox-soap-bad-password", evidence=Evidence.WEAK)

        assert (await again(start)).bans == []


@pytest.mark.asyncio
async def test_lines_that_led_to_a_ban_are_not_counted_for_another(tmp_path):
    async with disk(tmp_path) as start:
        before = start()
        for second in range(6):
            await before.fails(second)
        [ban] = before.bans

        after = start()
        after.judge.restore([], [ban])
        after.now = ban.until + 1
        await after.keeper.load()

        assert after.bans == []
        assert after.judge.attempts == 0


@pytest.mark.asyncio
async def test_damaged_counts_are_told_and_the_evidence_serves(tmp_path, caplog):
    counts = tmp_path / "zward.db.counts"
    async with disk(tmp_path) as start:
        await on_the_brink(start)
        counts.write_bytes(counts.read_bytes()[:-20])

        with caplog.at_level(logging.WARNING):
            after = await again(start)

        assert "zward.db.counts: damaged" in caplog.text
        assert isinstance(await after.fails(61), Banned)


@pytest.mark.asyncio
async def test_disk_that_takes_nothing_is_told_once_and_the_old_counts_stay(tmp_path, caplog):
    counts = tmp_path / "zward.db.counts"
    async with disk(tmp_path) as start:
        running = start()
        await running.keeper.keep()
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


@pytest.mark.asyncio
async def test_counts_are_for_nobody_but_us(tmp_path):
    async with disk(tmp_path) as start:
        await start().keeper.keep()

        assert (tmp_path / "zward.db.counts").stat().st_mode & 0o777 == 0o600
