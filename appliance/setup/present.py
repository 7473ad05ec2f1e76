"""What a configuration that is there would have answered to the wizard's questions."""

from collections.abc import Iterable, Iterator, Mapping

from appliance.address import LOOPBACK, Net
from appliance.config.gateway import Gateway, Publish
from appliance.config.schema import Config
from appliance.firewall.policy.gateway import Shape
from appliance.model import Scope
from appliance.setup.answers import Around, Host
from appliance.setup.reading import RESERVED

SIXTH = "-6"
"""Behind the name of a host: its IPv6 address. Names in `[listen]` stand for one address each."""


def hosts(config: Config) -> tuple[Host, ...]:
    """The Zimbra hosts, those that belong together in one."""
    nets = [net for net in config.zimbra.hosts if net not in LOOPBACK]
    names = {
        net: name.removesuffix(SIXTH) if net.family == 6 else name
        for name, net in config.listen.names.items()
        if name not in RESERVED
    }
    together = [frozenset(publish.to) for publish in (config.gateway.publish if config.gateway else ())]
    found: list[Host] = []
    for net in dict.fromkeys(nets):
        if any(net in host.nets for host in found):
            continue
        name = names.get(net)
        same = [other for other in nets if other == net or _belong(net, other, names, together)]
        found.append(Host(name, tuple(dict.fromkeys(same))))
    return tuple(found)


def _belong(one: Net, other: Net, names: Mapping[Net, str], together: Iterable[frozenset[Net]]) -> bool:
    named = names.get(one)
    if named is not None and names.get(other) == named:
        return True
    return other not in names and any({one, other} <= pair for pair in together)


def is_set_up(config: Config | None) -> bool:
    """Whether anybody has named a host yet: the file that comes with zward names none."""
    return config is not None and bool(hosts(config))


def around(gateway: Gateway) -> Around:
    """The answer that leads to this table; `keep` where none does."""
    return Around(gateway.mode) if gateway.mode in ("routed", "host") else Around.KEEP


def published(gateway: Gateway, among: Iterable[Host]) -> tuple[Mapping[Scope, Host], tuple[Net, ...]] | None:
    """Scope → host, and the public addresses; None if this says more than the wizard's questions can."""
    public = tuple(dict.fromkeys(net for publish in gateway.publish for net in publish.at))
    to: dict[Scope, Host] = {}
    if gateway.mode is Shape.HOST and any(publish.to for publish in gateway.publish):
        return None
    for publish in gateway.publish:
        host = next((host for host in among if publish.to and host.addresses == _sorted(publish.to)), None)
        if publish.scope in to or (publish.to and host is None):
            return None
        to[publish.scope] = host or Host(None, ())
    same = tuple(tables(to, public)) == gateway.publish
    return (to, public) if same else None


def _sorted(nets: Iterable[Net]) -> tuple[Net, ...]:
    return tuple(sorted(nets, key=lambda net: net.family))


def tables(to: Mapping[Scope, Host], public: Iterable[Net]) -> Iterator[Publish]:
    """`[[gateway.publish]]`, one for each scope."""
    for scope, host in to.items():
        families = {net.family for net in host.addresses}
        yield Publish.model_validate(
            {
                "scope": scope.value,
                "to": [str(net) for net in host.addresses],
                "at": [str(net) for net in public if net.family in families],
            }
        )
