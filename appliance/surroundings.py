"""What this host needs to stay alive on its network: addresses that must never be banned whatever a log says."""

import logging
import socket
from collections.abc import Mapping
from pathlib import Path

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from appliance.address import Net, NetSet, parse_address
from appliance.config.schema import Config
from appliance.firewall.own import addresses
from appliance.judge.policy import Ours

log = logging.getLogger(__name__)

MAIN_TABLE = 254
"""RT_TABLE_MAIN (linux/rtnetlink.h)."""

RESOLV_CONF = Path("/etc/resolv.conf")


async def never_ban(config: Config) -> Mapping[Ours, NetSet]:
    """Every address that is never banned, by the reason why. Reads interfaces, routes and resolv.conf afresh."""
    return {
        Ours.OWN: NetSet(_own()),
        Ours.ZIMBRA: NetSet(config.zimbra.hosts),
        Ours.PROXY: NetSet(config.zimbra.proxies),
        Ours.SENDER: NetSet(config.listen.senders),
        Ours.ROUTE: NetSet(await _gateways()),
        Ours.RESOLVER: NetSet(_resolvers(RESOLV_CONF)),
    }


def _own() -> set[Net]:
    try:
        return addresses()
    except OSError as fault:
        log.warning("this host's own addresses cannot be read: %s", fault)
        return set()


async def _gateways() -> set[Net]:
    """Next hops of the default routes of both families, from the main table."""
    found: set[Net] = set()
    try:
        async with AsyncIPRoute() as routes:
            for family in (socket.AF_INET, socket.AF_INET6):
                async for route in await routes.route("dump", family=family, table=MAIN_TABLE):
                    if not route.get("dst_len") and (net := parse_address(str(route.get("gateway")).encode())):
                        found.add(net)
    except (OSError, NetlinkError) as fault:
        log.warning("the default routes cannot be read: %s", fault)
    return found


def _resolvers(path: Path) -> set[Net]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    words = (line.split() for line in lines)
    named = (word[1].partition("%")[0] for word in words if len(word) > 1 and word[0] == "nameserver")
    return {net for text in named if (net := parse_address(text.encode()))}
