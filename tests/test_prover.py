"""Questions for packet proof: batches, bounds, and a firewall that is slow or gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field

import pytest

from appliance.address import Net
from appliance.firewall.backend import BackendError
from appliance.firewall.limits import MAX_SOURCES
from appliance.firewall.observe import ObserveBackend
from appliance.prover import BATCH, WAITING, Prover


def net(number: int) -> Net:
    return Net((0xC6336400 + number).to_bytes(4, "big"), 32)


class Kernel(ObserveBackend):
    """A backend that saw what it is told to have seen; can be made to wait and to fail."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.saw: set[Net] = set()
        self.requests: list[list[Net]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.faults: list[BackendError] = []
        self.under_way = 0
        self.cancelled = 0

    async def seen(self, sources: Collection[Net]) -> set[Net]:
        self.requests.append(list(sources))
        self.under_way += 1
        assert self.under_way == 1, "two requests at a time"
        try:
            await self.answers.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        if self.faults:
            raise self.faults.pop(0)
        return self.saw


@dataclass
class World:
    kernel: Kernel
    proved: list[Net] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.prover = Prover(lambda: self.kernel, self._prove, lambda fault: self.faults.append(str(fault)))

    def _prove(self, sources: Sequence[Net]) -> None:
        self.proved += sources

    def ask(self, *numbers: int) -> None:
        for number in numbers:
            self.prover.ask(net(number))

    @property
    def answered(self) -> int:
        return self.prover.answers["seen"] + self.prover.answers["unseen"]

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    here = World(Kernel())
    running = asyncio.create_task(here.prover.run())
    try:
        yield here
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@pytest.mark.asyncio
async def test_only_whoever_was_seen_is_proved():
    async with world() as here:
        here.kernel.saw = {net(1), net(3)}
        here.ask(1, 2, 3)

        await here.until(lambda: here.answered == 3)

        assert here.proved == [net(1), net(3)]
        assert here.prover.answers == {"seen": 2, "unseen": 1, "dropped": 0}


@pytest.mark.asyncio
async def test_sources_that_nobody_asked_about_are_not_proved_whatever_the_answer_holds():
    async with world() as here:
        here.kernel.saw = {net(1), net(9)}
        here.ask(1)

        await here.until(lambda: here.answered == 1)

        assert here.proved == [net(1)]


@pytest.mark.asyncio
async def test_what_is_asked_during_a_request_goes_together_in_the_next():
    async with world() as here:
        here.kernel.answers.clear()
        here.ask(0)
        await here.until(lambda: here.kernel.under_way == 1)
        for number in range(1, 200):
            here.ask(number)
            await asyncio.sleep(0)
        here.kernel.answers.set()

        await here.until(lambda: here.answered == 200)

        assert [len(request) for request in here.kernel.requests] == [1, 199]


@pytest.mark.asyncio
async def test_source_is_not_asked_about_twice_while_it_waits_or_is_under_way():
    async with world() as here:
        here.kernel.answers.clear()
        here.ask(1, 1)
        await here.until(lambda: here.kernel.under_way == 1)
        here.ask(1, 2, 2)
        here.kernel.answers.set()

        await here.until(lambda: here.answered == 2)

        assert here.kernel.requests == [[net(1)], [net(2)]]


@pytest.mark.asyncio
async def test_source_that_was_answered_for_may_be_asked_about_again_only_after_a_while(monkeypatch):
    monkeypatch.setattr("appliance.prover.AGAIN_SECONDS", 3600.0)
    async with world() as here:
        here.ask(1)
        await here.until(lambda: here.answered == 1)
        here.ask(1, 2)
        await here.until(lambda: here.answered == 2)
        assert here.kernel.requests == [[net(1)], [net(2)]]

        monkeypatch.setattr("appliance.prover.AGAIN_SECONDS", 0.0)
        here.ask(1)

        await here.until(lambda: here.answered == 3)


@pytest.mark.asyncio
async def test_request_holds_no_more_sources_than_the_helper_takes():
    async with world() as here:
        here.ask(*range(2 * BATCH + 1))

        await here.until(lambda: here.answered == 2 * BATCH + 1)

        assert [len(request) for request in here.kernel.requests] == [BATCH, BATCH, 1]
        assert BATCH <= MAX_SOURCES


@pytest.mark.asyncio
async def test_oldest_questions_give_way_in_a_full_queue_and_are_counted():
    async with world() as here:
        here.ask(*range(WAITING + 10))

        await here.until(lambda: here.answered == WAITING)

        assert here.kernel.requests[0][0] == net(10)
        assert here.prover.answers["dropped"] == 10


@pytest.mark.asyncio
async def test_request_that_failed_is_told_and_sent_again_with_what_came_meanwhile(monkeypatch):
    monkeypatch.setattr("appliance.prover.RETRY_SECONDS", 0.01)
    async with world() as here:
        here.kernel.answers.clear()
        here.kernel.faults = [BackendError("the helper is gone")] * 2
        here.kernel.saw = {net(1), net(2)}
        here.ask(2)
        await here.until(lambda: here.kernel.under_way == 1)
        here.ask(1)
        here.kernel.answers.set()

        await here.until(lambda: here.answered == 2)

        assert here.faults == ["the helper is gone"] * 2
        assert here.kernel.requests == [[net(2)], [net(2), net(1)], [net(2), net(1)]]
        assert here.proved == [net(2), net(1)]


@pytest.mark.asyncio
async def test_failing_firewall_is_not_asked_again_at_once():
    async with world() as here:
        here.kernel.faults = [BackendError("the helper is gone")] * 100
        here.ask(1)
        await here.until(lambda: here.faults)
        for _ in range(100):
            await asyncio.sleep(0)

        assert len(here.kernel.requests) == 1


@pytest.mark.asyncio
async def test_queue_stays_bounded_while_the_firewall_fails():
    async with world() as here:
        here.kernel.answers.clear()
        here.kernel.faults = [BackendError("the helper is gone")]
        here.ask(*range(10))
        await here.until(lambda: here.kernel.under_way == 1)
        here.ask(*range(10, WAITING + 10))
        here.kernel.answers.set()

        await here.until(lambda: here.faults)

        assert here.prover.answers["dropped"] == 10


@pytest.mark.asyncio
async def test_source_that_the_firewall_stumbles_over_does_not_stop_the_others(monkeypatch):
    monkeypatch.setattr("appliance.prover.RETRY_SECONDS", 0.01)
    async with world() as here:
        here.kernel.faults = [BackendError("not a source", net(2))]
        here.kernel.saw = {net(1), net(3)}
        here.ask(1, 2, 3)

        await here.until(lambda: here.answered == 2)

        assert here.proved == [net(1), net(3)]
        assert here.kernel.requests[1] == [net(1), net(3)]
        assert here.prover.answers["dropped"] == 1


@pytest.mark.asyncio
async def test_cancelling_ends_a_request_under_way():
    async with world() as here:
        here.kernel.answers.clear()
        here.ask(1)
        await here.until(lambda: here.kernel.under_way == 1)

    assert here.kernel.cancelled == 1
    assert here.proved == []


@pytest.mark.asyncio
async def test_backend_that_is_exchanged_is_asked_from_then_on():
    async with world() as here:
        before, here.kernel = here.kernel, Kernel()
        here.ask(1)

        await here.until(lambda: here.answered == 1)

        assert (len(before.requests), len(here.kernel.requests)) == (0, 1)
