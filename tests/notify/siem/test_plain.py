"""What aiosyslog is used for, and what is undone of it."""

import asyncio
import contextlib
import socket
import subprocess
import sys

import pytest
from notify.siem.siems import Siem, until

from appliance.config.notify import Server, Transport
from appliance.notify.siem import plain
from appliance.notify.siem.plain import Datagrams, Lines

LOGGED = """
import logging
import appliance.notify.siem.plain
assert "aiosyslog" in __import__("sys").modules
assert logging.getLogger().handlers == [], logging.getLogger().handlers
assert logging.getLogger().level == logging.WARNING
"""


def test_importing_it_leaves_our_log_as_it_was() -> None:
    subprocess.run([sys.executable, "-c", LOGGED], check=True, timeout=60)


@pytest.mark.asyncio
async def test_a_connection_that_aiosyslog_makes_anew_counts_as_a_break() -> None:
    async with Siem(Transport.TCP) as siem:
        way = Lines(siem.config.server)
        await way.open()
        await way.send([b"first"])
        await siem.until(1)
        siem.hang_up()
        with contextlib.suppress(OSError):
            await way.broken()
        with pytest.raises(ConnectionResetError):
            await way.send([b"second"])
        way.drop()


@pytest.mark.asyncio
async def test_all_is_settled_once_the_other_kernel_has_it() -> None:
    async with Siem(Transport.TCP) as siem:
        way = Lines(siem.config.server)
        assert not way.settled()
        await way.open()
        await way.send([b"line"])
        await until(way.settled)
        await way.close()

        assert not way.settled()


@pytest.mark.asyncio
async def test_nothing_is_settled_while_the_peer_takes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        way = Lines(Server("127.0.0.1", sock.getsockname()[1]))
        await way.open()
        sending = asyncio.create_task(way.send([b"x" * 8_000_000]))
        await until(lambda: bool(way._client._writer.transport.get_write_buffer_size()))

        assert not way.settled()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        way.drop()


@pytest.mark.asyncio
async def test_a_name_is_looked_up_once_for_many_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def counted(host: str, *words: object, **more: object) -> object:
        asked.append(host)
        return await look_up("127.0.0.1", *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", counted)
    async with Siem(Transport.UDP) as siem:
        way = Datagrams(Server("siem.example.com", siem.port))
        await way.open()
        await way.send([b"line"] * 20)
        await siem.until(20)

        assert asked == ["siem.example.com"]
        monkeypatch.setattr(plain, "LOOK_UP", -1.0)
        await way.send([b"line"])
        assert asked == ["siem.example.com"] * 2


@pytest.mark.asyncio
async def test_a_resolver_that_fails_later_on_stops_no_datagram(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    async with Siem(Transport.UDP) as siem:
        way = Datagrams(siem.config.server)
        await way.open()
        monkeypatch.setattr(plain, "LOOK_UP", -1.0)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fails)
        await way.send([b"line"])
        await siem.until(1)


@pytest.mark.asyncio
async def test_a_fault_of_the_network_is_told_in_linux_words() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        way = Lines(Server("127.0.0.1", sock.getsockname()[1]))
        with pytest.raises(ConnectionRefusedError):
            await way.open()
