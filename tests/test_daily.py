"""What the daily digest tells: gathered from a gate that read real lines, and its store."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lines import audit_failure, audit_success, mailbox_failure

from appliance import daily
from appliance.address import Net, parse_network
from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.daily import DAY, QUIET_AFTER, STALE, Daily
from appliance.desk import Asker
from appliance.firewall.observe import ObserveBackend
from appliance.gate import Gate
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.judge.reasons import PROVED
from appliance.listen.senders import Sender
from appliance.metrics.metrics import Metrics
from appliance.model import Act, Ban, Mode
from appliance.read.frames import join_datagrams
from appliance.read.reader import Reader
from appliance.store.store import Store, StoreError

RULES = load_rules().rules
OPERATOR = Asker("bruno")
ANA, BOB, CARLA = "ana@example.com", "bob@example.com", "carla@example.com"
HOME, GUESSER, OTHER = "203.0.113.9", "198.51.100.7", "198.51.100.77"
SENDER = "192.0.2.10"


@dataclass
class World:
    daily: Daily
    gate: Gate
    store: Store
    now: float
    senders: dict[str, Sender] = field(default_factory=dict)
    named: dict[str, Net] = field(default_factory=dict)
    dropped: int | None = 0

    async def receive(self, *frames: bytes) -> None:
        for begin in range(0, len(frames), 500):
            block = join_datagrams(frames[begin : begin + 500], 65536, lambda _reason, _number: None)
            assert block is not None
            self.gate.receive(block, SENDER, "udp")
        await self.gate.recorder.flush()

    async def bans(self, *bans: Ban) -> None:
        await self.store.add_bans(bans)

    def ban(self, net: str, ago: float = 600.0, detector: str = "guessing", reason: str = "6 points") -> Ban:
        return Ban(parse_network(net), self.now - ago, self.now - ago + 1800.0, detector, reason)


@contextlib.asynccontextmanager
async def world(path: Path, mode: Mode = Mode.ENFORCE) -> AsyncIterator[World]:
    now = float(int(time.time()))
    store = await Store.open(path / "zward.db", now)
    judge = Judge(Policy(mode=mode), b"seed")
    gate = Gate(Reader(RULES, SAMPLE_TRUST), judge, ObserveBackend(lambda: now), store, Metrics(), lambda: now)
    asked = Daily(
        *(judge, store, lambda: it.senders, lambda: it.named, gate.funnel),
        *(lambda: it.dropped, lambda: mode, lambda: now),
    )
    it = World(asked, gate, store, now)
    try:
        yield it
    finally:
        await store.close()


@pytest.mark.asyncio
async def test_a_day_without_anything_is_quiet(tmp_path):
    async with world(tmp_path) as it:
        day = await it.daily.day()

        assert (day.begins, day.ends, day.is_observing) == (it.now - DAY, it.now, False)
        assert (dict(day.bans), day.attacked, day.stale, day.doubtful, day.quiet, day.faults) == (
            {},
            (),
            (),
            (),
            (),
            (),
        )
        assert (day.in_force, day.lifted, day.lines, day.dropped) == (0, 0, 0, 0)


@pytest.mark.asyncio
async def test_an_attacked_account_has_its_strangers_and_its_lockout_budget_but_not_its_owner(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(
            audit_success(HOME, it.now - 900),
            *(audit_failure(f"198.51.100.{host}", it.now - 300 + host) for host in range(1, 7)),
            *(audit_failure(HOME, it.now - 200 + each) for each in range(3)),
            *(audit_failure(OTHER, it.now - 100, BOB) for _ in range(1)),
        )

        day = await it.daily.day()

        ana, bob = day.attacked
        assert (ana.account, ana.failures, ana.strangers, ana.is_besieged) == (ANA, 6, 6, True)
        assert "of 10 in 30 min (6 strangers, 1 known device)" in ana.budget
        assert (bob.account, bob.failures, bob.strangers, bob.budget) == (BOB, 1, 1, "")
        assert day.attacked_in_all == 2
        assert "siege" in day.conditions


@pytest.mark.asyncio
async def test_a_device_with_an_old_password_is_told_with_its_office_and_is_no_attack(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(
            *(audit_success(HOME, it.now - 5000, who) for who in (ANA, BOB, CARLA)),
            *(audit_failure(HOME, it.now - 4000 + each * 60) for each in range(STALE)),
            *(audit_failure(HOME, it.now - 90 + each, BOB) for each in range(STALE - 1)),
        )

        day = await it.daily.day()

        (stale,) = day.stale
        assert (stale.source, stale.account, stale.protocols, stale.failures) == (HOME, ANA, ("imap",), STALE)
        assert (stale.since, stale.people) == (it.now - 4000, 3)
        assert day.attacked == ()


@pytest.mark.asyncio
async def test_bans_are_told_by_detector_with_those_in_force_and_what_people_lifted(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(*(audit_failure(GUESSER, it.now - 60 + each) for each in range(7)))
        await it.store.add_act(Act(it.now, "bruno", "unban", OTHER, ""))

        day = await it.daily.day()

        assert (dict(day.bans), day.in_force, day.lifted) == ({"guessing": 1}, 1, 1)
        assert day.doubtful == ()


@pytest.mark.asyncio
async def test_a_ban_of_a_place_where_people_log_in_is_doubtful_the_most_of_all(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(audit_success(HOME, it.now - 900), audit_success(HOME, it.now - 800, BOB))
        await it.bans(
            it.ban("203.0.113.200", 300),
            it.ban(GUESSER, 200, reason=f"6 points in 30 min; {PROVED}"),
            it.ban(HOME),
            it.ban("203.0.113.0/24", 100, "neighbourhood"),
            it.ban("192.0.2.99", 50),
            it.ban("203.0.113.7", 50, "operator"),
        )

        day = await it.daily.day()

        assert [(each.source, each.why[0].partition(", last")[0]) for each in day.doubtful] == [
            ("203.0.113.0/24", "people log in from that network"),
            (HOME, f"{ANA}, {BOB} log in from there"),
            ("203.0.113.200", "people log in from its neighbourhood, 203.0.113.0/24"),
            (GUESSER, "decided by lines that a client can write; only the address is proved"),
        ]
        assert day.doubtful_in_all == 4


@pytest.mark.asyncio
async def test_a_ban_that_a_person_lifted_is_doubtful_and_says_why(tmp_path):
    async with world(tmp_path) as it:
        await it.bans(it.ban(GUESSER), it.ban(OTHER))
        await it.store.lift([parse_network(GUESSER)], it.now - 60, "bruno", "a customer\x1b called")

        (doubtful,) = (await it.daily.day()).doubtful

        assert (doubtful.source, doubtful.lifted) == (GUESSER, it.now - 60)
        assert doubtful.why == ("bruno lifted it: a customer\\u{1b} called",)


@pytest.mark.asyncio
async def test_of_many_doubtful_bans_the_gravest_are_told_and_all_are_counted(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(audit_success(HOME, it.now - 900))
        weak = f"6 points; {PROVED}"
        await it.bans(*(it.ban(f"198.18.{each // 250}.{each % 250}", 500 + each, reason=weak) for each in range(2500)))
        await it.bans(it.ban(HOME, 9000))

        day = await it.daily.day()

        assert day.doubtful[0].source == HOME
        assert (len(day.doubtful), day.doubtful_in_all) == (10, 2501)


@pytest.mark.asyncio
async def test_in_mode_observe_it_is_about_the_bans_that_there_would_be(tmp_path):
    async with world(tmp_path, Mode.OBSERVE) as it:
        await it.receive(
            audit_success(OTHER, it.now - 900, BOB),
            *(audit_failure(GUESSER, it.now - 60 + each) for each in range(7)),
            *(audit_failure(OTHER, it.now - 60 + each) for each in range(12)),
        )

        day = await it.daily.day()

        assert day.is_observing
        assert day.bans["guessing"] >= 1
        assert day.in_force == 0
        assert day.doubtful[0].source == OTHER


@pytest.mark.asyncio
async def test_senders_that_are_quiet_are_named(tmp_path):
    async with world(tmp_path) as it:
        it.named = {"mbox1": parse_network(SENDER), "mbox2": parse_network("192.0.2.12")}
        it.senders = {
            SENDER: Sender(it.now - QUIET_AFTER),
            "192.0.2.11": Sender(it.now - 5 * DAY),
            "192.0.2.13": Sender(it.now - QUIET_AFTER + 1),
        }

        quiet = (await it.daily.day()).quiet

        assert [(each.sender, each.last) for each in quiet] == [
            (f"mbox1 ({SENDER})", it.now - QUIET_AFTER),
            ("192.0.2.11", it.now - 5 * DAY),
            ("mbox2 (192.0.2.12)", None),
        ]


@pytest.mark.asyncio
async def test_lines_and_packets_are_those_since_the_last_digest(tmp_path):
    async with world(tmp_path) as it:
        it.dropped = 100
        await it.receive(audit_failure(GUESSER, it.now), b"<134>Nov 22 07:00:00 mbox1 cron: nothing")
        first = await it.daily.day()
        it.dropped = 140
        await it.receive(audit_failure(GUESSER, it.now))
        second = await it.daily.day()
        it.dropped = 3  # the table was loaded anew
        third = await it.daily.day()

        assert [(each.lines, each.read, each.unknown) for each in (first, second)] == [(2, 1, 0), (1, 1, 0)]
        assert [each.dropped for each in (first, second, third)] == [100, 40, 3]


@pytest.mark.asyncio
async def test_where_nobody_counts_packets_none_are_told(tmp_path):
    async with world(tmp_path) as it:
        it.dropped = None

        assert (await it.daily.day()).dropped is None


@pytest.mark.asyncio
async def test_a_store_that_fails_costs_its_part_and_the_rest_is_told(tmp_path, monkeypatch):
    async with world(tmp_path) as it:
        it.senders = {SENDER: Sender(it.now - 9000)}

        async def broken(*_arguments: object) -> None:
            raise StoreError("zward.db: disk I/O error")

        monkeypatch.setattr(it.store.days._file, "read", broken)
        day = await it.daily.day()

        assert day.faults == ("zward.db: disk I/O error",)
        assert len(day.quiet) == 1


@pytest.mark.asyncio
async def test_while_a_hundred_thousand_bans_are_looked_at_others_have_their_turn(tmp_path):
    async with world(tmp_path) as it:
        made = [
            Ban(Net((0xC6120000 + each).to_bytes(4, "big"), 32), it.now - 3000, it.now, "guessing", "6 points")
            for each in range(20_000)
        ]
        await it.store.add_bans(made)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(others())
        day = await it.daily.day()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert day.bans == {"guessing": 20_000}
        assert turns > 20
        assert daily.LOOKED_AT >= 100_000


@pytest.mark.asyncio
async def test_forgeable_lines_alone_attack_nobody_that_exists(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(
            *(mailbox_failure(GUESSER, it.now - each, f"made-up-{each}@example.com") for each in range(20))
        )

        assert (await it.daily.day()).attacked == ()
