"""The desk: what is asked, refused, and written down, also while the firewall or the disk fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from appliance.address import NetSet, parse_network
from appliance.config.rule_files import load_rules
from appliance.desk import Asker, Desk, NotFound, Refusal, Unusable, bannable, parsed, scope_of
from appliance.firewall.backend import Element, Place
from appliance.firewall.limits import LONGEST_BAN, MAX_ALLOWED
from appliance.firewall.observe import ObserveBackend
from appliance.gate import Gate
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.metrics.metrics import Metrics
from appliance.model import Ban, Mode, Scope
from appliance.read.origin import Trust
from appliance.read.reader import Reader
from appliance.store.store import Store, StoreError

ANA = Asker("ana")
ADDRESS = "203.0.113.7"
RULES = load_rules().rules


@dataclass
class Clock:
    now: float = 1_792_584_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    desk: Desk
    gate: Gate
    store: Store
    backend: ObserveBackend
    clock: Clock
    adopt: Callable[[NetSet], Awaitable[list[Ban]]]
    looking: asyncio.Event
    """Set when an allowlist is about to come into force."""

    async def carried_out(self) -> list[str]:
        """What the firewall holds when all that waits has reached it."""
        async with asyncio.timeout(10):
            while len(await self.backend.banned()) != len(self.gate.judge.bans_in_force(self.clock())):
                await asyncio.sleep(0.005)
        return [str(place.net) for place in await self.backend.banned()]

    async def until(self, *standing: tuple[str, Scope]) -> None:
        """Wait until the firewall holds exactly these."""
        async with asyncio.timeout(10):
            while {(str(net), scope) for net, scope in await self.backend.banned()} != set(standing):
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def world(path: Path) -> AsyncIterator[World]:
    clock = Clock()
    store = await Store.open(path / "zward.db", clock())
    backend = ObserveBackend(clock)
    judge = Judge(Policy(mode=Mode.ENFORCE), b"seed")
    looks, looking = iter([0.05]), asyncio.Event()
    gate = Gate(Reader(RULES, Trust()), judge, backend, store, Metrics(), clock)

    async def adopt(allowed: NetSet) -> list[Ban]:
        """What the daemon does: judge by the new list, after a look at the routes; the first takes longer."""
        looking.set()
        await asyncio.sleep(next(looks, 0))
        ended = judge.adopt(replace(judge.policy, allowlist=allowed))
        await gate.enforcer.lift(ban.net for ban in ended)
        return ended

    desk = Desk(gate, store, clock, lambda: Mode.ENFORCE, adopt)
    loop = asyncio.create_task(gate.run())
    try:
        yield World(desk, gate, store, backend, clock, adopt, looking)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await gate.recorder.flush()
        await store.close()


@pytest.mark.asyncio
async def test_a_ban_reaches_the_firewall_the_book_and_the_record(tmp_path):
    async with world(tmp_path) as it:
        told = await it.desk.ban(ADDRESS, 3600, "ticket 4711", ANA)

        assert (told["address"], told["remaining"], told["mode"], told["fault"]) == (ADDRESS, 3600, "enforce", "")
        assert await it.carried_out() == [ADDRESS]
        assert [ban["reason"] for ban in it.desk.bans()] == ["ticket 4711"]
        (act,) = await it.store.acts()
        assert (act.who, act.what, act.subject, act.reason) == ("ana", "ban", ADDRESS, "ticket 4711")


@pytest.mark.asyncio
async def test_a_ban_ends_by_itself(tmp_path):
    async with world(tmp_path) as it:
        await it.desk.ban(ADDRESS, 60, "x", ANA)
        it.clock.now += 61

        assert it.desk.bans() == []
        with pytest.raises(NotFound):
            await it.desk.unban(ADDRESS, ANA)
        assert (await it.desk.why(ADDRESS))["banned"] is None


@pytest.mark.asyncio
async def test_an_unban_lifts_all_that_covers_and_is_written_down(tmp_path):
    async with world(tmp_path) as it:
        await it.desk.ban(ADDRESS, 60, "one", ANA)
        await it.desk.ban("203.0.113.0/24", 60, "all", ANA)
        await it.desk.ban("203.0.114.0/24", 60, "others", ANA)
        await it.carried_out()

        lifted = await it.desk.unban(ADDRESS, Asker("bob"), "sorry")

        assert {each["address"] for each in lifted} == {ADDRESS, "203.0.113.0/24"}
        assert await it.carried_out() == ["203.0.114.0/24"]
        assert (await it.store.acts(1))[0].who == "bob"
        assert [past["lifted_by"] for past in (await it.desk.why(ADDRESS))["bans"]] == ["bob", "bob"]


@pytest.mark.asyncio
async def test_a_ban_that_the_kernel_alone_knows_is_lifted_and_told(tmp_path):
    async with world(tmp_path) as it:
        await it.backend.ban([Element(parse_network(ADDRESS), 60)])

        (lifted,) = await it.desk.unban(ADDRESS, ANA)

        assert lifted == {"address": ADDRESS, "reason": "stood in the kernel alone", "fault": ""}
        assert await it.backend.banned() == {}


@pytest.mark.asyncio
@pytest.mark.parametrize("seconds", [0, 0.9, -1, LONGEST_BAN + 1, float("nan"), float("inf")])
async def test_a_ban_has_an_end_that_the_firewall_takes(tmp_path, seconds):
    async with world(tmp_path) as it:
        with pytest.raises(Unusable, match="expected 1 s to 45 d"):
            await it.desk.ban(ADDRESS, seconds, "x", ANA)
        assert it.desk.bans() == []


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "224.0.0.1", "0.0.0.1", "255.255.255.255", "fe80::1", "ff02::1"]
)
async def test_what_no_firewall_takes_is_refused_and_not_said_to_be_banned(tmp_path, address):
    async with world(tmp_path) as it:
        with pytest.raises(Refusal, match="never banned|loopback"):
            await it.desk.ban(address, 60, "x", ANA)
        assert it.desk.bans() == []
        assert await it.store.acts() == []


@pytest.mark.asyncio
async def test_a_shorter_ban_leaves_the_longer_one_and_says_so(tmp_path):
    async with world(tmp_path) as it:
        await it.desk.ban(ADDRESS, 7200, "long", ANA)

        told = await it.desk.ban(ADDRESS, 60, "short", ANA)

        assert (told["remaining"], told["reason"]) == (7200, "long")
        assert "longer already" in told["fault"]
        assert (await it.backend.banned()).keys() <= {Place(parse_network(ADDRESS))}
        await it.carried_out()
        assert set((await it.backend.banned()).values()) == {7200.0}


# Scopes


@pytest.mark.asyncio
async def test_a_ban_of_some_ports_carries_its_scope_everywhere(tmp_path):
    async with world(tmp_path) as it:
        told = await it.desk.ban(ADDRESS, 3600, "harvests", ANA, "smtp-in")

        assert (told["scope"], told["fault"]) == ("smtp-in", "")
        await it.until((ADDRESS, Scope.SMTP_IN))
        assert [ban["scope"] for ban in it.desk.bans()] == ["smtp-in"]
        why = await it.desk.why(ADDRESS)
        assert (why["banned"]["scope"], why["bans"][0]["scope"]) == ("smtp-in", "smtp-in")
        await it.desk.unban(ADDRESS, ANA)
        assert await it.backend.banned() == {}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("first", "second", "seconds"), [("login", "all", 60), ("all", "login", 7200), ("smtp-in", "login", 60)]
)
async def test_a_ban_in_another_scope_stands_beside_the_one_before(tmp_path, first, second, seconds):
    async with world(tmp_path) as it:
        await it.desk.ban(ADDRESS, 3600, "one", ANA, first)
        it.clock.now += 1

        told = await it.desk.ban(ADDRESS, seconds, "two", ANA, second)

        assert (told["scope"], told["reason"], told["remaining"], told["fault"]) == (second, "two", seconds, "")
        await it.until((ADDRESS, Scope(first)), (ADDRESS, Scope(second)))
        assert [(ban["reason"], ban["scope"]) for ban in it.desk.bans()] == [("two", second), ("one", first)]


@pytest.mark.asyncio
async def test_a_ban_of_every_port_that_lasts_longer_makes_one_of_some_needless(tmp_path):
    async with world(tmp_path) as it:
        await it.desk.ban(ADDRESS, 7200, "wide", ANA)

        told = await it.desk.ban(ADDRESS, 60, "narrow", ANA, "login")

        assert (told["scope"], told["reason"]) == ("all", "wide")
        assert "longer already" in told["fault"]
        await it.until((ADDRESS, Scope.ALL))


@pytest.mark.asyncio
async def test_an_unban_lifts_every_scope_and_names_each(tmp_path):
    async with world(tmp_path) as it:
        for seconds, reason, scope in ((60, "one", "login"), (60, "two", "smtp-in"), (30, "three", "all")):
            await it.desk.ban(ADDRESS, seconds, reason, ANA, scope)
        await it.until(*((ADDRESS, scope) for scope in (Scope.LOGIN, Scope.SMTP_IN, Scope.ALL)))

        lifted = await it.desk.unban(ADDRESS, ANA, "sorry")

        named = {(each["scope"], each["reason"], each["fault"]) for each in lifted}
        assert named == {("login", "one", ""), ("smtp-in", "two", ""), ("all", "three", "")}
        assert (await it.backend.banned(), it.desk.bans()) == ({}, [])
        assert await it.store.bans_in_force(it.clock()) == []
        assert [past["lifted_by"] for past in (await it.desk.why(ADDRESS))["bans"]] == ["ana"] * 3


@pytest.mark.asyncio
async def test_why_names_a_ban_of_every_port_first_and_those_beside_it(tmp_path):
    async with world(tmp_path) as it:
        await it.desk.ban(ADDRESS, 7200, "guesses", ANA, "login")
        await it.desk.ban(ADDRESS, 60, "phoned", ANA)
        await it.desk.ban("203.0.113.0/24", 600, "harvests", ANA, "smtp-in")
        await it.desk.ban("203.0.113.8", 60, "another", ANA)

        told = await it.desk.why(ADDRESS)

        assert told["banned"]["reason"] == "phoned"
        assert [(each["reason"], each["scope"]) for each in told["beside"]] == [
            ("guesses", "login"),
            ("harvests", "smtp-in"),
        ]
        assert len(told["bans"]) == 3


@pytest.mark.asyncio
async def test_to_lift_a_network_takes_no_scope_from_the_network_beside(tmp_path):
    async with world(tmp_path) as it:
        await it.desk.ban(ADDRESS, 60, "one", ANA, "login")
        await it.desk.ban("203.0.113.8", 60, "two", ANA, "smtp-in")
        await it.until((ADDRESS, Scope.LOGIN), ("203.0.113.8", Scope.SMTP_IN))

        await it.desk.unban(ADDRESS, ANA)

        await it.until(("203.0.113.8", Scope.SMTP_IN))


@pytest.mark.parametrize("text", ["web", "admin", "", "ALL", "smtp_in"])
def test_a_scope_that_no_ban_has_is_answered_with_those_that_one_has(text):
    with pytest.raises(Unusable) as fault:
        scope_of(text)

    assert str(fault.value) == f'found "{text}", expected a scope: all, login, smtp-in'


def test_a_single_ipv6_address_is_banned_on_every_port_or_not_at_all():
    assert str(bannable("2001:db8::1")) == "2001:db8::1"
    with pytest.raises(Unusable, match="only /64 and /48 can be banned in scope login"):
        bannable("2001:db8::1", Scope.LOGIN)


# Faults


@pytest.mark.asyncio
async def test_a_ban_stands_although_the_disk_does_not_take_the_record(tmp_path, monkeypatch):
    async def full(*_arguments):
        raise StoreError("database or disk is full")

    async with world(tmp_path) as it:
        monkeypatch.setattr(Store, "add_act", full)

        told = await it.desk.ban(ADDRESS, 60, "x", ANA)

        assert told["fault"] == "not written down yet: database or disk is full"
        assert await it.carried_out() == [ADDRESS]


@pytest.mark.asyncio
async def test_a_ban_tells_that_the_firewall_does_not_answer(tmp_path):
    async with world(tmp_path) as it:
        it.gate.enforcer.fault = "the helper is gone"

        assert (await it.desk.ban(ADDRESS, 60, "x", ANA))["fault"] == "the helper is gone"


@pytest.mark.asyncio
async def test_of_a_network_the_bans_inside_are_told_but_it_is_not_banned(tmp_path):
    async with world(tmp_path) as it:
        await it.desk.ban(ADDRESS, 60, "x", ANA)

        inside = await it.desk.why("203.0.113.0/24")

        assert inside["banned"] is None
        assert [past["address"] for past in inside["bans"]] == [ADDRESS]


@pytest.mark.asyncio
async def test_of_several_bans_the_one_that_ends_last_is_the_answer(tmp_path):
    async with world(tmp_path) as it:
        await it.desk.ban("203.0.113.0/24", 7200, "long", ANA)
        it.clock.now += 1
        await it.desk.ban(ADDRESS, 60, "short", ANA)

        told = await it.desk.why(ADDRESS)

        assert told["banned"]["reason"] == "long"
        assert [past["reason"] for past in told["bans"]] == ["short", "long"]
        assert [ban["reason"] for ban in it.desk.bans()] == ["short", "long"], "listings: the newest first"


@pytest.mark.asyncio
async def test_of_two_who_change_the_allowlist_at_once_the_slower_does_not_undo_the_other(tmp_path):
    async with world(tmp_path) as it:
        slower = asyncio.create_task(it.desk.allow(ADDRESS, "", ANA))
        await it.looking.wait()  # its list is read, and not in force yet
        await it.desk.allow("198.51.100.1", "", ANA)
        await slower

        spares = it.gate.judge.policy.spares
        assert [spares(parse_network(address)) for address in (ADDRESS, "198.51.100.1")] == [
            f"{ADDRESS} is on the allowlist",
            "198.51.100.1 is on the allowlist",
        ]


@pytest.mark.asyncio
async def test_many_who_change_the_allowlist_at_once_all_count(tmp_path):
    addresses = [f"198.51.100.{number}" for number in range(32)]
    async with world(tmp_path) as it:
        await asyncio.gather(*(it.desk.allow(address, "", ANA) for address in addresses))
        await asyncio.gather(*(it.desk.disallow(address, ANA) for address in addresses[::2]))

        spared = {address for address in addresses if it.gate.judge.policy.spares(parse_network(address))}
        assert spared == set(addresses[1::2])
        assert {entry["network"] for entry in await it.desk.allowed()} == spared


@pytest.mark.asyncio
async def test_an_allowlist_that_the_firewall_cannot_hold_is_refused_before_it_is_kept(tmp_path):
    async with world(tmp_path) as it:
        full = NetSet(parse_network(f"198.18.{number >> 8}.{number & 255}") for number in range(MAX_ALLOWED))
        await it.adopt(full)

        with pytest.raises(Refusal, match=f"{MAX_ALLOWED} networks at the most"):
            await it.desk.allow(ADDRESS, "", ANA)
        assert await it.desk.allowed() == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7/24", '"203.0.113.0/24", or "203.0.113.7" for the one address'),
        ("example.com", 'a network such as "192.0.2.0/24", or one address'),
        ("fe80::1%eth0", "without a scope id"),
    ],
)
def test_what_is_no_network_is_answered_with_one(text, expected):
    with pytest.raises(Unusable) as fault:
        parsed(text)

    assert str(fault.value).startswith(f'found "{text}", expected ')
    assert expected in str(fault.value)


@pytest.mark.parametrize("text", ["203.0.113.7", "203.0.113.0/24", "2001:db8::1", "2001:db8::/64", "2001:db8::/48"])
def test_these_widths_can_be_banned(text):
    assert str(bannable(text)) == text


@pytest.mark.parametrize("text", ["0.0.0.0/0", "198.18.0.0/16", "198.18.0.0/25", "2001:db8::/32", "::/0"])
def test_no_other_width_can_be_banned(text):
    with pytest.raises(Unusable, match="can be banned"):
        bannable(text)
