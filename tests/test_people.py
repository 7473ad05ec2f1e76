"""What is asked about people: an account under attack, where its owner logs in, and to forget it."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lines import audit_failure, audit_success

from appliance.address import parse_network
from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.desk import Asker, NotFound, Unusable
from appliance.firewall.observe import ObserveBackend
from appliance.gate import Gate
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.learner import Learner
from appliance.metrics.metrics import Metrics
from appliance.model import Act, Mode
from appliance.people import People, meant
from appliance.read.frames import join_datagrams
from appliance.read.reader import Reader
from appliance.store.store import Store

RULES = load_rules().rules
OPERATOR = Asker("bruno")
ANA, BOB = "ana@example.com", "bob@example.com"
HOME, GUESSER, OTHER = "203.0.113.9", "198.51.100.7", "198.51.100.8"
DAY = 86400.0


@dataclass
class World:
    people: People
    gate: Gate
    learner: Learner
    store: Store
    now: float
    acts: list[Act]
    """What was told of operators' acts."""

    async def receive(self, *frames: bytes) -> None:
        block = join_datagrams(frames, 65536, lambda _reason, _number: None)
        assert block is not None
        self.gate.receive(block, "192.0.2.10", "udp")
        await self.gate.recorder.flush()


@contextlib.asynccontextmanager
async def world(path: Path) -> AsyncIterator[World]:
    now = float(int(time.time()))
    store = await Store.open(path / "zward.db", now)
    judge = Judge(Policy(mode=Mode.ENFORCE), b"seed")
    gate = Gate(Reader(RULES, SAMPLE_TRUST), judge, ObserveBackend(lambda: now), store, Metrics(), lambda: now)
    try:
        learner = Learner(judge, store, Metrics(), lambda: now)
        acts: list[Act] = []
        people = People(judge, learner, store, lambda: now, lambda: Mode.ENFORCE, lambda act, _now: acts.append(act))
        yield World(people, gate, learner, store, now, acts)
    finally:
        await store.close()


@pytest.mark.asyncio
async def test_an_account_tells_who_fails_there_and_where_its_owner_logs_in(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(
            audit_success(HOME, it.now - 600),
            audit_success(OTHER, it.now - 600, BOB),
            *[audit_failure(GUESSER, it.now - 300 + each) for each in range(6)],
            audit_failure(OTHER, it.now - 100),
            audit_failure(HOME, it.now - 200),
            audit_failure(GUESSER, it.now, BOB),
        )

        told = await it.people.account(ANA, DAY)

        assert (told["account"], told["failures"], told["beyond"], told["is_partial"]) == (ANA, 8, 0, False)
        assert [
            (each["address"], each["number"], each["is_familiar"], each["is_stranger"]) for each in told["sources"]
        ] == [(HOME, 1, True, False), (OTHER, 1, False, False), (GUESSER, 6, False, True)]
        assert told["sources"][2]["kinds"] == [
            {"account": ANA, "protocol": "imap", "outcome": "bad_password", "number": 6}
        ]
        assert told["sources"][2]["banned"]["detector"] == "guessing"
        assert told["sources"][1]["banned"] is None
        (login,) = told["logins"]
        assert (login["address"], login["account"], login["banned"]) == (HOME, ANA, None)
        assert login["first"] == login["last"]


@pytest.mark.asyncio
async def test_its_budget_is_told_in_words_and_numbers(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(*[audit_failure(GUESSER, it.now - 10 + each) for each in range(3)])

        budget = (await it.people.account(ANA, DAY))["budget"]

        assert (budget["of"], budget["within"]) == (10, 1800.0)
        assert budget["words"].startswith(f"{budget['used']} of 10 in 30 min (")


@pytest.mark.asyncio
async def test_an_account_is_found_however_it_is_written(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(audit_success(HOME, it.now), audit_failure(GUESSER, it.now, "Bob@Example.com"))

        assert len((await it.people.account(" BOB@example.COM", DAY))["sources"]) == 1
        assert len((await it.people.account("Ana@EXAMPLE.com", DAY))["logins"]) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("network", ["198.51.100.0/24", GUESSER])
async def test_the_ban_of_the_network_around_is_told(tmp_path, network):
    async with world(tmp_path) as it:
        await it.receive(audit_failure(GUESSER, it.now))
        it.gate.judge.ban(parse_network(network), 3600, "by hand", it.now)

        (source,) = (await it.people.account(ANA, DAY))["sources"]

        assert source["banned"]["address"] == network


@pytest.mark.asyncio
async def test_the_ban_of_one_address_in_a_source_is_told(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(audit_failure("2001:db8:0:7::1", it.now))
        it.gate.judge.ban(parse_network("2001:db8:0:7::1"), 3600, "by hand", it.now)

        (source,) = (await it.people.account(ANA, DAY))["sources"]

        assert (source["address"], source["banned"]["address"]) == ("2001:db8:0:7::/64", "2001:db8:0:7::1")


@pytest.mark.asyncio
async def test_of_an_account_that_nobody_tried_nothing_is_known(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(audit_failure(GUESSER, it.now - 7200, BOB))

        with pytest.raises(NotFound, match="carla@example.com: no failures, no logins, nothing known"):
            await it.people.account("carla@example.com", DAY)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("name", "seconds"), [("", DAY), (" ", DAY), (ANA, 0.0), (ANA, -1.0), (ANA, float("nan")), (ANA, float("inf"))]
)
async def test_a_question_that_makes_no_sense_is_told_why(tmp_path, name, seconds):
    async with world(tmp_path) as it:
        with pytest.raises(Unusable, match="expected"):
            await it.people.account(name, seconds)


@pytest.mark.asyncio
async def test_of_a_botnet_the_latest_are_told_and_the_owner_first(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.people.SOURCES_TOLD", 3)
    async with world(tmp_path) as it:
        bots = [audit_failure(f"198.18.0.{each}", it.now - 100 + each) for each in range(1, 9)]
        await it.receive(audit_success(HOME, it.now - 600), audit_failure(HOME, it.now - 500), *bots)

        told = await it.people.account(ANA, DAY)

        assert [each["address"] for each in told["sources"]] == [HOME, "198.18.0.8", "198.18.0.7"]
        assert (told["beyond"], told["failures"]) == (6, 9)


# Who logs in from where


@pytest.mark.asyncio
async def test_logins_are_listed_at_once_page_by_page(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(*[audit_success(f"203.0.113.{each}", it.now - each, ANA) for each in range(1, 6)])

        first = await it.people.familiar(None, most=3)
        last = first["logins"][-1]
        second = await it.people.familiar(None, (last["account"], last["address"]), most=3)
        third = await it.people.familiar(None, (ANA, "203.0.113.5"), most=3)

        assert (first["number"], len(first["logins"]), len(second["logins"])) == (5, 3, 2)
        assert [each["address"] for each in first["logins"] + second["logins"]] == [
            f"203.0.113.{each}" for each in range(1, 6)
        ]
        assert third["logins"] == []


@pytest.mark.asyncio
async def test_logins_are_listed_of_an_account_and_of_an_address(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(
            audit_success(HOME, it.now), audit_success(HOME, it.now, BOB), audit_success(OTHER, it.now, BOB)
        )

        async def pairs(whom):
            return [(each["account"], each["address"]) for each in (await it.people.familiar(whom))["logins"]]

        assert await pairs("BOB@example.com") == [(BOB, OTHER), (BOB, HOME)]
        assert await pairs(HOME) == [(ANA, HOME), (BOB, HOME)]
        assert await pairs("198.51.100.0/24") == [(BOB, OTHER)]
        with pytest.raises(NotFound, match="192.0.2.1: nobody logs in from there"):
            await it.people.familiar("192.0.2.1")
        with pytest.raises(NotFound, match="carla: has logged in nowhere"):
            await it.people.familiar("carla")


@pytest.mark.asyncio
async def test_who_is_forgotten_is_a_stranger_and_the_act_is_written_down(tmp_path):
    async with world(tmp_path) as it:
        await it.receive(audit_success(HOME, it.now), audit_success(HOME, it.now, BOB))

        told = await it.people.forget(ANA, OPERATOR, "left the firm")

        assert [(each["account"], each["address"]) for each in told["forgotten"]] == [(ANA, HOME)]
        assert not it.gate.judge.familiar.knows(parse_network(HOME), ANA, it.now)
        assert it.gate.judge.familiar.knows(parse_network(HOME), BOB, it.now)
        await it.learner.flush()
        assert [seen.account for seen in await it.store.familiar.fresh(it.now)] == [BOB]
        (act,) = await it.store.acts()
        assert (act.who, act.what, act.subject, act.reason) == ("bruno", "forget", ANA, "left the firm")
        assert it.acts == [act]
        with pytest.raises(NotFound):
            await it.people.forget(ANA, OPERATOR, "")
        assert len(await it.store.acts()) == 1


@pytest.mark.parametrize(
    ("text", "account", "net"),
    [
        ("Ana@Example.com", ANA, None),
        ("ana", "ana", None),
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.0/24", None, "203.0.113.0/24"),
        ("2001:db8::1", None, "2001:db8::/64"),
        ("2001:db8::/48", None, "2001:db8::/48"),
        ("12/7@example.com", "12/7@example.com", None),
    ],
)
def test_an_address_is_told_from_an_account(text, account, net):
    assert meant(text) == (account, None if net is None else parse_network(net))


@pytest.mark.parametrize("text", ["203.0.113.9/24", "203.0.113", "fe80::1%eth0", "12", "a/b", ""])
def test_what_is_neither_is_told_so(text):
    with pytest.raises(Unusable, match="expected"):
        meant(text)
