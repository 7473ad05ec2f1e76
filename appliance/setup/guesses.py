"""What stands in a question's brackets: from the configuration that is there, from this machine, from answers before.

A guess is text as it would be typed, so that taking it is the same as typing it.
"""

from collections.abc import Callable, Iterable, Mapping

from appliance.address import Net, parse_network
from appliance.model import Scope
from appliance.setup import present, reading
from appliance.setup.answers import Around, Host, SoFar

PRIVATE = tuple(map(parse_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
"""IPv4 that the world cannot reach: RFC 1918, RFC 6598."""


def listed(things: Iterable[object]) -> str:
    return " ".join(map(str, things)) or "none"


def hosts(so: SoFar) -> str:
    return listed(present.hosts(so.present)) if so.present and present.is_set_up(so.present) else ""


def proxies(so: SoFar) -> str:
    if so.present and present.is_set_up(so.present):
        before = set(so.present.zimbra.proxies)
        return listed(host.label for host in so.answers.hosts if before & {*host.nets})
    named = [host for host in so.answers.hosts if host.name and "prox" in host.name]
    return listed(host.label for host in named) if named else "all"


def gateway(so: SoFar) -> str:
    if so.gateway:
        return present.around(so.gateway).value
    if not so.found.is_appliance or present.is_set_up(so.present):
        return Around.NONE.value
    return (Around.HOST if here(so) else Around.ROUTED).value


def here(so: SoFar) -> Host | None:
    """A Zimbra host that is this machine."""
    return next((host for host in so.answers.hosts if so.found.own & {*host.nets}), None)


def interfaces(side: str) -> Callable[[SoFar], str]:
    def guess(so: SoFar) -> str:
        named = getattr(so.gateway, side) if so.gateway else ()
        if there := [name for name in named if name in so.found.interfaces]:
            return listed(there)
        if side in so.found.interfaces:
            return side
        if side == "wan":
            return so.found.way_out or ""
        others = [name for name in so.found.interfaces if name not in so.answers.wan]
        return others[0] if len(others) == 1 else ""

    return guess


def admin(so: SoFar) -> str:
    before = _admin_before(so)
    if before is not None:
        return listed(before)
    if so.found.ssh_client:
        return str(so.found.ssh_client)
    near = so.answers.lan if so.answers.gateway is not Around.NONE else ()
    return listed(dict.fromkeys(own.network for name in near for own in so.found.interfaces[name]))


def _admin_before(so: SoFar) -> tuple[Net, ...] | None:
    """Who administers now, if anybody has said it: as our virtual machine comes, all private networks do."""
    if so.present is None or not present.is_set_up(so.present):
        return None
    if so.answers.gateway is Around.NONE:
        return so.present.allow.networks
    return so.gateway.admin if so.gateway else None


def published(so: SoFar) -> tuple[Mapping[Scope, Host], tuple[Net, ...]] | None:
    """What is published now, as answers; None if it cannot be said so, or nothing is."""
    return present.published(so.gateway, so.answers.hosts) if so.gateway and may_keep(so) else None


def may_keep(so: SoFar) -> bool:
    """Whether something is published in the mode that was chosen, so that it can stay."""
    gateway = so.gateway
    return gateway is not None and bool(gateway.publish) and present.around(gateway) is so.answers.gateway


def publish(so: SoFar) -> str:
    if before := published(so):
        return listed(before[0])
    if may_keep(so):
        return "keep"
    is_closed = (
        so.gateway is not None and present.is_set_up(so.present) and present.around(so.gateway) is so.answers.gateway
    )
    nobody = so.answers.gateway is Around.ROUTED and not any(host.addresses for host in so.answers.hosts)
    return "none" if is_closed or nobody else "smtp-in login web"


def likely(scope: Scope, so: SoFar) -> Host:
    """Who answers for a scope now, or else most likely: a proxy for people, another host for mail and admins."""
    before = published(so)
    return before[0][scope] if before and scope in before[0] else guessed(scope, so)


def guessed(scope: Scope, so: SoFar) -> Host:
    single = [host for host in so.answers.hosts if host.addresses] or [*so.answers.hosts]
    for_people = scope in (Scope.WEB, Scope.LOGIN)
    return next((host for host in single if (host in so.answers.proxies) is for_people), single[0])


def to(so: SoFar) -> str:
    return listed(f"{scope}={likely(scope, so).label}" for scope in so.answers.publish or ())


def public(so: SoFar) -> str:
    if before := published(so):
        return listed(before[1])
    targets = [net for host in so.answers.to.values() for net in host.addresses if net.family == 4]
    if not any(private.covers(net) for private in PRIVATE for net in targets):
        return "none"
    own = [own.address for name in so.answers.wan for own in so.found.interfaces.get(name, ())]
    return listed([net for net in own if net.family == 4 and net not in targets][:1])


def zone(so: SoFar) -> str:
    return so.present.time_zone if so.present and present.is_set_up(so.present) else so.found.time_zone


def mail(so: SoFar) -> str:
    email = so.present.notify.email if so.present else None
    return listed(email.to) if email else "none"


def server(so: SoFar) -> str:
    if so.present and so.present.notify.email:
        return str(so.present.notify.email.server)
    addresses = so.answers.hosts and guessed(Scope.SMTP_IN, so).addresses
    return reading.mail_server(str(addresses[0])) if addresses else ""
