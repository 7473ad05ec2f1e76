"""What is seen of a zward whose firewall helper hangs or was disturbed: every page answers all the same."""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from intake import taking
from prometheus_client.parser import text_string_to_metric_families
from story import START, line

from appliance import drift, gauges
from appliance.address import parse_network
from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.drift import DriftWatch
from appliance.firewall.backend import BackendError, Drop, Dropped, Health
from appliance.firewall.observe import ObserveBackend
from appliance.gate import Gate
from appliance.gauges import Gauges
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.learner import Learner
from appliance.listen.listeners import Listeners
from appliance.metrics.declared import DECLARED
from appliance.metrics.metrics import Metrics
from appliance.model import Mode, Scope
from appliance.notify.herald import Herald
from appliance.overview import Overview
from appliance.read.reader import Reader
from appliance.store.store import Store
from appliance.web.pages import public_app

RULES = load_rules().rules
DROP = Drop(993, Scope.LOGIN, 4)


class Firewall(ObserveBackend):
    """Answers nothing while it hangs."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.answers = asyncio.Event()
        self.answers.set()
        self.fares = Health()
        self.counted = 0

    async def health(self) -> Health:
        await self.answers.wait()
        return self.fares

    async def dropped(self) -> Mapping[Drop, Dropped]:
        await self.answers.wait()
        self.counted += 1
        return {DROP: Dropped(self.counted, 60 * self.counted)}


@dataclass
class World:
    gate: Gate
    firewall: Firewall
    overview: Overview
    listeners: Listeners
    watch: DriftWatch
    metrics: Metrics
    not_enforced: str = ""

    @contextlib.asynccontextmanager
    async def pages(self) -> AsyncIterator[TestClient]:
        async with TestClient(TestServer(public_app(self.metrics, self.overview.what_is_missing))) as client:
            yield client

    async def until(self, condition) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def world(path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    for name, seconds in (("HEALTH_EVERY", 0.002), ("PATIENCE", 0.05)):
        monkeypatch.setattr(drift, name, seconds)
    for name in ("COUNTERS_EVERY", "BUDGETS_EVERY"):
        monkeypatch.setattr(gauges, name, 0.002)
    firewall, metrics = Firewall(), Metrics()
    store = await Store.open(path / "zward.db", time.time())
    judge = Judge(Policy(mode=Mode.ENFORCE), b"seed")
    gate = Gate(Reader(RULES, SAMPLE_TRUST), judge, firewall, store, metrics, time.time)
    watch = DriftWatch(gate.enforcer, lambda: 0)
    tasks: list[asyncio.Task[None]] = []
    try:
        async with taking() as intake:
            parts = gate, Learner(gate.judge, store, metrics, time.time), intake.listeners, watch
            overview = Overview(
                *(*parts, lambda: Mode.ENFORCE, lambda: found.not_enforced),
                *(lambda: seen.dropped[DROP].packets, lambda: ""),
            )
            seen = Gauges(*parts, Herald(), path / "zward.db", overview.what_is_missing)
            found = World(gate, firewall, overview, intake.listeners, watch, metrics)
            metrics.watch(seen.readings)
            tasks += [asyncio.create_task(work) for work in (watch.run(), seen.run())]
            yield found
    finally:  # the store's thread would keep a failed run alive
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await store.close()


@pytest.mark.asyncio
async def test_while_the_helper_hangs_every_page_answers_and_says_what_is_missing(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as it, it.pages() as client:
        await it.until(lambda: it.firewall.counted > 1)
        it.firewall.answers.clear()
        await it.until(lambda: it.overview.what_is_missing())

        ready, metrics = await client.get("/readyz"), await client.get("/metrics")

        assert ready.status == 503
        assert (await ready.text()).startswith("the firewall has not answered for ")
        assert 'zward_dropped_packets_total{family="4",port="993",scope="login"}' in await metrics.text()
        assert it.overview.status()["faults"] == [f"firewall: {it.overview.what_is_missing()}"]
        assert [each["is_fine"] for each in await it.overview.findings()][:2] == [False, True]

        it.firewall.answers.set()
        await it.until(lambda: not it.overview.what_is_missing())
        assert (await client.get("/readyz")).status == 200


@pytest.mark.asyncio
async def test_a_fault_of_the_firewall_is_what_is_missing(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as it:
        assert it.overview.what_is_missing() == ""
        it.gate.enforcer.failed("ban", BackendError("the helper is gone"))
        assert it.overview.what_is_missing() == "the helper is gone"


@pytest.mark.asyncio
async def test_who_should_enforce_and_cannot_is_not_ready(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as it:
        it.not_enforced = "no firewall helper at /run/zward-firewall/helper.sock"

        assert it.overview.what_is_missing() == it.not_enforced
        assert it.overview.status()["faults"] == [f"enforce: {it.not_enforced}"]


@pytest.mark.asyncio
async def test_what_somebody_else_did_is_a_fault_in_the_status_and_a_finding_and_no_reason_to_be_unready(
    tmp_path, monkeypatch
):
    async with world(tmp_path, monkeypatch) as it:
        await it.until(lambda: it.firewall.counted > 1)
        it.firewall.fares = Health(repairs=1, told="nft (pid 7) flushed our table")
        await it.until(lambda: it.watch.told())

        assert it.overview.status()["faults"] == ["drift: nft (pid 7) flushed our table (0 min ago)"]
        assert "drift" in [each["topic"] for each in await it.overview.findings()]
        assert it.overview.what_is_missing() == ""


@pytest.mark.asyncio
async def test_a_scrape_reads_what_was_seen_last(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as it:
        for text in ("203.0.113.9", "203.0.113.0/24", "2001:db8::/64", "2001:db8::1", "2001:db8::/48"):
            it.gate.judge.ban(parse_network(text), 60, "x", time.time())
        it.firewall.fares = Health(repairs=1, ended=3)
        it.gate.prover.answers["seen"] = 2
        await it.until(lambda: it.firewall.counted > 1 and it.watch.health.ended == 3)
        value = it.metrics.registry.get_sample_value

        kinds = [(family, kind) for family in ("4", "6") for kind in ("host", "network")]
        active = [value("zward_bans_active", {"scope": "all", "family": f, "kind": kind}) for f, kind in kinds]
        assert active == [1, 1, 2, 1]
        assert value("zward_sessions_ended_total") == 3
        assert value("zward_proofs_total", {"answer": "seen"}) == 2
        assert value("zward_proofs_total", {"answer": "unseen"}) == 0
        packets = it.overview.status()["dropped_packets"]
        assert packets >= 2
        assert value("zward_dropped_packets_total", {"port": "25", "scope": "all", "family": "6"}) == 0


@pytest.mark.asyncio
async def test_a_sender_is_told_by_its_name_or_a_mark_and_never_by_its_address(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as it:
        it.listeners.senders.names = {"192.0.2.10": "mbox1", "192.0.2.11": "mta1"}
        it.listeners.senders.heard("192.0.2.10", 1700000000.0, frames=7)
        it.listeners.senders.heard("192.0.2.99", 1700000001.0, frames=2)
        text = it.metrics.exposition().decode()

        assert 'zward_sender_frames_total{sender="mbox1"} 7.0' in text
        assert 'zward_sender_frames_total{sender="mta1"} 0.0' in text
        assert re.search(r'_last_frame_timestamp_seconds\{sender="unnamed-[0-9a-f]{6}"\} 1.700000001e\+09', text)
        assert "192.0.2" not in text


@pytest.mark.asyncio
async def test_accounts_are_counted_by_the_share_of_the_lockout_budget_that_is_used(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as it:
        for account, failures in (("ana@example.com", 10), ("bob@example.com", 8), ("eve@example.com", 5), ("x", 4)):
            for number in range(failures):
                event = line(time.time() - START, source=f"203.0.{number}.9", account=account)
                it.gate.judge.judge(event, time.time())
        value = it.metrics.registry.get_sample_value

        await it.until(lambda: value("zward_accounts_by_lockout_budget", {"level": "half"}))

        levels = [value("zward_accounts_by_lockout_budget", {"level": level}) for level in ("half", "most", "spent")]
        assert levels == [1, 1, 1]
        assert value("zward_condition", {"condition": "siege"}) == 1
        assert value("zward_accounts_besieged") == 3
        assert value("zward_strangers") == 10


@pytest.mark.asyncio
async def test_a_scrape_holds_every_metric_that_is_declared(tmp_path, monkeypatch):
    async with world(tmp_path, monkeypatch) as it:
        it.metrics.build.info({"version": "0", "python": "0"})
        families = {
            family.name.removesuffix("_info")
            for family in text_string_to_metric_families(it.metrics.exposition().decode())
        }

        assert {declared.family for declared in DECLARED} <= families
        assert {name for name in families if not name.startswith("process_")} <= {each.family for each in DECLARED}
