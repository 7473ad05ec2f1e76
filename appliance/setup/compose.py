"""From answers to the text of a configuration. Nothing leaves here that zward's own loader would refuse."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from appliance.address import LOOPBACK, Net, parse_network
from appliance.config.gateway import Gateway
from appliance.config.load import parse
from appliance.config.notify import Email
from appliance.config.schema import Config
from appliance.config.values import named_hosts
from appliance.model import Mode, Scope
from appliance.setup import present
from appliance.setup.answers import Answers, Around, Found, Host, Scene
from appliance.setup.edit import Change, edited
from appliance.setup.toml import Value

HEAD = """\
# What zward does on this gateway. Written by `zward setup wizard`, which can
# be run again. docs/configuration.md explains every key; what is not named
# here has its default. `zward check` says what is wrong with this file.

mode = "observe"                  # say what would be banned; "enforce" bans
"""

APPLIANCE_PORT, OTHER_PORT = 514, 5514
"""Where lines come in. In our virtual machine systemd holds syslog's own port; elsewhere an rsyslog may have it."""


OWN = tuple(map(parse_network, ("127.0.0.0/8", "::1")))
"""This machine, which may have something to tell as well."""


class Composed(NamedTuple):
    """A configuration as text, checked."""

    text: str
    config: Config
    keeps_comments: bool


def compose(text: str | None, answers: Answers, scene: Scene, name: str) -> Composed:
    """The present text, or a new one, with what was answered. Raises ConfigError where that contradicts itself."""
    asked = [*_changes(answers, scene)]
    result, keeps_comments = edited(HEAD if text is None else text, asked)
    return Composed(result, parse(result, name), keeps_comments)


def _changes(answers: Answers, scene: Scene) -> Iterator[Change]:
    """Every key that the wizard decides. One that has its value already is left as it is written."""
    yield Change(("mode",), Mode.OBSERVE.value)
    yield Change(("time_zone",), answers.time_zone)
    yield from _listening(answers, scene)
    for key, hosts in (("hosts", answers.hosts), ("proxies", answers.proxies)):
        before = getattr(scene.present.zimbra, key) if scene.present else ()
        yield Change(("zimbra", key), _texts([*_loopback(scene, key), *_nets(hosts)], before))
    if answers.gateway is Around.NONE and (answers.admin or (scene.present and scene.present.allow.networks)):
        yield Change(("allow", "networks"), _texts(answers.admin))
    yield from _mail(answers, scene.present)
    yield from _gateway(answers, scene)


def _listening(answers: Answers, scene: Scene) -> Iterator[Change]:
    before = scene.present
    if not present.is_set_up(before) and (before is None or scene.found.is_appliance):
        port = APPLIANCE_PORT if scene.found.is_appliance else OTHER_PORT
        places = [f"0.0.0.0:{port}", *([f"[::]:{port}"] if scene.found.has_ipv6 else [])]
        yield Change(("listen", "udp"), places)
        yield Change(("listen", "tcp"), places)
    ours = before.zimbra.hosts if before else ()
    others = [net for net in before.listen.senders if net in LOOPBACK or net not in ours] if before else OWN
    senders = [*others, *_nets(answers.hosts)]
    yield Change(("listen", "senders"), _texts(senders, before.listen.senders if before else ()))
    named = _names(answers.hosts)
    kept = _kept_names(before.listen.names, {*ours, *named.values()}, senders) if before else {}
    names = {name: net for name, net in kept.items() if name not in named} | named
    if names or (before and before.listen.names):
        yield Change(("listen", "names"), {name: str(net) for name, net in names.items()})


def _kept_names(before: Mapping[str, Net], ours: Container[Net], senders: Sequence[Net]) -> dict[str, Net]:
    """Names of senders that are no Zimbra hosts, and may still send."""
    return {name: net for name, net in before.items() if net not in ours and any(each.covers(net) for each in senders)}


def _names(hosts: Sequence[Host]) -> dict[str, Net]:
    """A name for one address each; what could not stand in the configuration has none."""
    names: dict[str, Net] = {}
    for host in hosts:
        for net in host.addresses if host.name else ():
            name = f"{host.name}{present.SIXTH if net.family == 6 and len(host.addresses) > 1 else ''}"
            try:
                named_hosts({each: str(own) for each, own in {**names, name: net}.items()})
            except ValueError:
                continue
            names.setdefault(name, net)
    return names


def _loopback(scene: Scene, key: str) -> Iterable[Net]:
    """This machine itself, as far as it is listed; the questions are about others."""
    if scene.present is None:
        return OWN if key == "hosts" else ()
    return (net for net in getattr(scene.present.zimbra, key) if net in LOOPBACK)


def _gateway(answers: Answers, scene: Scene) -> Iterator[Change]:
    before = scene.present.gateway if scene.present else None
    match answers.gateway:
        case Around.NONE if before:
            yield Change(("gateway",), None)
        case Around.ROUTED:
            yield from _keys(Around.ROUTED, answers, _routed(answers, before))
        case Around.HOST:
            yield from _keys(Around.HOST, answers, _on_the_host(answers, before, scene.found))


def _keys(mode: Around, answers: Answers, keys: Mapping[str, Value | None]) -> Iterator[Change]:
    for key, value in {"mode": mode.value, **keys, "admin": _texts(answers.admin)}.items():
        yield Change(("gateway", key), value)
    if answers.publish is not None:
        yield Change(("gateway", "publish"), _published(answers, mode) or None)


def _routed(answers: Answers, before: Gateway | None) -> dict[str, Value | None]:
    useless = {"bridge": None, "inside": None}
    return {**useless, "wan": [*answers.wan], "lan": [*answers.lan], "snat": _source(answers, before)}


def _source(answers: Answers, before: Gateway | None) -> str | None:
    """What the mail hosts' own connections come from: the first public address, unless somebody chose another."""
    chosen = before.snat if before else None
    public = {net for publish in before.publish for net in publish.at} if before else set()
    if answers.publish is not None and (chosen is None or chosen in public):
        chosen = next((net for net in answers.public if net.family == 4), None)
    return None if chosen is None else str(chosen)


def _on_the_host(answers: Answers, before: Gateway | None, found: Found) -> dict[str, Value | None]:
    others = [net for net in _nets(answers.hosts) if net not in found.own]
    inside = _texts([*(before.inside if before else ()), *others])
    return {"lan": None, "bridge": None, "snat": None, "inside": inside or None}


def _published(answers: Answers, mode: Around) -> list[dict[str, Any]]:
    scopes: Iterable[Scope] = answers.publish or ()
    if mode is Around.HOST:
        return [{"scope": scope.value} for scope in scopes]
    tables = present.tables({scope: answers.to[scope] for scope in scopes}, answers.public)
    return [
        {"scope": table.scope.value, "to": _texts(table.to)} | ({"at": _texts(table.at)} if table.at else {})
        for table in tables
    ]


def _mail(answers: Answers, before: Config | None) -> Iterator[Change]:
    if answers.mail_to:
        yield Change(("notify", "email", "to"), [*answers.mail_to])
        yield Change(("notify", "email", "server"), answers.mail_server)
        yield Change(("notify", "email", "sender"), _sender(answers.mail_to, before.notify.email if before else None))
    elif before and before.notify.email:
        yield Change(("notify", "email"), None)


def _sender(to: Sequence[str], before: Email | None) -> str:
    """Whom mails come from: an address that exists, since servers refuse others; unless somebody chose another."""
    return before.sender if before and before.sender and before.sender != before.to[0] else to[0]


def _nets(hosts: Iterable[Host]) -> list[Net]:
    return list(dict.fromkeys(net for host in hosts for net in host.nets))


def _texts(nets: Iterable[Net], before: Iterable[Net] = ()) -> list[str]:
    """Each once; in the order that they stand in, if they are the same."""
    texts, stood = list(dict.fromkeys(map(str, nets))), list(map(str, before))
    return stood if sorted(texts) == sorted(stood) else texts
