"""Foreign changes to our tables, made by real nft commands in a namespace of their own, as `Watch` tells them."""

import os
import select
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from namespaces import Namespace, network, require_kernel

from appliance.firewall import watch as watching
from appliance.firewall.table.netlink import (
    CREATE,
    NFTABLES,
    Message,
    Netlink,
    NetlinkError,
    attribute,
    be64,
    nested,
    text,
)
from appliance.firewall.watch import NOTHING, Changes, Watch, generation

pytestmark = pytest.mark.kernel

NEWSETELEM, DELSETELEM = 12, 14
TABLES = """
table inet zward {
    set ban4 { type ipv4_addr; flags timeout; elements = { 192.0.2.1 timeout 1h }; }
    chain early { type filter hook prerouting priority -310; }
}
table inet zward_policy {
    chain forward { type filter hook forward priority 0; }
}
table ip zward {
    set ban4 { type ipv4_addr; flags timeout; }
}
table inet other {
    set ban4 { type ipv4_addr; flags timeout; }
}
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A namespace with our tables and foreign ones, our socket and the watch over our tables."""

    namespace: Namespace
    netlink: Netlink
    watch: Watch

    def nft(self, commands: str) -> int:
        """Somebody else's transaction; the pid that made it (`ip netns exec` becomes the command)."""
        nft = subprocess.Popen([*self.namespace.prefix, "nft", "-f", "-"], stdin=subprocess.PIPE)
        nft.communicate(commands.encode())
        assert nft.returncode == 0
        return nft.pid

    def told(self) -> list[Changes]:
        """All that is told by now. An event stands in the queue before its transaction is answered."""
        found = []
        while select.select([self.watch], [], [], 0)[0]:
            found.append(self.watch.read())
        return [changes for changes in found if changes != NOTHING]

    def bound_buffer(self, size: int) -> None:
        with socket.socket(fileno=os.dup(self.watch.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


@pytest.fixture
def site() -> Iterator[Site]:
    require_kernel()
    with network() as made:
        namespace = made.namespace("watched")
        with namespace.entered():
            netlink = Netlink()
            watch = Watch(netlink.port, frozenset({"zward", "zward_policy"}))
        site = Site(namespace, netlink, watch)
        site.nft(TABLES)
        assert len(site.told()) == 1
        yield site
        watch.close()
        netlink.close()


def elements(kind: int, count: int) -> list[Message]:
    """One message for each of so many addresses in 10.0.0.0/8."""
    head = text(1, "zward") + text(2, "ban4")
    flags = CREATE if kind == NEWSETELEM else 0
    made = []
    for number in range(count):
        key = nested(1, attribute(1, (10 << 24 | number).to_bytes(4, "big")))
        made.append(Message(kind, flags, 1, head + nested(3, nested(1, key, attribute(4, be64(60000))))))
    return made


@pytest.mark.parametrize(
    ("commands", "changed"),
    [
        ("flush ruleset", {"zward", "zward_policy"}),
        ("delete table inet zward", {"zward"}),
        ("add table inet zward { comment \"again\" ; }\ndelete table inet zward_policy", {"zward_policy"}),
        ("add chain inet zward mine", {"zward"}),
        ("add rule inet zward early accept", {"zward"}),
        ("add set inet zward_policy mine { type ipv4_addr; }", {"zward_policy"}),
        ("add counter inet zward mine", {"zward"}),
        ("add element inet zward ban4 { 192.0.2.9 timeout 5s }", {"zward"}),
        ("delete element inet zward ban4 { 192.0.2.1 }", {"zward"}),
        ("flush set inet zward ban4", {"zward"}),
        ("delete table inet other\ndelete table inet zward", {"zward"}),
    ],
)  # fmt: skip
def test_a_foreign_change_is_told_with_its_author(site, commands, changed):
    pid = site.nft(commands)

    assert site.told() == [Changes(frozenset(changed), f"nft (pid {pid})", pid)]


@pytest.mark.parametrize(
    "commands",
    [
        "delete table inet other",
        "add element inet other ban4 { 192.0.2.9 timeout 5s }",
        "add element ip zward ban4 { 192.0.2.9 timeout 5s }",
        "add table inet zward2",
    ],
)
def test_a_change_to_somebody_else_s_table_is_not_told(site, commands):
    site.nft(commands)

    assert select.select([site.watch], [], [], 0)[0], "the event has come"
    assert site.told() == []


def test_two_foreign_transactions_are_told_one_by_one(site):
    first = site.nft("delete table inet zward_policy")
    second = site.nft("flush set inet zward ban4")

    assert [(changes.pid, changes.tables) for changes in site.told()] == [
        (first, {"zward_policy"}),
        (second, {"zward"}),
    ]


def test_our_own_transactions_do_not_even_wake_us(site):
    site.netlink.transact(NFTABLES, elements(NEWSETELEM, 1000))
    site.netlink.transact(NFTABLES, elements(DELSETELEM, 1000))

    assert not select.select([site.watch], [], [], 0)[0]


def test_what_the_kernel_does_by_itself_is_not_told(site):
    site.nft("""table inet zward {
        quota little { over 1 bytes; }
        chain local { type filter hook output priority 0; quota name "little" accept; }
    }""")
    site.told()
    with site.namespace.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.sendto(b"a packet that uses the quota up", ("127.0.0.1", 9))

    assert "used" in site.namespace.run("nft", "list", "quota", "inet", "zward", "little")
    assert not select.select([site.watch], [], [], 0)[0]


def test_a_refused_foreign_transaction_changes_nothing_and_is_not_told(site):
    site.namespace.run("nft", "delete element inet zward ban4 { 192.0.2.77 }", check=False)

    assert site.told() == []


def test_a_flood_of_foreign_events_is_read_in_portions(site, monkeypatch):
    monkeypatch.setattr(watching, "DATAGRAMS", 4)
    with site.namespace.entered():
        other = Netlink()
    other.transact(NFTABLES, elements(NEWSETELEM, 2000))
    other.close()

    portions = [site.watch.read() for _ in range(4)]

    assert portions == [NOTHING] * 4
    assert [changes.pid for changes in site.told()] == [os.getpid()]


def test_lost_events_are_told_at_once_and_again_when_the_queue_is_empty(site):
    site.bound_buffer(4096)
    for _ in range(8):
        site.nft("add element inet other ban4 { 192.0.2.9 timeout 5s }\nflush set inet other ban4")
    assert site.watch.read() == Changes(lost=True)

    site.nft("delete table inet zward")  # the queue is still full: the kernel drops this, and says nothing

    assert site.watch.read() == Changes(lost=True)
    assert site.watch.read() == NOTHING


def test_after_a_loss_changes_are_told_again(site):
    site.bound_buffer(4096)
    for _ in range(8):
        site.nft("add element inet other ban4 { 192.0.2.9 timeout 5s }")
    while site.watch.read() != NOTHING:
        pass

    pid = site.nft("delete table inet zward")

    assert [changes.pid for changes in site.told()] == [pid]


def test_stepping_aside_for_our_own_transaction_loses_nothing(site):
    before = site.nft("flush set inet zward ban4")

    with site.watch.aside(site.netlink):
        site.netlink.transact(NFTABLES, elements(NEWSETELEM, 1000))

    after = site.nft("flush set inet zward ban4")
    assert [changes.pid for changes in site.told()] == [before, after]
    assert site.watch.read() == NOTHING


def test_a_foreign_transaction_while_we_stepped_aside_counts_as_lost(site):
    with site.watch.aside(site.netlink):
        site.netlink.transact(NFTABLES, elements(NEWSETELEM, 10))
        site.nft("delete table inet zward")

    assert site.watch.read() == Changes(lost=True)
    assert site.watch.read() == NOTHING


def test_a_foreign_transaction_instead_of_ours_counts_as_lost(site):
    def refused() -> None:
        with site.watch.aside(site.netlink):
            site.nft("flush set inet zward ban4")
            site.netlink.transact(NFTABLES, elements(DELSETELEM, 1))

    with pytest.raises(NetlinkError):
        refused()

    assert site.watch.read() == Changes(lost=True)


def test_our_own_refused_transaction_is_no_loss(site):
    def refused() -> None:
        with site.watch.aside(site.netlink):
            site.netlink.transact(NFTABLES, elements(DELSETELEM, 1))

    with pytest.raises(NetlinkError):
        refused()

    assert site.watch.read() == NOTHING


def test_a_transaction_whose_end_we_stepped_aside_from_counts_as_lost(site):
    """As it happens when we leave between a transaction's events and the notice of its author."""
    site.nft("flush set inet zward ban4")
    with socket.socket(fileno=os.dup(site.watch.fileno())) as same:
        whole = []
        while select.select([same], [], [], 0)[0]:
            whole.append(same.recv(65536))
    assert site.watch._events.take(whole[0]) == NOTHING

    with site.watch.aside(site.netlink):
        site.netlink.transact(NFTABLES, elements(NEWSETELEM, 1))

    assert site.watch.read() == Changes(lost=True)


def test_every_transaction_raises_the_generation_by_one(site):
    before = generation(site.netlink)
    site.netlink.transact(NFTABLES, elements(NEWSETELEM, 10))
    assert generation(site.netlink) == before + 1

    site.nft("delete table inet other")
    assert generation(site.netlink) == before + 2
