"""The codec by itself, and against the kernel in a namespace."""

import errno
import os
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namespaces import Namespace, network, require_kernel

from appliance.firewall.table import netlink as netlink_module
from appliance.firewall.table.netlink import (
    ACK,
    CREATE,
    EXCLUSIVE,
    HEADER,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    be32,
    each_attribute,
    each_message,
    nested,
    text,
)

NFTABLES = 10
INET = 1
NEWTABLE, GETTABLE, DELTABLE = 0, 1, 2
ATTRIBUTES = st.lists(st.tuples(st.integers(1, 0x3FFF), st.binary(max_size=50)), max_size=9)


@given(ATTRIBUTES)
def test_attributes_come_out_as_they_went_in_and_are_aligned(given_: list[tuple[int, bytes]]) -> None:
    packed = [attribute(kind, data) for kind, data in given_]
    assert all(len(each) % 4 == 0 for each in packed)
    assert list(each_attribute(b"".join(packed))) == given_


@given(ATTRIBUTES, st.integers(1, 0x3FFF))
def test_nested_attributes_come_out_of_their_parent(given_: list[tuple[int, bytes]], kind: int) -> None:
    packed = nested(kind, *(attribute(inner, data) for inner, data in given_))
    [(found, body)] = each_attribute(packed)
    assert (found, list(each_attribute(body))) == (kind, given_)


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are_what_is_read_of_them_lies_within_them(data: bytes) -> None:
    assert sum(4 + len(value) for _, value in each_attribute(data)) <= len(data)
    assert attributes(data) == dict(each_attribute(data))
    assert all(at <= min(end, len(data)) for _, _, _, at, end in each_message(data))


def test_text_ends_with_a_zero_byte_and_is_ascii() -> None:
    assert attributes(text(1, "zward")) == {1: b"zward\0"}
    with pytest.raises(UnicodeEncodeError):
        text(1, "zwärd")


class Kernel:
    """Stands in for the kernel's socket: answers what it was told to."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.answers: list[bytes | OSError] = []
        self.blocking = True

    def send(self, datagram: bytes) -> None:
        self.sent.append(datagram)

    def setblocking(self, blocking: bool) -> None:
        self.blocking = blocking

    def recv(self, size: int) -> bytes:
        if not self.answers and not self.blocking:
            raise BlockingIOError(errno.EAGAIN, "")
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def netlink(kernel: Kernel) -> Netlink:
    made = Netlink.__new__(Netlink)
    made.socket = kernel  # type: ignore[assignment]
    made._sequence = 100
    made.commits = 0
    return made


def answer(sequence: int, kind: int, body: bytes, flags: int = 0) -> bytes:
    return HEADER.pack(16 + len(body), kind, flags, sequence, 0) + body + bytes(-len(body) & 3)


def error(sequence: int, number: int) -> bytes:
    return answer(sequence, NLMSG_ERROR, struct.pack("=i", -number) + bytes(16))


def done(sequence: int, number: int = 0) -> bytes:
    return answer(sequence, NLMSG_DONE, struct.pack("=i", -number))


def object_(sequence: int, value: int, flags: int = 0) -> bytes:
    return answer(sequence, NFTABLES << 8, bytes(4) + attribute(1, be32(value)), flags)


ONE = Message(NEWTABLE, CREATE, INET, text(1, "one"))
QUESTION = Message(GETTABLE, 0, INET, b"")
INTERRUPTED = 0x10


def test_a_transaction_is_one_datagram_and_only_its_last_message_wants_an_answer(
    netlink: Netlink, kernel: Kernel
) -> None:
    kernel.answers = [error(103, 0)]
    assert netlink.transact(NFTABLES, [ONE] * 3) == []
    assert netlink.commits == 1
    [datagram] = kernel.sent
    found = list(each_message(datagram))
    assert [kind for kind, *_ in found] == [0x10, 0xA00, 0xA00, 0xA00, 0x11]
    assert [bool(flags & ACK) for _, flags, *_ in found] == [False, False, False, True, False]
    assert [sequence for _, _, sequence, *_ in found] == [100, 101, 102, 103, 104]


def test_a_transaction_of_nothing_asks_nothing(netlink: Netlink, kernel: Kernel) -> None:
    assert netlink.transact(NFTABLES, []) == []
    assert kernel.sent == []


def test_the_first_message_that_failed_is_told_or_all_of_them(netlink: Netlink, kernel: Kernel) -> None:
    kernel.answers = [error(102, errno.EEXIST) + error(103, errno.ENOENT)]
    with pytest.raises(NetlinkError) as caught:
        netlink.transact(NFTABLES, [ONE] * 3)
    assert (caught.value.errno, caught.value.index) == (errno.EEXIST, 1)
    kernel.answers = [error(107, errno.EEXIST), error(108, 0)]
    assert netlink.transact(NFTABLES, [ONE] * 3, every=True) == [(1, errno.EEXIST)]
    assert netlink.commits == 0


def test_a_fault_of_the_whole_batch_is_told_as_such(netlink: Netlink, kernel: Kernel) -> None:
    kernel.answers = [error(100, errno.EPERM)]
    with pytest.raises(NetlinkError) as caught:
        netlink.transact(NFTABLES, [ONE] * 2)
    assert (caught.value.errno, caught.value.index) == (errno.EPERM, -1)


def test_answers_to_earlier_questions_are_passed_over(netlink: Netlink, kernel: Kernel) -> None:
    kernel.answers = [error(7, errno.EPERM), object_(8, 1) + done(8), error(101, 0)]
    assert netlink.transact(NFTABLES, [ONE]) == []
    kernel.answers = [error(101, errno.EPERM) + object_(103, 5)]
    assert netlink.ask(NFTABLES, QUESTION) == attribute(1, be32(5))


def test_what_does_not_exist_is_none_and_what_is_refused_is_an_error(netlink: Netlink, kernel: Kernel) -> None:
    kernel.answers = [error(100, errno.ENOENT), error(101, errno.EPERM)]
    assert netlink.ask(NFTABLES, QUESTION) is None
    with pytest.raises(NetlinkError, match="not permitted"):
        netlink.ask(NFTABLES, QUESTION)


def test_a_dump_that_was_cut_through_is_begun_again_until_it_is_whole(netlink: Netlink, kernel: Kernel) -> None:
    kernel.answers = [
        object_(100, 1) + object_(100, 2, INTERRUPTED),
        done(100),
        done(101, errno.EINTR),
        object_(102, 3),
        object_(102, 4) + done(102),
    ]
    assert netlink.dump(NFTABLES, QUESTION) == [attribute(1, be32(3)), attribute(1, be32(4))]
    assert len(kernel.sent) == 3


def test_a_dump_that_is_always_cut_through_is_an_error_in_the_end(netlink: Netlink, kernel: Kernel) -> None:
    kernel.answers = [done(100 + turn, errno.EINTR) for turn in range(netlink_module.INTERRUPTIONS)]
    with pytest.raises(NetlinkError, match="Interrupted"):
        netlink.dump(NFTABLES, QUESTION)


def test_a_dump_of_what_does_not_exist_is_empty_and_another_fault_is_an_error(netlink: Netlink, kernel: Kernel) -> None:
    kernel.answers = [done(100, errno.ENOENT), error(101, errno.EPERM)]
    assert netlink.dump(NFTABLES, QUESTION) == []
    with pytest.raises(NetlinkError, match="not permitted"):
        netlink.dump(NFTABLES, QUESTION)


def test_lost_answers_are_an_error_and_what_was_kept_of_them_is_read_away(netlink: Netlink, kernel: Kernel) -> None:
    for act in (
        lambda: netlink.transact(NFTABLES, [ONE]),
        lambda: netlink.ask(NFTABLES, QUESTION),
        lambda: netlink.dump(NFTABLES, QUESTION),
    ):
        kernel.answers = [OSError(errno.ENOBUFS, ""), b"left over", OSError(errno.ENOBUFS, ""), b"left over"]
        with pytest.raises(NetlinkError) as caught:
            act()
        assert (caught.value.errno, kernel.answers, kernel.blocking) == (errno.ENOBUFS, [], True)


def test_the_sequence_begins_anew_before_it_is_too_large(netlink: Netlink, kernel: Kernel) -> None:
    netlink._sequence = 0x7FFE_FFFF
    kernel.answers = [error(0x7FFE_FFFF + 2, 0), error(2, 0)]
    assert netlink.transact(NFTABLES, [ONE] * 2) == []
    assert netlink.transact(NFTABLES, [ONE]) == []


# Against the kernel


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as made:
        yield made.namespace("netlink")


@pytest.fixture
def real(namespace: Namespace) -> Iterator[Netlink]:
    with namespace.entered():
        made = Netlink()
    yield made
    made.close()


def tables(namespace: Namespace) -> list[str]:
    return [line.removeprefix("table inet ") for line in namespace.run("nft", "list", "tables").splitlines()]


def table(name: str, kind: int = NEWTABLE, flags: int = CREATE) -> Message:
    return Message(kind, flags, INET, text(1, name))


@pytest.mark.kernel
def test_of_a_transaction_everything_comes_true_or_nothing(namespace: Namespace, real: Netlink) -> None:
    real.transact(NFTABLES, [table("a"), table("b")])
    assert tables(namespace) == ["a", "b"]
    with pytest.raises(NetlinkError) as caught:
        real.transact(NFTABLES, [table("c"), table("b", flags=CREATE | EXCLUSIVE), table("d")])
    assert (caught.value.errno, caught.value.index) == (errno.EEXIST, 1)
    assert tables(namespace) == ["a", "b"]


@pytest.mark.kernel
def test_every_message_that_failed_is_told_with_its_errno(namespace: Namespace, real: Netlink) -> None:
    missing = [table(name, DELTABLE, 0) for name in ("x", "y")]
    failed = real.transact(NFTABLES, [missing[0], table("a"), missing[1]], every=True)
    assert failed == [(0, errno.ENOENT), (2, errno.ENOENT)]
    assert tables(namespace) == []


@pytest.mark.kernel
def test_more_failures_than_the_receive_buffer_holds_are_an_error_and_the_socket_works_on(
    namespace: Namespace, real: Netlink
) -> None:
    real.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with pytest.raises(NetlinkError) as caught:
        real.transact(NFTABLES, [table(f"x{n}", DELTABLE, 0) for n in range(2000)])
    assert caught.value.errno == errno.ENOBUFS
    real.transact(NFTABLES, [table("a"), table("b")])
    names = [attributes(each)[1] for each in real.dump(NFTABLES, QUESTION)]
    assert names == [b"a\0", b"b\0"]


@pytest.mark.kernel
def test_a_transaction_beyond_the_send_buffer_is_a_netlink_error(real: Netlink) -> None:
    real.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    with pytest.raises(NetlinkError) as caught:
        real.transact(NFTABLES, [table(f"t{n}") for n in range(1000)])
    assert caught.value.errno == errno.EMSGSIZE
    real.transact(NFTABLES, [table("a")])


@pytest.mark.kernel
def test_a_socket_that_is_handed_on_keeps_its_port_and_old_answers_do_not_confuse(real: Netlink) -> None:
    real.transact(NFTABLES, [table("a")])
    real.socket.send(HEADER.pack(20, NFTABLES << 8 | GETTABLE, 0x301, 5, 0) + bytes([INET, 0, 0, 0]))
    heir = Netlink(descriptor=os.dup(real.socket.fileno()))
    assert heir.port == real.port
    assert [attributes(each)[1] for each in heir.dump(NFTABLES, QUESTION)] == [b"a\0"]
    heir.close()


@pytest.mark.kernel
def test_one_object_is_asked_for_by_name(real: Netlink) -> None:
    real.transact(NFTABLES, [table("a")])
    found = real.ask(NFTABLES, table("a", GETTABLE, 0))
    assert found is not None
    assert attributes(found)[1] == b"a\0"
    assert real.ask(NFTABLES, table("b", GETTABLE, 0)) is None


@pytest.mark.kernel
def test_without_the_capability_the_kernel_refuses_the_batch(real: Netlink) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(NetlinkError, match="not permitted"):
            real.transact(NFTABLES, [table("a")])
    finally:
        os.seteuid(0)
