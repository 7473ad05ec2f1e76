"""Dropped packets as the kernel's NFLOG target hands them to `Samples`, with real packets on a real cable."""

import contextlib
import json
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from namespaces import Namespace, network, require_kernel

from appliance.firewall import samples as sampling
from appliance.firewall.samples import Sample, Samples

pytestmark = pytest.mark.kernel

GROUP = 7765
BURST = 20
GATEWAY, ATTACKER = "192.0.2.1", "192.0.2.66"
GATEWAY6, ATTACKER6 = "2001:db8::1", "2001:db8::66"
RULES = f"""
table inet zward {{
    chain early {{
        type filter hook prerouting priority -310
        ip protocol tcp jump dropping
        ip6 nexthdr tcp jump dropping
    }}
    chain dropping {{
        limit rate 5/second burst {BURST} packets log group {GROUP} snaplen 64
        counter drop
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Site:
    gateway: Namespace
    attacker: Namespace
    samples: Samples

    def wait(self) -> list[Sample]:
        """What comes within 5 seconds; returns as soon as something is there."""
        assert select.select([self.samples], [], [], 5)[0], "no sample has come"
        return self.samples.read()

    def rest(self) -> Iterator[Sample]:
        """What is there still."""
        while select.select([self.samples], [], [], 0)[0]:
            yield from self.samples.read()

    @contextlib.contextmanager
    def connecting(self, target: str, port: int) -> Iterator[None]:
        """The attacker tries a connection meanwhile; it sends SYNs."""
        with self.attacker.entered():
            trying = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET)
        with trying:
            trying.setblocking(False)
            trying.connect_ex((target, port))
            yield

    def raw(self) -> socket.socket:
        """Sends the attacker's TCP segments as they are given."""
        with self.attacker.entered():
            return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)

    def flood(self, count: int) -> None:
        """SYNs, each to another port, from 1000 up."""
        with self.raw() as raw:
            for port in range(1000, 1000 + count):
                raw.sendto(struct.pack(">HHIIBBHHH", 4000, port, 1, 0, 5 << 4, 0x02, 512, 0, 0), (GATEWAY, 0))


@pytest.fixture
def site() -> Iterator[Site]:
    require_kernel()
    with network() as made:
        gateway, attacker = made.namespace("gateway"), made.namespace("attacker")
        made.link(gateway, "wan0", attacker, "eth0")
        for namespace, device, addresses in (
            (gateway, "wan0", (f"{GATEWAY}/24", f"{GATEWAY6}/64")),
            (attacker, "eth0", (f"{ATTACKER}/24", f"{ATTACKER6}/64")),
        ):
            for address in addresses:
                namespace.ip("address", "add", address, "dev", device)
        address = json.loads(gateway.run("ip", "-json", "link", "show", "wan0"))[0]["address"]
        attacker.ip("neigh", "add", GATEWAY, "lladdr", address, "dev", "eth0")  # nothing queues before a first answer
        gateway.run("nft", RULES)
        with gateway.entered():
            samples = Samples(GROUP)
            yield Site(gateway, attacker, samples)
        samples.close()


@pytest.mark.parametrize(
    ("target", "source", "family", "port"),
    [(GATEWAY, ATTACKER, 4, 25), (GATEWAY6, ATTACKER6, 6, 993)],
    ids=["ipv4", "ipv6"],
)
def test_a_dropped_syn_is_sampled(site, target, source, family, port):
    before = time.time()
    with site.connecting(target, port):
        first, *_ = site.wait()

    assert (str(first.source), first.family, first.port) == (source, family, port)
    assert "SYN" in first.flags
    assert "ACK" not in first.flags
    assert first.device == "wan0"
    assert before <= first.time <= time.time()
    assert site.samples.recent[0] == first


def test_a_segment_without_a_whole_header_is_sampled_without_a_port(site):
    with site.raw() as raw:
        raw.sendto(b"abcd", (GATEWAY, 0))
        (sample,) = site.wait()

    assert (str(sample.source), sample.port, sample.flags) == (ATTACKER, 0, "")


def test_a_flood_yields_what_the_rule_lets_through_in_bounded_portions(site, monkeypatch):
    monkeypatch.setattr(sampling, "DATAGRAMS", 8)
    begin = time.monotonic()
    site.flood(2000)
    first = site.wait()
    lasted = time.monotonic() - begin

    samples = [*first, *site.rest()]

    assert len(first) == 8
    assert BURST <= len(samples) <= BURST + 1 + 5 * lasted
    assert [sample.port for sample in samples][:BURST] == list(range(1000, 1000 + BURST))
    assert list(site.samples.recent) == samples


def test_samples_that_nobody_read_in_time_are_counted_as_an_overrun(site):
    with socket.socket(fileno=os.dup(site.samples.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    site.flood(BURST)

    assert 0 < len(site.wait()) < BURST
    assert site.samples.overruns == 1


def test_a_group_that_another_socket_has_is_refused(site):
    with pytest.raises(PermissionError):
        Samples(GROUP)


def test_a_closed_group_can_be_taken_again(site):
    site.samples.close()

    Samples(GROUP).close()


def test_without_the_capability_the_group_is_refused(site):
    os.seteuid(65534)
    try:
        with pytest.raises(PermissionError):
            Samples(GROUP + 1)
    finally:
        os.seteuid(0)


def test_a_sample_from_an_interface_that_is_gone_has_no_device(site):
    site.flood(1)
    assert select.select([site.samples], [], [], 5)[0]
    site.gateway.ip("link", "delete", "wan0")

    (sample,) = site.samples.read()

    assert (sample.port, sample.device) == (1000, "")
