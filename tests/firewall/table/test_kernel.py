"""The table of bans, in a namespace of its own, on this kernel and as on older ones."""

import re
import time
from collections.abc import Iterator, Sequence

import pytest
from ban_tables import (
    EVERY_PLACE,
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

from appliance.address import parse_network
from appliance.firewall.backend import DROPS, Dropped, Element
from appliance.firewall.orders import Orders
from appliance.firewall.table import kernel as kernel_module
from appliance.firewall.table import layout
from appliance.firewall.table.features import Features
from appliance.firewall.table.kernel import Kernel, KernelError
from appliance.firewall.table.netlink import Message
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

    def left() -> int:
        """Milliseconds until the kernel forgets it."""
        listed = namespace.run("nft", "list", "set", "inet", "zward", name)
        seconds, thousandths = re.search(r" expires (\d+)s(?:(\d+)ms)?", listed).groups(default=0)
        return int(seconds) * 1000 + int(thousandths)

    getattr(kernel, refresh)([Element(NET, 10)])
    while (before := left()) > 8000:
        time.sleep(0.05)
    getattr(kernel, refresh)([Element(NET, 10)])
    assert left() > before


def test_the_last_of_two_in_a_batch_holds_and_scopes_do_not_disturb_each_other(kernel: Kernel) -> None:
    kernel.ban([Element(NET, 86_400), Element(NET, 600, Scope.LOGIN), Element(NET, 60)])
    assert {element.scope: element.seconds > 60 for element in kernel.banned()} == {Scope.ALL: False, Scope.LOGIN: True}


def test_before_linux_6_3_new_bans_are_one_change_each_and_known_ones_three(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = opened(OLD, 1000, Orders())
    sent: list[int] = []
    transact = kernel.netlink.transact

    def counted(subsystem: int, messages: Sequence[Message]) -> list[tuple[int, int]]:
        sent.append(len(messages))
        return transact(subsystem, messages)

    monkeypatch.setattr(kernel.netlink, "transact", counted)
    kernel.ban(for_an_hour(*hosts(10)))
    assert sent == [1]
    kernel.ban([Element(net, 60) for net in hosts(20)])
    assert sent == [1, 1, 3]
    assert len(standing(kernel)) == 20
    assert max(standing(kernel).values()) <= 60


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


def test_without_the_table_every_change_is_an_error_in_words(namespace: Namespace, opened: Opened) -> None:
    kernel = opened(NEW)
    for change in (
        lambda: kernel.ban(for_an_hour(*hosts(2000))),
        lambda: kernel.allow([NET]),
        lambda: kernel.favour(for_an_hour(NET)),
        lambda: kernel.fence([587], 60),
        lambda: kernel.fence([587], 0),
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


# The fence

FENCE = Orders(fence=(587, 993))


@pytest.mark.parametrize("features", [NEW, MIDDLE, OLD], ids=["new", "6.8", "6.1"])
def test_ports_are_fenced_renewed_and_lifted(namespace: Namespace, opened: Opened, features: Features) -> None:
    kernel = opened(features, 1000, FENCE)
    assert kernel._fence() == {}
    for seconds in (600, 60, 3600):
        kernel.fence([587, 993], seconds)
        assert kernel._fence().keys() == {587, 993}
        assert all(seconds - 10 < left <= seconds for left in kernel._fence().values())
    assert kernel._fenced
    kernel.fence([587], 0)
    assert kernel._fence().keys() == {993}
    assert kernel._fenced
    kernel.fence([993, 587], 0)
    assert (kernel._fence(), kernel._fenced) == ({}, False)
    assert "goto fenced" not in namespace.run("nft", "list", "table", "inet", "zward")


@pytest.mark.parametrize("counts", [True, False], ids=["new", "before 6.16"])
@pytest.mark.parametrize("somebody", ["203.0.113.9", "2001:db8:1:2::/64"])
def test_whether_anybody_is_familiar_is_known(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, counts: bool, somebody: str
) -> None:
    if not counts:
        monkeypatch.setattr(Kernel, "_count", lambda *_: None)
    assert not kernel.knows_anybody()
    kernel.favour(for_an_hour(parse_network(somebody)))
    assert kernel.knows_anybody()


def test_a_fence_costs_one_transaction_and_a_thousand_of_them_fill_no_set(kernel: Kernel) -> None:
    kernel.open(FENCE)
    with generation_of(kernel) as since:
        for number in range(300):
            kernel.fence([587, 993], 60 + number)
        assert since() == 300
    assert kernel._fence().keys() == {587, 993}


def test_the_fence_is_out_of_the_packets_way_soon_after_its_end(namespace: Namespace, kernel: Kernel) -> None:
    kernel.open(FENCE)
    kernel.fence([587], 1)
    kernel.ban([Element(NET, 60, Scope.LOGIN)])
    assert "goto fenced" in namespace.run("nft", "list", "table", "inet", "zward")
    while kernel._fence():
        time.sleep(0.05)
    kernel.relax()
    assert "goto fenced" not in namespace.run("nft", "list", "table", "inet", "zward")
    assert rules(namespace) == 4


def test_opening_keeps_a_fence_that_root_still_orders_and_ends_any_other(kernel: Kernel) -> None:
    kernel.open(FENCE)
    kernel.fence([587, 993], 600)
    kernel.open(FENCE)
    assert kernel._fence().keys() == {587, 993}
    kernel.open(Orders(fence=(993,)))
    assert (kernel._fence().keys(), kernel._fenced) == ({993}, True)
    kernel.open(Orders())
    assert (kernel._fence(), kernel._fenced) == ({}, False)


def test_the_networks_that_the_fence_lets_in_are_roots_and_replaced_at_each_opening(
    namespace: Namespace, kernel: Kernel
) -> None:
    for nets in (("192.0.2.0/24", "192.0.2.128/25", "2001:db8::/32"), ("198.51.100.0/24",), ()):
        kernel.open(Orders(fence=(587,), fence_from=frozenset(map(parse_network, nets))))
        listed = [namespace.run("nft", "list", "set", "inet", "zward", f"fence_from{family}") for family in (4, 6)]
        assert [net for net in nets if net in "".join(listed)] == [net for net in nets if not net.endswith("/25")]
        assert "192.0.2.128" not in listed[0]


@pytest.mark.parametrize("features", [NEW, OLD], ids=["new", "6.1"])
def test_whoever_takes_a_table_over_looks_into_narrow_sets_that_are_not_empty(
    namespace: Namespace, opened: Opened, features: Features
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


def test_more_than_a_set_can_ever_hold_is_refused(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_module, "TIDYING_PAUSE", 0.01)
    kernel = opened(NEW, 10, Orders())
    with pytest.raises(KernelError, match="full with 10 bans"):
        kernel.ban(for_an_hour(*hosts(11)))


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
