"""Connections over loopback: framing, limits, closing."""

import asyncio
import socket
import struct
import time

import pytest
from intake import PATIENCE, Intake, taking

from appliance.listen import tcp
from appliance.listen.sockets import Limits

pytestmark = pytest.mark.asyncio


class Client:
    """One connection to the TCP listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def closed(self) -> bool:
        """Wait for the other side's end."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._reader.read(1) == b""
        except ConnectionResetError:
            return True

    def is_open(self) -> bool:
        return not self._reader.at_eof() and self._reader.exception() is None

    async def end(self) -> None:
        self._writer.write_eof()
        await self.closed()
        self._writer.close()

    def reset(self) -> None:
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        self._writer.close()


async def connect(intake: Intake, host: str = "127.0.0.1") -> Client:
    return Client(*await asyncio.open_connection(*intake.address("tcp"), local_addr=(host, 0)))


async def test_frames_of_both_framings_come_out_with_their_sender() -> None:
    async with taking() as intake:
        lines, octets = await connect(intake), await connect(intake, "127.0.0.2")
        lines.send(b"<1>a\n<1>b\n")
        octets.send(b"4 <1>c4 <1>d")
        await intake.until(frames=4)
        assert sorted(intake.frames) == [
            (b"<1>a", "127.0.0.1", "tcp"),
            (b"<1>b", "127.0.0.1", "tcp"),
            (b"<1>c", "127.0.0.2", "tcp"),
            (b"<1>d", "127.0.0.2", "tcp"),
        ]
        lines.close()
        octets.close()


async def test_connections_do_not_see_each_others_bytes() -> None:
    async with taking() as intake:
        clients = [await connect(intake) for _ in range(5)]
        for piece in (b"<1>be", b"gun by ", b"client "):
            for client in clients:
                client.send(piece)
            await asyncio.sleep(0)
        for n, client in enumerate(clients):
            client.send(b"%d\n" % n)
        await intake.until(frames=5)
        assert sorted(intake.texts) == [b"<1>begun by client %d" % n for n in range(5)]
        for client in clients:
            client.close()


@pytest.mark.parametrize("ending", [Client.end, Client.reset])
async def test_an_unfinished_line_is_a_frame_however_the_connection_ends(ending) -> None:
    async with taking() as intake:
        client = await connect(intake)
        client.send(b"<1>a\n<1>b")
        await intake.until(frames=1)
        done = ending(client)
        if done:
            await done
        await intake.until(frames=2)
        assert intake.texts == [b"<1>a", b"<1>b"]
        assert intake.counted == {"unterminated_at_close": 1}


async def test_a_framing_error_closes_the_connection_after_the_frames_before_it() -> None:
    async with taking() as intake:
        client = await connect(intake)
        client.send(b"4 <1>a?")
        assert await client.closed()
        assert intake.texts == [b"<1>a"]
        assert intake.counted == {"framing_error": 1}
        client.close()


async def test_an_unlisted_sender_is_closed_at_once() -> None:
    async with taking("127.0.0.2") as intake:
        stranger = await connect(intake)
        assert await stranger.closed()
        listed = await connect(intake, "127.0.0.2")
        listed.send(b"<1>a\n")
        await intake.until(frames=1)
        assert intake.counted == {"sender_refused": 1}
        stranger.close()
        listed.close()


async def test_one_sender_has_so_many_connections_and_no_more_until_one_ends() -> None:
    async with taking(limits=Limits(connections_each=2)) as intake:
        first, second = await connect(intake), await connect(intake)
        third = await connect(intake)
        assert await third.closed()
        assert intake.counted == {"too_many_connections": 1}
        await first.end()
        fourth = await connect(intake)
        fourth.send(b"<1>a\n")
        await intake.until(frames=1)
        assert intake.listeners.senders.connections_of("127.0.0.1") == 2
        for client in (second, third, fourth):
            client.close()


async def test_a_slot_is_kept_for_a_listed_host_that_has_none() -> None:
    async with taking("127.0.0.0/8", "127.0.0.9", limits=Limits(connections=4)) as intake:
        others = [await connect(intake, f"127.0.0.{n}") for n in (1, 2, 3)]
        surplus = await connect(intake, "127.0.0.4")
        assert await surplus.closed()
        awaited = await connect(intake, "127.0.0.9")
        awaited.send(b"<1>a\n")
        await intake.until(frames=1)
        assert intake.frames == [(b"<1>a", "127.0.0.9", "tcp")]
        for client in (*others, surplus, awaited):
            client.close()


async def test_a_frame_that_is_not_finished_in_time_closes_its_connection_and_is_thrown_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "SWEEP_SECONDS", 0.01)
    async with taking(limits=Limits(frame_seconds=0.2)) as intake:
        idle, slow = await connect(intake), await connect(intake)
        idle.send(b"<1>whole\n")
        begin = time.monotonic()
        slow.send(b"<1>whole\n<1>begun")
        assert await slow.closed()
        assert time.monotonic() - begin >= 0.2
        assert sorted(intake.texts) == [b"<1>whole", b"<1>whole"]
        assert intake.counted == {"idle_or_slow_frame": 1}
        assert idle.is_open()
        idle.close()
        slow.close()


async def test_dripping_bytes_into_one_frame_does_not_help_a_slow_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "SWEEP_SECONDS", 0.01)
    async with taking(limits=Limits(frame_seconds=0.2)) as intake:
        slow = await connect(intake)
        closed = asyncio.create_task(slow.closed())
        while not closed.done():
            slow.send(b"x")
            await asyncio.sleep(0.01)
        assert intake.counted == {"idle_or_slow_frame": 1}
        assert intake.frames == []
        slow.close()


async def test_frames_that_end_in_time_keep_a_connection_whose_next_one_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "SWEEP_SECONDS", 0.01)
    async with taking(limits=Limits(frame_seconds=0.5)) as intake:
        client = await connect(intake)
        begin = time.monotonic()
        while time.monotonic() - begin < 1.0:
            client.send(b"d\n<1>begun an")
            await asyncio.sleep(0.02)
        assert client.is_open()
        assert intake.counted == {}
        client.close()


async def test_closing_takes_what_has_arrived_and_flushes_the_rest() -> None:
    async with taking() as intake:
        client = await connect(intake)
        client.send(b"<1>first\n")
        await intake.until(frames=1)
        client.send(b"<1>line\n" * 30000 + b"<1>rest")
        begin = time.monotonic()
        await intake.listeners.close()
        assert time.monotonic() - begin < 1
        assert len(intake.frames) == 30002
        assert intake.texts[-1] == b"<1>rest"
        assert await client.closed()
        client.close()


async def test_a_closed_listener_accepts_nobody() -> None:
    async with taking() as intake:
        address = intake.address("tcp")
        await intake.listeners.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
