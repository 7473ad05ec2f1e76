from types import SimpleNamespace

import pytest
from story import ANA, START, Story, address

from appliance.config.fence import Fence
from appliance.fencer import MOST, Fencer
from appliance.firewall.backend import BackendError, Element
from appliance.judge.familiar import Seen

FENCE = Fence(enabled=True)


class Firewall:
    """Takes down what it is told, or fails."""

    def __init__(self):
        self.favoured, self.fenced, self.is_broken = [], [], False

    async def favour(self, elements):
        if self.is_broken:
            raise BackendError("no helper")
        self.favoured.append(elements)

    async def fence(self, ports, seconds):
        self.fenced.append((tuple(ports), seconds))
        return not self.is_broken


class World:
    def __init__(self, monkeypatch, fence=FENCE):
        self.story = Story()
        self.firewall = Firewall()
        self.faults = []
        self.drift = SimpleNamespace(health=SimpleNamespace(repairs=0), reconnects=0)
        enforcer = SimpleNamespace(
            backend=self.firewall, fence=self.firewall.fence, failed=lambda what, fault: self.faults.append(what)
        )
        gate = SimpleNamespace(judge=self.story.judge, enforcer=enforcer)
        self.monotonic = 1000.0
        monkeypatch.setattr("appliance.fencer.monotonic", lambda: self.monotonic)
        self.fencer = Fencer(gate, self.drift, lambda: fence, lambda: self.story.now)

    def besiege(self):
        for number in range(5):
            self.story.fails(number, source=f"203.0.{number}.9")


@pytest.mark.asyncio
async def test_siege_raises_the_fence_after_the_firewall_knows_who_logs_in(monkeypatch):
    world = World(monkeypatch)
    world.story.logs_in(0, source="198.51.100.7")
    world.besiege()

    await world.fencer.look()

    assert world.firewall.favoured == [[Element(address("198.51.100.7"), 7200)]]
    assert world.firewall.fenced == [((587, 465, 993, 995), 1800)]
    assert world.fencer.is_up


@pytest.mark.asyncio
async def test_fence_is_renewed_each_minute_and_lifted_when_the_siege_is_over(monkeypatch):
    world = World(monkeypatch)
    world.besiege()
    for _ in range(3):
        await world.fencer.look()
    assert len(world.firewall.fenced) == 1

    world.monotonic += 60
    await world.fencer.look()
    assert len(world.firewall.fenced) == 2

    world.story.now = START + 2 * 3600
    await world.fencer.look()
    await world.fencer.look()
    assert world.firewall.fenced[2:] == [((), 0)]
    assert not world.fencer.is_up


@pytest.mark.asyncio
async def test_without_the_operators_wish_nothing_is_fenced(monkeypatch):
    world = World(monkeypatch, Fence())
    world.besiege()

    await world.fencer.look()

    assert world.firewall.fenced == []


@pytest.mark.asyncio
async def test_firewall_that_lost_its_table_is_told_again(monkeypatch):
    world = World(monkeypatch)
    world.story.logs_in(0)
    await world.fencer.look()
    await world.fencer.look()
    assert len(world.firewall.favoured) == 1

    world.drift.reconnects = 1
    await world.fencer.look()
    await world.fencer.look()
    assert len(world.firewall.favoured) == 2


@pytest.mark.asyncio
async def test_fence_waits_while_the_firewall_does_not_know_who_may_pass(monkeypatch):
    world = World(monkeypatch)
    world.story.logs_in(0)
    world.besiege()
    world.firewall.is_broken = True
    await world.fencer.look()
    assert world.firewall.fenced == []
    assert world.faults == ["favour"]

    world.firewall.is_broken = False
    await world.fencer.look()
    assert world.firewall.fenced


@pytest.mark.asyncio
async def test_sources_told_of_are_bounded_and_the_latest(monkeypatch):
    world = World(monkeypatch)
    familiar = world.story.judge.familiar
    for number in range(MOST + 10):
        source = address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        familiar.load([Seen(source, f"{number}@example.com", START, START)])

    told = familiar.latest(MOST, START)

    assert len(told) == MOST
    assert address("10.0.0.0") not in told
    assert address("10.1.0.9") in told
    assert ANA not in told
