"""Questions over netlink, answered by a stand-in for the kernel."""

import errno
import os
import struct

import pytest

from appliance.firewall.sessions.asking import Asking
from appliance.firewall.table.netlink import HEADER, NETLINK_SOCK_DIAG, NLMSG_DONE, NLMSG_ERROR, NetlinkError


class Kernel:
    """The other end: takes one question, gives what it was told to."""

    def __init__(self, *datagrams: bytes) -> None:
        self.datagrams = list(datagrams)
        self.asked: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.asked.append(message)

    def recv(self, room: int) -> bytes:
        return self.datagrams.pop(0)


def message(kind: int, body: bytes, sequence: int = 1) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, 0, sequence, 0) + body + bytes(-len(body) & 3)


def number(value: int) -> bytes:
    return struct.pack("=i", value)


def asking(monkeypatch: pytest.MonkeyPatch, *datagrams: bytes) -> tuple[Asking, Kernel]:
    with Asking(NETLINK_SOCK_DIAG) as made:
        kernel = Kernel(*datagrams)
        monkeypatch.setattr(made._netlink, "close", lambda: None)
        made._netlink.socket.close()
        monkeypatch.setattr(made._netlink, "socket", kernel)
    return made, kernel


def test_every_object_of_every_datagram_comes_until_the_end_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = message(9, b"one") + message(9, b"two!"), message(9, b"three") + message(NLMSG_DONE, number(0))
    made, _ = asking(monkeypatch, first, second, b"never read")
    assert list(made.each(20, b"payload")) == [b"one", b"two!", b"three"]


def test_answers_to_an_earlier_question_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    stale = message(9, b"old", sequence=7) + message(NLMSG_DONE, number(0), sequence=7)
    made, _ = asking(monkeypatch, stale, message(9, b"new") + message(NLMSG_DONE, number(0)))
    assert list(made.each(20, b"")) == [b"new"]


def test_a_refused_question_is_an_error_with_the_kernels_number(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = asking(monkeypatch, message(NLMSG_ERROR, number(-errno.EOPNOTSUPP)))
    with pytest.raises(NetlinkError) as refusal:
        list(made.each(20, b""))
    assert refusal.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize(("answer", "there"), [(0, True), (-errno.ENOENT, False)])
def test_an_order_tells_whether_its_object_was_there(monkeypatch: pytest.MonkeyPatch, answer: int, there: bool) -> None:
    made, _ = asking(monkeypatch, message(NLMSG_ERROR, number(answer)))
    assert made.order(21, b"") is there


def test_a_refused_order_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _ = asking(monkeypatch, message(NLMSG_ERROR, number(-errno.EPERM)))
    with pytest.raises(NetlinkError, match="not permitted"):
        made.order(21, b"")


def test_the_payload_follows_the_header_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    made, kernel = asking(monkeypatch, message(NLMSG_ERROR, number(0)))
    made.order(0x102, b"abc")
    assert kernel.asked == [HEADER.pack(19, 0x102, 0x5, 1, 0) + b"abc"]


def test_a_length_that_cannot_be_ends_the_datagram(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = HEADER.pack(3, 9, 0, 1, 0)
    made, _ = asking(monkeypatch, message(9, b"one") + broken, message(NLMSG_DONE, number(0)))
    assert list(made.each(20, b"")) == [b"one"]


def test_leaving_closes_the_socket() -> None:
    with Asking(NETLINK_SOCK_DIAG) as made:
        descriptor = made._netlink.socket.fileno()
        assert os.fstat(descriptor)
    assert made._netlink.socket.fileno() == -1


def test_a_protocol_that_the_kernel_has_not_is_an_oserror() -> None:
    with pytest.raises(OSError, match="not supported"):
        Asking(31)
