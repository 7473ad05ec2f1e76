"""Who is kept out of which ports: real packets through a gateway in namespaces, in both families."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from bench.flood import SYN, checksum
from mailsite import (
    ATTACKER,
    ATTACKER6,
    MAILHOST,
    NEIGHBOUR,
    OTHER_PORT,
    SAME_48,
    SAME_64,
    STRANGER,
    STRANGER6,
    Site,
    family,
    host_of,
    mail_site,
)

from appliance.address import Net, parse_network
from appliance.firewall.backend import CLOSED_PORTS, EXPOSED_PORTS, Drop, Element
from appliance.firewall.orders import Orders, write
from appliance.firewall.table.netlink import Netlink
from appliance.firewall.watch import generation
from appliance.model import BAN_SCOPES, Scope

pytestmark = pytest.mark.kernel

HOUR = 3600
BOTH = pytest.mark.parametrize("attacker", [ATTACKER, ATTACKER6])


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with mail_site(tmp_path) as made:
        yield made


def for_an_hour(*texts: str, scope: Scope = Scope.ALL) -> list[Element]:
    return [Element(parse_network(text), HOUR, scope) for text in texts]


def source_of(address: str) -> str:
    """What a detector bans: IPv6 by /64, which is the only way in a narrow scope."""
    return address if family(address) == 4 else "2001:db8:bad:1::/64"


@pytest.mark.asyncio
@BOTH
async def test_a_banned_source_reaches_none_of_the_exposed_ports_and_everybody_else_does(
    site: Site, attacker: str
) -> None:
    assert {25, 465, 587, 80, 443, 110, 143, 993, 995, 7071, 9071} == set(EXPOSED_PORTS)
    await site.answered(attacker, *EXPOSED_PORTS)
    assert await site.drops() == {}
    await site.backend.ban(for_an_hour(attacker))
    await site.refused(attacker, *EXPOSED_PORTS)
    await site.answered(NEIGHBOUR, *EXPOSED_PORTS)
    await site.answered(STRANGER6, *EXPOSED_PORTS)


@pytest.mark.asyncio
@BOTH
@pytest.mark.parametrize("scope", BAN_SCOPES)
async def test_a_ban_closes_the_ports_of_its_scope_and_no_other(site: Site, attacker: str, scope: Scope) -> None:
    await site.backend.ban(for_an_hour(source_of(attacker), scope=scope))
    closed = CLOSED_PORTS[scope]
    await site.answered(attacker, OTHER_PORT, *sorted(set(EXPOSED_PORTS) - set(closed)))
    await site.refused(attacker, *closed, scope=scope)
    assert {(drop.scope, drop.family) for drop in await site.drops()} == {(scope, family(attacker))}


@pytest.mark.asyncio
@BOTH
async def test_bans_of_two_scopes_stand_beside_each_other_and_each_counts_its_own(site: Site, attacker: str) -> None:
    for scope in (Scope.LOGIN, Scope.SMTP_IN):
        await site.backend.ban(for_an_hour(source_of(attacker), scope=scope))
    await site.refused(attacker, 25, scope=Scope.SMTP_IN)
    await site.refused(attacker, 587, 9071, scope=Scope.LOGIN)
    assert set(await site.drops()) == {
        Drop(25, Scope.SMTP_IN, family(attacker)),
        Drop(587, Scope.LOGIN, family(attacker)),
        Drop(9071, Scope.LOGIN, family(attacker)),
    }
    await site.backend.unban([parse_network(source_of(attacker))])
    await site.answered(attacker, 25, 587)


@pytest.mark.asyncio
@pytest.mark.parametrize("scope", [Scope.LOGIN, Scope.SMTP_IN])
async def test_networks_are_banned_in_narrow_scopes_too(site: Site, scope: Scope) -> None:
    await site.backend.ban(for_an_hour("203.0.113.0/24", "2001:db8:bad::/48", scope=scope))
    inside = 25 if scope is Scope.SMTP_IN else 993
    for source in (ATTACKER, NEIGHBOUR, ATTACKER6, SAME_48):
        await site.refused(source, inside, scope=scope)
    for source in (STRANGER, STRANGER6):
        await site.answered(source, inside)


@pytest.mark.asyncio
async def test_a_connection_that_stands_gets_nothing_through_after_the_ban(site: Site) -> None:
    banned, free = await site.connect(ATTACKER, 143), await site.connect(NEIGHBOUR, 143)
    await banned.answered()
    await free.answered()
    await site.backend.ban(for_an_hour(ATTACKER))
    before = await site.backend.dropped()
    await banned.say(b"still here?")
    await site.dropped_more(before, Drop(143, Scope.ALL, 4))
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
    await site.answered(ATTACKER, 25, 443)
    await site.answered(ATTACKER6, 25, 443)
    await site.refused(NEIGHBOUR, 25)
    await site.backend.allow([])
    await site.refused(ATTACKER, 25)


@pytest.mark.asyncio
async def test_whomever_root_never_bans_passes_as_soon_as_the_orders_say_so(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER, ATTACKER6))
    await site.refused(ATTACKER, 25)
    write(site.running.orders, Orders(frozenset(map(parse_network, (ATTACKER, ATTACKER6))), mark=True))
    await site.answered(ATTACKER, 25)
    await site.answered(ATTACKER6, 25)


@pytest.mark.asyncio
async def test_a_port_that_is_not_exposed_is_none_of_our_business(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER, ATTACKER6))
    await site.answered(ATTACKER, OTHER_PORT)
    await site.answered(ATTACKER6, OTHER_PORT)
    assert await site.drops() == {}


@pytest.mark.asyncio
@BOTH
async def test_the_mail_host_itself_still_delivers_to_a_banned_host(site: Site, attacker: str) -> None:
    await site.backend.ban(for_an_hour(attacker))
    await (await site.begin(site.mailhost, host_of(attacker), attacker, 25)).answered()


@pytest.mark.asyncio
async def test_bans_hold_while_the_table_is_loaded_again_and_while_no_helper_lives(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER))
    await site.backend.open()
    await site.refused(ATTACKER, 25)
    drop = Drop(25, Scope.ALL, 4)
    site.running.stop()
    counter = ("nft", "list", "counter", "inet", "zward", "d4_25_all")
    counted = site.gateway.run(*counter)
    orphan = await site.connect(ATTACKER, 25)
    while site.gateway.run(*counter) == counted:
        await asyncio.sleep(0.01)
    assert not orphan.connected.done()
    await site.answered(NEIGHBOUR, 25)
    site.running.start()
    assert (await site.backend.dropped())[drop].packets > 0
    await site.refused(ATTACKER, 25)


@pytest.mark.asyncio
async def test_nft_shows_the_ban_to_an_operator(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER))
    shown = site.gateway.run("nft", "list", "set", "inet", "zward", "ban4")
    assert f"{ATTACKER} timeout 1h expires" in shown


@pytest.mark.asyncio
async def test_a_batch_of_20000_is_one_transaction_of_the_kernel(site: Site) -> None:
    batch = [Element(Net((0x0B000000 + number).to_bytes(4, "big"), 32), HOUR) for number in range(20_000)]
    batch += for_an_hour("198.51.100.0/24", "2001:db8:bad::/48")
    with site.gateway.entered():
        kernel = Netlink()
    before = generation(kernel)
    await site.backend.ban(batch)
    assert generation(kernel) == before + 1
    kernel.close()


@pytest.mark.asyncio
async def test_neighbours_find_each_other_while_their_network_is_banned(site: Site) -> None:
    site.gateway.ip("route", "add", "2001:db8:bad:1::/64", "dev", "wan")
    await site.backend.ban(for_an_hour("2001:db8:bad:1::/64"))
    for where in (site.gateway, site.clients):
        where.ip("-6", "neighbour", "flush", "all")
    await (await site.begin(site.mailhost, MAILHOST[6], ATTACKER6, 25)).answered()
    site.clients.ip("-6", "neighbour", "flush", "all")
    await site.refused(SAME_64, 25)
    assert f"{ATTACKER6} dev wan lladdr" in site.gateway.run("ip", "-6", "neighbour")


# Fragments, on a gateway that does not put them together


def segment(source: str, port: int) -> bytes:
    """A SYN."""
    packed = parse_network(source).packed + parse_network(host_of(source)).packed
    pseudo = struct.pack("!HH", 6, 20) if family(source) == 4 else struct.pack("!II", 20, 6)
    head = struct.pack("!HHIIBBHHH", 4000, port, 1, 0, 0x50, SYN, 64240, 0, 0)
    return head[:16] + struct.pack("!H", checksum(packed + pseudo + head)) + head[18:]


def fragments(source: str, payload: bytes, number: int, first: int = 8, kind: int = 6) -> list[bytes]:
    """An IP packet in two fragments, the first of them `first` bytes long; `kind` of the payload."""
    ends = parse_network(source).packed + parse_network(host_of(source)).packed
    made = []
    for at, part, more in ((0, payload[:first], 1), (first, payload[first:], 0)):
        if family(source) == 4:
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(part), number, more << 13 | at >> 3, 64, kind, 0)
            made.append(head + ends + part)
        else:
            extension = struct.pack("!BBHI", kind, 0, at | more, number)
            made.append(struct.pack("!IHBB", 0x6000_0000, 8 + len(part), 44, 64) + ends + extension + part)
    return made


@pytest.mark.asyncio
@pytest.mark.parametrize(("attacker", "free"), [(ATTACKER, NEIGHBOUR), (ATTACKER6, STRANGER6)])
async def test_a_syn_in_fragments_does_not_get_through_and_another_sources_does(
    site: Site, attacker: str, free: str
) -> None:
    says = "ip6" if family(free) == 6 else "ip"
    witness = site.witness(
        site.mailhost, "input", f"{says} saddr {attacker} tcp dport 25", f"{says} saddr {free} tcp dport 25"
    )
    await site.backend.ban(for_an_hour(attacker))
    before = await site.backend.dropped()
    with site.raw(attacker) as raw:
        for number, first in enumerate((8, 16)):
            for source in (attacker, free):
                for fragment in fragments(source, segment(source, 25), number, first):
                    raw.sendto(fragment, (host_of(source), 0))
    await witness.until(1, 2)
    assert witness.counts()[0] == 0
    await site.dropped_more(before, Drop(25, Scope.ALL, family(attacker)))


@pytest.mark.asyncio
async def test_a_syn_behind_extension_headers_does_not_get_through(site: Site) -> None:
    """Once within one packet, once so that the ports are in the second fragment: hosts refuse that (RFC 7112)."""
    options = struct.pack("!BBBB4x", 6, 0, 1, 4)
    witness = site.witness(
        site.mailhost, "input", f"ip6 saddr {ATTACKER6} tcp dport 25", f"ip6 saddr {STRANGER6} tcp dport 25"
    )
    await site.backend.ban(for_an_hour(ATTACKER6))
    before = await site.backend.dropped()
    with site.raw(ATTACKER6) as raw:
        for source in (ATTACKER6, STRANGER6):
            payload = options + segment(source, 25)
            ends = parse_network(source).packed + parse_network(MAILHOST[6]).packed
            raw.sendto(struct.pack("!IHBB", 0x6000_0000, len(payload), 60, 64) + ends + payload, (MAILHOST[6], 0))
            for fragment in fragments(source, payload, 7, first=8, kind=60):
                raw.sendto(fragment, (MAILHOST[6], 0))
    await witness.until(1, 1)
    assert witness.counts()[0] == 0
    await site.dropped_more(before, Drop(25, Scope.ALL, 6))
