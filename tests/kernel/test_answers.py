"""What the mail host answers, and what a banned source is answered: resets, packet proof, familiar sources."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from bench.flood import ACK, SYN, checksum
from mailsite import (
    ATTACKER,
    ATTACKER6,
    MAILHOST,
    NEIGHBOUR,
    NOBODY,
    NOBODY6,
    SAME_64,
    STRANGER,
    STRANGER6,
    Site,
    Talk,
    family,
    host_of,
    mail_site,
)

from appliance.address import Net, parse_network, source_of
from appliance.firewall.backend import Drop, Element
from appliance.firewall.orders import Orders, write
from appliance.firewall.table.kernel import Kernel
from appliance.model import Scope

pytestmark = pytest.mark.kernel

HOUR = 3600
BOTH = pytest.mark.parametrize("source", [ATTACKER, ATTACKER6])


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with mail_site(tmp_path) as made:
        yield made


def sources(*texts: str) -> list[Net]:
    """What is counted and banned: IPv6 by /64."""
    return [source_of(parse_network(text)) for text in texts]


def for_an_hour(*texts: str, scope: Scope = Scope.ALL) -> list[Element]:
    return [Element(net, HOUR, scope) for net in sources(*texts)]


async def talking(site: Site, source: str, port: int) -> Talk:
    talk = await site.connect(source, port)
    await talk.answered()
    return talk


async def refused_aloud(site: Site, source: str, port: int) -> None:
    """The connection ends with a reset at once, before anything came through."""
    talk = await site.connect(source, port)
    with pytest.raises(ConnectionRefusedError):
        await talk.connected


# Replies to a banned client


@pytest.mark.asyncio
@BOTH
@pytest.mark.parametrize("scope", [Scope.ALL, Scope.LOGIN])
async def test_a_mail_host_that_speaks_to_a_banned_client_gets_a_reset(site: Site, source: str, scope: Scope) -> None:
    await talking(site, source, 143)
    await talking(site, NEIGHBOUR, 143)
    await site.backend.ban(for_an_hour(source, scope=scope))
    await site.servers.speak(source)
    await site.servers.reset(source)
    assert site.servers.resets == {source}


@pytest.mark.asyncio
@BOTH
async def test_a_connection_to_a_port_outside_of_the_scope_goes_on(site: Site, source: str) -> None:
    mail = await talking(site, source, 25)
    await site.backend.ban(for_an_hour(source, scope=Scope.LOGIN))
    await mail.answered()
    await site.backend.ban(for_an_hour(source, scope=Scope.SMTP_IN))
    await site.servers.speak(source)
    await site.servers.reset(source)


@pytest.mark.asyncio
@BOTH
async def test_whoever_is_allowed_keeps_his_replies_though_he_is_banned(site: Site, source: str) -> None:
    talk = await talking(site, source, 143)
    await site.backend.ban(for_an_hour(NEIGHBOUR))
    await site.backend.allow(sources(source))
    site.running.stop()  # it would refuse the ban; whoever holds its socket can do as he likes
    assert site.running.netlink
    Kernel(site.running.netlink).ban(for_an_hour(source))
    await site.servers.speak(source)
    assert await talk.hear() == b"hello"
    await talk.answered()
    assert site.servers.resets == set()


# Packet proof


async def seen(site: Site, *texts: str) -> set[Net]:
    return await site.backend.seen(sources(*texts))


async def is_seen(site: Site, text: str) -> None:
    """Return once it is."""
    while not await seen(site, text):
        await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_client_that_was_answered_with_data_is_seen_by_source_and_nobody_else(site: Site) -> None:
    everybody = (ATTACKER, ATTACKER6, NEIGHBOUR, STRANGER, STRANGER6)
    assert await seen(site, *everybody) == set()
    await site.answered(ATTACKER, 143)
    await site.answered(ATTACKER6, 25)
    assert await seen(site, *everybody) == set(sources(ATTACKER, ATTACKER6))
    assert await seen(site, SAME_64) == set(sources(ATTACKER6))
    assert await site.backend.seen([parse_network(SAME_64)]) == {parse_network(SAME_64)}


@pytest.mark.asyncio
async def test_data_from_a_port_that_is_not_exposed_proves_nothing(site: Site) -> None:
    await site.answered(ATTACKER, 2222)
    await site.answered(NEIGHBOUR, 25)
    assert await seen(site, ATTACKER, NEIGHBOUR) == set(sources(NEIGHBOUR))


@pytest.mark.asyncio
@BOTH
async def test_a_finished_handshake_without_data_proves_nothing_and_the_first_data_does(
    site: Site, source: str
) -> None:
    talk = await site.connect(source, 143)
    await talk.connected
    await site.answered(NEIGHBOUR, 143)
    assert await seen(site, source, NEIGHBOUR) == set(sources(NEIGHBOUR))
    await site.servers.speak(source)
    await is_seen(site, source)


def packet(source: str, port: int, flags: int, from_port: int = 4000) -> bytes:
    """A whole IP packet to the mail host, with whatever source address."""
    ends = parse_network(source).packed + parse_network(host_of(source)).packed
    pseudo = struct.pack("!HH", 6, 20) if family(source) == 4 else struct.pack("!II", 20, 6)
    head = struct.pack("!HHIIBBHHH", from_port, port, 77, 0, 0x50, flags, 64240, 0, 0)
    segment = head[:16] + struct.pack("!H", checksum(ends + pseudo + head)) + head[18:]
    if family(source) == 4:
        return struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0x4000, 64, 6, 0) + ends + segment
    return struct.pack("!IHBB", 0x6000_0000, 20, 6, 64) + ends + segment


@pytest.mark.asyncio
@pytest.mark.parametrize("forged", [NOBODY, NOBODY6])
async def test_a_forged_address_is_not_seen_though_the_mail_host_answers_it(site: Site, forged: str) -> None:
    """A SYN is answered with SYN and ACK, any other segment with a reset."""
    to = f"{'ip6' if family(forged) == 6 else 'ip'} daddr {forged} tcp flags &"
    witness = site.witness(site.clients, "prerouting", f"{to} (syn|ack) == syn|ack", f"{to} rst == rst")
    with site.raw(forged) as raw:
        for flags in (SYN, ACK, ACK | 0x08):
            raw.sendto(packet(forged, 25, flags, 4000 + flags), (host_of(forged), 0))
    await witness.until(0, 1)
    await witness.until(1, 2)
    assert await seen(site, forged) == set()


@pytest.mark.asyncio
@BOTH
async def test_a_challenge_to_a_forged_packet_does_not_prove_the_client(site: Site, source: str) -> None:
    """RFC 5961: a SYN in the midst of a connection is answered with an ACK."""
    talk = await site.connect(source, 143)
    await talk.connected
    from_port = talk.socket.getsockname()[1]
    to = f"{'ip6' if family(source) == 6 else 'ip'} daddr {source} tcp sport 143 tcp flags & (syn|ack) == ack"
    witness = site.witness(site.clients, "prerouting", to)
    with site.raw(source) as raw:
        raw.sendto(packet(source, 143, SYN, from_port), (host_of(source), 0))
    await witness.until(0, 1)
    assert await seen(site, source) == set()
    await talk.answered()
    await is_seen(site, source)


@pytest.mark.asyncio
async def test_proof_outlives_a_new_load_of_the_table_and_the_helper(site: Site) -> None:
    await site.answered(ATTACKER, 143)
    await site.backend.open()
    site.running.kill()
    site.running.start()
    assert await seen(site, ATTACKER) == set(sources(ATTACKER))


# What a banned source is answered


@pytest.mark.asyncio
@BOTH
async def test_a_familiar_source_that_is_banned_is_told_at_once_and_a_stranger_is_not(site: Site, source: str) -> None:
    await site.backend.ban(for_an_hour(source, NEIGHBOUR, STRANGER6))
    await site.backend.favour(for_an_hour(source, STRANGER))
    for port in (25, 143, 443):
        await refused_aloud(site, source, port)
    await site.refused(NEIGHBOUR, 25)
    await site.refused(STRANGER6, 25)
    await site.answered(STRANGER, 25)
    counted = await site.drops()
    assert all(counted[Drop(port, Scope.ALL, family(source))] >= 1 for port in (25, 143, 443))


@pytest.mark.asyncio
async def test_a_familiar_ipv6_source_is_known_by_its_64(site: Site) -> None:
    await site.backend.favour([Element(parse_network(ATTACKER6), HOUR)])
    await site.backend.ban(for_an_hour(ATTACKER6))
    await refused_aloud(site, SAME_64, 587)


@pytest.mark.asyncio
@BOTH
async def test_everybody_banned_is_told_at_once_if_root_ordered_so(site: Site, source: str) -> None:
    await site.backend.ban(for_an_hour(source))
    write(site.running.orders, Orders(reset=True))
    await site.backend.open()
    await refused_aloud(site, source, 25)
    assert (await site.drops())[Drop(25, Scope.ALL, family(source))] >= 1
    write(site.running.orders, Orders())
    await site.backend.open()
    await site.refused(source, 25)


@pytest.mark.asyncio
@BOTH
async def test_first_packets_of_allowed_and_familiar_sources_are_marked_if_root_ordered_so(
    site: Site, source: str
) -> None:
    says = "ip6" if family(source) == 6 else "ip"
    rules = [
        f"{says} saddr {source} tcp dport 25 tcp flags syn meta mark & 0x20000000 {sign} 0x20000000"
        for sign in ("==", "!=")
    ]
    witness = site.witness(site.gateway, "forward", *rules)
    await site.answered(source, 25)
    assert witness.counts() == [0, 1]
    write(site.running.orders, Orders(mark=True))
    await site.backend.open()
    await site.answered(source, 25)
    assert witness.counts() == [0, 2]
    await site.backend.favour(for_an_hour(source))
    await site.answered(source, 25)
    assert witness.counts() == [1, 2]


@pytest.mark.asyncio
async def test_an_allowed_source_is_marked_too(site: Site) -> None:
    rules = [f"ip saddr {ATTACKER} tcp dport 25 tcp flags syn meta mark & 0x20000000 == 0x20000000"]
    witness = site.witness(site.gateway, "forward", *rules)
    write(site.running.orders, Orders(frozenset(sources(ATTACKER)), mark=True))
    await site.backend.open()
    await site.answered(ATTACKER, 25)
    assert witness.counts() == [1]
    assert MAILHOST[4] not in site.gateway.run("nft", "list", "set", "inet", "zward", "allow4")
