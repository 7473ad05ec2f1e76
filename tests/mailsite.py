"""Clients - gateway - mail host in namespaces, with a real firewall helper on the gateway.

    async with mail_site(tmp_path) as site:
        await site.backend.ban([Element(parse_network(ATTACKER), 60)])
        await site.refused(ATTACKER, 25)

A dropped packet is proved by the gateway's own counter, never by waiting: a refused SYN raises it, and while
the banned client's connection is still open, another client's is answered.
"""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from helping import Helper, helper
from namespaces import Namespace, Network, network, require_kernel

from appliance.firewall.backend import EXPOSED_PORTS, Drop, Dropped
from appliance.firewall.client import HelperBackend
from appliance.firewall.orders import Orders
from appliance.model import Scope

MAILHOST = {4: "192.0.2.25", 6: "2001:db8:25::25"}
ATTACKER = "203.0.113.9"
NEIGHBOUR = "203.0.113.10"
STRANGER = "198.51.100.7"
NOBODY = "203.0.113.77"
"""Its packets would come back to the clients' side, where nobody has this address."""
ATTACKER6 = "2001:db8:bad:1::9"
SAME_64 = "2001:db8:bad:1::a"
SAME_48 = "2001:db8:bad:2::9"
STRANGER6 = "2001:db8:900d::7"
NOBODY6 = "2001:db8:bad:7::7"
CLIENTS = (ATTACKER, NEIGHBOUR, STRANGER, ATTACKER6, SAME_64, SAME_48, STRANGER6)
OTHER_PORT = 2222
"""A server listens there, and bans do not close it."""


def family(address: str) -> int:
    return 6 if ":" in address else 4


def host_of(address: str) -> str:
    return MAILHOST[family(address)]


@dataclass(frozen=True, slots=True)
class Talk:
    """One TCP connection, perhaps still being made."""

    socket: socket.socket
    connected: asyncio.Task[None]

    async def answered(self) -> None:
        """Be connected, say something and hear it again."""
        await self.connected
        await self.say(b"x")
        assert await self.hear() == b"x"

    async def say(self, text: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, text)

    async def hear(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.socket, 10)

    def close(self) -> None:
        self.connected.cancel()
        self.socket.close()


@dataclass(slots=True)
class Servers:
    """Every server repeats what it hears, and can be made to speak by itself."""

    listening: list[asyncio.Server] = field(default_factory=list)
    talking: dict[str, asyncio.StreamWriter] = field(default_factory=dict)
    """The last connection of each client."""
    resets: set[str] = field(default_factory=set)
    """Clients whose connection ended with a reset."""

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        self.talking[peer] = writer
        try:
            while text := await reader.read(100):
                writer.write(text)
                await writer.drain()
        except OSError:
            self.resets.add(peer)
        finally:
            writer.close()

    async def serve(self, where: Namespace, addresses: list[str], ports: list[int]) -> None:
        for address in addresses:
            for port in ports:
                with where.entered():
                    kind = socket.AF_INET if family(address) == 4 else socket.AF_INET6
                    listening = socket.create_server((address, port), family=kind)
                self.listening.append(await asyncio.start_server(self.echo, sock=listening))

    async def speak(self, client: str, text: bytes = b"hello") -> None:
        """Say something to a client that did not ask."""
        while client not in self.talking:
            await asyncio.sleep(0.01)
        self.talking[client].write(text)

    async def reset(self, client: str) -> None:
        """Return once the connection of this client was reset."""
        while client not in self.resets:
            await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Site:
    running: Helper
    backend: HelperBackend
    gateway: Namespace
    mailhost: Namespace
    clients: Namespace
    servers: Servers
    talks: list[Talk] = field(default_factory=list)
    """Closed at the end of the test."""

    async def connect(self, source: str, port: int) -> Talk:
        """Begin a connection from `source` to the mail host; the first SYN is on its way."""
        return await self.begin(self.clients, source, host_of(source), port)

    async def begin(self, where: Namespace, source: str, target: str, port: int) -> Talk:
        with where.entered():
            made = socket.socket(socket.AF_INET if family(source) == 4 else socket.AF_INET6)
        made.setblocking(False)
        made.bind((source, 0))
        connecting = asyncio.create_task(asyncio.get_running_loop().sock_connect(made, (target, port)))
        self.talks.append(Talk(made, connecting))
        await asyncio.sleep(0)
        return self.talks[-1]

    async def answered(self, source: str, *ports: int) -> None:
        """Connect and have the server's answer. Waits as long as the test may run."""
        for port in ports:
            await (await self.connect(source, port)).answered()

    async def refused(self, source: str, *ports: int, scope: Scope = Scope.ALL) -> None:
        """The SYN of this source is dropped at every one of these ports, and counted there by scope and family."""
        before = await self.backend.dropped()
        talks = [await self.connect(source, port) for port in ports]
        await self.dropped_more(before, *(Drop(port, scope, family(source)) for port in ports))
        assert not any(talk.connected.done() for talk in talks)

    async def dropped_more(self, before: Mapping[Drop, Dropped], *drops: Drop) -> None:
        """Return once each of these counters has risen, packets and bytes."""
        now = before
        while any(now[drop].packets <= before[drop].packets for drop in drops):
            await asyncio.sleep(0.01)
            now = await self.backend.dropped()
        assert all(now[drop].bytes >= before[drop].bytes + 40 for drop in drops)

    async def drops(self) -> dict[Drop, int]:
        """The counters that are not zero."""
        return {drop: count.packets for drop, count in (await self.backend.dropped()).items() if count.packets}

    def raw(self, address: str) -> socket.socket:
        """Sends whole IP packets from the clients' side."""
        kind = socket.AF_INET if family(address) == 4 else socket.AF_INET6
        with self.clients.entered():
            return socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def witness(self, where: Namespace, hook: str, *rules: str) -> "Witness":
        return witness(where, hook, *rules)


@dataclass(frozen=True, slots=True)
class Witness:
    where: Namespace

    def counts(self) -> list[int]:
        """Packets, by rule."""
        text = self.where.run("nft", "list", "chain", "inet", "witness", "sees")
        return [int(count) for count in re.findall(r"counter packets (\d+)", text)]

    async def until(self, rule: int, count: int) -> None:
        """Return once this rule has counted so many."""
        while self.counts()[rule] < count:
            await asyncio.sleep(0.01)


def witness(where: Namespace, hook: str, *rules: str) -> Witness:
    """Count there what matches each of these rules; at the hook `input` fragments are put together."""
    chain = f"type filter hook {hook} priority -500;\n" + "\n".join(f"{rule} counter" for rule in rules)
    where.run("nft", f"table inet witness {{\nchain sees {{\n{chain}\n}}\n}}")
    return Witness(where)


def _build(net: Network) -> tuple[Namespace, Namespace, Namespace]:
    clients, gateway, mailhost = map(net.namespace, ("clients", "gateway", "mailhost"))
    net.link(clients, "eth0", gateway, "wan")
    net.link(mailhost, "eth0", gateway, "lan")
    for source in CLIENTS:
        clients.ip("address", "add", source, "dev", "eth0", *(["nodad"] if ":" in source else []))
    for where, device, v4, v6 in (
        (gateway, "wan", "192.0.2.129/30", "2001:db8:1::1/64"),
        (clients, "eth0", "192.0.2.130/30", "2001:db8:1::2/64"),
        (gateway, "lan", "192.0.2.1/25", "2001:db8:25::1/64"),
        (mailhost, "eth0", "192.0.2.25/25", "2001:db8:25::25/64"),
    ):
        where.ip("address", "add", v4, "dev", device)
        where.ip("address", "add", v6, "dev", device, "nodad")
    for where, v4, v6 in ((clients, "192.0.2.129", "2001:db8:1::1"), (mailhost, "192.0.2.1", "2001:db8:25::1")):
        where.ip("route", "add", "default", "via", v4)
        where.ip("route", "add", "default", "via", v6)
    for network_ in ("203.0.113.0/24", "198.51.100.0/24"):
        gateway.ip("route", "add", network_, "via", "192.0.2.130")
    gateway.ip("route", "add", "2001:db8::/32", "via", "2001:db8:1::2")
    gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    return clients, gateway, mailhost


@contextlib.contextmanager
def machines(
    directory: Path, orders: Orders | None = None, *, plain: bool = False
) -> Iterator[tuple[Helper, Namespace, Namespace, Namespace]]:
    """A helper on the gateway; clients, gateway, mail host. Nobody serves anything yet."""
    require_kernel()
    with network() as net:
        clients, gateway, mailhost = _build(net)
        with helper(gateway, directory, orders, plain=plain) as running:
            yield running, clients, gateway, mailhost


@contextlib.asynccontextmanager
async def mail_site(directory: Path, orders: Orders | None = None) -> AsyncIterator[Site]:
    """Every exposed port and one more are served on the mail host, and port 25 on two of the clients."""
    servers = Servers()
    with machines(directory, orders) as (running, clients, gateway, mailhost):
        backend = HelperBackend(running.socket)
        await backend.open()
        await servers.serve(mailhost, list(MAILHOST.values()), [*EXPOSED_PORTS, OTHER_PORT])
        await servers.serve(clients, [ATTACKER, ATTACKER6], [25])
        made = Site(running, backend, gateway, mailhost, clients, servers)
        try:
            yield made
        finally:
            for talk in made.talks:
                talk.close()
            for server in servers.listening:
                server.close()
            await backend.close()
