"""The table of bans, in a namespace of its own, on this kernel and as on older ones."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from namespaces import Namespace, network, require_kernel

from appliance.address import Net, parse_network
from appliance.firewall import kernel as kernel_module
from appliance.firewall import layout
from appliance.firewall.backend import DROPS, Dropped, Element
from appliance.firewall.features import Features
from appliance.firewall.kernel import Kernel, KernelError, NoPermission, Occupied
from appliance.firewall.netlink import Netlink
from appliance.firewall.orders import Orders
from appliance.firewall.records import FOREVER
from appliance.firewall.watch import generation
from appliance.model import BAN_SCOPES, Scope

pytestmark = pytest.mark.kernel

NEW, MIDDLE, OLD = Features(True, True, True), Features(False, True, False), Features(False, False, False)
EVERY_PLACE = [
    Element(parse_network(text), 3600, scope)
    for scope in BAN_SCOPES
    for text in ("203.0.113.9", "198.51.100.0/24", "2001:db8:1::9", "2001:db8:2:3::/64", "2001:db8:4::/48")
    if scope is Scope.ALL or not text.endswith("::9")
]
NET = parse_network("203.0.113.9")
MINUTES = 60
HOUR = 3600


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as made:
        yield made.namespace("kernel")


@pytest.fixture
def opened(namespace: Namespace) -> Iterator[Callable[..., Kernel]]:
    """Makes kernels in the namespace; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def made(features: Features | None = NEW, size: int = 100_000, orders: Orders | None = None) -> Kernel:
            with namespace.entered():
                kernel = stack.enter_context(contextlib.closing(Kernel(Netlink(), features, size)))
            if orders:
                kernel.open(orders)
            return kernel

        yield made


@pytest.fixture(params=[NEW, MIDDLE, OLD], ids=["new", "6.8", "6.1"])
def kernel(request: pytest.FixtureRequest, opened: Callable[..., Kernel]) -> Kernel:
    return opened(request.param, 1000, Orders())


def hosts(count: int, first: int = 0x0B00_0000) -> list[Net]:
    return [Net((first + number).to_bytes(4, "big"), 32) for number in range(count)]


def for_an_hour(*nets: Net) -> list[Element]:
    return [Element(net, HOUR) for net in nets]


def standing(kernel: Kernel) -> dict[Net, int]:
    return {element.net: element.seconds for element in kernel.banned()}


def test_a_ban_of_every_scope_family_and_width_stands_in_its_own_place(kernel: Kernel) -> None:
    kernel.ban(EVERY_PLACE)
    found = kernel.banned()
    assert {(e.net, e.scope) for e in found} == {(e.net, e.scope) for e in EVERY_PLACE}
    assert len(found) == len(EVERY_PLACE) == len(layout.SET_OF)
    assert all(3590 < element.seconds <= 3600 for element in found)


@pytest.mark.parametrize("element", EVERY_PLACE, ids=lambda element: f"{element.net} {element.scope}")
def test_a_second_ban_lengthens_and_shortens(kernel: Kernel, element: Element) -> None:
    for seconds in (600, 86_400, 60, 61):
        kernel.ban([element._replace(seconds=seconds)])
        [found] = kernel.banned()
        assert seconds - 10 < found.seconds <= seconds


@pytest.mark.parametrize("refresh", ["ban", "favour"])
def test_the_same_time_again_begins_anew(kernel: Kernel, namespace: Namespace, refresh: str) -> None:
    name = {"ban": "ban4", "favour": "familiar4"}[refresh]

    def is_fresh() -> bool:
        """Whether more than 9 of the 10 seconds are left."""
        return " expires 9s" in namespace.run("nft", "list", "set", "inet", "zward", name)

    getattr(kernel, refresh)([Element(NET, 10)])
    while is_fresh():
        time.sleep(0.05)
    getattr(kernel, refresh)([Element(NET, 10)])
    assert is_fresh()


def test_the_last_of_two_in_a_batch_holds_and_scopes_do_not_disturb_each_other(kernel: Kernel) -> None:
    kernel.ban([Element(NET, 86_400), Element(NET, 600, Scope.LOGIN), Element(NET, 60)])
    assert {element.scope: element.seconds > 60 for element in kernel.banned()} == {Scope.ALL: False, Scope.LOGIN: True}


def test_a_ban_ends_by_itself_and_can_be_made_again(kernel: Kernel) -> None:
    kernel.ban([Element(NET, 1), *for_an_hour(*hosts(1))])
    while NET in standing(kernel):
        time.sleep(0.02)
    assert kernel.unban([NET]) == []
    kernel.ban([Element(NET, 60)])
    assert NET in standing(kernel)


def test_unban_lifts_whatever_covers_the_address_in_every_scope_and_nothing_else(kernel: Kernel) -> None:
    kernel.ban(EVERY_PLACE)
    kernel.ban(for_an_hour(*map(parse_network, ("203.0.113.0/24", "2001:db8:4:5::/64"))))
    asked = [parse_network(text) for text in ("203.0.113.9", "2001:db8:4:5::1", "2001:db8::1", "10.0.0.0/8")]
    lifted = ("203.0.113.9", "203.0.113.0/24", "2001:db8:4:5::/64", "2001:db8:4::/48")
    assert kernel.unban(asked) == list(map(parse_network, lifted))
    assert {str(net) for net in standing(kernel)} == {"198.51.100.0/24", "2001:db8:1::9", "2001:db8:2:3::/64"}


def test_unban_of_nothing_and_of_what_is_not_banned_lifts_nothing(kernel: Kernel) -> None:
    kernel.ban([Element(NET, 60)])
    assert kernel.unban([]) == []
    assert kernel.unban(hosts(3)) == []
    assert set(standing(kernel)) == {NET}


def test_a_large_unban_names_exactly_what_stood(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hosts(900)
    kernel.ban(for_an_hour(*asked[::3], NET))
    assert kernel.unban(asked[:450]) == asked[:450:3]
    monkeypatch.setattr(kernel_module, "MANY", 100)
    assert kernel.unban(asked) == asked[450::3]
    assert set(standing(kernel)) == {NET}


def test_what_ends_while_it_is_taken_out_is_no_fault(kernel: Kernel) -> None:
    kernel.ban(for_an_hour(NET))
    gone, there = hosts(1)[0], NET
    found = {"ban4": [gone, there], "ban4n": [parse_network("198.51.100.0/24")]}
    kernel._take_out(found)
    assert standing(kernel) == {}


def test_a_batch_is_one_transaction(kernel: Kernel) -> None:
    kernel.ban(EVERY_PLACE)
    with generation_of(kernel) as since:
        kernel.ban([*(element._replace(seconds=600) for element in EVERY_PLACE), *for_an_hour(*hosts(900))])
        assert since() == 1
    assert len(kernel.banned()) == len(EVERY_PLACE) + 900


def test_the_element_that_the_kernel_refuses_is_named_and_none_of_the_batch_is_in_force(kernel: Kernel) -> None:
    good = for_an_hour(*hosts(20))
    beyond_jiffies = Element(NET, 2 * 10**10)
    with pytest.raises(KernelError, match=r"the kernel refuses: .* \(203\.0\.113\.9\)") as caught:
        kernel.ban([*good[:10], beyond_jiffies, *good[10:]])
    assert caught.value.net == NET
    assert kernel.banned() == []


def test_without_the_table_every_change_is_an_error_in_words(
    namespace: Namespace, opened: Callable[..., Kernel]
) -> None:
    kernel = opened(NEW)
    for change in (
        lambda: kernel.ban(for_an_hour(*hosts(2000))),
        lambda: kernel.allow([NET]),
        lambda: kernel.favour(for_an_hour(NET)),
    ):
        with pytest.raises(KernelError, match="somebody removed it or a part of it") as caught:
            change()
        assert caught.value.net is None
    assert kernel.banned() == []
    assert kernel.unban([NET]) == []
    assert kernel.seen([NET]) == []
    assert kernel.dropped() == dict.fromkeys(DROPS, Dropped(0, 0))


# Narrow scopes


def rules(namespace: Namespace) -> int:
    return namespace.run("nft", "list", "table", "inet", "zward").count("_login goto") // 3


def test_the_sets_of_narrow_scopes_are_looked_into_as_long_as_somebody_is_in_them(
    namespace: Namespace, kernel: Kernel
) -> None:
    kernel.allow([parse_network("192.0.2.0/24")])
    kernel.ban(for_an_hour(NET))
    assert rules(namespace) == 0
    kernel.ban([Element(NET, 60, Scope.LOGIN)])
    assert rules(namespace) == 4
    kernel.relax()
    assert rules(namespace) == 4
    kernel.unban([NET])
    kernel.relax()
    assert rules(namespace) == 0
    kernel.ban([Element(NET, 60, Scope.SMTP_IN)])
    kernel.open(Orders())
    assert rules(namespace) == 4
    assert "192.0.2.0/24" not in namespace.run("nft", "list", "set", "inet", "zward", "allow4")


@pytest.mark.parametrize("features", [NEW, OLD], ids=["new", "6.1"])
def test_whoever_takes_a_table_over_looks_into_narrow_sets_that_are_not_empty(
    namespace: Namespace, opened: Callable[..., Kernel], features: Features
) -> None:
    first = opened(features, orders=Orders())
    first.ban([Element(NET, 60, Scope.SMTP_IN)])
    first.close()
    opened(features, orders=Orders())
    assert rules(namespace) == 4


# A set that is full


def test_in_a_full_set_the_soonest_to_end_give_way_and_it_is_counted_and_told(kernel: Kernel) -> None:
    short, long = hosts(500), hosts(500, 0x0C00_0000)
    kernel.ban([Element(net, 600 + number) for number, net in enumerate(short)])
    kernel.ban(for_an_hour(*long))
    assert kernel.crowded_out == 0
    kernel.ban(for_an_hour(NET))
    crowd = 1 + 1000 // kernel_module.CROWD
    assert set(standing(kernel)) == {*short[crowd:], *long, NET}
    assert kernel.crowded_out == crowd
    assert kernel.crowded == f"the set ban4 was full with 1000 bans: the {crowd} soonest to end gave way"
    kernel.ban(for_an_hour(*hosts(40, 0x0D00_0000)))
    assert kernel.crowded_out == crowd


def test_whoever_is_banned_anew_never_gives_way_for_himself(kernel: Kernel) -> None:
    old = hosts(1000)
    kernel.ban([Element(net, 600 + number) for number, net in enumerate(old)])
    again, new = old[:200], hosts(100, 0x0C00_0000)
    kernel.ban(for_an_hour(*again, *new))
    found = standing(kernel)
    assert {*again, *new} <= set(found)
    assert all(found[net] > 3000 for net in (*again, *new))
    assert len(found) + kernel.crowded_out == 1100
    assert set(old) - set(found) == set(old[200 : 200 + kernel.crowded_out])


def test_only_the_full_set_loses_bans(kernel: Kernel) -> None:
    kernel.ban([*EVERY_PLACE, *for_an_hour(*hosts(999))])
    kernel.ban([element._replace(seconds=1800) for element in EVERY_PLACE] + for_an_hour(*hosts(1, 0x0D00_0000)))
    assert {(e.net, e.scope) for e in EVERY_PLACE} <= {(e.net, e.scope) for e in kernel.banned()}
    assert "ban4 " in kernel.crowded


def test_elements_whose_time_is_over_make_room_without_a_loss(kernel: Kernel) -> None:
    lasting = hosts(50, 0x0C00_0000)
    kernel.ban(for_an_hour(*lasting))
    kernel.ban([Element(net, 1) for net in hosts(950)])
    while len(kernel.banned()) > 50:
        time.sleep(0.01)
    kernel.ban(for_an_hour(NET))
    assert set(standing(kernel)) == {*lasting, NET}
    assert kernel.crowded_out == 0


def test_more_than_a_set_can_ever_hold_is_refused(
    opened: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_module, "TIDYING_PAUSE", 0.01)
    kernel = opened(NEW, 10, Orders())
    with pytest.raises(KernelError, match="full with 10 bans"):
        kernel.ban(for_an_hour(*hosts(11)))


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


def test_an_owned_table_belongs_to_us_and_a_plain_one_to_nobody(
    namespace: Namespace, opened: Callable[..., Kernel]
) -> None:
    kernel = opened(NEW, orders=Orders())
    found = kernel._table()
    assert (found.flags, found.owner) == (6, kernel.netlink.port)
    assert kernel.is_owned
    with pytest.raises(AssertionError, match="not permitted"):
        namespace.run("nft", "add", "element", "inet", "zward", "ban4", "{ 203.0.113.9 timeout 1h }")
    plain = opened(OLD)
    assert not plain.is_owned


def test_a_second_owner_is_refused_and_told_whose_the_table_is(opened: Callable[..., Kernel]) -> None:
    first = opened(NEW, orders=Orders())
    first.ban(for_an_hour(NET))
    for features in (NEW, OLD):
        with pytest.raises(Occupied, match=f"another zward \\(netlink port {first.netlink.port}, .*end that one first"):
            opened(features, orders=Orders())
    assert set(standing(first)) == {NET}


def test_a_table_whose_owner_died_is_taken_over_with_everything_in_it(
    namespace: Namespace, opened: Callable[..., Kernel]
) -> None:
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


def test_a_heir_of_the_socket_goes_on_where_the_dead_left_off(opened: Callable[..., Kernel]) -> None:
    first = opened(NEW, orders=Orders())
    first.ban(for_an_hour(NET))
    heir = Kernel(Netlink(descriptor=socket.fromfd(first.netlink.socket.fileno(), 16, 3, 12).detach()), NEW, 100_000)
    first.close()
    heir.open(Orders())
    assert set(standing(heir)) == {NET}
    heir.close()


def test_a_flush_of_the_ruleset_leaves_an_owned_table_alone(
    namespace: Namespace, opened: Callable[..., Kernel]
) -> None:
    kernel = opened(NEW, orders=Orders())
    kernel.ban(EVERY_PLACE)
    before = namespace.run("nft", "--stateless", "list", "table", "inet", "zward")
    namespace.run("nft", "flush", "ruleset")
    namespace.run("nft", "delete", "table", "inet", "zward", check=False)
    assert namespace.run("nft", "--stateless", "list", "table", "inet", "zward") == before


def test_a_flush_of_the_ruleset_takes_a_plain_table_away_and_opening_puts_it_back(
    namespace: Namespace, opened: Callable[..., Kernel]
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
    namespace: Namespace, opened: Callable[..., Kernel], features: Features
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
def test_a_change_of_size_or_ownership_keeps_every_ban(
    opened: Callable[..., Kernel], before: Features, after: Features
) -> None:
    first = opened(before, 500, Orders())
    first.ban([*EVERY_PLACE, *for_an_hour(*hosts(400))])
    first.close()
    second = opened(after, 600, Orders())
    assert len(second.banned()) == len(EVERY_PLACE) + 400
    assert second._table().flags == (6 if after.persist else 0)


def test_an_element_without_an_end_is_told_as_such_and_never_ours(
    namespace: Namespace, opened: Callable[..., Kernel]
) -> None:
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


def test_a_set_that_was_just_filled_is_listed_completely(opened: Callable[..., Kernel]) -> None:
    for start in (0x0B00_0000, 0x2B00_0000):
        kernel = opened(NEW, orders=Orders())
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
    kernel = opened(NEW, orders=Orders())
    lasting = hosts(30_000)
    kernel.ban(for_an_hour(*lasting))
    for seconds in (1, 2, 3):
        kernel.ban([Element(net, seconds) for net in hosts(4_000, 0x3000_0000 + seconds * 10_000)])
    found = kernel.banned()
    while len(found) > len(lasting):
        found = kernel.banned()
        assert {element.net for element in found} >= set(lasting)


def test_a_listing_that_others_cut_through_is_complete(namespace: Namespace, opened: Callable[..., Kernel]) -> None:
    kernel = opened(NEW, orders=Orders())
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


def test_a_listing_that_always_names_some_twice_is_refused(
    opened: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = opened(NEW, orders=Orders())
    monkeypatch.setattr(kernel_module, "LISTING_PAUSE", 0)
    monkeypatch.setattr(kernel_module.elements, "remaining", lambda *_: iter([(bytes(4), 1), (bytes(4), 1)]))
    with pytest.raises(KernelError, match="changes too fast"):
        kernel.banned()


# Allowed, familiar, seen, counted


def test_networks_that_overlap_and_touch_are_allowed_and_the_list_is_replaced(
    namespace: Namespace, kernel: Kernel
) -> None:
    texts = (
        "198.51.100.0/25",
        "198.51.100.64/26",
        "198.51.100.128/25",
        "255.255.255.255",
        "2001:db8::/32",
        "2001:db8:1::1",
    )
    kernel.allow([parse_network(text) for text in texts])
    shown = namespace.run("nft", "list", "set", "inet", "zward", "allow4")
    assert "198.51.100.0/24" in shown
    assert "255.255.255.255" in shown
    kernel.allow([parse_network("0.0.0.0/0"), parse_network("::/0")])
    kernel.allow([])
    assert "elements" not in namespace.run("nft", "list", "set", "inet", "zward", "allow4")
    assert "elements" not in namespace.run("nft", "list", "set", "inet", "zward", "allow6")


def test_the_familiar_are_known_by_source_for_their_time_and_can_be_prolonged(
    namespace: Namespace, kernel: Kernel
) -> None:
    for seconds in (60, 7200):
        kernel.favour([Element(NET, seconds), Element(parse_network("2001:db8:1:2::3"), seconds)])
    shown = namespace.run("nft", "--stateless", "list", "table", "inet", "zward")
    assert "203.0.113.9 timeout 2h" in shown
    assert "2001:db8:1:2:: timeout 2h" in shown
    kernel.favour([])


def test_nobody_was_seen_before_he_was(kernel: Kernel) -> None:
    assert kernel.seen([NET, parse_network("2001:db8:1:2::/64")]) == []


def test_there_is_a_counter_for_every_drop_and_all_are_zero(kernel: Kernel) -> None:
    assert kernel.dropped() == dict.fromkeys(DROPS, Dropped(0, 0))


@contextlib.contextmanager
def generation_of(kernel: Kernel) -> Iterator[Callable[[], int]]:
    """How many transactions there were since."""
    before = generation(kernel.netlink)
    yield lambda: generation(kernel.netlink) - before
