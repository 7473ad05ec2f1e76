"""What a configuration may hold and an operator should still think about."""

from collections.abc import Iterator

from appliance.address import LOOPBACK, SOURCE_PREFIX, NetSet
from appliance.config import lockout
from appliance.config.detect import Detect
from appliance.config.durations import in_words
from appliance.config.faults import show
from appliance.config.notify import Security, Server
from appliance.config.schema import Config
from appliance.judge.detector import DetectorMode
from appliance.model import Mode

WIDE = 256
"""Sources in a listed network from which on it is worth a second look: an IPv4 /24, 256 IPv6 /64."""

FEW = 3
"""Failures that a person may well need who tries a password or two from memory."""
LONG = 12 * 3600.0
"""Seconds of a first ban from which on a traveller calls rather than waits."""

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
    return [
        *lockout.warnings(config),
        *_detectors(config),
        *_travellers(config),
        *_wide_networks(config),
        *_absent(config),
        *_gateway(config),
        *_telling(config),
    ]


def _detectors(config: Config) -> Iterator[str]:
    """Figures of detectors that do not fit each other or the rest."""
    detect = config.detect
    if config.mode is Mode.ENFORCE and DetectorMode.ENFORCE not in _banning(detect):
        yield 'mode: "enforce", but no detector that bans is in mode "enforce": nobody is banned'
    if detect.spraying.strangers > detect.spraying.accounts:
        yield (
            f"detect.spraying.strangers: {detect.spraying.strangers} is more than detect.spraying.accounts "
            f"({detect.spraying.accounts}): a stranger may try more accounts than a known source; "
            f"set it to {detect.spraying.accounts} at most"
        )
    yield from _traps(detect.trap.accounts)
    if detect.siege.fence.enabled and not config.firewall.sees_traffic:
        yield (
            "detect.siege.fence.enabled: firewall.sees_traffic is false: a fence on this host stops nobody who does "
            "not pass it"
        )


def _telling(config: Config) -> Iterator[str]:
    """Who may hear nothing although a channel is configured."""
    notify = config.notify
    if notify.email and notify.email.sender is None and not notify.email.server.is_here:
        yield (
            "notify.email.sender: absent, so mails come from zward@ and this machine's name, which many servers "
            "refuse; name an address that exists"
        )
    if notify.email and notify.email.security is Security.NONE and notify.email.user:
        yield 'notify.email.security: "none" sends the password over the network for everybody on the way to read'
    for url in notify.webhook.urls if notify.webhook else ():
        if url.startswith("http:") and not Server.of(url).is_here:
            yield f"notify.webhook.urls: {url.partition('?')[0]} is not encrypted, and what is posted names accounts"


def _traps(accounts: tuple[str, ...]) -> Iterator[str]:
    """Names that trap more than their writer may have meant, or nothing."""
    if bare := [name for name in accounts if "@" not in name]:
        yield f"detect.trap.accounts: {_first(bare)} without a domain: such a name is a trap at every domain of yours"
    parts = {name: name.partition("@") for name in accounts if "@" in name}
    if wrong := [name for name, (local, _, domain) in parts.items() if not local or "." not in domain]:
        yield f"detect.trap.accounts: {_first(wrong)}: no address, so nobody is trapped by it"


def _first(names: list[str]) -> str:
    return f"{show(names[0])}{f' and {len(names) - 1} more' if len(names) > 1 else ''}"


def _banning(detect: Detect) -> set[DetectorMode]:
    """The modes of all that can ban a stranger by what it does; a neighbourhood follows bans, a trap needs a list."""
    return {
        detect.guessing.mode,
        detect.slow_guessing.mode,
        detect.siege.mode,
        detect.spraying.mode,
        detect.admin_door.mode,
        detect.probing.mode,
        detect.harvesting.mode,
    }


def _travellers(config: Config) -> Iterator[str]:
    """People who mistype where they never logged in before."""
    guessing, spraying, steps = config.detect.guessing, config.detect.spraying, config.ladder.steps
    if guessing.mode is DetectorMode.ENFORCE and guessing.points <= FEW and steps[0] >= LONG:
        yield (
            f"detect.guessing.points: {guessing.points}, with ladder.steps that begin at {in_words(steps[0])}: a "
            f"traveller who mistypes the password {_times(guessing.points)} at a new place is shut out for "
            f"{in_words(steps[0])}"
        )
    if spraying.mode is DetectorMode.ENFORCE and spraying.strangers <= 2:
        term = in_words(steps[min(3, len(steps) - 1)])
        yield (
            f"detect.spraying.strangers: {spraying.strangers}: a couple on a journey who each mistype once where "
            f"nobody ever logged in are shut out for {term}; set it to 3 at least"
        )


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


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
