"""The helper's own judgement, with a kernel that only writes down what it is told."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace

import pytest
from stand_ins import Kernel, Samples, Sessions

from appliance.address import Net, parse_network
from appliance.firewall import firewall as firewall_module
from appliance.firewall.backend import DROPS, Element
from appliance.firewall.firewall import Firewall, Refusing
from appliance.firewall.limits import LONGEST_BAN, LONGEST_FENCE, MAX_ALLOWED, MAX_SOURCES, Refusal
from appliance.firewall.orders import Orders, OrdersError, write
from appliance.firewall.records import Count, Op, Reply, Request, Status
from appliance.firewall.table.kernel import KernelError
from appliance.model import BAN_SCOPES, Scope

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="orders are a file of root's")

NET = parse_network("203.0.113.9")
ALLOWED = parse_network("198.51.100.0/24")
NEVER = parse_network("192.0.2.0/24")
OWN = parse_network("203.0.113.1")


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(firewall_module, "time", made)
    return made


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setattr(firewall_module, "Sessions", Sessions)
    monkeypatch.setattr(firewall_module, "Samples", Samples)
    monkeypatch.setattr(firewall_module.own, "addresses", lambda: {OWN})
    return Kernel()


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    write(tmp_path / "orders", Orders(frozenset([NEVER])))
    return tmp_path / "orders"


@pytest.fixture
def closed(kernel: Kernel, orders: Path, clock: Clock) -> Firewall:
    return Firewall(kernel, orders)  # type: ignore[arg-type]


@pytest.fixture
def firewall(closed: Firewall) -> Firewall:
    closed.open()
    return closed


def ask(firewall: Firewall, op: Op, elements: Sequence[Element] = ()) -> list[Reply]:
    return list(firewall.answer(Request(op, 5, elements)))


def one(firewall: Firewall, op: Op, *nets: Net, seconds: int = 60) -> Reply:
    [reply] = ask(firewall, op, [Element(net, seconds) for net in nets])
    assert (reply.status, reply.sequence, reply.more) == (Status.OK, 5, False)
    return reply


def refused(firewall: Firewall, *nets: Net) -> list[tuple[Net, int]]:
    return [(net, code) for net, code, _ in one(firewall, Op.BAN, *nets).elements]


@pytest.mark.parametrize("op", [op for op in Op if op is not Op.OPEN])
def test_nothing_is_done_before_it_is_open(closed: Firewall, kernel: Kernel, op: Op) -> None:
    with pytest.raises(Refusing, match="not open"):
        ask(closed, op, [Element(NET, 60)])
    assert kernel.bans == []


def test_opening_takes_up_roots_orders_each_time(firewall: Firewall, kernel: Kernel, orders: Path) -> None:
    write(orders, Orders(frozenset([ALLOWED]), mark=True, samples=5))
    one(firewall, Op.OPEN)
    assert kernel.orders == [Orders(frozenset([NEVER])), Orders(frozenset([ALLOWED]), mark=True, samples=5)]
    assert refused(firewall, NEVER, ALLOWED) == [(ALLOWED, Refusal.ALLOWED)]


def test_orders_that_are_not_roots_are_not_taken_up_and_the_old_ones_hold(
    firewall: Firewall, kernel: Kernel, orders: Path
) -> None:
    orders.chmod(0o666)
    with pytest.raises(OrdersError):
        one(firewall, Op.OPEN)
    assert len(kernel.orders) == 1
    assert refused(firewall, NEVER) == [(NEVER, Refusal.ALLOWED)]


def test_a_table_that_cannot_be_made_leaves_it_closed(closed: Firewall, kernel: Kernel) -> None:
    kernel.fault = KernelError("no")
    with pytest.raises(KernelError):
        one(closed, Op.OPEN)
    kernel.fault = None
    with pytest.raises(Refusing):
        one(closed, Op.BAN, NET)


def test_new_orders_are_taken_up_when_the_file_changes_and_only_then(
    firewall: Firewall, kernel: Kernel, orders: Path
) -> None:
    firewall.heed_orders()
    assert len(kernel.orders) == 1
    write(orders, Orders(reset=True))
    firewall.heed_orders()
    firewall.heed_orders()
    assert kernel.orders[1:] == [Orders(reset=True)]
    orders.unlink()
    firewall.heed_orders()
    assert refused(firewall, NEVER) == []
    assert len(kernel.orders) == 2


def test_orders_are_not_heeded_before_it_is_open(closed: Firewall, kernel: Kernel) -> None:
    closed.heed_orders()
    assert kernel.orders == []


def test_what_may_not_be_banned_comes_back_with_its_reason_and_the_others_go_in(
    firewall: Firewall, kernel: Kernel
) -> None:
    asked = [parse_network(text) for text in ("127.0.0.1", "203.0.113.0/24", "192.0.2.7", "10.0.0.0/8", "203.0.113.9")]
    assert refused(firewall, *asked) == [
        (asked[0], Refusal.SPECIAL),
        (asked[1], Refusal.OWN),
        (asked[2], Refusal.ALLOWED),
        (asked[3], Refusal.PREFIX),
    ]
    assert kernel.bans == [[Element(NET, 60)]]
    assert firewall.sessions.told == [Element(NET, 60)]  # type: ignore[attr-defined]


def test_a_batch_of_refused_ones_alone_is_no_transaction(firewall: Firewall, kernel: Kernel) -> None:
    assert len(refused(firewall, parse_network("::1"))) == 1
    assert refused(firewall) == []
    assert kernel.bans == []


def test_sessions_end_only_where_the_ban_is_in_force(firewall: Firewall, kernel: Kernel) -> None:
    kernel.fault = KernelError("no")
    with pytest.raises(KernelError):
        one(firewall, Op.BAN, NET)
    assert firewall.sessions.told == []  # type: ignore[attr-defined]


def test_our_own_addresses_are_read_again_when_they_are_old(
    firewall: Firewall, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(firewall, NET) == []
    monkeypatch.setattr(firewall_module.own, "addresses", lambda: {NET})
    assert refused(firewall, NET) == []
    clock.now += firewall_module.OWN_ADDRESSES_AGE + 0.1
    assert refused(firewall, NET, OWN) == [(NET, Refusal.OWN)]


def test_more_bans_in_a_minute_than_the_sets_hold_are_refused_until_the_next(
    firewall: Firewall, kernel: Kernel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewall_module, "BANS_A_MINUTE", 3)
    clock.now += 61
    nets = [Net(bytes([198, 18, 0, last]), 32) for last in range(5)]
    assert refused(firewall, *nets) == [(net, Refusal.RATE) for net in nets[3:]]
    clock.now += 61
    assert refused(firewall, nets[3]) == []


def test_the_receivers_allow_list_stands_beside_roots_and_is_replaced(firewall: Firewall, kernel: Kernel) -> None:
    one(firewall, Op.ALLOW, ALLOWED)
    assert kernel.allowed == {NEVER, ALLOWED}
    assert refused(firewall, NEVER, ALLOWED, NET) == [(NEVER, Refusal.ALLOWED), (ALLOWED, Refusal.ALLOWED)]
    assert firewall.sessions.spares(parse_network("198.51.100.7"))  # type: ignore[attr-defined]
    one(firewall, Op.ALLOW)
    assert kernel.allowed == {NEVER}
    assert refused(firewall, NEVER, ALLOWED) == [(NEVER, Refusal.ALLOWED)]


def test_opening_again_keeps_the_receivers_allow_list_without_a_gap(firewall: Firewall, kernel: Kernel) -> None:
    one(firewall, Op.ALLOW, ALLOWED)
    one(firewall, Op.OPEN)
    assert kernel.orders[-1].never_ban == kernel.allowed == {NEVER, ALLOWED}


def test_an_allow_list_that_the_kernel_did_not_take_is_not_held(firewall: Firewall, kernel: Kernel) -> None:
    kernel.fault = KernelError("busy")
    with pytest.raises(KernelError):
        one(firewall, Op.ALLOW, ALLOWED)
    kernel.fault = None
    assert refused(firewall, ALLOWED) == []


def test_an_allow_list_and_a_question_have_their_bounds(firewall: Firewall, kernel: Kernel) -> None:
    nets = [Net(number.to_bytes(4, "big"), 32) for number in range(MAX_ALLOWED + 1)]
    with pytest.raises(Refusing, match="allow list of 4097 networks; the limit is 4096"):
        one(firewall, Op.ALLOW, *nets)
    assert kernel.allowed == {NEVER}
    with pytest.raises(Refusing, match="4097 sources; the limit is 4096"):
        one(firewall, Op.SEEN, *nets)
    assert MAX_SOURCES == MAX_ALLOWED == one(firewall, Op.SEEN, *nets[1:]).sequence + 4091


def test_only_single_sources_are_favoured_and_for_no_longer_than_a_ban(firewall: Firewall, kernel: Kernel) -> None:
    good = [Element(NET, 60), Element(parse_network("2001:db8::/64"), LONGEST_BAN)]
    bad = [
        Element(parse_network("203.0.113.0/24"), 60),
        Element(parse_network("2001:db8::/48"), 60),
        Element(NET, 0),
        Element(NET, LONGEST_BAN + 1),
    ]
    ask(firewall, Op.FAVOUR, [*bad, *good])
    assert kernel.favoured == good


def fence(firewall: Firewall, *asked: tuple[int, int]) -> None:
    counts = [Count(port, 0, 0, seconds, 0) for port, seconds in asked]
    [reply] = firewall.answer(Request(Op.FENCE, 5, counts=counts))
    assert reply == Reply(Status.OK, 5)


def test_ports_are_fenced_as_root_ordered_and_no_others(firewall: Firewall, kernel: Kernel, orders: Path) -> None:
    with pytest.raises(Refusing, match="port 587 may not be fenced; by root's orders: none"):
        fence(firewall, (587, 600))
    write(orders, Orders(fence=(587, 993)))
    firewall.heed_orders()
    kernel.favoured = [Element(NET, 60)]
    fence(firewall, (587, 600), (993, LONGEST_FENCE))
    fence(firewall, (587, 0))
    fence(firewall)
    assert sorted(kernel.fences) == [([587], 0), ([587], 600), ([587, 993], 0), ([993], LONGEST_FENCE)]
    for asked, says in (((587, LONGEST_FENCE + 1), "a fence for 3601 s"), ((25, 60), "port 25"), ((0, 2**64 - 1), "0")):
        with pytest.raises(Refusing, match=says):
            fence(firewall, asked, (993, 60))
    assert len(kernel.fences) == 4


def test_a_fence_around_nobody_is_refused_and_can_always_be_lifted(
    firewall: Firewall, kernel: Kernel, orders: Path
) -> None:
    write(orders, Orders(fence=(587,)))
    firewall.heed_orders()
    with pytest.raises(Refusing, match="no source is familiar: a fence would keep everybody out"):
        fence(firewall, (587, 600))
    assert kernel.fences == []
    fence(firewall, (587, 0))
    assert kernel.fences == [([587], 0)]


def test_sessions_are_told_which_ports_root_ordered_besides(firewall: Firewall, orders: Path) -> None:
    assert firewall.sessions.extra_ports == ()
    write(orders, Orders(extra_ports=(22, 2222)))
    firewall.heed_orders()
    assert firewall.sessions.extra_ports == (22, 2222)


def test_the_proved_among_those_asked_for_come_back(firewall: Firewall, kernel: Kernel) -> None:
    kernel.proved = {NET}
    assert [net for net, *_ in one(firewall, Op.SEEN, NET, ALLOWED).elements] == [NET]


def test_what_was_lifted_comes_back(firewall: Firewall) -> None:
    assert [net for net, *_ in one(firewall, Op.UNBAN, NET, ALLOWED).elements] == [NET, ALLOWED]


def test_a_long_listing_comes_in_several_packets_with_its_scopes(firewall: Firewall, kernel: Kernel) -> None:
    kernel.standing = [Element(Net(n.to_bytes(4, "big"), 32), n, BAN_SCOPES[n % 3]) for n in range(3000)]
    replies = ask(firewall, Op.BANNED)
    assert [reply.more for reply in replies] == [True, True, False]
    assert [element for reply in replies for element in reply.elements] == kernel.standing


def test_every_counter_travels_with_port_scope_and_family(firewall: Firewall) -> None:
    counts = one(firewall, Op.DROPPED).counts
    assert [(count.port, BAN_SCOPES[count.scope], count.family) for count in counts] == list(DROPS)
    assert counts[1] == Count(DROPS[1].port, BAN_SCOPES.index(DROPS[1].scope), DROPS[1].family, 1, 2**40 + 1)


def test_health_tells_what_was_repaired_crowded_out_and_ended(
    firewall: Firewall, kernel: Kernel, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    firewall.repaired("nft (pid 12) changed the table inet zward; it is put back")
    reply = one(firewall, Op.HEALTH)
    assert [count.packets for count in reply.counts] == [1, 0, 7, 9]
    assert reply.text == "nft (pid 12) changed the table inet zward; it is put back"
    assert len(kernel.orders) == 2

    def full(bans: Sequence[Element]) -> None:
        kernel.crowded_out += 50
        kernel.crowded = "the set ban4 was full"

    monkeypatch.setattr(kernel, "ban", full)
    assert refused(firewall, NET) == []
    reply = one(firewall, Op.HEALTH)
    assert ([count.packets for count in reply.counts], reply.text) == ([1, 50, 7, 9], "the set ban4 was full")
    clock.now += firewall_module.TOLD_SECONDS + 1
    assert one(firewall, Op.HEALTH).text == ""


def test_a_repair_that_failed_is_not_counted(firewall: Firewall, kernel: Kernel) -> None:
    kernel.fault = KernelError("no")
    with pytest.raises(KernelError):
        firewall.repaired("somebody was here")
    kernel.fault = None
    assert one(firewall, Op.HEALTH).counts[0].packets == 0


def test_whoever_listens_steps_aside_for_a_large_batch_and_not_for_a_small_one(
    firewall: Firewall, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped = []

    @contextlib.contextmanager
    def aside(_: object) -> Iterator[None]:
        stepped.append("aside")
        yield

    firewall.aside = aside
    monkeypatch.setattr(firewall_module, "MANY", 3)
    nets = [Net(bytes([198, 18, 0, last]), 32) for last in range(3)]
    assert refused(firewall, *nets[:2]) == []
    assert stepped == []
    assert refused(firewall, *nets) == []
    assert stepped == ["aside"]


Sample = Callable[..., SimpleNamespace]


def sample(flags: str, device: str) -> SimpleNamespace:
    return SimpleNamespace(time=1.5, source=NET, port=25, flags=flags, device=device)


def test_samples_come_one_to_a_packet_in_words_without_gaps(firewall: Firewall, orders: Path) -> None:
    assert [reply.text for reply in ask(firewall, Op.SAMPLES)] == [""]
    write(orders, Orders(samples=7))
    firewall.heed_orders()
    assert firewall.samples
    firewall.samples.recent += [sample("PSH ACK", "wan0"), sample("", "")]  # type: ignore[list-item]
    replies = ask(firewall, Op.SAMPLES)
    words = ["1.500 203.0.113.9 25 PSH,ACK wan0", "1.500 203.0.113.9 25 - -", ""]
    assert [reply.text for reply in replies] == words
    assert [reply.more for reply in replies] == [True, True, False]


def test_another_group_is_listened_to_when_root_orders_it_and_a_taken_one_is_told(
    firewall: Firewall, orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(orders, Orders(samples=7))
    firewall.heed_orders()
    first = firewall.samples
    write(orders, Orders(samples=7, reset=True))
    firewall.heed_orders()
    assert firewall.samples is first

    def taken(group: int) -> Samples:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(firewall_module, "Samples", taken)
    write(orders, Orders(samples=8))
    firewall.heed_orders()
    assert first is not None
    assert first.closed  # type: ignore[attr-defined]
    assert firewall.samples is None
    assert one(firewall, Op.HEALTH).text == "no samples of dropped packets: Operation not permitted"


def test_a_scope_is_kept_on_its_way_to_the_kernel(firewall: Firewall, kernel: Kernel) -> None:
    ask(firewall, Op.BAN, [Element(NET, 60, Scope.SMTP_IN), Element(NET, 70, Scope.LOGIN)])
    assert kernel.bans == [[Element(NET, 60, Scope.SMTP_IN), Element(NET, 70, Scope.LOGIN)]]
    assert isinstance(firewall.aside(None), AbstractContextManager)  # type: ignore[arg-type]
