"""The way from the book to the firewall: what is compared, put back, and left alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

import pytest

from appliance.address import Net, NetSet, parse_network
from appliance.enforcer import Enforcer
from appliance.firewall.backend import BackendError, Element, Place, Refused
from appliance.firewall.observe import ObserveBackend
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.metrics.metrics import Metrics
from appliance.model import BAN_SCOPES, Ban, Mode, Scope

NOW = 1_792_584_000.0
HOST, AROUND = parse_network("203.0.113.9"), parse_network("203.0.113.0/24")
SITE = parse_network("2001:db8:0:7::/64")


class Slow(ObserveBackend):
    """Lists when it is told to, and counts what it is asked."""

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self.may_list = asyncio.Event()
        self.may_list.set()
        self.listing = asyncio.Event()
        self.sent: list[Element] = []
        self.fails = ""

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        if self.fails:
            raise BackendError(self.fails)
        self.sent += bans
        return await super().ban(bans)

    async def banned(self) -> dict[Place, float]:
        present = await super().banned()
        self.listing.set()
        await self.may_list.wait()
        return present


@dataclass
class World:
    enforcer: Enforcer
    judge: Judge
    backend: Slow
    metrics: Metrics

    def decide(self, net: Net = HOST, scope: Scope = Scope.ALL, seconds: float = 3600) -> Ban:
        verdict = self.judge.ban(net, seconds, "x", NOW, scope=scope)
        return verdict.ban

    async def until(self, *places: Place) -> None:
        async with asyncio.timeout(10):
            while set(await ObserveBackend.banned(self.backend)) != set(places):
                await asyncio.sleep(0.005)

    def bans(self, family: str, kind: str) -> float:
        """How many bans by hand are counted, in all scopes."""
        scopes = ({"scope": scope, "family": family, "kind": kind, "detector": "operator"} for scope in BAN_SCOPES)
        return sum(self.value("zward_bans_total", **labels) for labels in scopes)

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def world(**policy: object) -> AsyncIterator[World]:
    judge, backend, metrics = Judge(Policy(mode=Mode.ENFORCE, **policy), b"seed"), Slow(), Metrics()
    enforcer = Enforcer(backend, judge, metrics, lambda: NOW)
    task = asyncio.create_task(enforcer.run())
    try:
        yield World(enforcer, judge, backend, metrics)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.asyncio
async def test_a_ban_that_stands_in_another_scope_alone_is_missing():
    async with world() as it:
        it.decide(scope=Scope.LOGIN)
        await it.backend.ban([Element(HOST, 60)])

        assert await it.enforcer.reconcile() == 1
        await it.until(Place(HOST), Place(HOST, Scope.LOGIN))


@pytest.mark.asyncio
async def test_where_book_and_firewall_agree_nothing_is_sent():
    async with world() as it:
        it.enforcer.want([it.decide(), it.decide(SITE, Scope.SMTP_IN)])
        await it.until(Place(HOST), Place(SITE, Scope.SMTP_IN))

        assert await it.enforcer.reconcile() == 0
        await asyncio.sleep(0)
        assert len(it.backend.sent) == 2


@pytest.mark.asyncio
async def test_what_is_put_back_is_counted_as_no_new_ban():
    async with world() as it:
        it.enforcer.want([it.decide()])
        await it.until(Place(HOST))
        await it.backend.unban([HOST])

        assert await it.enforcer.reconcile() == 1

        await it.until(Place(HOST))
        assert it.bans("4", "host") == 1
        assert it.value("zward_ban_seconds_count") == 1


@pytest.mark.asyncio
async def test_whoever_is_let_in_while_the_firewall_is_listing_is_not_banned_again():
    async with world() as it:
        it.decide()
        it.backend.may_list.clear()
        comparing = asyncio.create_task(it.enforcer.reconcile())
        await it.backend.listing.wait()
        it.judge.unban(HOST, NOW)
        it.backend.may_list.set()

        assert await comparing == 0
        assert it.backend.sent == []


@pytest.mark.asyncio
async def test_a_ban_that_is_decided_while_the_firewall_is_listing_is_sent_once():
    async with world() as it:
        it.backend.may_list.clear()
        comparing = asyncio.create_task(it.enforcer.reconcile())
        await it.backend.listing.wait()
        it.enforcer.want([it.decide()])
        await it.until(Place(HOST))
        it.backend.may_list.set()

        assert await comparing == 0
        assert len(it.backend.sent) == 1


@pytest.mark.asyncio
async def test_what_the_policy_spares_is_lifted_in_every_scope_and_other_strangers_end_by_themselves():
    async with world(allowlist=NetSet([HOST])) as it:
        await it.backend.ban([Element(HOST, 60, Scope.LOGIN), Element(HOST, 60), Element(SITE, 60)])

        assert await it.enforcer.reconcile() == 1
        await it.until(Place(SITE))


@pytest.mark.asyncio
async def test_a_wider_ban_that_falls_with_another_is_put_back():
    async with world() as it:
        it.enforcer.want([it.decide(), it.decide(AROUND, Scope.LOGIN)])
        await it.until(Place(HOST), Place(AROUND, Scope.LOGIN))
        it.judge.adopt(Policy(mode=Mode.ENFORCE))
        it.judge._memory.bans.end(HOST)  # as a list that spares it does

        await it.enforcer.lift([HOST])

        await it.until(Place(AROUND, Scope.LOGIN))


async def fails_once(it: World) -> None:
    async with asyncio.timeout(10):
        while not it.enforcer.fault:
            await asyncio.sleep(0.001)


@pytest.mark.asyncio
async def test_a_ban_that_was_replaced_while_the_firewall_failed_is_not_tried_again(monkeypatch):
    monkeypatch.setattr("appliance.enforcer.RETRY_SECONDS", 0.02)
    async with world() as it:
        it.backend.fails = "the helper is gone"
        it.enforcer.want([it.decide(seconds=60)])
        await fails_once(it)
        it.enforcer.want([it.decide(seconds=3600)])
        it.backend.fails = ""

        await it.until(Place(HOST))
        assert {element.seconds for element in it.backend.sent} == {3600}
        assert it.enforcer.failures == 1


@pytest.mark.asyncio
async def test_a_ban_that_failed_is_tried_again_though_one_of_another_scope_came_meanwhile(monkeypatch):
    monkeypatch.setattr("appliance.enforcer.RETRY_SECONDS", 0.02)
    async with world() as it:
        it.backend.fails = "the helper is gone"
        it.enforcer.want([it.decide(scope=Scope.LOGIN)])
        await fails_once(it)
        it.enforcer.want([it.decide(scope=Scope.SMTP_IN, seconds=60)])
        it.backend.fails = ""

        await it.until(Place(HOST, Scope.LOGIN), Place(HOST, Scope.SMTP_IN))


@pytest.mark.asyncio
async def test_bans_of_two_scopes_of_one_network_are_both_carried_out_and_counted():
    async with world() as it:
        it.enforcer.want([it.decide(scope=Scope.LOGIN), it.decide(scope=Scope.SMTP_IN, seconds=60)])

        await it.until(Place(HOST, Scope.LOGIN), Place(HOST, Scope.SMTP_IN))
        assert it.bans("4", "host") == 2
        assert await it.enforcer.reconcile() == 0


@pytest.mark.asyncio
async def test_of_two_scopes_the_one_that_is_missing_is_put_back():
    async with world() as it:
        it.decide(scope=Scope.LOGIN)
        it.decide(scope=Scope.SMTP_IN)
        await it.backend.ban([Element(HOST, 60, Scope.LOGIN)])

        assert await it.enforcer.reconcile() == 1
        await it.until(Place(HOST, Scope.LOGIN), Place(HOST, Scope.SMTP_IN))
        assert [element.scope for element in it.backend.sent] == [Scope.LOGIN, Scope.SMTP_IN]


@pytest.mark.asyncio
async def test_to_let_a_network_in_takes_back_what_is_on_its_way_in_every_scope():
    async with world() as it:
        it.enforcer.want([it.decide(scope=Scope.LOGIN), it.decide(scope=Scope.SMTP_IN)])
        it.judge.unban(HOST, NOW)

        assert await it.enforcer.unban([HOST]) == []
        assert (it.enforcer.is_behind, it.backend.sent) == (False, [])


@pytest.mark.asyncio
async def test_to_lift_nothing_asks_nothing():
    async with world() as it:
        assert await it.enforcer.unban([]) == []


class Fencing(Slow):
    """Writes down what it is to fence, after as many faults as it is told."""

    def __init__(self, faults: int = 0) -> None:
        super().__init__()
        self.faults = faults
        self.opened = 0
        self.fenced: list[tuple[tuple[int, ...], int]] = []

    async def open(self) -> None:
        self.opened += 1

    async def fence(self, ports: Collection[int], seconds: int) -> None:
        if self.faults:
            self.faults -= 1
            raise BackendError("the table is gone")
        self.fenced.append((tuple(ports), seconds))


@pytest.mark.asyncio
@pytest.mark.parametrize(("faults", "is_done", "opened"), [(0, True, 0), (1, True, 1), (2, False, 1)])
async def test_a_fence_is_tried_twice_and_the_table_is_put_back_in_between(
    monkeypatch: pytest.MonkeyPatch, faults: int, is_done: bool, opened: int
) -> None:
    monkeypatch.setattr("appliance.enforcer.RETRY_SECONDS", 0)
    async with world() as it:
        it.enforcer.backend = backend = Fencing(faults)

        assert await it.enforcer.fence((587, 993), 1800) is is_done
        assert backend.fenced == [((587, 993), 1800)] * is_done
        assert (backend.opened, it.enforcer.failures) == (opened, faults)
        assert bool(it.enforcer.fault) is not is_done
        assert it.value("zward_firewall_failures_total", operation="fence") == faults
