"""What a configuration may hold and an operator should still think about."""

from collections.abc import Iterator

from appliance.address import LOOPBACK, SOURCE_PREFIX, NetSet
from appliance.config.durations import in_words
from appliance.config.schema import Config
from appliance.judge.detector import DetectorMode

WIDE = 256
"""Sources in a listed network from which on it is worth a second look: an IPv4 /24, 256 IPv6 /64."""

LOCKOUT_SHARE = 0.7
"""How much of Zimbra's lockout limit a stranger may use up before we act, so that we act first."""


INTERNAL = {
    389: "LDAP holds every account's password hash",
    7025: "LMTP delivers into every mailbox and asks for no password",
    7072: "the proxies' look-up tells which accounts there are and where",
    7073: "passwords tried there pass by the proxies and Postfix, and whom to ban for them is not known",
    11211: "memcached gives and takes the proxies' routes without a password",
}
"""Ports that Zimbra's own hosts talk to each other over, and what their being open to the world means."""


def warnings(config: Config) -> list[str]:
    """What `zward check` tells beside the faults; each begins with the key that it is about."""
    return [*_lockout(config), *_wide_networks(config), *_absent(config), *_gateway(config)]


def _lockout(config: Config) -> Iterator[str]:
    """We should ban a stranger before Zimbra locks the account that it tries."""
    guessing, lockout = config.detect.guessing, config.zimbra.lockout
    if guessing.mode is DetectorMode.OFF or not lockout.max_failures:
        return
    if guessing.points >= LOCKOUT_SHARE * lockout.max_failures:
        yield (
            f"detect.guessing.points: {guessing.points} is not less than {LOCKOUT_SHARE} × "
            f"zimbra.lockout.max_failures ({lockout.max_failures}): Zimbra may lock an account before the "
            "source that tries it is banned"
        )
    if guessing.within < lockout.within / 2:
        yield (
            f"detect.guessing.within: {in_words(guessing.within)} is less than half of zimbra.lockout.within "
            f"({in_words(lockout.within)}): who waits a little can make Zimbra lock an account unbanned"
        )


def _wide_networks(config: Config) -> Iterator[str]:
    listed = {
        "listen.senders": (config.listen.senders, "may send log lines and is never banned"),
        "zimbra.hosts": (config.zimbra.hosts, "is never banned"),
        "zimbra.proxies": (config.zimbra.proxies, "is believed about clients' addresses and never banned"),
    }
    for key, (networks, consequence) in listed.items():
        for net in networks:
            sources = 1 << max(0, SOURCE_PREFIX[net.family] - net.prefix)
            if sources > WIDE and net not in LOOPBACK:
                unit = "addresses" if net.family == 4 else "/64 networks"
                yield f"{key}: {net} holds {sources} {unit}, and each {consequence}; name the hosts alone"


def _absent(config: Config) -> Iterator[str]:
    if not config.listen.udp and not config.listen.tcp:
        yield "listen: neither udp nor tcp is set: no log line can arrive"
    if not config.zimbra.hosts:
        yield "zimbra.hosts: empty: a Zimbra host that a line blames could be banned"


def _gateway(config: Config) -> Iterator[str]:
    if (gateway := config.gateway) is None:
        return
    for key, value in (("admin", gateway.admin), ("management", gateway.management)):
        if not value:
            yield f"gateway.{key}: empty: nobody reaches this host's own ports but at its console"
    ours = NetSet(config.zimbra.hosts)
    for publish in gateway.publish:
        for port in publish.open_ports:
            if port in INTERNAL:
                yield f"gateway.publish.ports: {port} is open to the world: {INTERNAL[port]}"
        for host in publish.to:
            if host not in ours:
                yield f"gateway.publish.to: {host} is not among zimbra.hosts: it could be banned"
