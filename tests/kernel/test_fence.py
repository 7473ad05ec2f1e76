"""Doors for known sources only, and sshd's ports: real packets through a gateway in namespaces, in both families."""

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
    NEIGHBOUR,
    OTHER_PORT,
    SAME_64,
    STRANGER,
    STRANGER6,
    Site,
    family,
    host_of,
    mail_site,
)

from appliance.address import parse_network, source_of
from appliance.firewall.backend import EXPOSED_PORTS, BackendError, Drop, Element, drops
from appliance.firewall.limits import LONGEST_FENCE
from appliance.firewall.orders import Orders, write
from appliance.model import Scope

pytestmark = pytest.mark.kernel

HOUR = 3600
FENCE = (587, 465, 993, 995)
SSHD = (OTHER_PORT,)
SOMEBODY = "192.0.2.77"
"""Familiar: a fence around nobody is refused."""
BOTH = pytest.mark.parametrize("source", [ATTACKER, ATTACKER6])


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    orders = Orders(extra_ports=SSHD, fence=FENCE, fence_from=frozenset([parse_network("198.51.100.0/24")]))
    async with mail_site(tmp_path, orders) as made:
        await made.backend.favour(for_an_hour(SOMEBODY))
        yield made


def for_an_hour(*texts: str, scope: Scope = Scope.ALL) -> list[Element]:
    return [Element(source_of(parse_network(text)), HOUR, scope) for text in texts]


async def fenced_out(site: Site, source: str, *ports: int) -> None:
    """A new connection to each of these ports gets no answer, and the fence counts it."""
    for port in ports:
        before = (await site.backend.health()).fenced
        talk = await site.connect(source, port)
        while (await site.backend.health()).fenced == before:
            await asyncio.sleep(0.01)
        assert not talk.connected.done()


def rules(site: Site) -> int:
    return site.gateway.run("nft", "list", "table", "inet", "zward").count("tcp dport @fence goto")


# The fence


@pytest.mark.asyncio
@BOTH
async def test_a_strangers_new_connection_to_a_fenced_port_is_dropped_and_all_other_ports_are_open(
    site: Site, source: str
) -> None:
    await site.backend.fence(FENCE, 600)
    await fenced_out(site, source, *FENCE)
    await site.answered(source, *sorted(set(EXPOSED_PORTS) - set(FENCE)), OTHER_PORT)
    assert await site.drops() == {}


@pytest.mark.asyncio
@BOTH
async def test_a_familiar_source_passes_the_fence_and_so_does_an_allowed_one(site: Site, source: str) -> None:
    await site.backend.fence(FENCE, 600)
    await fenced_out(site, source, 993)
    await site.backend.favour(for_an_hour(source))
    await site.answered(source, *FENCE)
    await fenced_out(site, NEIGHBOUR, 587)
    await site.backend.allow([parse_network(NEIGHBOUR)])
    await site.answered(NEIGHBOUR, *FENCE)


@pytest.mark.asyncio
async def test_the_networks_that_root_named_pass_and_a_familiar_ipv6_source_is_known_by_its_64(site: Site) -> None:
    await site.backend.fence(FENCE, 600)
    await site.answered(STRANGER, *FENCE)
    await site.backend.favour(for_an_hour(ATTACKER6))
    await site.answered(SAME_64, *FENCE)
    await fenced_out(site, STRANGER6, 993)


@pytest.mark.asyncio
@pytest.mark.parametrize("source", [STRANGER, ATTACKER6])
async def test_whoever_passes_the_fence_is_marked_for_the_limits_as_ever(site: Site, source: str) -> None:
    says = "ip6" if family(source) == 6 else "ip"
    rule = f"{says} saddr {source} tcp dport 587 tcp flags syn meta mark & 0x20000000 == 0x20000000"
    witness = site.witness(site.gateway, "forward", rule)
    write(site.running.orders, Orders(mark=True, fence=FENCE))
    await site.backend.open()
    await site.backend.fence(FENCE, 600)
    await site.backend.favour(for_an_hour(source))
    await site.answered(source, 587)
    assert witness.counts() == [1]


@pytest.mark.asyncio
@BOTH
async def test_a_connection_that_stands_goes_on_behind_the_fence(site: Site, source: str) -> None:
    talk = await site.connect(source, 993)
    await talk.answered()
    await site.backend.fence(FENCE, 600)
    await fenced_out(site, source, 993)
    for _ in range(3):
        await talk.answered()
    await site.servers.speak(source)
    assert await talk.hear() == b"hello"


@pytest.mark.asyncio
@BOTH
async def test_the_fence_ends_by_itself(site: Site, source: str) -> None:
    await site.backend.fence(FENCE, 2)
    await fenced_out(site, source, 993)
    await site.answered(source, 993)  # which sends its SYN again and again until it is let in
    assert "elements" not in site.gateway.run("nft", "list", "set", "inet", "zward", "fence")


@pytest.mark.asyncio
async def test_the_fence_is_renewed_and_lifted_port_by_port(site: Site) -> None:
    await site.backend.fence(FENCE, 1)
    await site.backend.fence(FENCE, 600)
    await site.backend.fence((587, 465), 0)
    await site.answered(ATTACKER, 587, 465)
    await fenced_out(site, ATTACKER, 993, 995)
    assert rules(site) == 2
    await site.backend.fence((993, 995), 0)
    await site.answered(ATTACKER, 993, 995)
    assert rules(site) == 0


@pytest.mark.asyncio
async def test_a_banned_source_that_is_familiar_stays_banned_behind_the_fence(site: Site) -> None:
    await site.backend.fence(FENCE, 600)
    await site.backend.ban(for_an_hour(STRANGER))
    await site.refused(STRANGER, 993)


@pytest.mark.asyncio
async def test_only_what_root_ordered_is_fenced_and_for_no_longer_than_an_hour(site: Site) -> None:
    for ports, seconds, says in (
        ((587, 25), 600, "port 25 may not be fenced; by root's orders: 587, 465, 993, 995"),
        ((443,), 600, "port 443 may not be fenced"),
        (FENCE, LONGEST_FENCE + 1, "a fence for 3601 s; the limit is 3600"),
    ):
        with pytest.raises(BackendError, match=says):
            await site.backend.fence(ports, seconds)
    assert rules(site) == 0
    await site.backend.fence(FENCE, LONGEST_FENCE)
    write(site.running.orders, Orders(fence=(587,)))
    await site.backend.open()
    await site.answered(ATTACKER, 993)
    await fenced_out(site, ATTACKER, 587)
    write(site.running.orders, Orders())
    await site.backend.open()
    await site.answered(ATTACKER, 587)
    with pytest.raises(BackendError, match="by root's orders: none"):
        await site.backend.fence((587,), 600)


@pytest.mark.asyncio
async def test_the_fence_outlives_the_helper_and_is_in_force_when_another_takes_over(site: Site) -> None:
    await site.backend.fence(FENCE, 600)
    site.running.kill()
    site.running.start()
    await fenced_out(site, ATTACKER, 993)
    await site.backend.fence(FENCE, 0)
    await site.answered(ATTACKER, 993)


@pytest.mark.asyncio
@BOTH
async def test_who_is_fenced_out_is_told_at_once_if_root_ordered_so(site: Site, source: str) -> None:
    write(site.running.orders, Orders(reset=True, fence=FENCE))
    await site.backend.open()
    await site.backend.fence(FENCE, 600)
    talk = await site.connect(source, 993)
    with pytest.raises(ConnectionRefusedError):
        await talk.connected
    assert (await site.backend.health()).fenced == 1


@pytest.mark.asyncio
@BOTH
async def test_a_syn_whose_flags_are_in_its_second_fragment_does_not_get_through_the_fence(
    site: Site, source: str
) -> None:
    says = "ip6" if family(source) == 6 else "ip"
    witness = site.witness(site.mailhost, "input", *(f"{says} saddr {source} tcp dport {port}" for port in (993, 143)))
    await site.backend.fence(FENCE, 600)
    with site.raw(source) as raw:
        for number, port in ((1, 993), (2, 143)):
            for fragment in fragments(source, port, number):
                raw.sendto(fragment, (host_of(source), 0))
    await witness.until(1, 1)
    assert witness.counts()[0] == 0


def fragments(source: str, port: int, number: int) -> list[bytes]:
    """A SYN in two fragments: ports in one, flags in the other."""
    ends = parse_network(source).packed + parse_network(host_of(source)).packed
    pseudo = struct.pack("!HH", 6, 20) if family(source) == 4 else struct.pack("!II", 20, 6)
    head = struct.pack("!HHIIBBHHH", 4000, port, 1, 0, 0x50, SYN, 64240, 0, 0)
    segment = head[:16] + struct.pack("!H", checksum(ends + pseudo + head)) + head[18:]
    made = []
    for at, part, more in ((0, segment[:8], 1), (8, segment[8:], 0)):
        if family(source) == 4:
            start = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(part), number, more << 13 | at >> 3, 64, 6, 0)
            made.append(start + ends + part)
        else:
            extension = struct.pack("!BBHI", 6, 0, at | more, number)
            made.append(struct.pack("!IHBB", 0x6000_0000, 8 + len(part), 44, 64) + ends + extension + part)
    return made


@pytest.mark.asyncio
async def test_a_fence_around_nobody_is_refused(tmp_path: Path) -> None:
    async with mail_site(tmp_path, Orders(fence=FENCE)) as site:
        with pytest.raises(BackendError, match="no source is familiar"):
            await site.backend.fence(FENCE, 600)
        await site.answered(ATTACKER, 993)


# sshd's ports


@pytest.mark.asyncio
@BOTH
async def test_a_ban_of_scope_all_closes_sshds_port_and_narrower_ones_do_not(site: Site, source: str) -> None:
    for scope in (Scope.LOGIN, Scope.SMTP_IN):
        await site.backend.ban(for_an_hour(source, scope=scope))
    await site.answered(source, OTHER_PORT)
    assert await site.drops() == {}
    await site.backend.ban(for_an_hour(source))
    await site.refused(source, OTHER_PORT)
    await site.answered(STRANGER, OTHER_PORT)
    assert set(await site.drops()) == {Drop(OTHER_PORT, Scope.ALL, family(source))}
    assert set(await site.backend.dropped()) == set(drops(SSHD))


@pytest.mark.asyncio
async def test_whoever_is_allowed_reaches_sshd_though_he_is_banned(site: Site) -> None:
    await site.backend.ban(for_an_hour(ATTACKER, ATTACKER6))
    await site.refused(ATTACKER, OTHER_PORT)
    await site.backend.allow([parse_network(ATTACKER), parse_network(ATTACKER6)])
    await site.answered(ATTACKER, OTHER_PORT)
    await site.answered(ATTACKER6, OTHER_PORT)


@pytest.mark.asyncio
@BOTH
async def test_a_standing_session_at_sshd_is_ended_by_a_ban_of_scope_all_alone(site: Site, source: str) -> None:
    site.gateway.run(
        "nft", "table inet follow { chain f { type filter hook forward priority 0; ct state new accept; }; }"
    )
    talk = await site.connect(source, OTHER_PORT)
    await talk.answered()
    await site.backend.ban(for_an_hour(source, scope=Scope.LOGIN))
    await talk.answered()
    await site.backend.ban(for_an_hour(source))
    await site.servers.reset(source)
    assert (await site.backend.health()).ended >= 1


@pytest.mark.asyncio
@BOTH
async def test_who_was_answered_by_sshd_is_proved(site: Site, source: str) -> None:
    await site.answered(source, OTHER_PORT)
    net = source_of(parse_network(source))
    assert await site.backend.seen([net]) == {net}


@pytest.mark.asyncio
async def test_an_ssh_port_on_the_gateway_itself_is_closed_too(site: Site) -> None:
    own = "192.0.2.129"
    await site.servers.serve(site.gateway, [own], [OTHER_PORT])
    await (await site.begin(site.clients, ATTACKER, own, OTHER_PORT)).answered()
    await site.backend.ban(for_an_hour(ATTACKER))
    before = await site.backend.dropped()
    talk = await site.begin(site.clients, ATTACKER, own, OTHER_PORT)
    await site.dropped_more(before, Drop(OTHER_PORT, Scope.ALL, 4))
    assert not talk.connected.done()


@pytest.mark.asyncio
async def test_other_ports_for_sshd_are_taken_up_around_standing_bans_familiar_sources_and_the_fence(
    site: Site,
) -> None:
    await site.backend.ban(for_an_hour(ATTACKER, ATTACKER6))
    await site.backend.favour(for_an_hour(NEIGHBOUR))
    await site.backend.fence(FENCE, 600)
    write(site.running.orders, Orders(fence=FENCE))
    await site.backend.open()
    await site.answered(ATTACKER, OTHER_PORT)
    await site.refused(ATTACKER, 25, 443)
    await site.answered(NEIGHBOUR, 993)
    await fenced_out(site, STRANGER, 993)
    write(site.running.orders, Orders(extra_ports=(22, OTHER_PORT), fence=FENCE))
    await site.backend.open()
    await site.refused(ATTACKER, OTHER_PORT)
    await site.refused(ATTACKER6, OTHER_PORT)
