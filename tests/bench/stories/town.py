"""Who lives here and how they use their mail: what the stories' people have in common.

Attackers live in 198.18.0.0/15 and 2001:db8::/32, people in 100.64.0.0/10.
"""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from bench.stories.script import DAY, HOUR, Try, Who

from appliance.model import Protocol

FIRST = ("ana", "bob", "carla", "dora", "erik", "fatma", "gita", "hugo", "ines", "juan", "kate", "luis", "maria")
LAST = ("smith", "jones", "lopez", "muller", "rossi", "silva", "khan", "chen", "dupont", "sato")
CLIENTS = (Protocol.IMAP, Protocol.IMAP, Protocol.IMAP, Protocol.SOAP, Protocol.SMTP)
"""What people use: phones mostly."""


def account(number: int) -> str:
    return f"{FIRST[number % len(FIRST)]}.{LAST[number % len(LAST)]}{number}@example.com"


def home(number: int) -> str:
    """An address that belongs to one household; neighbours in number are no neighbours in the network."""
    return f"100.{64 + number % 61}.{number * 7 % 251}.{number * 13 % 239 + 1}"


def office(number: int = 0) -> str:
    return f"100.127.{number}.10"


def bot(number: int) -> str:
    """One of 65,536 addresses; the next is in another /24."""
    return f"198.{18 + number % 2}.{number * 37 % 251}.{number * 11 % 241 + number // 251 % 14 + 1}"


def times(rng: Random, start: float, stop: float, every: float, spread: float = 0.2) -> Iterator[float]:
    """About `every` seconds apart; each moment is off by at most that share of it."""
    at = start + rng.random() * every
    while at < stop:
        yield max(start, at + (rng.random() - 0.5) * spread * every)
        at += every


def person(
    at: float, source: str, name: str, *, right: bool = True, protocol: Protocol = Protocol.IMAP, recipients: int = 0
) -> Try:
    return Try(at, source, name, right, Who.PERSON, protocol, recipients=recipients)


def habit(
    rng: Random, names: Sequence[str], sources: Sequence[str], hours: float, every: float, start: float = 0.0
) -> Iterator[Try]:
    """Each logs in from their own place, the day before too: `names[n]` from `sources[n]`."""
    for name, source in zip(names, sources, strict=True):
        protocol = rng.choice(CLIENTS)
        for before in (1, 2):
            yield person(-before * DAY + rng.random() * DAY, source, name, protocol=protocol)
        for at in times(rng, start, hours * HOUR, every):
            yield person(at, source, name, protocol=protocol)


def neighbours(rng: Random, hours: float, people: int = 10, every: float = HOUR, first: int = 0) -> list[Try]:
    """Ordinary people at home; the first of them is whoever a story is about."""
    numbers = range(first, first + people)
    return list(habit(rng, [account(n) for n in numbers], [home(n) for n in numbers], hours, every))


def guesses(
    moments: Iterable[float], sources: Sequence[str], names: Sequence[str], protocol: Protocol
) -> Iterator[Try]:
    """At each moment the next source tries the next account."""
    for number, at in enumerate(moments):
        yield Try(at, sources[number % len(sources)], names[number % len(names)], protocol=protocol)
