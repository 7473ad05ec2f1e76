"""What the helper does when somebody else changes our tables, in a namespace with a real kernel."""

import contextlib
import fcntl
import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from namespaces import Namespace, network, require_kernel

from appliance.address import parse_network
from appliance.firewall import guard as guard_module
from appliance.firewall.backend import Element
from appliance.firewall.firewall import Firewall
from appliance.firewall.guard import POLICY_TABLE, Guard
from appliance.firewall.orders import Orders, write
from appliance.firewall.places import LISTING, LOCK, ORDERS, POLICY
from appliance.firewall.policy import libnftables
from appliance.firewall.records import Op, Request
from appliance.firewall.table.features import probed
from appliance.firewall.table.kernel import Kernel
from appliance.firewall.table.netlink import Netlink
from appliance.model import Scope

pytestmark = pytest.mark.kernel

NET = parse_network("203.0.113.9")
PATIENCE = 5.0
"""Seconds until something that should have happened has not."""
RULES = f"""
table inet {POLICY_TABLE}
delete table inet {POLICY_TABLE}
table inet {POLICY_TABLE} {{
    set limited {{ type ipv4_addr; size 100; flags dynamic,timeout; }}
    chain input {{ type filter hook input priority 0; policy accept; counter; tcp dport 22 accept; }}
}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    where: Namespace
    directory: Path
    firewall: Firewall
    guard: Guard

    def nft(self, *text: str) -> None:
        self.where.run("nft", *text)

    def until(self, condition: Callable[[], bool]) -> None:
        """Do what the helper's loop does, until then."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline
            self.round()

    def round(self) -> None:
        ready, _, _ = select.select(self.guard.descriptors(), [], [], 0.01)
        self.guard.look(ready)
        self.guard.glance()

    def settle(self) -> None:
        """As long as a repair would take to begin."""
        end = time.monotonic() + 2 * guard_module.SETTLE
        self.until(lambda: time.monotonic() > end)

    def health(self) -> tuple[int, str]:
        [reply] = self.firewall.answer(Request(Op.HEALTH, 1))
        return reply.counts[0].packets, reply.text

    def table(self) -> str:
        return self.where.run("nft", "--stateless", "--terse", "list", "table", "inet", "zward", check=False)

    def policy(self) -> str:
        return self.where.run("nft", "--stateless", "list", "table", "inet", POLICY_TABLE, check=False)

    def load_policy(self) -> None:
        """As the loader does."""
        with (self.directory / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            libnftables.run(RULES)
            (self.directory / POLICY).write_text(RULES)
            (self.directory / LISTING).write_text(libnftables.settled(POLICY_TABLE))


@contextlib.contextmanager
def site_with(directory: Path, *, plain: bool) -> Iterator[Site]:
    """`plain`: as on a kernel before 6.9, on which a table belongs to nobody."""
    require_kernel()
    write(directory / ORDERS, Orders())
    with network() as made:
        where = made.namespace("guard")
        with where.entered(), contextlib.closing(Netlink()) as netlink:
            kernel = Kernel(netlink, probed()._replace(persist=False) if plain else None)
            firewall = Firewall(kernel, directory / ORDERS)
            firewall.open()
            guard = Guard(firewall, directory, netlink.port)
            yield Site(where, directory, firewall, guard)
            firewall.sessions.close()
            guard._watch.close()
            if firewall.samples:
                firewall.samples.close()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Site]:
    with site_with(tmp_path, plain=True) as site:
        yield site


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Site]:
    with site_with(tmp_path, plain=False) as site:
        yield site


@pytest.mark.parametrize(
    "change",
    ["flush ruleset", "delete table inet zward", "flush chain inet zward early", "insert rule inet zward early accept"],
)
def test_a_foreign_change_of_a_plain_table_is_undone_counted_and_told_with_its_author(plain: Site, change: str) -> None:
    before = plain.table()
    plain.nft(change)
    assert plain.table() != before
    plain.until(lambda: plain.table() == before)
    repairs, told = plain.health()
    assert repairs == 1
    assert told.startswith("nft (pid ")
    assert told.endswith(" changed the table inet zward; it is put back")


def test_our_own_changes_are_nobodys(owned: Site, plain: Site) -> None:
    many = [Element(parse_network(f"198.51.{n >> 8}.{n & 255}"), 60, Scope.LOGIN) for n in range(2000)]
    for site in (owned, plain):
        for op, elements in ((Op.BAN, many), (Op.BAN, many[:3]), (Op.UNBAN, many), (Op.OPEN, ())):
            list(site.firewall.answer(Request(op, 1, elements)))
            site.round()
        site.settle()
        assert site.health() == (0, "")


def test_a_flush_leaves_an_owned_table_alone_and_there_is_nothing_to_tell(owned: Site) -> None:
    before = owned.table()
    owned.nft("flush ruleset")
    owned.settle()
    assert owned.table() == before
    assert owned.health() == (0, "")


def test_a_change_of_somebody_elses_table_is_none_of_ours(plain: Site) -> None:
    plain.nft("add table inet other; add chain inet other c; delete table inet other")
    plain.settle()
    assert plain.health() == (0, "")


def test_a_repair_that_fails_is_told_and_the_next_one_succeeds(plain: Site) -> None:
    orders = plain.directory / ORDERS
    orders.chmod(0o666)
    plain.nft("delete table inet zward")
    plain.until(lambda: "but that failed" in plain.health()[1])
    orders.chmod(0o644)
    plain.nft("add table inet zward")
    plain.until(lambda: plain.health()[0] == 1)
    assert "ban4" in plain.table()


def test_new_orders_are_taken_up_and_wrong_ones_are_told(owned: Site) -> None:
    write(owned.directory / ORDERS, Orders(frozenset([NET])))
    owned.until(lambda: str(NET) in owned.where.run("nft", "list", "set", "inet", "zward", "allow4"))
    (owned.directory / ORDERS).write_text("allow everybody\n")
    owned.until(lambda: "root's new orders are not taken up" in owned.health()[1])
    assert owned.health()[0] == 0


def test_the_way_of_packets_is_made_shorter_when_nobody_is_banned_in_a_narrow_scope(
    owned: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = owned.table()
    list(owned.firewall.answer(Request(Op.BAN, 1, [Element(NET, 60, Scope.LOGIN)])))
    monkeypatch.setattr(guard_module, "RELAX_EVERY", 0.0)
    owned.settle()
    assert owned.table() != short
    list(owned.firewall.answer(Request(Op.UNBAN, 1, [Element(NET, 0)])))
    owned.until(lambda: owned.table() == short)


# The policy


def test_a_load_by_root_is_no_drift(owned: Site) -> None:
    for _ in range(2):
        owned.load_policy()
        owned.settle()
        assert owned.health() == (0, "")


@pytest.mark.parametrize(
    "change", ["flush ruleset", f"delete table inet {POLICY_TABLE}", f"flush chain inet {POLICY_TABLE} input"]
)
def test_a_foreign_change_of_the_policy_is_undone_counted_and_told_with_its_author(owned: Site, change: str) -> None:
    owned.load_policy()
    owned.settle()
    before = owned.policy()
    owned.nft(change)
    assert owned.policy() != before
    owned.until(lambda: owned.health()[0] == 1)
    assert owned.policy() == before
    assert owned.health()[1].startswith("nft (pid ")
    owned.settle()
    assert owned.health()[0] == 1


def test_an_element_that_a_packet_added_is_no_drift(owned: Site) -> None:
    owned.load_policy()
    owned.settle()
    owned.nft(f"add element inet {POLICY_TABLE} limited {{ 192.0.2.1 timeout 1h }}")
    owned.settle()
    assert owned.health() == (0, "")


def test_where_there_is_to_be_no_policy_none_is_put_back(owned: Site) -> None:
    owned.nft(RULES)
    owned.nft(f"delete table inet {POLICY_TABLE}")
    owned.settle()
    assert owned.policy() == ""
    assert owned.health() == (0, "")


def test_while_root_loads_the_policy_is_left_alone_and_looked_at_afterwards(owned: Site) -> None:
    owned.load_policy()
    owned.settle()
    lock = os.open(owned.directory / LOCK, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    owned.nft(f"delete table inet {POLICY_TABLE}")
    owned.settle()
    assert owned.policy() == ""
    os.close(lock)
    owned.until(lambda: owned.policy() != "")
    assert owned.health()[0] == 1


def test_a_policy_that_cannot_be_put_back_is_told(owned: Site) -> None:
    owned.load_policy()
    owned.settle()
    (owned.directory / POLICY).write_text("nonsense\n")
    owned.nft(f"delete table inet {POLICY_TABLE}")
    owned.until(lambda: "cannot be put back" in owned.health()[1])
    assert owned.health()[0] == 0


def test_the_watch_and_the_samples_are_waited_for(owned: Site) -> None:
    assert len(owned.guard.descriptors()) == 1
    write(owned.directory / ORDERS, Orders(samples=7765))
    owned.until(lambda: len(owned.guard.descriptors()) == 2)
