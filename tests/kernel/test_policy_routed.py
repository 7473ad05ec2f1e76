"""The policy between two networks, IPv4 translated and IPv6 routed: real packets, real sockets."""

import asyncio
import socket
from dataclasses import replace

import promises
import pytest
from gateways import (
    ADMIN,
    ADMIN6,
    BEHIND,
    GATEWAY,
    GATEWAY6,
    MAIL,
    MAIL6,
    OTHER,
    ROUTED,
    ROUTER,
    ROUTER6,
    SOURCE,
    SOURCE6,
    SYN,
    nets,
    routed,
    serving,
    tcp,
    udp,
    until,
)

from appliance.address import parse_network
from appliance.firewall.policy.gateway import Port

pytestmark = [pytest.mark.kernel, pytest.mark.asyncio]

SNAT = "203.0.113.7"

OTHER_TABLE = """
table inet other {
	set kept { type ipv4_addr; elements = { 192.0.2.1 }; }
}
"""


async def test_every_port_reaches_the_mail_host_with_the_clients_address() -> None:
    async with routed() as site:
        site.load(ROUTED)
        await promises.every_port_is_reached(site)


async def test_admin_ports_are_for_admin_networks() -> None:
    async with routed() as site:
        site.load(ROUTED)
        await promises.admin_ports_are_for_admin_networks(site)


async def test_nothing_else_is_open_on_the_gateway_or_behind_it() -> None:
    async with routed() as site, serving(site.gateway, (GATEWAY, GATEWAY6), (22, 8080)):
        site.load(ROUTED)
        gateways_own = [(address, port) for address in (GATEWAY, GATEWAY6) for port in (22, 8080)]
        await promises.nothing_else_is_open(site, *gateways_own, (BEHIND, 25))


async def test_new_connections_are_limited_by_source() -> None:
    async with routed() as site:
        await promises.new_connections_are_limited(site, ROUTED)


async def test_concurrent_connections_are_limited_by_source() -> None:
    async with routed() as site:
        await promises.concurrent_connections_are_limited(site, ROUTED)


async def test_a_closed_connection_makes_room() -> None:
    async with routed() as site:
        await promises.a_closed_connection_makes_room(site, ROUTED)


async def test_a_refused_connection_is_freed_on_the_mail_host() -> None:
    async with routed() as site:
        await promises.a_refused_connection_is_freed_everywhere(site, ROUTED)


async def test_syns_in_a_clients_name_use_up_nothing_of_its_room() -> None:
    async with routed() as site:
        await promises.forged_syns_use_up_nothing(site, ROUTED)


async def test_a_full_set_is_neither_open_nor_closed() -> None:
    async with routed() as site:
        await promises.a_full_set_is_neither_open_nor_closed(site, ROUTED)


async def test_syns_of_many_sources_close_nobody_out() -> None:
    async with routed() as site:
        await promises.forged_sources_close_nobody_out(site, ROUTED)


async def test_allowed_and_familiar_sources_have_more_room() -> None:
    async with routed() as site:
        await promises.favoured_sources_have_more_room(site, ROUTED)


async def test_packets_that_belong_to_no_connection_go_no_further() -> None:
    async with routed() as site:
        site.load(ROUTED)
        await promises.nonsense_goes_no_further(site)


async def test_forged_sources_go_no_further_our_own_networks_among_them() -> None:
    async with routed() as site:
        site.load(ROUTED)
        ours = ("192.0.2.77", "2001:db8:20::77", GATEWAY, GATEWAY6)
        await promises.impossible_sources_go_no_further(site, *ours)


async def test_pings_are_answered_whole_and_in_fragments() -> None:
    async with routed() as site:
        site.load(ROUTED)
        await promises.pings_are_answered(site)


async def test_errors_about_the_path_reach_the_mail_host() -> None:
    async with routed() as site:
        site.load(ROUTED)
        await promises.errors_about_the_path_come_through(site)


async def test_duplicate_addresses_are_found() -> None:
    async with routed() as site:
        site.load(ROUTED)
        await promises.duplicate_addresses_are_found(site)


async def test_management_is_for_admin_networks() -> None:
    async with routed() as site:
        site.load(ROUTED)
        await promises.management_is_for_admin_networks(site, GATEWAY, GATEWAY6)


async def test_management_is_open_from_any_interface_even_with_a_source_that_does_not_belong_there() -> None:
    async with routed() as site, serving(site.gateway, ("192.0.2.1",), (22,)):
        site.load_text(site.gateway, promises.MANAGED)
        site.mailhost.ip("address", "add", ADMIN, "dev", "eth0")
        site.gateway.ip("route", "replace", f"{ADMIN}/32", "via", MAIL)
        site.load(ROUTED)
        talk = await site.connect(ADMIN, 22, "192.0.2.1", site.mailhost)
        assert await talk.greeting() == ADMIN
        before = site.packets(site.gateway, "managed", "arrived")
        site.send(tcp(ADMIN, GATEWAY, 22, SYN))
        await until(lambda: site.packets(site.gateway, "managed", "arrived") > before)


async def test_the_administrators_session_survives_the_first_load() -> None:
    async with routed() as site:
        await promises.a_session_survives_the_first_load(site, ROUTED, GATEWAY, GATEWAY6)


async def test_a_load_keeps_connections_and_what_is_known_of_sources() -> None:
    async with routed() as site:
        await promises.a_load_keeps_connections_and_what_is_known_of_sources(site, ROUTED)


async def test_loads_under_traffic_let_nothing_slip() -> None:
    async with routed() as site:
        await promises.loads_under_traffic_let_nothing_slip(site, ROUTED)


async def test_the_mail_host_reaches_the_world_with_the_chosen_address() -> None:
    async with routed() as site, serving(site.clients, (ROUTER, ROUTER6), (25,)):
        site.gateway.ip("address", "add", f"{SNAT}/24", "dev", "wan0")
        site.load(replace(ROUTED, snat=parse_network(SNAT)))
        for source, to, seen in ((MAIL, ROUTER, SNAT), (MAIL6, ROUTER6, MAIL6)):
            talk = await site.connect(source, 25, to, site.mailhost)
            assert await talk.greeting() == seen
            await talk.echoed()


async def test_outbound_connections_are_not_limited() -> None:
    async with routed() as site, serving(site.clients, (ROUTER,), (25,)):
        limited = replace(ROUTED, limits=replace(ROUTED.limits, smtp_in=1), snat=parse_network(GATEWAY))
        site.load(limited)
        for _ in range(4):
            assert await (await site.connect(MAIL, 25, ROUTER, site.mailhost)).greeting() == GATEWAY


async def test_a_neighbour_of_the_mail_host_reaches_it_by_the_public_address() -> None:
    async with routed() as site:
        site.load(ROUTED)
        talk = await site.connect(BEHIND, 993, GATEWAY, site.mailhost)
        assert await talk.greeting() == "192.0.2.1"
        await talk.echoed()


async def test_two_families_of_translation() -> None:
    async with routed() as site:
        at = tuple(replace(each, at=nets(GATEWAY, GATEWAY6)) for each in ROUTED.publish)
        site.load(replace(ROUTED, publish=at))
        await site.greeted(SOURCE, 443, GATEWAY)
        await site.greeted(SOURCE6, 443, GATEWAY6)


async def test_syslog_is_for_senders() -> None:
    async with routed() as site, serving(site.gateway, ("192.0.2.1", GATEWAY), (6514,)):
        with site.gateway.entered():
            listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            listening.bind(("0.0.0.0", 5514))
        listening.setblocking(False)
        with listening:
            ports = [Port("udp", 5514), Port("tcp", 6514)]
            site.load(ROUTED, syslog=ports, senders=nets("192.0.2.10", "203.0.113.50"))
            before = site.count("denied")
            site.send(udp(OTHER, GATEWAY, 40000, 5514))
            await site.rises("denied", before)
            await site.dropped("denied", (OTHER, 6514), to=GATEWAY)
            for source, to, where in ((SOURCE, GATEWAY, site.clients), (MAIL, "192.0.2.1", site.mailhost)):
                site.send(udp(source, to, 40000, 5514), where=where)
                async with asyncio.timeout(20):
                    assert (await asyncio.get_running_loop().sock_recvfrom(listening, 100))[1][0] == source
                assert await (await site.connect(source, 6514, to, where)).greeting() == source


async def test_metrics_are_for_admin_networks() -> None:
    async with routed() as site, serving(site.gateway, (GATEWAY, GATEWAY6), (9514,)):
        site.load(ROUTED, http=9514)
        await site.dropped("denied", (SOURCE, 9514), to=GATEWAY)
        await site.dropped("denied", (SOURCE6, 9514), to=GATEWAY6)
        await site.greeted(ADMIN, 9514, GATEWAY)
        await site.greeted(ADMIN6, 9514, GATEWAY6)


async def test_answers_of_dhcp_reach_this_host() -> None:
    async with routed() as site:
        site.load(ROUTED)
        for kind, source, to, own_port, port in (
            (socket.AF_INET, ROUTER, GATEWAY, 67, 68),
            (socket.AF_INET6, "fe80::1", GATEWAY6, 547, 546),
        ):
            with site.gateway.entered():
                listening = socket.socket(kind, socket.SOCK_DGRAM)
                listening.bind((to, port))
            listening.setblocking(False)
            with listening:
                site.send(udp(source, to, own_port, port))
                async with asyncio.timeout(20):
                    assert (await asyncio.get_running_loop().sock_recvfrom(listening, 100))[0] == b"x"


async def test_a_third_interface_is_neither_world_nor_inside() -> None:
    async with routed() as site:
        site.load(replace(ROUTED, wan=("wan9",)))
        await site.dropped("denied", (SOURCE, 25), (SOURCE6, 25))


async def test_a_load_leaves_other_tables_alone_and_may_be_repeated_and_may_change_everything() -> None:
    async with routed() as site:
        site.load_text(
            site.gateway, "table inet other {\n\tset kept { type ipv4_addr; elements = { 192.0.2.1 }; }\n}\n"
        )
        text = site.load(ROUTED, size=65536)
        once = site.gateway.run("nft", "list", "ruleset")
        site.load_text(site.gateway, text)
        assert site.gateway.run("nft", "list", "ruleset") == once
        site.load(replace(ROUTED, limits=replace(ROUTED.limits, login=7)), size=16)
        await promises.every_port_is_reached(site)
        assert "elements = { 192.0.2.1 }" in site.gateway.run("nft", "list", "table", "inet", "other")


async def test_a_fragment_too_small_for_its_ports_opens_nothing() -> None:
    async with routed() as site:
        site.load(ROUTED)
        whole = tcp(SOURCE, GATEWAY, 8080, SYN)
        header, segment = bytearray(whole[:20]), whole[20:]
        before = site.count("denied")
        for offset, more in ((0, 1), (1, 1), (2, 0)):
            part = segment[offset * 8 : offset * 8 + 8]
            header[2:4] = (20 + len(part)).to_bytes(2, "big")
            header[6:8] = (offset | more << 13).to_bytes(2, "big")
            site.send(bytes(header) + part)
        await site.rises("denied", before)
        assert site.arrived("syns") == 0
