"""The helper's door and its packets, with a kernel that only writes down what it is told."""

import contextlib
import errno
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stand_ins import Kernel, Sessions

from appliance.address import Net, parse_network
from appliance.firewall import firewall as firewall_module
from appliance.firewall import helper
from appliance.firewall.backend import Element
from appliance.firewall.firewall import Firewall
from appliance.firewall.helper import Assembly, Door, _listening
from appliance.firewall.limits import BAN_PREFIXES, LONGEST_BAN, MAX_BATCH
from appliance.firewall.orders import Orders, write
from appliance.firewall.records import (
    ELEMENTS_IN_PACKET,
    MAX_PACKET,
    Malformed,
    Op,
    Reply,
    Request,
    Status,
    in_packets,
    pack_request,
    unpack_reply,
)
from appliance.firewall.table.kernel import KernelError, NoPermission
from appliance.model import BAN_SCOPES, Scope

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="orders are a file of root's")

NET = parse_network("203.0.113.9")
ONE = (Element(NET, 60),)
LAST = 999
OPEN = pack_request(Request(Op.OPEN, 1))
NOBODY = 65534


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setattr(firewall_module, "Sessions", Sessions)
    monkeypatch.setattr(firewall_module.own, "addresses", lambda: {parse_network("192.0.2.254")})
    return Kernel()


@pytest.fixture
def served(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """The socket of a helper that runs in a thread of this process."""
    write(tmp_path / "orders", Orders())
    ending: list[bool] = []
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen(8)
        firewall = Firewall(kernel, tmp_path / "orders")  # type: ignore[arg-type]
        guard = SimpleNamespace(descriptors=list, look=lambda _: None, glance=lambda: None)
        door = Door(listening, NOBODY)
        thread = threading.Thread(target=helper.serve, args=(door, firewall, guard, lambda: bool(ending)))
        thread.start()
        yield path
        ending.append(True)
        thread.join(10)
        door.leave()
    assert not thread.is_alive()


@contextlib.contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as made:
        made.settimeout(10)
        made.connect(str(path))
        yield made


def hear(ours: socket.socket) -> Reply:
    return unpack_reply(ours.recv(MAX_PACKET))


def talk(path: Path, *packets: bytes) -> list[Reply]:
    """What the helper answers to these packets. It must answer one more."""
    with connected(path) as ours:
        for packet in (*packets, pack_request(Request(Op.DROPPED, LAST))):
            ours.send(packet)
        replies = [hear(ours)]
        while replies[-1].sequence != LAST:
            replies.append(hear(ours))
    return replies[:-1]


def request(op: Op, sequence: int, elements: Sequence[Element] = (), more: bool = False) -> bytes:
    return pack_request(Request(op, sequence, elements, more))


# The joining of packets


def test_a_batch_in_several_packets_is_one_request() -> None:
    batch = [Element(Net((0x0B000000 + n).to_bytes(4, "big"), 32), 60) for n in range(2 * ELEMENTS_IN_PACKET + 1)]
    assembly = Assembly()
    found = [assembly.add(request(Op.BAN, 2, part, more)) for part, more in in_packets(batch)]
    assert found == [None, None, Request(Op.BAN, 2, batch)]


def test_an_unfinished_batch_is_forgotten_when_another_request_begins() -> None:
    assembly = Assembly()
    assert assembly.add(request(Op.BAN, 2, ONE, more=True)) is None
    assert assembly.add(request(Op.UNBAN, 2, ONE)) == Request(Op.UNBAN, 2, list(ONE))
    assert assembly.add(request(Op.BAN, 3, ONE)) == Request(Op.BAN, 3, list(ONE))


def test_a_batch_without_end_is_refused_once_and_its_tail_is_ignored() -> None:
    assembly = Assembly()
    part = request(Op.BAN, 2, ONE * ELEMENTS_IN_PACKET, more=True)
    for _ in range(MAX_BATCH // ELEMENTS_IN_PACKET):
        assert assembly.add(part) is None
    with pytest.raises(Malformed, match="more than 32768"):
        assembly.add(part)
    assert assembly.add(part) is None
    assert assembly.add(request(Op.BAN, 2, ONE)) is None
    assert assembly.add(request(Op.BAN, 3, ONE)) == Request(Op.BAN, 3, list(ONE))


def test_the_tail_of_a_batch_with_a_malformed_packet_never_goes_in() -> None:
    assembly = Assembly()
    broken = bytearray(request(Op.BAN, 2, ONE, more=True))
    broken[12] = 9
    assert assembly.add(request(Op.BAN, 2, ONE, more=True)) is None
    with pytest.raises(Malformed):
        assembly.add(bytes(broken))
    assert assembly.add(request(Op.BAN, 2, ONE)) is None


# Requests and replies


@pytest.mark.parametrize("packet", [b"", b"\0", b"zward", bytes(MAX_PACKET), bytes(MAX_PACKET + 1), bytes(90_000)])
def test_a_malformed_packet_is_answered_and_the_next_request_is_served(served: Path, packet: bytes) -> None:
    first, second = talk(served, packet, OPEN)
    assert (first.status, second.status) == (Status.MALFORMED, Status.OK)


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        (NoPermission("sudo zward run"), Status.NOT_PERMITTED, "sudo zward run"),
        (KernelError("busy"), Status.FAILED, "busy"),
        (OSError(errno.ENOBUFS, "no room"), Status.FAILED, f"[Errno {errno.ENOBUFS}] no room"),
    ],
)
def test_a_fault_is_told_in_words_and_the_helper_serves_on(
    served: Path, kernel: Kernel, fault: Exception, status: Status, text: str
) -> None:
    with connected(served) as ours:
        ours.send(OPEN)
        assert hear(ours).status is Status.OK
        kernel.fault = fault
        ours.send(request(Op.BAN, 2, ONE))
        assert (reply := hear(ours)).status is status
        assert (reply.text, reply.sequence) == (text, 2)
        kernel.fault = None
        ours.send(request(Op.BAN, 3, ONE))
        assert hear(ours).status is Status.OK


def test_orders_that_cannot_be_believed_are_told(served: Path) -> None:
    served.with_name("orders").chmod(0o666)
    [reply] = talk(served, OPEN)
    assert reply.status is Status.FAILED
    assert "nobody else can write" in reply.text


def test_the_element_that_the_kernel_stumbled_over_is_named(served: Path, kernel: Kernel) -> None:
    with connected(served) as ours:
        ours.send(OPEN)
        hear(ours)
        kernel.fault = KernelError("the kernel refuses: Numerical result out of range", NET)
        ours.send(request(Op.BAN, 2, ONE))
        reply = hear(ours)
    assert (reply.status, [net for net, *_ in reply.elements]) == (Status.FAILED, [NET])


# The door


def test_one_client_at_a_time_and_the_second_is_told_the_firsts_pid(served: Path) -> None:
    with connected(served) as first:
        first.send(OPEN)
        assert hear(first).status is Status.OK
        for early in (True, False, True, False):
            with connected(served) as second:
                if early:
                    with contextlib.suppress(BrokenPipeError):  # it was sent away before it asked
                        second.send(OPEN)
                reply = hear(second)
                assert (reply.status, reply.sequence) == (Status.FAILED, 0)
                assert f"another zward (pid {os.getpid()}) is connected" in reply.text
                assert second.recv(1) == b""
        first.send(OPEN)
        assert hear(first).status is Status.OK
    assert [reply.status for reply in talk(served, OPEN)] == [Status.OK]


def test_what_a_client_sent_before_it_left_is_carried_out(served: Path, kernel: Kernel) -> None:
    with connected(served) as ours:
        ours.send(OPEN)
        ours.send(request(Op.BAN, 2, ONE))
        assert [hear(ours).status, hear(ours).status] == [Status.OK] * 2
        ours.send(request(Op.BAN, 3, ONE))
    assert [reply.status for reply in talk(served)] == []
    assert kernel.bans == [list(ONE)] * 2


def test_half_a_batch_of_one_client_is_not_continued_by_the_next(served: Path, kernel: Kernel) -> None:
    with connected(served) as first:
        first.send(OPEN)
        first.send(request(Op.BAN, 2, ONE, more=True))
        assert hear(first).status is Status.OK
    talk(served, request(Op.BAN, 2, [Element(NET, 90)]))
    assert kernel.bans == [[Element(NET, 90)]]


def test_whoever_is_neither_root_nor_the_receiver_is_sent_away(served: Path) -> None:
    served.chmod(0o666)
    for parent in (served.parent, served.parent.parent, served.parent.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o011)
    for uid, heard in ((NOBODY, True), (NOBODY - 1, False)):
        os.seteuid(uid)
        try:
            with connected(served) as ours, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                ours.send(OPEN)
                assert bool(ours.recv(MAX_PACKET)) == heard
        finally:
            os.seteuid(0)


def test_a_client_that_does_not_read_its_answers_is_given_up(
    served: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helper, "SEND_SECONDS", 1)
    kernel.standing = [Element(NET, 60)] * 100_000
    with connected(served) as lazy:
        lazy.send(OPEN)
        assert hear(lazy).status is Status.OK
        lazy.send(request(Op.BANNED, 2))
        closed = select.poll()
        closed.register(lazy, select.POLLRDHUP)
        assert closed.poll(10_000)
    assert [reply.status for reply in talk(served, OPEN)] == [Status.OK]


PACKETS = st.lists(
    st.binary(max_size=64)
    | st.builds(
        lambda op, n, body: struct.pack("!BBBxIHH", 2, op, 0, n, len(body) // 24, 0) + body,
        st.integers(0, 11),
        st.integers(0, 9),
        st.binary(min_size=24, max_size=24)
        | st.builds(
            lambda f, p, c, a, s: struct.pack("!BBBx16sI", f, p, c, a, s),
            st.sampled_from([4, 6]),
            st.sampled_from([0, 8, 24, 32, 48, 64, 128]),
            st.integers(0, 3),
            st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
            st.integers(0, 2**32 - 1),
        ),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PACKETS)
def test_random_records_never_end_it_and_put_in_only_what_may_be_banned(
    served: Path, kernel: Kernel, packets: list[bytes]
) -> None:
    kernel.bans.clear()
    talk(served, OPEN, *packets)
    for net, seconds, scope in (element for batch in kernel.bans for element in batch):
        assert net.prefix in BAN_PREFIXES[net.family]
        assert 1 <= seconds <= LONGEST_BAN
        assert scope in BAN_SCOPES
        assert net.prefix < 128 or scope is Scope.ALL
        assert not any(parse_network(bad).covers(net) for bad in ("127.0.0.0/8", "0.0.0.0/8", "::/64", "fe80::/10"))


# The socket that it makes itself


def test_its_own_socket_is_for_the_receiver_alone(tmp_path: Path) -> None:
    with _listening(tmp_path, NOBODY):
        found = (tmp_path / "helper.sock").stat()
        assert (found.st_mode & 0o777, found.st_uid) == (0o600, NOBODY)


def test_a_dead_helpers_socket_is_replaced_and_a_living_ones_is_not(tmp_path: Path) -> None:
    _listening(tmp_path, NOBODY).close()
    with _listening(tmp_path, NOBODY), pytest.raises(SystemExit, match="another firewall helper serves"):
        _listening(tmp_path, NOBODY)
