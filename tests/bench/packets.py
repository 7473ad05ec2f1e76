"""What the ban table costs a packet, accepted or dropped, by how many bans there are, against no rules at all.

A gateway of three devices: `wan`, where the flood comes in; `sink`, a device that frees what is routed into it; and
`void`, which frees the frames at the sender, so that what sending costs can be taken off. The flood comes from 65,536
sources in random order, so that every look-up finds the caches cold: the worst case. All on one core; the figure is
the best of some rounds, since other work on the machine can only add to it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bench.flood import ACK, Flood, mac_of, pinned_to_one_core, tcp_frame
from namespaces import Namespace, Network, network

from appliance.address import Net
from appliance.firewall.backend import Element
from appliance.firewall.orders import Orders
from appliance.firewall.table.kernel import Kernel
from appliance.firewall.table.netlink import Netlink

MAILHOST = bytes([192, 0, 2, 25])
PORT = 993
SOURCES = 65_536
PACKETS = 262_144
"""In one round."""
SIZES = (0, 1_000, 100_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class PacketCost:
    """CPU nanoseconds of one packet on its way through the gateway, the sending taken off."""

    table: str
    """`none`, or how many bans stand."""
    accepted: float
    dropped: float | None
    """None where nobody is banned."""
    sending: float
    """What it costs to send one into a device that frees it."""


def measure(rounds: int) -> Iterator[PacketCost]:
    with pinned_to_one_core():
        yield from _measured(rounds)


def _measured(rounds: int) -> Iterator[PacketCost]:
    numbers = random.Random(7)
    banned = [number.to_bytes(4, "big") for number in numbers.sample(range(0x0B00_0000, 0x7F00_0000), max(SIZES))]
    strangers = [number.to_bytes(4, "big") for number in numbers.sample(range(0x8200_0000, 0xC000_0000), SOURCES)]
    with network() as net:
        gateway, outside = _gateway(net)
        mac = mac_of(gateway, "wan")
        sending = _cheapest(_flood(outside, "void", mac, strangers), rounds)
        passing = _flood(outside, "eth0", mac, strangers)
        yield PacketCost("none", _cheapest(passing, rounds) - sending, None, sending)
        for size in SIZES:
            with gateway.entered():
                kernel = Kernel(Netlink())
            kernel.open(Orders())
            kernel.ban(Element(Net(key, 32), 3600) for key in banned[:size])
            accepted = _cheapest(passing, rounds) - sending
            dropped = None
            if size:
                shut_out = numbers.choices(banned[:size], k=SOURCES)
                dropped = _cheapest(_flood(outside, "eth0", mac, shut_out), rounds) - sending
            yield PacketCost(f"{size:,}", accepted, dropped, sending)
            kernel.close()
            gateway.run("nft", "delete", "table", "inet", "zward")


def _gateway(net: Network) -> tuple[Namespace, Namespace]:
    outside, gateway = net.namespace("outside"), net.namespace("gateway")
    net.link(outside, "eth0", gateway, "wan")
    gateway.ip("address", "add", "198.51.100.1/24", "dev", "wan")
    for where, device in ((gateway, "sink"), (outside, "void")):
        where.ip("link", "add", device, "type", "ifb")
        where.ip("link", "set", device, "up", "arp", "off")
    gateway.ip("address", "add", "192.0.2.1/24", "dev", "sink")
    gateway.ip("route", "add", "default", "via", "198.51.100.2")
    gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0")
    gateway.run("sysctl", "-qw", "net.ipv4.conf.wan.rp_filter=0")
    return gateway, outside


def _flood(outside: Namespace, device: str, mac: bytes, sources: list[bytes]) -> Flood:
    return Flood(outside, device, [tcp_frame(mac, source, MAILHOST, PORT, ACK) for source in sources])


def _cheapest(flood: Flood, rounds: int) -> float:
    flood.send(SOURCES)  # neighbours are resolved, code is warm
    return min(flood.send(PACKETS) for _ in range(rounds)) / PACKETS * 1e9
