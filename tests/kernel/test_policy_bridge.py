"""The policy of a bridge that nobody sees: real packets, real sockets."""

from dataclasses import replace

import promises
import pytest
from gateways import (
    ADMIN,
    BRIDGE,
    BRIDGED,
    BRIDGED6,
    GATEWAY,
    GATEWAY6,
    ROUTER,
    ROUTER6,
    SYN,
    bridge,
    nets,
    serving,
    tcp,
)

pytestmark = [pytest.mark.kernel, pytest.mark.asyncio]


async def test_every_port_reaches_the_mail_host_with_the_clients_address() -> None:
    async with bridge() as site:
        site.load(BRIDGE)
        await promises.every_port_is_reached(site)


async def test_admin_ports_are_for_admin_networks() -> None:
    async with bridge() as site:
        site.load(BRIDGE)
        await promises.admin_ports_are_for_admin_networks(site)


async def test_nothing_else_is_open_on_the_bridge_or_behind_it() -> None:
    async with bridge() as site, serving(site.gateway, (GATEWAY, GATEWAY6), (22, 8080)):
        site.load(BRIDGE)
        await promises.nothing_else_is_open(site, *((to, port) for to in (GATEWAY, GATEWAY6) for port in (22, 8080)))


async def test_new_connections_are_limited_by_source() -> None:
    async with bridge() as site:
        await promises.new_connections_are_limited(site, BRIDGE)


async def test_concurrent_connections_are_limited_by_source() -> None:
    async with bridge() as site:
        await promises.concurrent_connections_are_limited(site, BRIDGE)


async def test_a_refused_connection_is_freed_on_the_mail_host() -> None:
    async with bridge() as site:
        await promises.a_refused_connection_is_freed_everywhere(site, BRIDGE)


async def test_syns_in_a_clients_name_use_up_nothing_of_its_room() -> None:
    async with bridge() as site:
        await promises.forged_syns_use_up_nothing(site, BRIDGE)


async def test_a_full_set_is_neither_open_nor_closed() -> None:
    async with bridge() as site:
        await promises.a_full_set_is_neither_open_nor_closed(site, BRIDGE)


async def test_syns_of_many_sources_close_nobody_out() -> None:
    async with bridge() as site:
        await promises.forged_sources_close_nobody_out(site, BRIDGE)


async def test_allowed_and_familiar_sources_have_more_room() -> None:
    async with bridge() as site:
        await promises.favoured_sources_have_more_room(site, BRIDGE)


async def test_packets_that_belong_to_no_connection_go_no_further() -> None:
    async with bridge() as site:
        site.load(BRIDGE)
        await promises.nonsense_goes_no_further(site)


async def test_forged_sources_go_no_further_those_behind_the_bridge_among_them() -> None:
    async with bridge() as site:
        site.load(replace(BRIDGE, inside=nets("203.0.113.16/28", "2001:db8:1::10:0/112")))
        ours = (BRIDGED, BRIDGED6, "203.0.113.17", "2001:db8:1::10:1")
        await promises.impossible_sources_go_no_further(site, *ours)


async def test_neighbours_find_each_other_and_pings_are_answered() -> None:
    async with bridge() as site:
        site.load(BRIDGE)
        await promises.pings_are_answered(site)
        site.pings(ROUTER6, where=site.mailhost)


async def test_errors_about_the_path_reach_the_mail_host() -> None:
    async with bridge() as site:
        site.load(BRIDGE)
        await promises.errors_about_the_path_come_through(site)


async def test_duplicate_addresses_are_found() -> None:
    async with bridge() as site:
        site.load(BRIDGE)
        await promises.duplicate_addresses_are_found(site)


async def test_management_is_for_admin_networks() -> None:
    async with bridge() as site:
        site.load(BRIDGE)
        await promises.management_is_for_admin_networks(site, GATEWAY, GATEWAY6)


async def test_the_administrators_session_survives_the_first_load() -> None:
    async with bridge() as site:
        await promises.a_session_survives_the_first_load(site, BRIDGE, GATEWAY, GATEWAY6)


async def test_a_load_keeps_connections_and_what_is_known_of_sources() -> None:
    async with bridge() as site:
        await promises.a_load_keeps_connections_and_what_is_known_of_sources(site, BRIDGE)


async def test_loads_under_traffic_let_nothing_slip() -> None:
    async with bridge() as site:
        await promises.loads_under_traffic_let_nothing_slip(site, BRIDGE)


async def test_the_mail_host_reaches_the_world() -> None:
    async with bridge() as site, serving(site.clients, (ROUTER, ROUTER6), (25,)):
        site.load(replace(BRIDGE, limits=replace(BRIDGE.limits, smtp_in=1)))
        for source, to in ((BRIDGED, ROUTER), (BRIDGED6, ROUTER6)):
            for _ in range(2):
                talk = await site.connect(source, 25, to, site.mailhost)
                assert await talk.greeting() == source
                await talk.echoed()


async def test_a_host_behind_the_bridge_that_nobody_named_stays_inside() -> None:
    async with bridge() as site, serving(site.clients, (ROUTER,), (25,)):
        site.mailhost.ip("address", "add", "203.0.113.17/24", "dev", "eth0")
        site.load(BRIDGE)
        before = site.count("denied")
        talk = await site.connect("203.0.113.17", 25, ROUTER, site.mailhost)
        await site.rises("denied", before)
        site.load(replace(BRIDGE, inside=nets("203.0.113.17")))
        assert await talk.greeting() == "203.0.113.17"


async def test_what_is_routed_and_not_bridged_is_refused() -> None:
    async with bridge() as site:
        site.gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        site.gateway.ip("link", "add", "spare0", "type", "veth", "peer", "name", "spare1")
        site.gateway.ip("address", "add", "192.0.2.1/24", "dev", "spare0")
        site.gateway.ip("link", "set", "spare0", "up")
        site.gateway.ip("link", "set", "spare1", "up")
        site.load(BRIDGE)
        for where, source in ((site.clients, ADMIN), (site.mailhost, BRIDGED)):
            where.ip("route", "add", "192.0.2.0/24", "via", GATEWAY)
            before = site.count("denied")
            site.send(tcp(source, "192.0.2.9", 25, SYN), where=where)
            await site.rises("denied", before)
