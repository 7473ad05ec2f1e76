"""The loop: frames in, bans in the firewall and in the store, and what happens when either fails."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from lines import NOISE, audit_failure, mailbox_failure

from appliance.address import Net, NetSet, parse_network
from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.firewall.backend import BackendError, Element, Refused
from appliance.firewall.observe import ObserveBackend
from appliance.gate import Gate
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.metrics.metrics import Metrics
from appliance.model import Mode
from appliance.read.frames import join_datagrams
from appliance.read.reader import Reader
from appliance.store.store import Store, StoreError

RULES = load_rules().rules
SOURCE = "198.51.100.7"
SENDER = "192.0.2.10"


class Faulty(ObserveBackend):
    """An observing backend that fails as often as it is told to."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.failures = 0
        self.batches: list[int] = []
        self.saw: set[Net] = set()
        self.asked: list[Net] = []

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        self.batches.append(len(bans))
        if self.failures:
            self.failures -= 1
            raise BackendError("the helper is gone")
        return await super().ban(bans)

    async def seen(self, sources: Collection[Net]) -> set[Net]:
        self.asked += sources
        if self.failures:
            self.failures -= 1
            raise BackendError("the helper is gone")
        return self.saw


@dataclass
class World:
    gate: Gate
    backend: Faulty
    store: Store
    metrics: Metrics

    def receive(self, *frames: bytes) -> None:
        block = join_datagrams(frames, 65536, lambda _reason, _number: None)
        assert block is not None
        self.gate.receive(block, SENDER, "udp")

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not await condition():
                await asyncio.sleep(0.01)

    async def banned(self) -> list[str]:
        return [str(place.net) for place in await self.backend.banned()]


@contextlib.asynccontextmanager
async def world(path: Path, policy: Policy | None = None) -> AsyncIterator[World]:
    policy = policy or Policy(mode=Mode.ENFORCE)
    metrics, backend = Metrics(), Faulty()
    store = await Store.open(path / "zward.db", time.time())
    gate = Gate(Reader(RULES, SAMPLE_TRUST), Judge(policy, b"seed"), backend, store, metrics, time.time)
    loop = asyncio.create_task(gate.run())
    try:
        yield World(gate, backend, store, metrics)
    finally:
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop
        await store.close()


def failures(number: int, source: str = SOURCE, account: str = "ana@example.com") -> list[bytes]:
    return [audit_failure(source, time.time(), account) for _ in range(number)]


@pytest.mark.asyncio
async def test_the_sixth_failure_bans_in_the_firewall_and_in_the_store(tmp_path):
    async with world(tmp_path) as here:
        here.receive(*failures(5), NOISE)
        assert await here.banned() == []

        here.receive(*failures(1))

        await here.until(lambda: _true_when(here, 1))
        assert await here.banned() == [SOURCE]
        bans = await here.store.bans_in_force(time.time())
        assert bans[0].reason.startswith("6 points in 30 min (limit 6): 6 bad passwords on ana@example.com over imap")
        assert here.value("zward_bans_total", detector="guessing", scope="all", family="4", kind="host") == 1
        assert here.value("zward_frames_received_total", transport="udp") == 7
        assert here.value("zward_frames_parsed_total") == 6


async def _true_when(here: World, bans: int) -> bool:
    known = await here.store.why(parse_network(SOURCE))
    return (
        len(await here.banned()) == bans
        and len(await here.store.bans_in_force(time.time())) == bans
        and bool(known.lines)
    )


def forgeable(number: int, source: str = SOURCE) -> list[bytes]:
    return [mailbox_failure(source, time.time(), f"user{each}") for each in range(number)]


@pytest.mark.asyncio
async def test_forged_lines_alone_ban_nobody(tmp_path):
    async with world(tmp_path) as here:
        here.receive(*forgeable(100))
        await here.until(lambda: _answered(here, "unseen", 1))

        assert here.gate.judge.bans_in_force(time.time()) == []
        assert here.backend.asked == [parse_network(SOURCE)]


async def _answered(here: World, answer: str, number: int) -> bool:
    return here.gate.prover.answers[answer] == number


@pytest.mark.asyncio
async def test_forgeable_lines_ban_once_packets_prove_the_source(tmp_path):
    async with world(tmp_path) as here:
        here.backend.saw = {parse_network(SOURCE)}
        here.receive(*forgeable(3), *forgeable(3, "203.0.113.9"))

        await here.until(lambda: _true_when(here, 1))

        assert await here.banned() == [SOURCE]
        bans = await here.store.bans_in_force(time.time())
        assert bans[0].reason.endswith("; the address is proved: it completed a connection here")
        assert here.value("zward_verdicts_total", detector="guessing", verdict="banned") + here.value(
            "zward_verdicts_total", detector="spraying", verdict="banned"
        )


@pytest.mark.asyncio
async def test_proof_that_the_firewall_could_not_give_at_first_bans_later(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.prover.RETRY_SECONDS", 0.02)
    async with world(tmp_path) as here:
        here.backend.saw, here.backend.failures = {parse_network(SOURCE)}, 2
        here.receive(*forgeable(3))

        await here.until(lambda: _has(here, 1))
        assert here.value("zward_firewall_failures_total", operation="seen") == 2


@pytest.mark.asyncio
async def test_strong_evidence_asks_for_no_proof(tmp_path):
    async with world(tmp_path) as here:
        here.receive(*failures(6))

        await here.until(lambda: _has(here, 1))
        assert here.backend.asked == []


@pytest.mark.asyncio
async def test_where_the_gateway_sees_no_traffic_nobody_is_asked(tmp_path):
    async with world(tmp_path, Policy(mode=Mode.ENFORCE, sees_traffic=False)) as here:
        here.backend.saw = {parse_network(SOURCE)}
        here.receive(*forgeable(100), *failures(6, "203.0.113.9"))

        await here.until(lambda: _has(here, 1))
        assert await here.banned() == ["203.0.113.9"]
        assert here.backend.asked == []


@pytest.mark.asyncio
async def test_bans_decided_together_go_together(tmp_path):
    async with world(tmp_path) as here:
        # fewer than trip the fuse, no two of one network, and no two at one account
        frames = [frame for number in range(90) for frame in failures(6, f"198.18.{number}.9", f"{number}@example.com")]
        here.receive(*frames)

        await here.until(lambda: _has(here, 90))
        assert sum(here.backend.batches) == 90
        assert len(here.backend.batches) <= 2


async def _has(here: World, number: int) -> bool:
    return len(await here.banned()) == number


@pytest.mark.asyncio
async def test_a_ban_that_the_firewall_did_not_take_is_tried_again_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.enforcer.RETRY_SECONDS", 0.02)
    async with world(tmp_path) as here:
        here.backend.failures = 3
        here.receive(*failures(6))
        await here.until(lambda: _fault_seen(here))
        assert here.value("zward_degraded", part="firewall") == 1

        await here.until(lambda: _has(here, 1))
        await here.until(lambda: _no_fault(here))
        assert here.value("zward_firewall_failures_total", operation="ban") == 3
        assert here.value("zward_degraded", part="firewall") == 0


async def _fault_seen(here: World) -> bool:
    return here.gate.enforcer.fault == "the helper is gone"


async def _no_fault(here: World) -> bool:
    return not here.gate.enforcer.fault


@pytest.mark.asyncio
async def test_a_full_disk_delays_no_ban_and_loses_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.recorder.RETRY_SECONDS", 0.02)
    async with world(tmp_path) as here:
        write = here.store.add_bans
        is_full = True

        async def add_bans(bans):
            if is_full:
                raise StoreError("database or disk is full")
            await write(bans)

        monkeypatch.setattr(here.store, "add_bans", add_bans)
        here.receive(*failures(6))
        await here.until(lambda: _has(here, 1))
        await here.until(lambda: _store_faulty(here))
        assert here.value("zward_degraded", part="store") == 1

        is_full = False
        await here.until(lambda: _written(here))
        assert here.gate.recorder.fault == ""


async def _store_faulty(here: World) -> bool:
    return here.gate.recorder.fault == "database or disk is full"


async def _written(here: World) -> bool:
    return len(await here.store.bans_in_force(time.time())) == 1 and not here.gate.recorder.fault


@pytest.mark.asyncio
async def test_a_line_that_breaks_the_judge_is_quarantined_and_the_next_is_judged(tmp_path, monkeypatch):
    async with world(tmp_path) as here:
        judge = here.gate.judge.judge

        def broken_for_bob(event, now):
            if event.account == "bob@example.com":
                raise ZeroDivisionError("a fault of ours")
            return judge(event, now)

        monkeypatch.setattr(here.gate.judge, "judge", broken_for_bob)
        here.receive(audit_failure(SOURCE, time.time(), "bob@example.com"), *failures(6))

        await here.until(lambda: _has(here, 1))
        assert here.value("zward_frame_faults_total", reason="quarantined") == 1
        assert "ZeroDivisionError" in here.gate.doubts[0]


@pytest.mark.asyncio
async def test_a_ban_that_somebody_removed_is_put_back(tmp_path):
    async with world(tmp_path) as here:
        here.receive(*failures(6))
        await here.until(lambda: _has(here, 1))
        await here.backend.unban([parse_network(SOURCE)])

        assert await here.gate.enforcer.reconcile() == 1

        await here.until(lambda: _has(here, 1))


@pytest.mark.asyncio
async def test_an_allow_listed_source_is_spared_and_told(tmp_path):
    policy = Policy(mode=Mode.ENFORCE, allowlist=NetSet([parse_network("198.51.100.0/24")]))
    async with world(tmp_path, policy) as here:
        here.receive(*failures(50))

        assert here.gate.judge.bans_in_force(time.time()) == []
        assert here.value("zward_verdicts_total", detector="slow-guessing", verdict="spared") + here.value(
            "zward_verdicts_total", detector="guessing", verdict="spared"
        )


@pytest.mark.asyncio
async def test_a_flood_of_one_source_keeps_a_few_lines_and_counts_them_all(tmp_path):
    async with world(tmp_path) as here:
        here.receive(*failures(500))
        await here.until(lambda: _counted(here, 500))

        known = await here.store.why(parse_network(SOURCE))
        assert len(known.lines) == 20
        assert here.value("zward_evidence_dropped_total") == 0


async def _counted(here: World, number: int) -> bool:
    known = await here.store.why(parse_network(SOURCE))
    return sum(count.count for count in known.counts) + known.unnamed == number


@pytest.mark.asyncio
async def test_what_is_lifted_while_the_firewall_fails_is_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.enforcer.RETRY_SECONDS", 0.02)
    async with world(tmp_path) as here:
        here.backend.failures = 1
        here.receive(*failures(6), *failures(6, "203.0.113.9"))
        await here.until(lambda: _fault_seen(here))
        here.gate.judge.unban(parse_network(SOURCE), time.time())

        await here.until(lambda: _has(here, 1))
        assert await here.banned() == ["203.0.113.9"]


@pytest.mark.asyncio
async def test_firewall_that_is_slow_to_prove_delays_no_ban_by_strong_evidence(tmp_path, monkeypatch):
    async with world(tmp_path) as here:
        asked = asyncio.Event()

        async def seen(sources):
            asked.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(here.backend, "seen", seen)
        here.receive(*forgeable(3))
        async with asyncio.timeout(10):
            await asked.wait()
        here.receive(*failures(6, "203.0.113.9"))

        await here.until(lambda: _has(here, 1))
        assert await here.banned() == ["203.0.113.9"]


@pytest.mark.asyncio
async def test_evidence_waits_for_more_of_it_and_a_ban_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.recorder.LINGER_SECONDS", 3600.0)
    async with world(tmp_path) as here:
        here.receive(*failures(5))
        await asyncio.sleep(0)
        assert len(here.gate.recorder._evidence) == 5

        here.receive(*failures(1))

        await here.until(lambda: _written(here))
        await here.until(lambda: _counted(here, 6))
