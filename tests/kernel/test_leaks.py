"""A flood from a banned source while tables are loaded anew and flushed by others: not one packet gets through.

What arrives is counted on the mail host, before anything else there.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench.flood import Flood, mac_of, tcp_frame
from helping import Helper
from mailsite import ATTACKER, ATTACKER6, Witness, family, host_of, machines, witness
from namespaces import Namespace

from appliance.address import parse_network
from appliance.firewall.backend import Drop, Element
from appliance.firewall.client import HelperBackend
from appliance.model import Scope

pytestmark = pytest.mark.kernel

PACKETS = int(os.environ.get("ZWARD_FLOOD_PACKETS", "1000000"))
"""From the banned source, while whatever happens happens; a million take about a second."""
RELOADS = 60
FLUSHES = 20
BURST = 10_000
HOUR = 3600
BOTH = pytest.mark.parametrize("attacker", [ATTACKER, ATTACKER6], ids=["ipv4", "ipv6"])


@dataclass(frozen=True, slots=True)
class Site:
    running: Helper
    clients: Namespace
    gateway: Namespace
    mailhost: Namespace

    def flood(self, source: str) -> Flood:
        """SYNs to port 25."""
        packed = [parse_network(address).packed for address in (source, host_of(source))]
        frame = tcp_frame(mac_of(self.gateway, "wan"), *packed, 25)
        return Flood(self.clients, "eth0", [frame] * 1024)

    def witness(self, source: str) -> Witness:
        says = "ip6" if family(source) == 6 else "ip"
        return witness(self.mailhost, "prerouting", f"{says} saddr {source}")


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Site]:
    with machines(tmp_path) as (running, clients, gateway, mailhost):
        yield Site(running, clients, gateway, mailhost)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Site]:
    with machines(tmp_path, plain=True) as (running, clients, gateway, mailhost):
        yield Site(running, clients, gateway, mailhost)


class Flooding:
    """Sends from a thread until it is told to end, and at least so many packets."""

    def __init__(self, flood: Flood, least: int) -> None:
        self.sent = 0
        self._flood = flood
        self._least = least
        self._ending = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while self.sent < self._least or not self._ending:
            self._flood.send(BURST)
            self.sent += BURST

    def end(self) -> int:
        """How many packets were sent."""
        self._ending = True
        self._thread.join()
        self._flood.close()
        return self.sent


async def ban(backend: HelperBackend, source: str) -> None:
    assert await backend.ban([Element(parse_network(source), HOUR)]) == []


def is_counted(seen: Witness, site: Site, source: str) -> None:
    """The witness does see what gets through."""
    before = seen.counts()[0]
    flood = site.flood(source)
    flood.send(100)
    flood.close()
    asyncio.run(seen.until(0, before + 1))


@BOTH
def test_sixty_loads_of_the_table_let_no_packet_of_a_banned_source_through(owned: Site, attacker: str) -> None:
    seen = owned.witness(attacker)
    sent, dropped = asyncio.run(loaded_under_flood(owned, attacker))
    print(f"{sent} packets were sent, {dropped} of them dropped and counted")
    assert seen.counts() == [0]
    assert PACKETS <= dropped <= sent
    asyncio.run(unban(owned, attacker))
    is_counted(seen, owned, attacker)


async def loaded_under_flood(site: Site, attacker: str) -> tuple[int, int]:
    """What was sent, and what was dropped."""
    backend = HelperBackend(site.running.socket)
    await ban(backend, attacker)
    flooding = Flooding(site.flood(attacker), PACKETS)
    for _ in range(RELOADS):
        before = flooding.sent
        await backend.open()
        while flooding.sent == before:
            await asyncio.sleep(0)
    sent = await asyncio.to_thread(flooding.end)
    dropped = (await backend.dropped())[Drop(25, Scope.ALL, family(attacker))].packets
    await backend.close()
    return sent, dropped


async def unban(site: Site, source: str) -> None:
    backend = HelperBackend(site.running.socket)
    assert await backend.unban([parse_network(source)]) == [parse_network(source)]
    await backend.close()


@BOTH
def test_flushes_by_others_and_a_killed_helper_let_none_through_where_the_table_has_an_owner(
    owned: Site, attacker: str
) -> None:
    seen = owned.witness(attacker)
    asyncio.run(flushed_under_flood(owned, attacker))
    assert seen.counts() == [0]
    asyncio.run(unban(owned, attacker))
    is_counted(seen, owned, attacker)


async def flushed_under_flood(site: Site, attacker: str) -> None:
    backend = HelperBackend(site.running.socket)
    await ban(backend, attacker)
    flooding = Flooding(site.flood(attacker), PACKETS)
    for turn in range(FLUSHES):
        await asyncio.to_thread(site.gateway.run, "nft", "flush", "ruleset")
        if turn % 5 == 0:
            await asyncio.to_thread(site.running.kill)
            site.running.start()
            await backend.open()
    await asyncio.to_thread(flooding.end)
    await backend.close()


def test_without_an_owner_a_flush_lets_packets_through_until_the_table_and_the_ban_are_put_back(
    plain: Site,
) -> None:
    seen = plain.witness(ATTACKER)
    leaked = asyncio.run(repaired_under_flood(plain, seen))
    print(f"{leaked} packets got through")
    assert seen.counts() == [leaked]
    asyncio.run(unban(plain, ATTACKER))
    is_counted(seen, plain, ATTACKER)


async def repaired_under_flood(site: Site, seen: Witness) -> int:
    """How many packets got through until the ban was back; then as many again were sent, and more."""
    backend = HelperBackend(site.running.socket)
    await ban(backend, ATTACKER)
    flooding = Flooding(site.flood(ATTACKER), PACKETS)
    await asyncio.to_thread(site.gateway.run, "nft", "flush", "ruleset")
    while (await backend.health()).repairs == 0:
        await asyncio.sleep(0)
    await ban(backend, ATTACKER)
    begun = flooding.sent
    while flooding.sent <= begun + BURST:  # what was on its way has arrived
        await asyncio.sleep(0)
    leaked = seen.counts()[0]
    await asyncio.to_thread(flooding.end)
    await backend.close()
    return leaked
