"""What this host needs to stay alive on its network: addresses that must never be banned whatever a log says."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from appliance.address import Net, NetSet, parse_address
from appliance.config.schema import Config
from appliance.firewall.own import addresses, gateways
from appliance.judge.policy import Ours

log = logging.getLogger(__name__)

RESOLV_CONF = Path("/etc/resolv.conf")


def never_ban(config: Config) -> Mapping[Ours, NetSet]:
    """Every address that is never banned, by the reason why. Reads interfaces, routes and resolv.conf afresh."""
    return {
        Ours.OWN: NetSet(_asked(addresses, "this host's own addresses")),
        Ours.ZIMBRA: NetSet(config.zimbra.hosts),
        Ours.PROXY: NetSet(config.zimbra.proxies),
        Ours.SENDER: NetSet(config.listen.senders),
        Ours.ADMIN: NetSet(config.gateway.admin if config.gateway else ()),
        Ours.ROUTE: NetSet(_asked(gateways, "the default routes")),
        Ours.RESOLVER: NetSet(_resolvers(RESOLV_CONF)),
    }


def _asked(ask: Callable[[], set[Net]], what: str) -> set[Net]:
    try:
        return ask()
    except OSError as fault:
        log.warning("%s cannot be read: %s", what, fault)
        return set()


def _resolvers(path: Path) -> set[Net]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    words = (line.split() for line in lines)
    named = (word[1].partition("%")[0] for word in words if len(word) > 1 and word[0] == "nameserver")
    return {net for text in named if (net := parse_address(text.encode()))}
