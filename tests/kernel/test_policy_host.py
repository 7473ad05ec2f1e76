"""The policy of a mail host that protects itself: real packets, real sockets."""

from dataclasses import replace

import promises
import pytest
from gateways import (
    ADMIN,
    CLOSED_PORT,
    GATEWAY,
    GATEWAY6,
    HOST,
    OTHER,
    ROUTER,
    ROUTER6,
    SOURCE,
    SOURCE6,
    SYN,
    host,
    nets,
    serving,
    tcp,
)

from appliance.firewall.policy.gateway import Publish
from appliance.model import Scope

pytestmark = [pytest.mark.kernel, pytest.mark.asyncio]


async def test_every_port_is_reached() -> None:
    async with host() as site:
        site.load(HOST)
        await promises.every_port_is_reached(site)


async def test_admin_ports_are_for_admin_networks() -> None:
    async with host() as site:
        site.load(HOST)
        await promises.admin_ports_are_for_admin_networks(site)


async def test_nothing_else_is_open() -> None:
    async with host() as site, serving(site.gateway, (GATEWAY, GATEWAY6), (22,)):
        site.load(HOST)
        await promises.nothing_else_is_open(site, (GATEWAY, 22), (GATEWAY6, 22))


async def test_new_connections_are_limited_by_source() -> None:
    async with host() as site:
        await promises.new_connections_are_limited(site, HOST)


async def test_concurrent_connections_are_limited_by_source() -> None:
    async with host() as site:
        await promises.concurrent_connections_are_limited(site, HOST)


async def test_a_refused_connection_is_freed() -> None:
    async with host() as site:
        await promises.a_refused_connection_is_freed_everywhere(site, HOST)


async def test_syns_in_a_clients_name_use_up_nothing_of_its_room() -> None:
    async with host() as site:
        await promises.forged_syns_use_up_nothing(site, HOST)


async def test_a_full_set_is_neither_open_nor_closed() -> None:
    async with host() as site:
        await promises.a_full_set_is_neither_open_nor_closed(site, HOST)


async def test_syns_of_many_sources_close_nobody_out() -> None:
    async with host() as site:
        await promises.forged_sources_close_nobody_out(site, HOST)


async def test_allowed_and_familiar_sources_have_more_room() -> None:
    async with host() as site:
        await promises.favoured_sources_have_more_room(site, HOST)


async def test_packets_that_belong_to_no_connection_go_no_further() -> None:
    async with host() as site:
        site.load(HOST)
        await promises.nonsense_goes_no_further(site)


async def test_forged_sources_go_no_further_its_own_addresses_among_them() -> None:
    async with host() as site:
        site.load(HOST)
        await promises.impossible_sources_go_no_further(site, GATEWAY, GATEWAY6)


async def test_pings_are_answered_whole_and_in_fragments() -> None:
    async with host() as site:
        site.load(HOST)
        await promises.pings_are_answered(site)


async def test_duplicate_addresses_are_found() -> None:
    async with host() as site:
        site.load(HOST)
        await promises.duplicate_addresses_are_found(site)


async def test_management_is_for_admin_networks() -> None:
    async with host() as site:
        site.load(HOST)
        await promises.management_is_for_admin_networks(site, GATEWAY, GATEWAY6)


async def test_the_administrators_session_survives_the_first_load() -> None:
    async with host() as site:
        await promises.a_session_survives_the_first_load(site, HOST, GATEWAY, GATEWAY6)


async def test_a_load_keeps_connections_and_what_is_known_of_sources() -> None:
    async with host() as site:
        await promises.a_load_keeps_connections_and_what_is_known_of_sources(site, HOST)


async def test_it_reaches_the_world_and_itself() -> None:
    async with host() as site, serving(site.clients, (ROUTER, ROUTER6), (25,)):
        site.load(replace(HOST, limits=replace(HOST.limits, smtp_in=1)))
        for source, to in ((GATEWAY, ROUTER), (GATEWAY6, ROUTER6)):
            for target, port in ((to, 25), (source, 25), (source, CLOSED_PORT)):
                for _ in range(2):
                    talk = await site.connect(source, port, target, site.gateway)
                    assert await talk.greeting() == source


async def test_other_zimbra_hosts_reach_every_port() -> None:
    async with host() as site:
        site.load(replace(HOST, inside=nets(OTHER, SOURCE6)))
        for source in (OTHER, SOURCE6):
            await site.greeted(source, CLOSED_PORT)
        await site.dropped("denied", (SOURCE, CLOSED_PORT))


async def test_a_port_may_be_open_at_one_address_alone() -> None:
    async with host() as site:
        site.load(replace(HOST, publish=(Publish(Scope.WEB, nets(GATEWAY), (443,)),)))
        await site.greeted(SOURCE, 443)
        await site.dropped("denied", (SOURCE6, 443))


async def test_it_forwards_nothing() -> None:
    async with host() as site:
        site.gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        site.gateway.ip("link", "add", "spare0", "type", "veth", "peer", "name", "spare1")
        site.gateway.ip("address", "add", "192.0.2.1/24", "dev", "spare0")
        site.gateway.ip("link", "set", "spare0", "up")
        site.gateway.ip("link", "set", "spare1", "up")
        site.clients.ip("route", "add", "192.0.2.0/24", "via", GATEWAY)
        site.load(HOST)
        before = site.count("denied")
        site.send(tcp(ADMIN, "192.0.2.9", 25, SYN))
        await site.rises("denied", before)
