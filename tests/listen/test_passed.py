"""Sockets that were bound before we began, and that outlive us."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Iterator

import pytest
from intake import Intake

from appliance.address import NetSet, parse_network
from appliance.config.values import Endpoint
from appliance.listen.listeners import open_listeners
from appliance.listen.passed import Passed
from appliance.listen.sockets import endpoint_of

EVERYBODY = NetSet([parse_network("0.0.0.0/0"), parse_network("::/0")])


class Holder:
    """What systemd is to a service: it has the sockets, and hands over a copy at each start."""

    def __init__(self) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        self.udp.bind(("127.0.0.1", 0))
        self.tcp.bind(("::1", 0))
        self.tcp.listen()

    def passed(self) -> Passed:
        return Passed([os.dup(self.udp.fileno()), os.dup(self.tcp.fileno())])

    @contextlib.asynccontextmanager
    async def listening(self, intake: Intake) -> AsyncIterator[Intake]:
        """Listeners at both sockets, for a time."""
        places = [endpoint_of(self.udp)], [endpoint_of(self.tcp)]
        intake.listeners = await open_listeners(*places, EVERYBODY, intake.receive, intake.count, passed=self.passed())
        try:
            yield intake
        finally:
            await intake.listeners.close()

    def send(self, text: bytes) -> None:
        """By datagram, and by a connection that is closed again at once."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"<1>udp " + text, self.udp.getsockname())
        with socket.create_connection(self.tcp.getsockname()[:2]) as sender:
            sender.sendall(b"<1>tcp " + text + b"\n")


@pytest.fixture
def holder() -> Iterator[Holder]:
    made = Holder()
    with made.udp, made.tcp:
        yield made


@pytest.mark.asyncio
async def test_what_came_before_the_start_and_between_two_is_taken_once(holder: Holder) -> None:
    intake = Intake()
    for life in range(3):
        holder.send(b"%d" % life)
        async with holder.listening(intake):
            await intake.until(frames=2 * life + 2)

    assert sorted(intake.texts) == [b"<1>%s %d" % (way, life) for way in (b"tcp", b"udp") for life in range(3)]


@pytest.mark.asyncio
async def test_the_buffer_stays_as_whoever_holds_the_socket_made_it(holder: Holder) -> None:
    holder.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 70_000)

    async with holder.listening(Intake()):
        pass

    assert holder.udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 140_000


@pytest.mark.asyncio
async def test_datagrams_that_were_dropped_meanwhile_are_told_and_not_counted_again_at_each_start(
    holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    holder.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(100):
            sock.sendto(b"x" * 500, holder.udp.getsockname())

    intake = Intake()
    async with holder.listening(intake):
        assert intake.listeners.dropped == 0
        await intake.until(frames=1)
    lost = 100 - len(intake.frames)

    assert 0 < lost < 100
    assert f"udp {endpoint_of(holder.udp)}: {lost} datagrams found no room before we read here" in caplog.text


@pytest.mark.asyncio
async def test_a_reload_may_leave_a_place_and_come_back_to_it_and_nothing_is_lost(
    holder: Holder, caplog: pytest.LogCaptureFixture
) -> None:
    udp, tcp = endpoint_of(holder.udp), endpoint_of(holder.tcp)
    async with holder.listening(Intake()) as intake:
        await intake.listeners.adopt([], [], EVERYBODY)
        assert intake.listeners.opened == []
        for transport, endpoint in (("udp", udp), ("tcp", tcp)):
            told = f"systemd holds {transport} {endpoint} for zward, and nobody reads what arrives there"
            assert caplog.text.count(told) == 1

        holder.send(b"meanwhile")
        await intake.listeners.adopt([], [tcp], EVERYBODY)
        await intake.listeners.adopt([udp], [tcp], EVERYBODY)
        await intake.until(frames=2)

    assert sorted(intake.texts) == [b"<1>tcp meanwhile", b"<1>udp meanwhile"]
    assert caplog.text.count("systemd holds") == 2


@pytest.mark.asyncio
async def test_another_place_is_bound_by_ourselves(holder: Holder) -> None:
    passed = holder.passed()
    intake = Intake()
    port = holder.udp.getsockname()[1]
    elsewhere = Endpoint("127.0.0.2", port)  # the same port, at another address

    intake.listeners = await open_listeners([elsewhere], [], EVERYBODY, intake.receive, intake.count, passed=passed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"<1>there", ("127.0.0.2", port))
        sock.sendto(b"<1>here", ("127.0.0.1", port))
    await intake.until(frames=1)
    await intake.listeners.close()

    assert intake.texts == [b"<1>there"]
    assert holder.udp.recv(100, socket.MSG_DONTWAIT) == b"<1>here"


@pytest.mark.asyncio
async def test_where_the_start_fails_what_waits_goes_on_waiting(holder: Holder) -> None:
    intake = Intake()
    holder.send(b"early")
    places = [endpoint_of(holder.udp)], [endpoint_of(holder.tcp), endpoint_of(holder.tcp)._replace(host="192.0.2.1")]

    with pytest.raises(OSError, match=r"192\.0\.2\.1"):
        await open_listeners(*places, EVERYBODY, intake.receive, intake.count, passed=holder.passed())

    taken = len(intake.frames)
    async with holder.listening(intake):
        await intake.until(frames=2)
    assert sorted(intake.texts) == [b"<1>tcp early", b"<1>udp early"]
    assert taken <= 2


def unbound() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def not_listening() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    return made


def local() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


@pytest.mark.parametrize("make", [unbound, not_listening, local])
def test_what_nothing_can_be_received_at_is_closed_with_a_word(make, caplog) -> None:
    number = make().detach()

    Passed([number])

    assert "is none to receive logs at" in caplog.text
    assert not os.path.exists(f"/proc/self/fd/{number}")


def test_a_file_and_a_number_of_nothing_are_no_sockets(caplog) -> None:
    number = os.open(os.devnull, os.O_RDONLY)

    Passed([number, 9999])

    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert f"descriptor {number} is no socket" in caplog.text
    assert not os.path.exists(f"/proc/self/fd/{number}")


def test_a_socket_that_is_there_twice_is_taken_once(holder: Holder, caplog) -> None:
    passed = Passed([os.dup(holder.udp.fileno()), os.dup(holder.udp.fileno())])

    assert "twice" in caplog.text
    passed.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_is_taken_or_goes_on_waiting_however_far_it_has_come_at_the_end(
    holder: Holder, turns: int
) -> None:
    intake = Intake()
    async with holder.listening(intake):
        with socket.create_connection(holder.tcp.getsockname()[:2]) as sender:
            sender.sendall(b"<1>at the last moment\n")
            for _ in range(turns):
                await asyncio.sleep(0)
            await intake.listeners.close()
    async with holder.listening(intake):
        await intake.until(frames=1)

    assert intake.texts == [b"<1>at the last moment"]
