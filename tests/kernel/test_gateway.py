"""Real packets through a gateway in namespaces: client - gateway - mail host.

A dropped packet is proved by the gateway's own counter, never by waiting: a refused SYN raises it, and while
the banned client's connection is still open, another client's is answered.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from namespaces import Namespace, network, require_kernel

from appliance.address import Net, parse_network
from appliance.firewall.backend import EXPOSED_PORTS, Element
from appliance.firewall.client import HelperBackend

pytestmark = pytest.mark.kernel

MAILHOST = {4: "192.0.2.25", 6: "2001:db8:25::25"}
ATTACKER = "203.0.113.9"
NEIGHBOUR = "203.0.113.10"
STRANGER = "198.51.100.7"
ATTACKER6 = "2001:db8:bad:1::9"
SAME_64 = "2001:db8:bad:1::a"
SAME_48 = "2001:db8:bad:2::9"
STRANGER6 = "2001:db8:900d::7"
CLIENTS = (ATTACKER, NEIGHBOUR, STRANGER, ATTACKER6, SAME_64, SAME_48, STRANGER6)
OTHER_PORT = 2222
HOUR = 3600


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway with a mail host behind it, and clients before it; every server answers with its port."""

    backend: HelperBackend
    gateway: Namespace
    mailhost: Namespace
    clients: Namespace
    talks: "list[Talk]" = field(default_factory=list)
    """Closed at the end of the test."""

    async def connect(self, source: str, port: int) -> "Talk":
        """Begin a connection from `source` to the mail host; the first SYN is on its way."""
        return await self.begin(self.clients, source, MAILHOST[family(source)], port)

    async def begin(self, where: Namespace, source: str, target: str, port: int) -> "Talk":
        with where.entered():
            made = socket.socket(socket.AF_INET if family(source) == 4 else socket.AF_INET6)
        made.setblocking(False)
        made.bind((source, 0))
        connecting = asyncio.create_task(asyncio.get_running_loop().sock_connect(made, (target, port)))
        self.talks.append(Talk(made, connecting))
        await asyncio.sleep(0)
        return self.talks[-1]

    async def answered(self, source: str, port: int) -> None:
        """Connect and have the server's answer. Waits as long as the test may run."""
        await (await self.connect(source, port)).answered()

    async def refused(self, source: str, *ports: int) -> None:
        """The SYN of this source is dropped at every one of these ports, and counted there."""
        before = await self.backend.dropped()
        talks = [await self.connect(source, port) for port in ports]
        await self.dropped_more(before, *ports)
        assert not any(talk.connected.done() for talk in talks)

    async def dropped_more(self, before: Mapping[int, int], *ports: int) -> None:
        """Return once each of these counters has risen."""
        now = before
        while any(now[port] <= before[port] for port in ports):
            await asyncio.sleep(0.01)
            now = await self.backend.dropped()


@dataclass(frozen=True, slots=True)
class Talk:
    """One TCP connection, perhaps still being made."""

    socket: socket.socket
    connected: asyncio.Task[None]

    async def answered(self) -> None:
        """Be connected, say something and hear it again."""
        await self.connected
        await self.say(b"x")
        assert await asyncio.get_running_loop().sock_recv(self.socket, 10) == b"x"

    async def say(self, text: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, text)

    def close(self) -> None:
        self.connected.cancel()
        self.socket.close()


def family(address: str) -> int:
    return 6 if ":" in address else 4


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What every server does."""
    try:
        while text := await reader.read(100):
            writer.write(text)
            await writer.drain()
    except OSError:
        pass  # the client went away with a reset
    finally:
        writer.close()


async def serve(where: Namespace, addresses: list[str], ports: list[int]) -> list[asyncio.Server]:
    servers = []
    for address in addresses:
        for port in ports:
            with where.entered():
                listening = socket.create_server(
                    (address, port), family=socket.AF_INET if family(address) == 4 else socket.AF_INET6
                )
            servers.append(await asyncio.start_server(echo, sock=listening))
    return servers


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    require_kernel()
    with network() as net:
        clients, gateway, mailhost = map(net.namespace, ("clients", "gateway", "mailhost"))
        net.link(clients, "eth0", gateway, "wan")
        net.link(mailhost, "eth0", gateway, "lan")
        for source in CLIENTS:
            clients.ip("address", "add", source, "dev", "eth0", *(["nodad"] if ":" in source else []))
        ends = [
            (gateway, "wan", "192.0.2.129/30", "2001:db8:1::1/64"),
            (clients, "eth0", "192.0.2.130/30", "2001:db8:1::2/64"),
        ]
        ends += [
            (gateway, "lan", "192.0.2.1/25", "2001:db8:25::1/64"),
            (mailhost, "eth0", "192.0.2.25/25", "2001:db8:25::25/64"),
        ]
        for where, device, v4, v6 in ends:
            where.ip("address", "add", v4, "dev", device)
            where.ip("address", "add", v6, "dev", device, "nodad")
        for where, v4, v6 in (
            (clients, "192.0.2.129", "2001:db8:1::1"),
            (mailhost, "192.0.2.1", "2001:db8:25::1"),
        ):
            where.ip("route", "add", "default", "via", v4)
            where.ip("route", "add", "default", "via", v6)
        gateway.ip("route", "add", "203.0.113.0/24", "via", "192.0.2.130")
        gateway.ip("route", "add", "198.51.100.0/24", "via", "192.0.2.130")
        gateway.ip("route", "add", "2001:db8::/32", "via", "2001:db8:1::2")
        gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        backend = HelperBackend(gateway.prefix)
        await backend.open()
        servers = await serve(mailhost, list(MAILHOST.values()), [*EXPOSED_PORTS, OTHER_PORT])
        servers += await serve(clients, [ATTACKER, ATTACKER6], [25])
        made = Site(backend, gateway, mailhost, clients)
        try:
            yield made
        finally:
            for talk in made.talks:
                talk.close()
            for server in servers:
                server.close()
            await backend.close()


def for_an_hour(*texts: str) -> list[Element]:
    return [Element(parse_network(text), HOUR) for text in texts]


@pytest.mark.asyncio
async def test_a_banned_source_reaches_none_of_the_ten_ports_and_everybody_else_does(site: Site) -> None:
    for port in EXPOSED_PORTS:
        await site.answered(ATTACKER, port)
    assert set((await site.backend.dropped()).values()) == {0}
    await site.backend.ban(for_an_hour(ATTACKER))
    await site.refused(ATTACKER, *EXPOSED_PORTS)
    for port in EXPOSED_PORTS:
        await site.answered(NEIGHBOUR, port)
        await site.answered(STRANGER6, port)


@pytest.mark.asyncio
async def test_a_connection_that_stands_gets_nothing_through_after_the_ban(site: Site) -> None:
    banned, free = await site.connect(ATTACKER, 143), await site.connect(NEIGHBOUR, 143)
    await banned.answered()
    await free.answered()
    await site.backend.ban(for_an_hour(ATTACKER))
    before = await site.backend.dropped()
    await banned.say(b"still here?")
    await site.dropped_more(before, 143)
    await free.answered()
    with pytest.raises(BlockingIOError):
        banned.socket.recv(100)


@pytest.mark.asyncio
async def test_a_banned_network_is_kept_out_and_its_neighbours_are_not(site: Site) -> None:
    await site.backend.ban(for_an_hour("203.0.113.0/24", "2001:db8:bad:1::/64"))
    for source in (ATTACKER, NEIGHBOUR, ATTACKER6, SAME_64):
        await site.refused(source, 25, 443)
    for source in (STRANGER, SAME_48, STRANGER6):
        await site.answered(source, 25)


@pytest.mark.asyncio
async def test_a_banned_48_keeps_out_every_64_in_it(site: Site) -> None:
    await site.backend.ban(for_an_hour("2001:db8:bad::/48"))
    for source in (ATTACKER6, SAME_48):
        await site.refused(source, 993)
    await site.answered(STRANGER6, 993)


@pytest.mark.asyncio
async def test_a_banned_single_ipv6_address_leaves_its_64_alone(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER6))
    await site.refused(ATTACKER6, 587)
    await site.answered(SAME_64, 587)


@pytest.mark.asyncio
async def test_unban_lets_the_source_in_again(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER, "203.0.113.0/24", ATTACKER6))
    await site.refused(ATTACKER, 443)
    await site.backend.unban([parse_network(ATTACKER), parse_network(ATTACKER6)])
    await site.answered(ATTACKER, 443)
    await site.answered(ATTACKER6, 443)


@pytest.mark.asyncio
async def test_whoever_is_allowed_passes_though_he_is_banned(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER, "203.0.113.0/24", ATTACKER6))
    await site.backend.allow([parse_network(ATTACKER), parse_network("2001:db8:bad::/48")])
    await site.answered(ATTACKER, 25)
    await site.answered(ATTACKER6, 25)
    await site.refused(NEIGHBOUR, 25)
    await site.backend.allow([])
    await site.refused(ATTACKER, 25)


@pytest.mark.asyncio
async def test_a_port_that_is_not_exposed_is_none_of_our_business(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER, ATTACKER6))
    await site.answered(ATTACKER, OTHER_PORT)
    await site.answered(ATTACKER6, OTHER_PORT)
    assert set((await site.backend.dropped()).values()) == {0}


@pytest.mark.asyncio
@pytest.mark.parametrize("target", [ATTACKER, ATTACKER6])
async def test_the_mail_host_itself_still_delivers_to_a_banned_host(site: Site, target: str) -> None:
    await site.backend.ban(for_an_hour(target))
    await (await site.begin(site.mailhost, MAILHOST[family(target)], target, 25)).answered()


@pytest.mark.asyncio
async def test_bans_hold_while_the_table_is_loaded_again_and_while_no_helper_lives(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER))
    await site.backend.open()
    await site.refused(ATTACKER, 25)
    counted = (await site.backend.dropped())[25]
    await site.backend.close()
    orphan = await site.connect(ATTACKER, 25)
    counter = ("nft", "list", "counter", "inet", "zward", "dropped_25")
    while f"packets {counted} " in site.gateway.run(*counter):
        await asyncio.sleep(0.01)
    assert not orphan.connected.done()
    await site.answered(NEIGHBOUR, 25)
    await site.backend.open()
    assert (await site.backend.dropped())[25] > counted


@pytest.mark.asyncio
async def test_nft_shows_the_ban_to_an_operator(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER))
    shown = site.gateway.run("nft", "list", "set", "inet", "zward", "ban4")
    assert f"{ATTACKER} timeout 1h expires" in shown


@pytest.mark.asyncio
async def test_a_batch_of_20000_is_one_transaction_of_the_kernel(site: Site) -> None:
    batch = [Element(Net((0x0B000000 + number).to_bytes(4, "big"), 32), HOUR) for number in range(20_000)]
    batch += for_an_hour("198.51.100.0/24", "2001:db8:bad::/48")
    before = generation(site.gateway)
    await site.backend.ban(batch)
    assert generation(site.gateway) == before + 1


def generation(where: Namespace) -> int:
    """How many transactions this namespace's nftables has seen (NFT_MSG_GETGEN)."""
    with where.entered(), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as kernel:
        kernel.send((20).to_bytes(4, "little") + bytes([16, 10, 1, 0]) + bytes(12))
        return int.from_bytes(kernel.recv(4096)[24:28], "big")
