"""What the wizard asks, in which order, when, and what it says to a `?`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from appliance.model import Scope
from appliance.setup import guesses, reading
from appliance.setup.answers import Answers, Around, Host, Scene, SoFar


@dataclass(frozen=True, slots=True)
class Question:
    """One question. Its key is the field of `Answers`, the key of an answers file, and the name of an option."""

    key: str
    asks: str
    why: str
    """One line of at most 78 columns."""
    explains: str
    """The answer to `?`; its lines have at most 78 columns."""
    default: Callable[[SoFar], str]
    """What an empty line stands for; itself empty where something must be answered."""
    read: Callable[[str, SoFar], Any]
    """Raises ValueError saying what was found and what was expected."""
    matters: Callable[[SoFar], bool] = lambda _: True
    """Whether an answer means anything after those before."""
    asks_person: Callable[[SoFar], bool] = lambda _: True
    """Whether a person is asked; else the default is taken."""


def _is_routed(so: SoFar) -> bool:
    return so.answers.gateway is Around.ROUTED


def _asks_gateway(so: SoFar) -> bool:
    return so.found.is_appliance or (so.gateway is not None)


def _read_gateway(text: str, so: SoFar) -> Around:
    may_keep = so.gateway is not None
    chosen = reading.around(text, [each for each in Around if each is not Around.KEEP or may_keep])
    if chosen is Around.ROUTED and (here := guesses.here(so)):
        raise ValueError(
            f'found routed, expected "host" or "none": the Zimbra host {here.label} is this machine itself'
        )
    return chosen


def _asks_interfaces(so: SoFar) -> bool:
    """They are not asked for where they are called wan and lan."""
    return not so.found.is_appliance


def _read_lan(text: str, so: SoFar) -> tuple[str, ...]:
    names = reading.interfaces(text, so.found)
    if both := [name for name in names if name in so.answers.wan]:
        raise ValueError(f"found {both[0]}, which leads to the world, expected one that leads to the mail hosts")
    return names


def _asks_admin(so: SoFar) -> bool:
    return so.answers.gateway is not Around.KEEP


def _asks_publish(so: SoFar) -> bool:
    return so.answers.gateway in (Around.ROUTED, Around.HOST)


def _publishes(so: SoFar) -> bool:
    """Whether mail hosts are published anew."""
    return _is_routed(so) and bool(so.answers.publish)


def _asks_to(so: SoFar) -> bool:
    return len(so.answers.hosts) > 1


def _read_publish(text: str, so: SoFar) -> tuple[Scope, ...] | None:
    scopes = reading.scopes(text, may_keep=guesses.may_keep(so))
    if scopes and _is_routed(so) and not any(host.addresses for host in so.answers.hosts):
        raise ValueError(
            f"found {guesses.listed(scopes)}, expected none: all hosts are networks, and a port leads to one host"
        )
    return scopes


def _read_to(text: str, so: SoFar) -> Mapping[Scope, Host]:
    found = reading.destinations(text, so.answers.publish or (), so.answers.hosts)
    for scope, host in found.items():
        if not host.addresses:
            raise ValueError(f"found {host.label} for {scope}, expected a host with one address, not a network")
    return found


QUESTIONS = (
    Question(
        "hosts",
        "Zimbra hosts",
        "They send their logs here and are never banned. Names or addresses.",
        "Every mailbox server, MTA and proxy of your Zimbra, separated by spaces. A\n"
        "name is resolved now, and its addresses are written down: a later change in\n"
        "the DNS changes nothing here. To name the addresses of one host yourself:\n"
        "mbox1=192.0.2.10+2001:db8::10",
        guesses.hosts,
        lambda text, so: reading.hosts(text, so.scene.resolve),
    ),
    Question(
        "proxies",
        "Proxies among them",
        "Zimbra's nginx. Only what they say of a client's address (oip=) is believed.",
        "By name, address or number in the list above; all, or none. A Zimbra on one\n"
        "host is its own proxy. IMAP and POP3 clients behind a proxy that is not listed\n"
        "look like the proxy itself, and nobody is banned for them.",
        guesses.proxies,
        lambda text, so: reading.among(text, so.answers.hosts),
    ),
    Question(
        "gateway",
        "Firewall policy (routed, host, none)",
        "routed: this machine passes on what you publish, and closes everything else.",
        "routed  between two networks, wan and lan; the mail hosts' default route\n"
        "host    zward runs on the Zimbra host itself: its ports are published\n"
        "none    no policy: only banned addresses are dropped\n"
        "keep    [gateway] stays as it is written (bridge mode, for one)\n"
        "docs/gateway.md has a drawing and an example of each.",
        guesses.gateway,
        _read_gateway,
        asks_person=_asks_gateway,
    ),
    Question(
        "wan",
        "Interface to the world",
        "Strangers come in here.",
        "The name of an interface as `ip link` shows it; several with spaces.",
        guesses.interfaces("wan"),
        lambda text, so: reading.interfaces(text, so.found),
        _is_routed,
        _asks_interfaces,
    ),
    Question(
        "lan",
        "Interface to the mail hosts",
        "The mail hosts are behind it.",
        "The name of an interface as `ip link` shows it; several with spaces.",
        guesses.interfaces("lan"),
        _read_lan,
        _is_routed,
        _asks_interfaces,
    ),
    Question(
        "admin",
        "Who administers",
        "Never banned; with a policy the only ones to reach ssh and the admin console.",
        "Networks or addresses, separated by spaces, or none: 198.51.100.0/28. Keep it\n"
        "narrow. With a policy and none, this machine is reached at its console alone.",
        guesses.admin,
        lambda text, _: reading.networks(text),
        _asks_admin,
    ),
    Question(
        "publish",
        "To publish",
        "smtp-in: 25; login: 465, 587, 110, 143, 993, 995; web: 80, 443; admin: 7071.",
        "What the world may reach of Zimbra; admin (7071, 9071) opens to those who\n"
        "administer alone. none publishes nothing. keep leaves what is written.",
        guesses.publish,
        _read_publish,
        _asks_publish,
    ),
    Question(
        "to",
        "Which host answers",
        "One host for each: smtp-in=mbox1 web=proxy1. A single name is for all.",
        "The host behind each published service, by name, address or number. Two hosts\n"
        "for one service need two public addresses: see docs/gateway.md.",
        guesses.to,
        _read_to,
        _publishes,
        _asks_to,
    ),
    Question(
        "public",
        "Public addresses of this gateway",
        "Translated to the mail hosts' (DNAT); none if those are public themselves.",
        "Clients come to these addresses; the mail host still sees the client's own.\n"
        "With none the mail hosts' own addresses are routed as they are.",
        guesses.public,
        lambda text, so: reading.public(text, so.answers.to.values()),
        _publishes,
    ),
    Question(
        "time_zone",
        "Time zone of the mail hosts",
        "Zimbra's logs name none.",
        "As in /etc/timezone on the mail hosts: Europe/Rome, America/New_York, UTC.",
        guesses.zone,
        lambda text, _: reading.zone(text),
    ),
    Question(
        "mail_to",
        "Mail alerts to",
        "What a person must look at, and a digest a day. none for nobody.",
        "Mail addresses, separated by spaces; mails come from the first of them.\ndocs/mail.md shows what they get.",
        guesses.mail,
        lambda text, _: reading.recipients(text),
    ),
    Question(
        "mail_server",
        "Mail server",
        "It must take mail for them from this machine.",
        "A host and a port: 192.0.2.10:25.",
        guesses.server,
        lambda text, _: reading.mail_server(text),
        lambda so: bool(so.answers.mail_to),
    ),
)


_NOT_ROUTED = "the gateway's mode is not routed"
_MEANS_NOTHING = {
    "wan": _NOT_ROUTED,
    "lan": _NOT_ROUTED,
    "admin": "[gateway] stays as it is written",
    "publish": "no policy is written",
    "to": "nothing is published anew",
    "public": "nothing is published anew",
    "mail_server": "nobody is to be mailed",
}


class Wrong(Exception):
    """An answer that was given beforehand cannot be taken; the message begins with its key."""


def walk(scene: Scene, given: Mapping[str, str], ask: Callable[[Question, SoFar], Answers] | None = None) -> Answers:
    """Through all questions. What is not given is asked; without `ask` it is the default. Raises Wrong."""
    so = SoFar(Answers(), scene)
    for question in QUESTIONS:
        is_given, matters = question.key in given, question.matters(so)
        if is_given and not matters:
            raise Wrong(f"{question.key}: means nothing here: {_MEANS_NOTHING[question.key]}")
        if ask and matters and not is_given and question.asks_person(so):
            so = SoFar(ask(question, so), scene)
        elif matters:
            so = SoFar(_taken(question, given.get(question.key), so), scene)
    return so.answers


def _taken(question: Question, text: str | None, so: SoFar) -> Answers:
    """What was given, or else the default. Raises Wrong."""
    try:
        return answered(question, question.default(so) if text is None else text, so)
    except ValueError as fault:
        raise Wrong(f"{question.key}: {fault}") from None


def answered(question: Question, text: str, so: SoFar) -> Answers:
    """With this answer as well. Raises ValueError."""
    return replace(so.answers, **{question.key: question.read(text, so)})
