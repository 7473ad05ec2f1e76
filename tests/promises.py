"""What the policy promises in every mode of a gateway, to be called with a site from `gateways`."""

import asyncio
from dataclasses import replace

from gateways import (
    ACK,
    ADMIN,
    ADMIN6,
    CLOSED_PORT,
    FIN,
    FRIEND6,
    OTHER,
    OTHER6,
    PSH,
    RST,
    SAME_64,
    SOURCE,
    SOURCE6,
    SYN,
    THIRD,
    URG,
    Site,
    packet_too_big,
    serving,
    tcp,
    until,
)

from appliance.address import parse_network
from appliance.firewall.backend import EXPOSED_PORTS
from appliance.firewall.policy.gateway import Gateway, Limits
from appliance.firewall.table.layout import FAVOURED

OPEN_TO_ALL = [port for port in EXPOSED_PORTS if port not in (7071, 9071)]

MARKS = """
table inet stand_in {{
	chain early {{
		type filter hook prerouting priority -310
		ip saddr {source} tcp flags & (syn | ack) == syn meta mark set meta mark or {mark:#x}
	}}
}}
"""
"""What the table of bans does for familiar sources."""


SILENT = """
table inet silent {
	chain out {
		type filter hook output priority 0
		tcp flags & rst == rst drop
	}
}
"""
"""A client that tells nobody of the connections it knows nothing of."""

MANAGED = """
table inet managed {
	counter arrived { }
	counter tracked { }
	counter refused { }
	chain early {
		type filter hook prerouting priority 0
		tcp dport != 22 accept
		ct state untracked accept
		ip saddr 203.0.113.50 counter name refused accept
		ip6 saddr 2001:db8:99:1::5 counter name refused accept
		counter name tracked
	}
	chain late {
		type filter hook input priority 100
		tcp dport 22 counter name arrived
	}
}
"""
"""Management packets that get to this host, and those that connection tracking knows: strangers', and others'."""


async def every_port_is_reached(site: Site) -> None:
    """With the client's own address, in both families."""
    for port in OPEN_TO_ALL:
        for source in (SOURCE, SOURCE6):
            await site.greeted(source, port)
    assert not any(site.counts().values())


async def admin_ports_are_for_admin_networks(site: Site) -> None:
    for port in (7071, 9071):
        await site.dropped("admin", (SOURCE, port), (SOURCE6, port))
        for source in (ADMIN, ADMIN6):
            await site.greeted(source, port)


async def nothing_else_is_open(site: Site, *more: tuple[str, int]) -> None:
    """The mail host's other ports, and what more (address, port) there is."""
    await site.dropped("denied", *((source, CLOSED_PORT) for source in (SOURCE, SOURCE6, ADMIN, ADMIN6)))
    for address, port in more:
        await site.dropped("denied", (SOURCE6 if ":" in address else SOURCE, port), to=address)


async def new_connections_are_limited(site: Site, gateway: Gateway) -> None:
    """By source: an IPv4 address, or an IPv6 /64. The one too many gets a reset, others are as free as before."""
    site.load(replace(gateway, limits=Limits(smtp_in=3)))
    for sources, stranger in (((SOURCE,) * 4, OTHER), ((SOURCE6, SAME_64, SOURCE6, SAME_64), OTHER6)):
        for source in sources[:3]:
            (await site.greeted(source, 25)).close()
        refused = site.count("rate")
        assert await (await site.connect(sources[3], 25)).refused()
        assert site.count("rate") == refused + 1
        await site.greeted(stranger, 25)
        await site.greeted(sources[3], 587)


def forget_rates(site: Site) -> None:
    """As if a minute had gone by."""
    for family in (4, 6):
        site.gateway.run("nft", "flush", "set", "inet", "zward_policy", f"smtp_in_rate{family}")


async def concurrent_connections_are_limited(site: Site, gateway: Gateway) -> None:
    site.load(replace(gateway, limits=Limits(smtp_in=3)))
    for sources, stranger in (((SOURCE,) * 4, OTHER), ((SOURCE6, SAME_64, SOURCE6, SAME_64), OTHER6)):
        held = [await site.greeted(source, 25) for source in sources[:3]]
        forget_rates(site)
        refused = site.count("connections")
        assert await (await site.connect(sources[3], 25)).refused()
        assert site.count("connections") == refused + 1
        await site.greeted(stranger, 25)
        for talk in held:
            await talk.echoed()


async def a_closed_connection_makes_room(site: Site, gateway: Gateway) -> None:
    site.load(replace(gateway, limits=Limits(smtp_in=2)))
    held = [await site.greeted(SOURCE, 25) for _ in range(2)]
    assert await (await site.connect(SOURCE, 25)).refused()
    held[0].close()
    async with asyncio.timeout(20):
        while True:
            forget_rates(site)
            if not await (await site.connect(SOURCE, 25)).refused():
                break
            await asyncio.sleep(0.05)
    await held[1].echoed()


async def a_refused_connection_is_freed_everywhere(site: Site, gateway: Gateway) -> None:
    """No half-open socket stays on the mail host, though the client does not answer it any more."""
    site.load_text(site.clients, SILENT)
    site.load(replace(gateway, limits=Limits(smtp_in=1)))
    for source in (SOURCE, SOURCE6):
        await site.greeted(source, 25)
        assert await (await site.connect(source, 25)).refused()
    await until(lambda: not site.mailhost.run("ss", "-Htn", "state", "syn-recv").strip())


async def forged_syns_use_up_nothing(site: Site, gateway: Gateway) -> None:
    """Whether he whose name they bear answers the mail host with a reset, or keeps quiet, as behind a firewall."""
    for source in (SOURCE, SOURCE6):
        site.load(replace(gateway, limits=Limits(smtp_in=3)))
        await forge(site, source)
        for _ in range(3):
            await site.greeted(source, 25)
        assert await (await site.connect(source, 25)).refused()
    site.load_text(site.clients, SILENT)
    for source in (OTHER, OTHER6):
        await forge(site, source, silent=True)
        for _ in range(3):
            await site.greeted(source, 25)
        assert await (await site.connect(source, 25)).refused()


async def forge(site: Site, source: str, *, silent: bool = False) -> None:
    """Ten SYNs that the source knows nothing of; return once the mail host has got them, and his resets."""
    syns, resets = site.arrived("syns"), site.arrived("resets")
    target = site.target[6 if ":" in source else 4]
    site.send(*(tcp(source, target, 25, SYN, own_port=own_port) for own_port in range(30_000, 30_010)))
    await site.arrive("syns", syns + 10)
    if not silent:
        await site.arrive("resets", resets + 10)


async def a_full_set_is_neither_open_nor_closed(site: Site, gateway: Gateway) -> None:
    """Whoever finds the set full shares one rate with all such; favoured sources never meet strangers there."""
    few = replace(gateway, limits=Limits(smtp_in=1, favoured=2))
    for first, second, favoured in ((SOURCE, OTHER, (THIRD, ADMIN)), (SOURCE6, OTHER6, (FRIEND6, ADMIN6))):
        site.load(few, size=1, allowed=list(map(parse_network, favoured)))
        await site.greeted(first, 25)
        await site.greeted(second, 25)
        full = site.count("full")
        assert await (await site.connect(second, 25)).refused()
        assert site.count("full") == full + 1
        forget_rates(site)  # what is known of ten minutes is full as well
        assert await (await site.connect(second, 25)).refused()
        assert site.count("full") == full + 2
        for source in favoured:
            for _ in range(2):
                await site.greeted(source, 25)
        assert await (await site.connect(favoured[1], 25)).refused()
        assert site.count("full") == full + 3


async def forged_sources_close_nobody_out(site: Site, gateway: Gateway) -> None:
    """SYNs of any number of sources fill only what is not needed."""
    site.load(replace(gateway, limits=Limits(smtp_in=3)), size=1)
    for source in (SOURCE, SOURCE6):
        syns = site.arrived("syns")
        silent = "2001:db8:99:7::1" if ":" in source else "203.0.113.77"
        site.send(tcp(silent, site.target[6 if ":" in source else 4], 25, SYN))
        await site.arrive("syns", syns + 1)
        for _ in range(3):
            await site.greeted(source, 25)
    assert not any(site.counts().values())


async def favoured_sources_have_more_room(site: Site, gateway: Gateway) -> None:
    """Those of the allow list, and those that the table of bans has marked."""
    site.load_text(site.gateway, MARKS.format(source=OTHER, mark=FAVOURED))
    site.load(replace(gateway, limits=Limits(smtp_in=1, favoured=3)), allowed=[parse_network(SOURCE)])
    for source, room in ((SOURCE, 3), (OTHER, 3), (THIRD, 1)):
        for _ in range(room):
            await site.greeted(source, 25)
        assert await (await site.connect(source, 25)).refused()


async def nonsense_goes_no_further(site: Site) -> None:
    """Flags that belong to no connection; and a packet that opens none at a published port."""
    flags = (0, FIN, FIN | PSH | URG, SYN | FIN, SYN | RST, SYN | ACK, ACK, ACK | PSH)
    for source in (SOURCE, SOURCE6):
        for own_port, bits in enumerate(flags, 30_000):
            before = site.count("invalid")
            site.send(tcp(source, site.target[6 if ":" in source else 4], 25, bits, own_port=own_port))
            await site.rises("invalid", before)


async def impossible_sources_go_no_further(site: Site, *forged: str) -> None:
    """None of them is on any wire, or they live elsewhere."""
    for target in site.target.values():
        site.pings(target)  # the neighbour is known: nobody answers a question in the name of 127.0.0.1
    for source in ("127.0.0.1", "224.0.0.9", "255.255.255.255", "::192.0.2.9", *forged):
        before = site.count("spoofed")
        site.send(tcp(source, site.target[6 if ":" in source else 4], 25, SYN))
        await site.rises("spoofed", before)


async def errors_about_the_path_come_through(site: Site) -> None:
    before = site.arrived("too_big")
    site.send(packet_too_big(SOURCE6, site.target[6]))
    await site.arrive("too_big", before + 1)


async def pings_are_answered(site: Site) -> None:
    """Whole and in fragments, with neighbours found anew."""
    for where in (site.clients, site.gateway, site.mailhost):
        where.ip("neigh", "flush", "all")
    for target in {*site.target.values(), "203.0.113.1", "2001:db8:1::1"}:
        site.pings(target)
        site.pings(target, "-s", "4000")


async def duplicate_addresses_are_found(site: Site) -> None:
    """Neighbours ask from no address at all whether one is taken (RFC 4862 5.4)."""
    site.clients.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=1", "net.ipv6.conf.all.accept_dad=1")
    site.clients.ip("address", "add", f"{site.neighbour6}/64", "dev", "eth0")
    await until(lambda: "dadfailed" in site.clients.run("ip", "address", "show", "dev", "eth0"))


async def management_is_for_admin_networks(site: Site, address: str, address6: str) -> None:
    """And is not tracked: a full table of connections refuses what is new."""
    site.load_text(site.gateway, MANAGED)
    async with serving(site.gateway, (address, address6), (22,)):
        for source, to in ((SOURCE, address), (SOURCE6, address6)):
            await site.dropped("denied", (source, 22), to=to)
        for source, to in ((ADMIN, address), (ADMIN6, address6)):
            await (await site.greeted(source, 22, to=to)).echoed()
    assert site.packets(site.gateway, "managed", "tracked") == 0
    assert site.packets(site.gateway, "managed", "refused") >= 2  # on a slow machine a SYN comes again


async def a_session_survives_the_first_load(site: Site, gateway: Gateway, address: str, address6: str) -> None:
    """The administrator's own: it stood before there was a policy, and before connections were tracked."""
    async with serving(site.gateway, (address, address6), (22,)):
        sessions = [await site.greeted(ADMIN, 22, address), await site.greeted(ADMIN6, 22, address6)]
        site.load(gateway)
        for session in sessions:
            await session.echoed()
        assert not any(site.counts().values())


async def a_load_keeps_connections_and_what_is_known_of_sources(site: Site, gateway: Gateway) -> None:
    """And one with other limits, which replaces the table, keeps connections."""
    limited = replace(gateway, limits=Limits(smtp_in=2))
    site.load(limited)
    standing = [await site.greeted(source, 25) for source in (SOURCE, SOURCE6) for _ in range(2)]
    site.load(replace(limited, admin=()))
    for source in (SOURCE, SOURCE6):
        assert await (await site.connect(source, 25)).refused()
    await site.dropped("admin", (ADMIN, 7071), (ADMIN6, 7071))
    site.load(limited)
    assert site.counts() | {"policy_rate": 0, "policy_connections": 0} == dict.fromkeys(site.counts(), 0) | {
        "policy_admin": site.count("admin")
    }
    site.load(replace(gateway, limits=Limits(smtp_in=1)))
    for talk in standing:
        await talk.echoed()
    for source in (SOURCE, SOURCE6):
        await site.greeted(source, 25)
        assert await (await site.connect(source, 25)).refused()


async def loads_under_traffic_let_nothing_slip(site: Site, gateway: Gateway) -> None:
    """Neither a packet to a closed port, nor a connection that stands; kept or replaced."""
    site.load(gateway)
    standing = await site.greeted(SOURCE, 25)
    before = site.arrived("syns")
    for limit in (50, 50, 51, 50, 50, 51, 51, 52):
        knocking = [tcp(OTHER, site.target[4], CLOSED_PORT, SYN, own_port=port) for port in range(30_000, 30_200)]
        sending = asyncio.create_task(asyncio.to_thread(site.send, *knocking))
        site.load(replace(gateway, limits=Limits(smtp_in=limit)))
        await sending
        await standing.echoed()
    assert site.arrived("syns") == before
