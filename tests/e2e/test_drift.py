"""Somebody else's `nft flush ruleset` while 100,000 bans are in force: noticed, undone, counted and told."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.mailhost import MailHost
from e2e.services import helper_alone, nth_source, remember
from e2e.wire import PORTS, World, wait_until
from e2e.zward import EVERYTHING, PUBLIC, Zward

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("mailhost", ["tcp-octet-counted"], indirect=True)]

BANS = 100_000
PATIENCE = 20.0
"""Seconds. The goal is 2; a busy machine may take longer."""

HARMS = (
    ("delete", "element", "inet", "zward", "ban4", "{", "ATTACKER", "}"),
    ("flush", "ruleset"),
    ("delete", "table", "inet", "zward"),
    ("flush", "chain", "inet", "zward", "early"),
)

Record = Callable[[str, object], None]


@pytest.fixture
def attacker(world: World) -> str:
    return world.new_attacker()


@pytest.fixture
def crowded(world: World, mailhost: MailHost, place: Path, attacker: str) -> Zward:
    """Not started yet; its store holds the bans."""
    zward = Zward(world.gateway, place, more=EVERYTHING)
    remember(zward, [attacker, *map(nth_source, range(BANS - 1))])
    return zward


@pytest.fixture
def full(crowded: Zward) -> Iterator[Zward]:
    """A running zward with all bans in the kernel."""
    with crowded:
        wait_until("all bans are in the kernel", lambda: crowded.count_in_kernel("ban4") == BANS, 60)
        yield crowded


@pytest.fixture
def older(crowded: Zward) -> Iterator[Zward]:
    """The same on a kernel where the table belongs to nobody."""
    with helper_alone(crowded, older_kernel=True):
        crowded.start_receiver()
        wait_until("all bans are in the kernel", lambda: crowded.count_in_kernel("ban4") == BANS, 60)
        yield crowded


def nft(zward: Zward, *words: str) -> None:
    done = zward.host.run("nft", *words)
    assert done.returncode == 0, done.stderr


def policy(zward: Zward) -> str:
    return zward.host.run("nft", "--stateless", "list", "table", "inet", "zward_policy").stdout


def early(zward: Zward) -> str:
    """The chain that drops the banned."""
    return zward.host.run("nft", "--stateless", "list", "chain", "inet", "zward", "early").stdout


def seconds_until(what: str, look: Callable[[], bool]) -> float:
    began = time.monotonic()
    wait_until(what, look, PATIENCE)
    return time.monotonic() - began


def assert_told(zward: Zward, repairs: float, table: str) -> None:
    """The repair is counted, and the status says who it was, for as long as somebody may want to know."""
    wait_until("it is counted", lambda: zward.metric("zward_firewall_repairs_total") > repairs)

    def is_told() -> bool:
        told = " ".join(zward.told("status")["faults"])
        return re.search(rf"drift: nft \(pid \d+\) changed the table inet {table}; it is put back", told) is not None

    wait_until("it is told", is_told)


def test_a_flush_takes_no_ban_and_the_policy_is_back(
    world: World, full: Zward, attacker: str, record_property: Record
) -> None:
    before, stranger = policy(full), world.new_attacker()
    repairs = full.metric("zward_firewall_repairs_total")
    is_owned = "owner" in full.host.run("nft", "--terse", "list", "table", "inet", "zward").stdout  # from Linux 6.9 on
    nft(full, "flush", "ruleset")
    assert not is_owned or full.count_in_kernel("ban4") == BANS
    seconds = seconds_until("the policy is back", lambda: policy(full) == before)
    record_property("policy back after a flush at 100,000 bans, seconds", round(seconds, 3))
    print(f"\npolicy back {seconds:.3f} s after a flush at {BANS} bans")
    assert_told(full, repairs, "zward_policy")
    wait_until("all bans are there", lambda: full.count_in_kernel("ban4") == BANS, 0 if is_owned else PATIENCE)
    assert world.attacker.open_ports(attacker, PUBLIC[4], 0.2) == set()
    assert world.attacker.open_ports(stranger, PUBLIC[4]) == set(PORTS) - {7071}
    assert not world.attacker.connects(stranger, PUBLIC[4], 22, 0.2)
    assert len(full.in_kernel("ban4")) == BANS


def test_where_the_table_belongs_to_nobody_whatever_is_taken_away_comes_back(
    world: World, older: Zward, attacker: str, record_property: Record
) -> None:
    before, rules = policy(older), early(older)
    for harm in HARMS:
        repairs = older.metric("zward_firewall_repairs_total")
        nft(older, *(attacker if word == "ATTACKER" else word for word in harm))
        seconds = seconds_until("the bans are back", lambda: older.count_in_kernel("ban4") == BANS)
        wait_until("the rules are back", lambda: early(older) == rules, PATIENCE)  # nft reads all elements for it: 1 s
        wait_until("the policy is back", lambda: policy(older) == before, PATIENCE)
        if "chain" not in harm:
            words = " ".join(harm[:2])
            record_property(f"100,000 bans in a plain table complete again after {words}, seconds", round(seconds, 3))
            print(f"\nplain table, {BANS} bans: complete again {seconds:.3f} s after {words}")
        assert_told(older, repairs, "zward_policy" if "ruleset" in harm else "zward")
        assert world.attacker.open_ports(attacker, PUBLIC[4], 0.2) == set()
    left = older.seconds_left("ban4")
    assert len(left) == BANS
    assert all(0 < seconds <= 3600 for seconds in left.values()), "a ban must not become permanent"
