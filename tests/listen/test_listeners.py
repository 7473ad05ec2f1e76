"""Opening and closing listeners while others run."""

import asyncio
import socket

import pytest
from intake import PATIENCE, Intake, taking

from appliance.address import NetSet, parse_network
from appliance.config.values import Endpoint
from appliance.listen.listeners import open_listeners

pytestmark = pytest.mark.asyncio


async def test_a_listener_can_be_added_and_removed_at_run_time() -> None:
    async with taking() as intake:
        added = await intake.listeners.open_tcp(Endpoint("127.0.0.1", 0))
        _, writer = await asyncio.open_connection(added.endpoint.host, added.endpoint.port)
        writer.write(b"<1>through the new one\n")
        await intake.until(frames=1)
        await intake.listeners.close_one(added)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(added.endpoint.host, added.endpoint.port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"<1>the others still listen", intake.address("udp"))
        await intake.until(frames=2)
        writer.close()


async def test_where_one_endpoint_cannot_be_had_none_stays_open_and_the_error_names_it() -> None:
    intake = Intake()
    with socket.socket() as taken, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        wanted = Endpoint("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match=f"{wanted}: Address already in use"):
            await open_listeners([Endpoint("127.0.0.1", port)], [wanted], NetSet(), intake.receive, intake.count)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
            again.bind(("127.0.0.1", port))


async def test_drops_of_a_closed_listener_are_not_forgotten() -> None:
    async with taking() as intake:
        (udp,) = (each for each in intake.listeners.opened if each.transport == "udp")
        udp._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(300):
                sock.sendto(b"x" * 500, intake.address("udp"))
        await intake.listeners.close_one(udp)
        assert intake.listeners.dropped == 300 - len(intake.frames) > 0


async def test_a_sender_struck_off_the_list_loses_its_connection() -> None:
    async with taking("127.0.0.0/8") as intake:
        host, port = intake.address("tcp")
        staying = await asyncio.open_connection(host, port, local_addr=("127.0.0.2", 0))
        leaving = await asyncio.open_connection(host, port, local_addr=("127.0.0.3", 0))
        for _, writer in (staying, leaving):
            writer.write(b"<1>a\n")
        await intake.until(frames=2)
        endpoints = {each.transport: [each.endpoint] for each in intake.listeners.opened}
        await intake.listeners.adopt(**endpoints, networks=NetSet([parse_network("127.0.0.2")]))
        assert await asyncio.wait_for(leaving[0].read(), PATIENCE) == b""
        staying[1].write(b"<1>b\n")
        await intake.until(frames=3, sender_refused=1)
        for _, writer in (staying, leaving):
            writer.close()


async def test_a_reload_that_cannot_have_an_endpoint_changes_nothing() -> None:
    async with taking() as intake:
        standing = list(intake.listeners.opened)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            wanted = [Endpoint("127.0.0.1", 0), Endpoint("127.0.0.1", taken.getsockname()[1])]
            with pytest.raises(OSError, match="Address already in use"):
                await intake.listeners.adopt([], wanted, NetSet())
        assert intake.listeners.opened == standing
        assert len(intake.listeners.senders.networks) == 2
