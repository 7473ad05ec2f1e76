"""Familiarity on its way to the disk and back, also while the disk takes nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.address import parse_network
from appliance.judge.familiar import KEPT, Seen
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.learner import Learner
from appliance.metrics.metrics import Metrics
from appliance.store.familiar import FamiliarTable
from appliance.store.store import Store, StoreError

NOW = 1_792_584_000.0
HOME, PHONE = parse_network("203.0.113.9"), parse_network("2001:db8:0:7::/64")
ANA, BOB = "ana@example.com", "bob@example.com"


@dataclass
class World:
    learner: Learner
    judge: Judge
    store: Store
    metrics: Metrics

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def world(path: Path, now: float = NOW) -> AsyncIterator[World]:
    store = await Store.open(path / "zward.db", now)
    judge, metrics = Judge(Policy(), b"seed"), Metrics()
    try:
        yield World(Learner(judge, store, metrics, lambda: now), judge, store, metrics)
    finally:
        await store.close()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A disk that takes nothing until it is undone."""

    async def refused(*_arguments: object) -> None:
        raise StoreError("database or disk is full")

    monkeypatch.setattr(FamiliarTable, "learn", refused)
    return monkeypatch


@pytest.mark.asyncio
async def test_whom_one_run_learned_the_next_one_knows(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.judge.familiar.learn(HOME, ANA, NOW - 60)
        here.judge.familiar.learn(PHONE, ANA, NOW)
        await here.learner.flush()

    async with world(tmp_path) as here:
        await here.learner.load()

        assert here.judge.familiar.sources_of(ANA) == [Seen(HOME, ANA, NOW - 60, NOW - 60), Seen(PHONE, ANA, NOW, NOW)]
        await here.learner.flush()
        assert await here.store.familiar.count(NOW) == 2


@pytest.mark.asyncio
async def test_who_did_not_log_in_for_thirty_days_is_not_taken_up(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.judge.familiar.learn(HOME, ANA, NOW)
        await here.learner.flush()

    async with world(tmp_path, NOW + KEPT) as here:
        await here.learner.load()

        assert here.judge.familiar.sources_of(ANA) == []


@pytest.mark.asyncio
async def test_it_writes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.learner.WRITE_SECONDS", 0.01)
    async with world(tmp_path) as here:
        running = asyncio.create_task(here.learner.run())
        here.judge.familiar.learn(HOME, ANA, NOW)
        async with asyncio.timeout(10):
            while not await here.store.familiar.count(NOW):
                await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_full_disk_loses_nobody_and_is_told(tmp_path: Path, full: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as here:
        here.judge.familiar.learn(HOME, ANA, NOW)
        await here.learner.flush()
        assert here.learner.fault == "database or disk is full"
        assert here.value("zward_degraded", part="store") == 1
        assert here.value("zward_store_failures_total") == 1

        here.judge.familiar.learn(HOME, BOB, NOW)
        full.undo()
        await here.learner.flush()

        assert here.learner.fault == ""
        assert here.value("zward_degraded", part="store") == 0
        assert {seen.account for seen in await here.store.familiar.fresh(NOW)} == {ANA, BOB}


@pytest.mark.asyncio
async def test_what_waits_is_bounded_and_counted_and_those_that_wait_are_renewed(
    tmp_path: Path, full: pytest.MonkeyPatch
) -> None:
    full.setattr("appliance.learner.WAITING", 2)
    async with world(tmp_path) as here:
        for number in range(5):
            here.judge.familiar.learn(HOME, f"user{number}", NOW)
        await here.learner.flush()
        here.judge.familiar.learn(HOME, "user0", NOW + 7200)
        await here.learner.flush()
        full.undo()
        await here.learner.flush()

        assert here.learner.lost == 3
        assert [(seen.account, seen.last) for seen in await here.store.familiar.page(NOW)] == [
            ("user0", NOW + 7200),
            ("user1", NOW),
        ]


@pytest.mark.asyncio
async def test_more_than_one_batch_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.learner.BATCH", 2)
    async with world(tmp_path) as here:
        for number in range(5):
            here.judge.familiar.learn(HOME, f"user{number}", NOW)
        await here.learner.flush()

        assert await here.store.familiar.count(NOW) == 5


@pytest.mark.asyncio
async def test_what_is_forgotten_is_gone_in_memory_on_the_way_and_on_the_disk(
    tmp_path: Path, full: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as here:
        here.judge.familiar.learn(HOME, ANA, NOW)
        here.judge.familiar.learn(HOME, BOB, NOW)
        await here.learner.flush()  # waits, since the disk is full
        full.undo()
        await here.store.familiar.learn([Seen(PHONE, ANA, NOW, NOW)], NOW)  # of an earlier run, not in memory

        gone = await here.learner.forget(ANA)
        await here.learner.flush()

        assert sorted(seen.source for seen in gone) == sorted([HOME, PHONE])
        assert here.judge.familiar.sources_of(ANA) == []
        assert [seen.account for seen in await here.store.familiar.fresh(NOW)] == [BOB]


@pytest.mark.asyncio
async def test_an_address_is_forgotten_with_the_whole_of_its_source(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.judge.familiar.learn(PHONE, ANA, NOW)
        here.judge.familiar.learn(HOME, ANA, NOW)

        gone = await here.learner.forget(net=parse_network("2001:db8:0:7::1"))

        assert gone == [Seen(PHONE, ANA, NOW, NOW)]
        assert [seen.source for seen in here.judge.familiar.sources_of(ANA)] == [HOME]
