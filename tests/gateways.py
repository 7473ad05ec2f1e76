"""Gateways in network namespaces, before and behind which real sockets talk: routed, as a bridge, and a host alone.

    async with routed() as site:
        site.load(gateway)
        talk = await site.connect("203.0.113.50", 25)
        assert await talk.greeting() == "203.0.113.50"

Every server greets with the address that it sees its client by, then repeats what it hears. A packet that is dropped
is proved by the policy's own counter, never by waiting.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from namespaces import Namespace, network, require_kernel

from appliance.address import Net, parse_network
from appliance.firewall.backend import EXPOSED_PORTS, PORTS
from appliance.firewall.policy.gateway import Gateway, Publish, Shape
from appliance.firewall.policy.policy import render, transaction

SOURCE, OTHER, THIRD = "203.0.113.50", "203.0.113.51", "203.0.113.52"
ADMIN = "198.51.100.3"
SOURCE6, SAME_64, OTHER6 = "2001:db8:99:1::5", "2001:db8:99:1::6", "2001:db8:99:2::5"
FRIEND6 = "2001:db8:99:3::5"
ADMIN6 = "2001:db8:ad::3"
CLIENTS = (SOURCE, OTHER, THIRD, ADMIN, SOURCE6, SAME_64, OTHER6, FRIEND6, ADMIN6)
ADMIN_NETWORKS = ("198.51.100.0/28", "2001:db8:ad::/64")

ROUTER, ROUTER6 = "203.0.113.2", "2001:db8:1::2"
"""The clients' side on the wire; whoever is none of its neighbours sends through it."""
GATEWAY, GATEWAY6 = "203.0.113.1", "2001:db8:1::1"

CLOSED_PORT = 8080
"""A server listens there that nobody publishes."""

SECONDS = 20
"""Longest wait for anything."""

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32

WITNESS = """
table inet witness {
	counter syns { }
	counter resets { }
	counter too_big { }
	chain arrives {
		type filter hook prerouting priority -400
		tcp flags & (syn | ack) == syn counter name syns
		tcp flags & rst == rst counter name resets
		icmpv6 type packet-too-big counter name too_big
	}
}
"""
"""What reaches the mail host, whatever it makes of it."""


def nets(*texts: str) -> tuple[Net, ...]:
    return tuple(map(parse_network, texts))


def family(address: str) -> int:
    return 6 if ":" in address else 4


def published(to: Iterable[str], at: Iterable[str] = ()) -> tuple[Publish, ...]:
    """Every port of every scope."""
    return tuple(Publish(scope, nets(*to), PORTS[scope], nets(*at)) for scope in PORTS)


@dataclass(frozen=True, slots=True)
class Talk:
    """One TCP connection, perhaps still being made."""

    socket: socket.socket
    connected: asyncio.Task[None]

    async def greeting(self) -> str:
        """Be connected, and by which address the server sees us. Raises ConnectionError if it was refused."""
        async with asyncio.timeout(SECONDS):
            await self.connected
            told = await asyncio.get_running_loop().sock_recv(self.socket, 100)
        if not told.endswith(b"\n"):
            raise ConnectionResetError
        return told.decode().strip()

    async def echoed(self, text: bytes = b"still here") -> None:
        async with asyncio.timeout(SECONDS):
            await asyncio.get_running_loop().sock_sendall(self.socket, text)
            assert await asyncio.get_running_loop().sock_recv(self.socket, 100) == text

    async def refused(self) -> bool:
        """Whether the connection ends with a reset before anything came through."""
        try:
            await self.greeting()
        except ConnectionError:
            return True
        return False

    def close(self) -> None:
        self.connected.cancel()
        self.socket.close()


@dataclass(frozen=True, slots=True)
class Site:
    """Clients, a gateway, a mail host; on a host alone the last two are one."""

    clients: Namespace
    gateway: Namespace
    mailhost: Namespace
    target: dict[int, str]
    """Where clients find the mail host, by family."""
    talks: list[Talk] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    """The policies so far."""

    def load(self, gateway: Gateway, **more: object) -> str:
        """Load the policy as the loader does: one file, one transaction."""
        text = render(gateway, **more)  # type: ignore[arg-type]
        self.load_text(self.gateway, transaction(text, self.loaded[-1] if self.loaded else None))
        self.loaded.append(text)
        return text

    @staticmethod
    def load_text(where: Namespace, text: str) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".nft") as file:
            file.write(text)
            file.flush()
            where.run("nft", "-f", file.name)

    async def connect(self, source: str, port: int, to: str | None = None, where: Namespace | None = None) -> Talk:
        """Begin a connection to the mail host; the first SYN is on its way."""
        with (where or self.clients).entered():
            made = socket.socket(socket.AF_INET if family(source) == 4 else socket.AF_INET6)
        made.setblocking(False)
        made.bind((source, 0))
        target = (to or self.target[family(source)], port)
        connecting = asyncio.create_task(asyncio.get_running_loop().sock_connect(made, target))
        self.talks.append(Talk(made, connecting))
        await asyncio.sleep(0)
        return self.talks[-1]

    async def greeted(self, source: str, port: int, to: str | None = None) -> Talk:
        """Connect, and be seen by the mail host with one's own address."""
        talk = await self.connect(source, port, to)
        assert await talk.greeting() == source
        return talk

    async def dropped(self, reason: str, *attempts: tuple[str, int], to: str | None = None) -> None:
        """None of these (source, port) gets an answer, and this counter rises for each of them."""
        before = self.count(reason)
        talks = [await self.connect(source, port, to) for source, port in attempts]
        await self.rises(reason, before + len(talks) - 1)
        assert not any(talk.connected.done() for talk in talks)

    async def rises(self, reason: str, before: int) -> None:
        """Return once the counter is beyond `before`."""
        await until(lambda: self.count(reason) > before)

    @property
    def neighbour6(self) -> str:
        """An IPv6 address on the clients' own link that is taken."""
        return BRIDGED6 if self.target[6] == BRIDGED6 else GATEWAY6

    @staticmethod
    def packets(where: Namespace, table: str, name: str) -> int:
        words = where.run("nft", "list", "counter", "inet", table, name).split()
        return int(words[words.index("packets") + 1])

    def count(self, reason: str) -> int:
        return self.packets(self.gateway, "zward_policy", f"policy_{reason}")

    def counts(self) -> dict[str, int]:
        listed = self.gateway.run("nft", "list", "counters", "table", "inet", "zward_policy").split()
        names = [listed[at + 1] for at, word in enumerate(listed) if word == "counter"]
        values = [int(listed[at + 1]) for at, word in enumerate(listed) if word == "packets"]
        return dict(zip(names, values, strict=True))

    def arrived(self, what: str) -> int:
        """Packets of a kind that reached the mail host: `syns`, `resets`, `too_big`."""
        return self.packets(self.mailhost, "witness", what)

    async def arrive(self, what: str, most: int) -> None:
        """Return once so many have."""
        await until(lambda: self.arrived(what) >= most)

    def send(self, *packets: bytes, where: Namespace | None = None) -> None:
        """Put whole IP packets of one family on the wire, whosever address they bear."""
        v4 = packets[0][0] >> 4 == 4
        kind = socket.AF_INET if v4 else socket.AF_INET6
        with (where or self.clients).entered():
            raw = socket.socket(kind, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with raw:
            for packet in packets:
                target = ipaddress.ip_address(packet[16:20] if v4 else packet[24:40])
                raw.sendto(packet, (str(target), 0))

    def pings(self, target: str, *options: str, where: Namespace | None = None) -> None:
        """Have an answer to a ping; AssertionError with ping's own words if there is none."""
        (where or self.clients).run("ping", "-n", "-c", "1", "-W", "5", *options, target)


def tcp(source: str, target: str, port: int, flags: int, *, own_port: int = 40000) -> bytes:
    """A TCP segment without data in an IP packet."""
    src, dst = (ipaddress.ip_address(address) for address in (source, target))
    segment = struct.pack("!HHIIBBHHH", own_port, port, 1000, 0, 5 << 4, flags, 65535, 0, 0)
    if src.version == 4:
        pseudo = src.packed + dst.packed + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(segment))
    else:
        pseudo = src.packed + dst.packed + struct.pack("!IxxxB", len(segment), socket.IPPROTO_TCP)
    return ip(source, target, socket.IPPROTO_TCP, _summed(segment, 16, pseudo))


def packet_too_big(source: str, target: str, mtu: int = 1300) -> bytes:
    """ICMPv6 error (RFC 4443 3.2) about a packet that nobody sent."""
    about = tcp(target, "2001:db8:77::1", 33333, ACK)
    message = struct.pack("!BBHI", 2, 0, 0, mtu) + about
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return ip(source, target, 58, _summed(message, 2, pseudo + struct.pack("!IxxxB", len(message), 58)))


def udp(source: str, target: str, own_port: int, port: int) -> bytes:
    datagram = struct.pack("!HHHH", own_port, port, 9, 0) + b"x"
    if family(source) == 4:
        return ip(source, target, socket.IPPROTO_UDP, datagram)
    pseudo = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    return ip(source, target, socket.IPPROTO_UDP, _summed(datagram, 6, pseudo + struct.pack("!IxxxB", 9, 17)))


def ip(source: str, target: str, protocol: int, content: bytes) -> bytes:
    src, dst = (ipaddress.ip_address(address).packed for address in (source, target))
    if len(src) == 4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(content), 1, 0, 64, protocol, 0) + src + dst + content
    return struct.pack("!IHBB", 6 << 28, len(content), protocol, 64) + src + dst + content


def _summed(content: bytes, at: int, pseudo: bytes) -> bytes:
    """With its checksum at that place (RFC 1071)."""
    words = pseudo + content + b"\0" * (len(content) % 2)
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    total = (total >> 16) + (total & 0xFFFF)
    return content[:at] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + content[at + 2 :]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0.01)


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What every server does, until its client leaves."""
    try:
        writer.write(f"{writer.get_extra_info('peername')[0]}\n".encode())
        while text := await reader.read(100):
            writer.write(text)
            await writer.drain()
    except (OSError, asyncio.CancelledError):
        pass  # the client went away with a reset, or the test is over
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def serving(where: Namespace, addresses: Iterable[str], ports: Iterable[int]) -> AsyncIterator[None]:
    """Servers at all these addresses and ports."""
    numbers = list(ports)
    servers = []
    try:
        for address in addresses:
            for port in numbers:
                with where.entered():
                    kind = socket.AF_INET if family(address) == 4 else socket.AF_INET6
                    listening = socket.create_server((address, port), family=kind)
                servers.append(await asyncio.start_server(_greet, sock=listening))
        yield
    finally:
        for server in servers:
            server.close()


def _configure(where: Namespace, device: str, *own: str, gateways: Iterable[str] = ()) -> None:
    for address in own:
        where.ip("address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
    for gateway in gateways:
        where.ip("route", "add", "default", "via", gateway)


@contextlib.asynccontextmanager
async def _site(
    clients: Namespace, gateway: Namespace, mailhost: Namespace, target: dict[int, str], listens: Iterable[str]
) -> AsyncIterator[Site]:
    Site.load_text(mailhost, WITNESS)
    async with serving(mailhost, listens, [*EXPOSED_PORTS, CLOSED_PORT]):
        made = Site(clients, gateway, mailhost, target)
        try:
            yield made
        finally:
            for talk in made.talks:
                talk.close()


MAIL, MAIL6 = "192.0.2.10", "2001:db8:20::10"
BEHIND = "192.0.2.11"
"""Another address behind the routed gateway."""


@contextlib.asynccontextmanager
async def routed() -> AsyncIterator[Site]:
    """A gateway that translates IPv4 addresses and routes IPv6: 203.0.113.1 stands for 192.0.2.10."""
    require_kernel()
    with network() as net:
        clients, gateway, mailhost = map(net.namespace, ("clients", "gateway", "mailhost"))
        net.link(clients, "eth0", gateway, "wan0")
        net.link(mailhost, "eth0", gateway, "lan0")
        _configure(clients, "eth0", f"{ROUTER}/24", f"{ROUTER6}/64", *CLIENTS, gateways=(GATEWAY, GATEWAY6))
        _configure(gateway, "wan0", f"{GATEWAY}/24", f"{GATEWAY6}/64")
        _configure(gateway, "lan0", "192.0.2.1/24", "2001:db8:20::1/64")
        own = (f"{MAIL}/24", f"{BEHIND}/24", f"{MAIL6}/64")
        _configure(mailhost, "eth0", *own, gateways=("192.0.2.1", "2001:db8:20::1"))
        for far in ("198.51.100.0/24", "2001:db8:99::/48", "2001:db8:ad::/48"):
            gateway.ip("route", "add", far, "via", ROUTER6 if ":" in far else ROUTER)
        gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        async with _site(clients, gateway, mailhost, {4: GATEWAY, 6: MAIL6}, (MAIL, MAIL6)) as site:
            yield site


BRIDGED, BRIDGED6 = "203.0.113.10", "2001:db8:1::10"


@contextlib.asynccontextmanager
async def bridge() -> AsyncIterator[Site]:
    """A bridge between the clients' router and the mail host, which share one network."""
    require_kernel()
    with network() as net:
        clients, gateway, mailhost = map(net.namespace, ("clients", "gateway", "mailhost"))
        gateway.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        gateway.ip("link", "set", "br0", "up")
        for where, device in ((clients, "wan0"), (mailhost, "lan0")):
            net.link(where, "eth0", gateway, device)
            gateway.ip("link", "set", device, "master", "br0")
        _configure(clients, "eth0", f"{ROUTER}/24", f"{ROUTER6}/64", *CLIENTS)
        _configure(gateway, "br0", f"{GATEWAY}/24", f"{GATEWAY6}/64", gateways=(ROUTER, ROUTER6))
        _configure(mailhost, "eth0", f"{BRIDGED}/24", f"{BRIDGED6}/64", gateways=(ROUTER, ROUTER6))
        switches = ("net.bridge.bridge-nf-call-iptables=1", "net.bridge.bridge-nf-call-ip6tables=1")
        gateway.run("sysctl", "-qw", *switches)
        async with _site(clients, gateway, mailhost, {4: BRIDGED, 6: BRIDGED6}, (BRIDGED, BRIDGED6)) as site:
            yield site


@contextlib.asynccontextmanager
async def host() -> AsyncIterator[Site]:
    """A mail host that protects itself."""
    require_kernel()
    with network() as net:
        clients, alone = map(net.namespace, ("clients", "host"))
        net.link(clients, "eth0", alone, "eth0")
        _configure(clients, "eth0", f"{ROUTER}/24", f"{ROUTER6}/64", *CLIENTS)
        _configure(alone, "eth0", f"{GATEWAY}/24", f"{GATEWAY6}/64", gateways=(ROUTER, ROUTER6))
        async with _site(clients, alone, alone, {4: GATEWAY, 6: GATEWAY6}, (GATEWAY, GATEWAY6)) as site:
            yield site


ROUTED = Gateway(
    Shape.ROUTED,
    wan=("wan0",),
    lan=("lan0",),
    admin=nets(*ADMIN_NETWORKS),
    publish=published((MAIL, MAIL6), (GATEWAY,)),
)
BRIDGE = Gateway(Shape.BRIDGE, bridge="br0", admin=nets(*ADMIN_NETWORKS), publish=published((BRIDGED, BRIDGED6)))
HOST = Gateway(Shape.HOST, admin=nets(*ADMIN_NETWORKS), publish=published(()))
