"""Datagrams over loopback."""

import socket

import pytest
from intake import taking

from appliance.listen.mmsg import DatagramReader

pytestmark = pytest.mark.asyncio


def sender(family: socket.AddressFamily = socket.AF_INET, host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock


async def test_a_datagram_is_one_frame_of_the_address_that_it_came_from() -> None:
    async with taking() as intake:
        with sender() as one, sender(host="127.0.0.2") as other:
            one.sendto(b"<1>a\n<1>b\n", intake.address("udp"))
            other.sendto(b"<1>c", intake.address("udp"))
        await intake.until(frames=2)
        assert sorted(intake.frames) == [
            (b"<1>a\n<1>b", "127.0.0.1", "udp"),
            (b"<1>c", "127.0.0.2", "udp"),
        ]


async def test_ipv6_works_and_takes_no_ipv4() -> None:
    async with taking(host="::1") as intake:
        with sender(socket.AF_INET6, "::1") as sock:
            sock.sendto(b"<1>six", intake.address("udp"))
        await intake.until(frames=1)
        assert intake.frames == [(b"<1>six", "::1", "udp")]
        with sender() as four:
            four.connect(("127.0.0.1", intake.address("udp")[1]))
            four.send(b"<1>four")
            with pytest.raises(ConnectionRefusedError):
                four.send(b"<1>four")


async def test_many_waiting_datagrams_become_few_blocks_in_their_order() -> None:
    async with taking() as intake:
        with sender() as sock:
            for n in range(1000):
                sock.sendto(b"<1>%d" % n, intake.address("udp"))
        await intake.until(frames=1000)
        assert intake.texts == [b"<1>%d" % n for n in range(1000)]
        assert len(intake.blocks) <= 20
        fact = intake.listeners.senders.facts()["127.0.0.1"]
        assert fact.frames == 1000


async def test_a_datagram_of_an_unlisted_sender_never_becomes_a_frame() -> None:
    async with taking("127.0.0.2") as intake:
        with sender() as stranger, sender(host="127.0.0.2") as listed:
            stranger.sendto(b"<1>forged", intake.address("udp"))
            stranger.sendto(b"<1>forged", intake.address("udp"))
            listed.sendto(b"<1>real", intake.address("udp"))
        await intake.until(frames=1, sender_refused=2)
        assert intake.texts == [b"<1>real"]
        assert list(intake.listeners.senders.facts()) == ["127.0.0.2"]


async def test_an_empty_datagram_is_counted_and_the_largest_one_is_whole() -> None:
    async with taking() as intake:
        with sender() as sock:
            sock.sendto(b"", intake.address("udp"))
            sock.sendto(b"x" * 65507, intake.address("udp"))
        await intake.until(frames=1, empty_frame=1)
        assert len(intake.texts[0]) == 65507


async def test_what_waits_in_the_buffer_is_taken_when_it_closes() -> None:
    async with taking() as intake:
        with sender() as sock:
            for n in range(600):
                sock.sendto(b"<1>%d" % n, intake.address("udp"))
        await intake.listeners.close()
        assert len(intake.frames) == 600


async def test_what_the_kernel_drops_is_counted_exactly() -> None:
    async with taking() as intake:
        (udp,) = (each for each in intake.listeners.opened if each.transport == "udp")
        udp._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with sender() as sock:
            for _ in range(500):  # the loop has no turn between them
                sock.sendto(b"x" * 500, intake.address("udp"))
        await intake.listeners.close()
        assert 0 < len(intake.frames) < 500
        assert intake.listeners.dropped == 500 - len(intake.frames)


async def test_a_reader_says_which_error_the_kernel_gave() -> None:
    sock = sender()
    sock.setblocking(False)
    reader = DatagramReader(sock, slots=2)
    assert reader.read() == {}
    sock.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        reader.read()
