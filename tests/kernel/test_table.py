"""Making, taking over and listing the table of bans, whoever made it and whoever writes meanwhile."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator

import pytest
from ban_tables import (
    EVERY_PLACE,
    HOUR,
    MIDDLE,
    NET,
    NEW,
    OLD,
    Opened,
    for_an_hour,
    generation_of,
    hosts,
    kernels_in,
    standing,
)
from namespaces import Namespace, network, require_kernel

from appliance.address import Net, parse_network
from appliance.firewall.backend import Element
from appliance.firewall.orders import Orders
from appliance.firewall.records import FOREVER
from appliance.firewall.table import kernel as kernel_module
from appliance.firewall.table import layout
from appliance.firewall.table.features import Features
from appliance.firewall.table.kernel import Kernel, KernelError, NoPermission, Occupied
from appliance.firewall.table.netlink import Netlink
from appliance.model import Scope

pytestmark = pytest.mark.kernel


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as made:
        yield made.namespace("kernel")


@pytest.fixture
def opened(namespace: Namespace) -> Iterator[Opened]:
    with kernels_in(namespace) as made:
        yield made


@pytest.fixture(params=[NEW, MIDDLE, OLD], ids=["new", "6.8", "6.1"])
def kernel(request: pytest.FixtureRequest, opened: Opened) -> Kernel:
    return opened(request.param, 1000, Orders())


# Opening


def test_opening_again_keeps_bans_counters_and_the_digest_and_replaces_the_allow_list(kernel: Kernel) -> None:
    kernel.ban(EVERY_PLACE)
    kernel.allow([NET])
    before = kernel._table()
    kernel.open(Orders(frozenset([parse_network("192.0.2.0/24")]), mark=True))
    after = kernel._table()
    assert len(kernel.banned()) == len(EVERY_PLACE)
    assert before is not None
    assert after is not None
    assert (before.flags, before.owner, before.digest) == (after.flags, after.owner, after.digest)


def test_an_owned_table_belongs_to_us_and_a_plain_one_to_nobody(namespace: Namespace, opened: Opened) -> None:
    kernel = opened(NEW, orders=Orders())
    found = kernel._table()
    assert (found.flags, found.owner) == (6, kernel.netlink.port)
    assert kernel.is_owned
    with pytest.raises(AssertionError, match="not permitted"):
        namespace.run("nft", "add", "element", "inet", "zward", "ban4", "{ 203.0.113.9 timeout 1h }")
    plain = opened(OLD)
    assert not plain.is_owned


def test_a_second_owner_is_refused_and_told_whose_the_table_is(opened: Opened) -> None:
    first = opened(NEW, orders=Orders())
    first.ban(for_an_hour(NET))
    for features in (NEW, OLD):
        with pytest.raises(Occupied, match=f"another zward \\(netlink port {first.netlink.port}, .*end that one first"):
            opened(features, orders=Orders())
    assert set(standing(first)) == {NET}


def test_a_table_whose_owner_died_is_taken_over_with_everything_in_it(namespace: Namespace, opened: Opened) -> None:
    first = opened(NEW, orders=Orders())
    first.ban(EVERY_PLACE)
    first.favour(for_an_hour(NET))
    first.close()
    second = opened(NEW, orders=Orders())
    assert len(second.banned()) == len(EVERY_PLACE)
    assert second._table().owner == second.netlink.port
    assert "203.0.113.9" in namespace.run("nft", "list", "set", "inet", "zward", "familiar4")
    namespace.run("nft", "flush", "ruleset")
    assert len(second.banned()) == len(EVERY_PLACE)


def test_a_heir_of_the_socket_goes_on_where_the_dead_left_off(opened: Opened) -> None:
    first = opened(NEW, orders=Orders())
    first.ban(for_an_hour(NET))
    heir = Kernel(Netlink(descriptor=socket.fromfd(first.netlink.socket.fileno(), 16, 3, 12).detach()), NEW, 100_000)
    first.close()
    heir.open(Orders())
    assert set(standing(heir)) == {NET}
    heir.close()


def test_a_flush_of_the_ruleset_leaves_an_owned_table_alone(namespace: Namespace, opened: Opened) -> None:
    kernel = opened(NEW, orders=Orders())
    kernel.ban(EVERY_PLACE)
    before = namespace.run("nft", "--stateless", "list", "table", "inet", "zward")
    namespace.run("nft", "flush", "ruleset")
    namespace.run("nft", "delete", "table", "inet", "zward", check=False)
    assert namespace.run("nft", "--stateless", "list", "table", "inet", "zward") == before


def test_a_flush_of_the_ruleset_takes_a_plain_table_away_and_opening_puts_it_back(
    namespace: Namespace, opened: Opened
) -> None:
    kernel = opened(OLD, orders=Orders())
    kernel.ban(for_an_hour(NET))
    before = namespace.run("nft", "--terse", "--stateless", "list", "table", "inet", "zward")
    namespace.run("nft", "flush", "ruleset")
    assert kernel.banned() == []
    kernel.open(Orders())
    assert namespace.run("nft", "--terse", "--stateless", "list", "table", "inet", "zward") == before


VERSION_0_1 = """
table inet zward {
    set ban4 { type ipv4_addr; flags timeout; size 1048576;
               elements = { 203.0.113.9 timeout 1h expires 10m, 203.0.113.10 timeout 1000s expires 5s }; }
    set ban4n { type ipv4_addr; flags timeout; size 1048576; elements = { 198.51.100.0 timeout 30d expires 29d }; }
    set ban6 { type ipv6_addr; flags timeout; size 1048576; elements = { 2001:db8:1::9 timeout 1h comment "hand" }; }
    set ban6n { type ipv6_addr; flags timeout; size 1048576; elements = { 2001:db8:2:3:: timeout 2h }; }
    set ban6n48 { type ipv6_addr; flags timeout; size 1048576; elements = { 2001:db8:4:: timeout 3h }; }
    set allow4 { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }; }
    set allow6 { type ipv6_addr; flags interval; }
    counter dropped_25 { packets 7 bytes 420; }
    counter dropped_443 { }
    chain early { type filter hook prerouting priority -310; policy accept; tcp dport { 25, 443 } goto exposed; }
    chain exposed { meta nfproto vmap { ipv4 : goto exposed4 }; }
    chain exposed4 { ip saddr @allow4 accept; ip saddr @ban4 goto banned; }
    chain banned { counter name tcp dport map { 25 : "dropped_25", 443 : "dropped_443" }; drop; }
}
"""


@pytest.mark.parametrize("features", [NEW, MIDDLE, OLD], ids=["new", "6.8", "6.1"])
def test_the_table_of_version_0_1_is_made_anew_and_every_ban_keeps_its_remaining_time(
    namespace: Namespace, opened: Opened, features: Features
) -> None:
    namespace.run("nft", VERSION_0_1)
    kernel = opened(features, 1000)
    with generation_of(kernel) as since:
        kernel.open(Orders())
        assert since() == 1
    left = {
        "203.0.113.9": 600,
        "203.0.113.10": 5,
        "198.51.100.0/24": 29 * 86_400,
        "2001:db8:1::9": 3600,
        "2001:db8:2:3::/64": 7200,
        "2001:db8:4::/48": 10_800,
    }
    found = {str(element.net): element.seconds for element in kernel.banned()}
    found.setdefault("203.0.113.10", 5)  # five seconds may be over on a slow machine
    assert found.keys() == left.keys()
    assert all(left[net] - 30 < found[net] <= left[net] for net in left)
    assert {element.scope for element in kernel.banned()} == {Scope.ALL}
    assert "dropped_25" not in namespace.run("nft", "list", "table", "inet", "zward")
    assert kernel._table().digest == layout.digest(1000)


@pytest.mark.parametrize("before", [NEW, OLD], ids=["owned", "plain"])
@pytest.mark.parametrize("after", [NEW, OLD], ids=["to owned", "to plain"])
def test_a_change_of_size_or_ownership_keeps_every_ban(opened: Opened, before: Features, after: Features) -> None:
    first = opened(before, 500, Orders())
    first.ban([*EVERY_PLACE, *for_an_hour(*hosts(400))])
    first.close()
    second = opened(after, 600, Orders())
    assert len(second.banned()) == len(EVERY_PLACE) + 400
    assert second._table().flags == (6 if after.persist else 0)


@pytest.mark.parametrize("features", [NEW, MIDDLE, OLD], ids=["new", "6.8", "6.1"])
@pytest.mark.parametrize(("before", "after"), [((), (22,)), ((22,), (1111, 2222)), ((22,), ())], ids=str)
def test_a_change_of_sshds_ports_keeps_every_ban_and_familiar_source_in_one_transaction(
    namespace: Namespace, opened: Opened, features: Features, before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    kernel = opened(features, 1500, Orders(extra_ports=before, fence=(587,)))
    kernel.ban([*EVERY_PLACE, *for_an_hour(*hosts(1000))])
    kernel.favour([Element(NET, 600), Element(parse_network("2001:db8:1:2::/64"), 600)])
    kernel.fence([587], 600)
    with generation_of(kernel) as since:
        kernel.open(Orders(extra_ports=after, fence=(587,)))
        assert since() == 1
    assert len(kernel.banned()) == len(EVERY_PLACE) + 1000
    assert all(3500 < element.seconds <= HOUR for element in kernel.banned())
    assert kernel._table().digest == layout.digest(1500, after)
    assert {drop.port for drop in kernel.dropped()} >= set(after)
    for name, held in (("familiar4", "203.0.113.9"), ("familiar6", "2001:db8:1:2::"), ("fence", "587")):
        assert f"{{ {held} timeout" in namespace.run("nft", "list", "set", "inet", "zward", name)


def test_an_element_without_an_end_is_told_as_such_and_never_ours(namespace: Namespace, opened: Opened) -> None:
    kernel = opened(OLD, orders=Orders())
    kernel.ban(for_an_hour(NET))
    namespace.run("nft", "add", "element", "inet", "zward", "ban4", "{ 203.0.113.10, 203.0.113.11 timeout 100000d }")
    found = {str(net): seconds for net, seconds in standing(kernel).items()}
    assert found["203.0.113.10"] == FOREVER
    assert HOUR < found["203.0.113.11"] <= FOREVER
    assert found["203.0.113.9"] <= HOUR


def test_without_the_capability_it_is_no_permission(namespace: Namespace) -> None:
    with namespace.entered(), contextlib.closing(Netlink()) as netlink:
        os.seteuid(65534)
        try:
            with pytest.raises(NoPermission, match="CAP_NET_ADMIN"):
                Kernel(netlink)
            with pytest.raises(NoPermission, match="CAP_NET_ADMIN"):
                Kernel(netlink, NEW).open(Orders())
        finally:
            os.seteuid(0)


# Listing


def test_a_set_that_was_just_filled_is_listed_completely(opened: Opened) -> None:
    for start in (0x0B00_0000, 0x2B00_0000):
        kernel = opened(orders=Orders())
        wanted = [Net((start + number * 7).to_bytes(4, "big"), 32) for number in range(100_000)]
        for at in range(0, len(wanted), 32_768):
            kernel.ban(for_an_hour(*wanted[at : at + 32_768]))
        found = kernel.banned()
        assert len(found) == len(wanted)
        assert {element.net for element in found} == set(wanted)
        kernel.unban(wanted[:2000])
        kernel.unban(wanted)
        assert kernel.banned() == []
        kernel.close()


@pytest.mark.parametrize("counts", [True, False], ids=["new", "before 6.16"])
def test_a_listing_is_complete_while_the_time_of_others_is_over(
    opened, monkeypatch: pytest.MonkeyPatch, counts
) -> None:
    if not counts:
        monkeypatch.setattr(Kernel, "_count", lambda *_: None)
    kernel = opened(orders=Orders())
    lasting = hosts(30_000)
    kernel.ban(for_an_hour(*lasting))
    for seconds in (1, 2, 3):
        kernel.ban([Element(net, seconds) for net in hosts(4_000, 0x3000_0000 + seconds * 10_000)])
    found = kernel.banned()
    while len(found) > len(lasting):
        found = kernel.banned()
        assert {element.net for element in found} >= set(lasting)


def test_a_listing_that_others_cut_through_is_complete(namespace: Namespace, opened: Opened) -> None:
    kernel = opened(orders=Orders())
    wanted = set(hosts(3_000))
    kernel.ban(for_an_hour(*wanted))
    other = opened(OLD)
    stop = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not stop.wait(0.002):
            other.netlink.transact(10, [kernel_module.Message(0, 0x400, 1, b"\x0a\0\1\0other\0\0\0")])
            written += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(30):
            assert {element.net for element in kernel.banned()} == wanted
    finally:
        stop.set()
        thread.join()
    assert written > 10


def test_a_listing_that_always_names_some_twice_is_refused(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = opened(orders=Orders())
    monkeypatch.setattr(kernel_module, "LISTING_PAUSE", 0)
    monkeypatch.setattr(kernel_module.elements, "remaining", lambda *_: iter([(bytes(4), 1), (bytes(4), 1)]))
    with pytest.raises(KernelError, match="changes too fast"):
        kernel.banned()
