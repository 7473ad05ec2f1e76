"""The helper's own judgement, with a table that only writes down what it is told."""

import socket
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.address import Net, parse_network
from appliance.firewall import helper
from appliance.firewall.backend import Element, LibnftablesMissing, NotPermitted
from appliance.firewall.helper import Assembly, Firewall
from appliance.firewall.limits import BAN_PREFIXES, LONGEST_BAN, MAX_BATCH, Refusal
from appliance.firewall.nft import NftError
from appliance.firewall.records import (
    ELEMENTS_IN_PACKET,
    MAX_PACKET,
    Op,
    Reply,
    Request,
    Status,
    in_packets,
    pack_request,
    unpack_reply,
)

NET = parse_network("203.0.113.9")
ONE = (Element(NET, 60),)
LAST = 999
OPEN = pack_request(Request(Op.OPEN, 1))


class Table:
    """Stands in for the kernel's table."""

    def __init__(self) -> None:
        self.loaded = 0
        self.bans: list[list[Element]] = []
        self.allowed: list[Net] = []
        self.fault: Exception | None = None

    def load(self) -> None:
        self._fail()
        self.loaded += 1

    def ban(self, elements: Sequence[Element]) -> None:
        self._fail()
        self.bans.append(list(elements))

    def unban(self, nets: Sequence[Net]) -> list[Net]:
        return list(nets)

    def allow(self, nets: Iterable[Net]) -> None:
        self._fail()
        self.allowed = list(nets)

    def banned(self) -> Iterator[list[tuple[Net, int]]]:
        yield [(NET, 2**40)]
        yield []

    def dropped(self) -> dict[int, int]:
        return {25: 2**40}

    def _fail(self) -> None:
        if self.fault:
            raise self.fault


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    made = Table()
    monkeypatch.setattr(helper, "Nft", lambda: made)
    monkeypatch.setattr(helper.own, "addresses", lambda: {parse_network("192.0.2.254")})
    return made


def talk(*packets: bytes) -> list[Reply]:
    """What a fresh helper answers to these packets. It must answer one more, and end when we hang up."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    served = threading.Thread(target=helper.serve, args=(theirs, Firewall()))
    served.start()
    with theirs:
        with ours:
            for packet in (*packets, pack_request(Request(Op.DROPPED, LAST))):
                ours.send(packet)
            replies = [unpack_reply(ours.recv(MAX_PACKET))]
            while replies[-1].sequence != LAST:
                replies.append(unpack_reply(ours.recv(MAX_PACKET)))
        served.join()
    return replies[:-1]


def request(op: Op, sequence: int, elements: Sequence[Element] = (), more: bool = False) -> bytes:
    return pack_request(Request(op, sequence, elements, more))


def test_an_open_request_loads_the_table_each_time(table: Table) -> None:
    assert [reply.status for reply in talk(OPEN, OPEN)] == [Status.OK, Status.OK]
    assert table.loaded == 2


@pytest.mark.parametrize("op", [op for op in Op if op is not Op.OPEN])
def test_nothing_is_done_before_it_is_open(table: Table, op: Op) -> None:
    (reply,) = talk(request(op, 2, ONE))
    assert (reply.status, reply.text) == (Status.FAILED, helper.NOT_OPEN)


def test_a_refused_element_comes_back_with_its_reason_and_the_others_go_in(table: Table) -> None:
    asked = [
        Element(NET, 60),
        Element(parse_network("127.0.0.1"), 60),
        Element(parse_network("192.0.2.254"), 60),
    ]
    _, reply = talk(OPEN, request(Op.BAN, 2, asked))
    assert reply.elements == (Element(asked[1].net, Refusal.SPECIAL), Element(asked[2].net, Refusal.OWN))
    assert table.bans == [[asked[0]]]


def test_a_batch_in_several_packets_is_one_transaction(table: Table) -> None:
    batch = [Element(Net((0x0B000000 + n).to_bytes(4, "big"), 32), 60) for n in range(2 * ELEMENTS_IN_PACKET + 1)]
    packets = [request(Op.BAN, 2, part, more) for part, more in in_packets(batch)]
    assert len(packets) == 3
    assert [reply.sequence for reply in talk(OPEN, *packets)] == [1, 2]
    assert table.bans == [batch]


def test_an_unfinished_batch_is_forgotten_when_another_request_begins(table: Table) -> None:
    talk(OPEN, request(Op.BAN, 2, ONE, more=True), request(Op.BAN, 3, [Element(NET, 90)]))
    assert table.bans == [[Element(NET, 90)]]


def test_a_batch_without_end_is_refused_once_and_its_tail_is_ignored() -> None:
    assembly = Assembly()
    part = request(Op.BAN, 2, ONE * ELEMENTS_IN_PACKET, more=True)
    for _ in range(MAX_BATCH // ELEMENTS_IN_PACKET):
        assert assembly.add(part) is None
    with pytest.raises(helper.Malformed, match="more than 32768"):
        assembly.add(part)
    assert assembly.add(part) is None
    assert assembly.add(request(Op.BAN, 2, ONE)) is None
    assert assembly.add(request(Op.BAN, 3, ONE)) == Request(Op.BAN, 3, list(ONE))


def test_the_tail_of_a_batch_with_a_malformed_packet_never_goes_in(table: Table) -> None:
    broken = bytearray(request(Op.BAN, 2, ONE, more=True))
    broken[12] = 9
    replies = talk(OPEN, request(Op.BAN, 2, ONE, more=True), bytes(broken), request(Op.BAN, 2, ONE))
    assert [(reply.status, reply.sequence) for reply in replies] == [(Status.OK, 1), (Status.MALFORMED, 2)]
    assert table.bans == []


@pytest.mark.parametrize("packet", [b"", b"\0", b"zward", bytes(MAX_PACKET), bytes(MAX_PACKET + 1), bytes(90_000)])
def test_a_malformed_packet_is_answered_and_the_next_request_is_served(table: Table, packet: bytes) -> None:
    first, second = talk(packet, OPEN)
    assert (first.status, second.status) == (Status.MALFORMED, Status.OK)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (LibnftablesMissing("apt-get install libnftables1"), Status.LIBRARY_MISSING),
        (NotPermitted("sudo zward run"), Status.NOT_PERMITTED),
        (NftError("Device or resource busy"), Status.FAILED),
        (OSError("no netlink"), Status.FAILED),
    ],
)
def test_a_fault_is_told_in_words_and_the_helper_lives_on(table: Table, fault: Exception, status: Status) -> None:
    table.fault = fault
    first, second = talk(OPEN, OPEN)
    assert (first.status, first.text) == (status, str(fault))
    assert second.status == status


def test_the_element_that_the_kernel_stumbled_over_is_named(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(elements: Sequence[Element]) -> None:
        raise NftError("Too many open files in system", (30,), elements[0].net)

    monkeypatch.setattr(table, "ban", full)
    _, reply = talk(OPEN, request(Op.BAN, 2, ONE))
    assert (reply.status, [net for net, _ in reply.elements]) == (Status.FAILED, [NET])
    assert "the set is full" in reply.text


def test_an_allow_list_that_the_kernel_did_not_take_is_not_held(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(nets: Iterable[Net]) -> None:
        raise NftError("Device or resource busy")

    monkeypatch.setattr(table, "allow", broken)
    *_, last = talk(OPEN, request(Op.ALLOW, 2, ONE), request(Op.BAN, 3, ONE))
    assert last.elements == ()


def test_a_listing_fits_the_record_whatever_the_kernel_says(table: Table) -> None:
    _, listed, dropped = talk(OPEN, request(Op.BANNED, 2), request(Op.DROPPED, 3))
    assert listed.elements == (Element(NET, 0xFFFF_FFFF),)
    assert dropped.counts == {25: 2**40}


def test_our_own_addresses_are_read_again_when_they_are_old(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    found = {parse_network("192.0.2.254")}
    monkeypatch.setattr(helper.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(helper.own, "addresses", lambda: set(found))
    firewall = Firewall()
    list(firewall.answer(Request(Op.OPEN, 1)))
    assert next(firewall.answer(Request(Op.BAN, 2, ONE))).elements == []
    found.add(NET)
    now[0] = helper.OWN_ADDRESSES_AGE + 0.1
    assert next(firewall.answer(Request(Op.BAN, 3, ONE))).elements == [Element(NET, Refusal.OWN)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.binary(max_size=64)
        | st.builds(
            lambda op, n, body: struct.pack("!BBBxIHH", 1, op, 0, n, len(body) // 22, 0) + body,
            st.integers(0, 8),
            st.integers(0, 9),
            st.binary(min_size=22, max_size=22)
            | st.builds(
                lambda f, p, a, s: struct.pack("!BB16sI", f, p, a, s),
                st.sampled_from([4, 6]),
                st.sampled_from([0, 8, 24, 32, 48, 64, 128]),
                st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
                st.integers(0, 2**32 - 1),
            ),
        ),
        max_size=12,
    )
)
def test_random_records_never_end_it_and_put_in_only_what_may_be_banned(table: Table, packets: list[bytes]) -> None:
    table.bans.clear()
    talk(OPEN, *packets)
    for net, seconds in (element for batch in table.bans for element in batch):
        assert net.prefix in BAN_PREFIXES[net.family]
        assert 1 <= seconds <= LONGEST_BAN
        assert not any(parse_network(bad).covers(net) for bad in ("127.0.0.0/8", "0.0.0.0/8", "::/64", "fe80::/10"))


def test_it_does_not_serve_a_socket_that_is_not_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    monkeypatch.setattr(helper.sys, "argv", ["helper", str(theirs.detach())])
    monkeypatch.setattr(helper.signal, "signal", lambda *_: None)
    with ours:
        with pytest.raises(SystemExit, match="not serving it"):
            helper.main()
        assert ours.recv(1) == b""
