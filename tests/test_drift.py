"""What makes the firewall be compared with the book, and how soon; what is told of it, and for how long."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import pytest

from appliance import drift
from appliance.address import parse_network
from appliance.drift import DriftWatch
from appliance.enforcer import Enforcer
from appliance.firewall.backend import BackendError, Element, Health, Place, Refused
from appliance.firewall.observe import ObserveBackend
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.metrics.metrics import Metrics
from appliance.model import Ban, Mode

NOW = 1_792_584_000.0
HOST = parse_network("203.0.113.9")


class Ill(ObserveBackend):
    """Fares as it is told to."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.is_hanging = False
        self.is_gone = False
        self.may_ban = asyncio.Event()
        self.may_ban.set()
        self.fares = Health()
        self.looks = self.listings = 0

    async def health(self) -> Health:
        self.looks += 1
        if self.is_hanging:
            await asyncio.Event().wait()
        if self.is_gone:
            raise BackendError("the helper is gone")
        return self.fares

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        await self.may_ban.wait()
        return await super().ban(bans)

    async def banned(self) -> dict[Place, float]:
        self.listings += 1
        if self.is_gone:
            raise BackendError("the helper is gone")
        return await super().banned()


@dataclass
class World:
    watch: DriftWatch
    enforcer: Enforcer
    backend: Ill
    reconnects: int = 0

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)

    async def looks(self, number: int) -> None:
        """Let it look so many times more."""
        seen = self.backend.looks
        await self.until(lambda: self.backend.looks >= seen + number)


@contextlib.asynccontextmanager
async def world(monkeypatch: pytest.MonkeyPatch, *, known: bool = True) -> AsyncIterator[World]:
    for name, seconds in (("HEALTH_EVERY", 0.002), ("SOON", 0.01)):
        monkeypatch.setattr(drift, name, seconds)
    judge, backend = Judge(Policy(mode=Mode.ENFORCE), b"seed"), Ill()
    judge.ban(HOST, 3600, "x", NOW)
    enforcer = Enforcer(backend, judge, Metrics(), lambda: NOW)
    found = World(DriftWatch(enforcer, lambda: found.reconnects), enforcer, backend)
    tasks = [asyncio.create_task(found.watch.run()), asyncio.create_task(enforcer.run())]
    try:
        if known:
            await found.looks(2)
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.asyncio
async def test_without_a_reason_nothing_is_listed(monkeypatch):
    async with world(monkeypatch) as it:
        await it.looks(20)

        assert it.backend.listings == 0
        assert (it.watch.told(), it.watch.silence(), it.enforcer.fault) == ("", "", "")


@pytest.mark.asyncio
async def test_without_a_reason_it_is_compared_rarely_all_the_same(monkeypatch):
    monkeypatch.setattr(drift, "LATER", 0.01)
    monkeypatch.setattr(drift, "RARELY", 0.01)
    async with world(monkeypatch) as it:
        await it.until(lambda: it.backend.listings >= 3)


@pytest.mark.asyncio
async def test_a_repair_is_told_once_and_the_bans_are_put_back_at_once(monkeypatch, caplog):
    async with world(monkeypatch) as it:
        it.backend.fares = Health(repairs=1, told="nft (pid 7) flushed our table")

        await it.until(lambda: it.backend.listings == 1)
        await it.looks(20)

        assert it.backend.listings == 1
        assert await ObserveBackend.banned(it.backend) == {Place(HOST): 3600.0}
        assert it.watch.told() == "nft (pid 7) flushed our table (0 min ago)"
        warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
        assert warnings == [
            "the firewall: nft (pid 7) flushed our table",
            "1 bans differed between the firewall and the book; that is being put right",
        ]
        assert it.watch.health.repairs == 1


async def put_back_behind_another(it: World) -> None:
    """Two bans on their way: one is being carried out, one waits."""
    it.backend.may_ban.clear()
    for number in (1, 2):
        net = parse_network(f"203.0.113.{number}")
        it.enforcer.put_back([Ban(net, NOW, NOW + 3600, "x", "y")])
        await it.looks(1)


@pytest.mark.asyncio
async def test_bans_that_wait_for_their_turn_do_not_wait_for_a_listing_too(monkeypatch):
    async with world(monkeypatch) as it:
        await put_back_behind_another(it)
        it.backend.fares = Health(repairs=1)
        await it.looks(20)
        assert it.backend.listings == 0

        it.backend.may_ban.set()
        await it.until(lambda: it.backend.listings == 1)


@pytest.mark.asyncio
async def test_where_bans_always_wait_it_is_compared_all_the_same(monkeypatch):
    async with world(monkeypatch) as it:
        monkeypatch.setattr(drift, "LATER", 0.01)
        await put_back_behind_another(it)
        it.backend.fares = Health(repairs=1)
        await it.until(lambda: it.backend.listings == 1)
        it.backend.may_ban.set()


@pytest.mark.asyncio
async def test_what_happened_before_the_start_is_no_news(monkeypatch):
    async with world(monkeypatch, known=False) as it:
        it.backend.fares = Health(repairs=5, crowded_out=3, told="long ago")
        await it.looks(20)

        assert (it.watch.told(), it.backend.listings) == ("", 0)
        assert it.watch.health.repairs == 5


@pytest.mark.asyncio
async def test_a_helper_that_begins_to_count_anew_is_no_news(monkeypatch):
    async with world(monkeypatch, known=False) as it:
        it.backend.fares = Health(repairs=5)
        await it.looks(2)
        it.backend.fares = Health()
        await it.looks(20)

        assert (it.watch.told(), it.backend.listings) == ("", 0)


@pytest.mark.asyncio
async def test_bans_that_gave_way_are_told_and_not_put_back_for_they_would_crowd_out_others(monkeypatch):
    async with world(monkeypatch) as it:
        it.backend.fares = Health(crowded_out=52_428)
        await it.until(lambda: bool(it.watch.told()))
        await it.looks(20)

        assert it.watch.told().startswith("a set was full: 52428 bans gave way")
        assert it.backend.listings == 0


@pytest.mark.asyncio
async def test_a_helper_that_was_reached_anew_is_a_reason(monkeypatch):
    async with world(monkeypatch) as it:
        it.reconnects = 1

        await it.until(lambda: it.backend.listings == 1)
        assert it.watch.reconnects == 1
        assert it.watch.told() == ""


@pytest.mark.asyncio
async def test_a_helper_that_is_gone_is_a_fault_and_is_compared_as_soon_as_it_is_back(monkeypatch):
    async with world(monkeypatch) as it:
        it.backend.is_gone = True
        await it.until(lambda: it.enforcer.fault == "the helper is gone")
        await it.looks(20)
        assert it.backend.listings == 0

        it.backend.is_gone = False
        await it.until(lambda: it.backend.listings >= 1 and not it.enforcer.fault)


@pytest.mark.asyncio
async def test_an_operation_that_failed_is_a_reason_for_later(monkeypatch):
    monkeypatch.setattr(drift, "RARELY", math.inf)
    async with world(monkeypatch) as it:
        it.watch._due = math.inf
        it.enforcer.failed("ban", BackendError("no answer"))
        await it.until(lambda: it.watch._due < math.inf)

        assert it.watch._due - it.watch._compared_at == drift.LATER


@pytest.mark.asyncio
async def test_a_tool_that_flushes_without_end_does_not_keep_it_listing(monkeypatch):
    async with world(monkeypatch) as it:
        monkeypatch.setattr(drift, "SOON", 3600.0)
        for number in range(1, 20):
            it.backend.fares = Health(repairs=number)
            await it.looks(1)

        assert it.backend.listings == 0, "the last comparison was no hour ago"


@pytest.mark.asyncio
async def test_a_helper_that_hangs_is_told_before_its_time_is_over(monkeypatch):
    monkeypatch.setattr(drift, "PATIENCE", 0.05)
    async with world(monkeypatch) as it:
        it.backend.is_hanging = True

        await it.until(lambda: it.watch.silence() == "the firewall has not answered for 0 s")
        assert it.enforcer.fault == ""


@pytest.mark.asyncio
async def test_a_repair_is_told_for_an_hour(monkeypatch):
    async with world(monkeypatch) as it:
        it.backend.fares = Health(repairs=1)
        await it.until(lambda: bool(it.watch.told()))
        now = drift.monotonic()

        monkeypatch.setattr(drift, "monotonic", lambda: now + 3500)
        assert it.watch.told() == "somebody else changed our table; it was put back (58 min ago)"
        monkeypatch.setattr(drift, "monotonic", lambda: now + 3601)
        assert it.watch.told() == ""


@pytest.mark.asyncio
async def test_the_name_of_a_program_cannot_act_on_a_terminal(monkeypatch):
    async with world(monkeypatch) as it:
        it.backend.fares = Health(repairs=1, told="\x1b[2Jevil (pid 7) flushed our table")
        await it.until(lambda: bool(it.watch.told()))

        assert it.watch.told().startswith(r"\u{1b}[2Jevil")
