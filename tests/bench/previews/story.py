"""The day that the previews show: an ordinary one, on which many attack at once. It depends on nothing but its seed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from bench.stories.script import DAY, HOUR, Try, Who
from bench.stories.town import account, bot, guesses, habit, home, office, person, times

from appliance.model import Protocol

SHOWN = 6 * HOUR
"""What the previews show."""
BEFORE = DAY + 2 * HOUR
"""What came before: so long it takes to know who is familiar and what is usual."""
CAMPAIGN_SEEN = 3.9 * HOUR
"""While most attack."""
PEOPLE, IN_OFFICES, ODD = 90, 40, 6
TRAVELLER = "100.126.5.77"
SILENT_FROM = SHOWN - 42 * 60
"""From here on mbox2 sends nothing."""
AHEAD = {"mx2": 95.0}
"""By how many seconds a host's clock is ahead."""


@dataclass(frozen=True, slots=True)
class Day:
    """Times are seconds since what is shown begins."""

    tries: list[Try]
    unbans: list[tuple[float, str]] = field(default_factory=list)
    """What an operator lifts."""
    reloads: list[float] = field(default_factory=list)


def day(seed: int) -> Day:
    rng = Random(f"{seed} preview")
    tries = [*_people(rng), *_strangers_of_every_day(rng)]
    tries += [
        each for attack in (_guessers, _spray, _siege, _break_in, _campaign, _ipv6, _names) for each in attack(rng)
    ]
    tries += [Try(at, office(1), account(7000 + n), who=Who.PERSON) for n, at in enumerate(_span(rng, 2.3, 3.0, 25))]
    tries += [person(at, office(0), account(100), right=False) for at in _span(rng, 0.7, 6, 55)]
    late = 4.1 * HOUR
    tries += [person(late + 20 * n, TRAVELLER, account(3), right=False) for n in range(14)]
    tries += [person(late + 900 + 400 * n, TRAVELLER, account(3)) for n in range(8)]
    return Day(sorted(tries, key=lambda each: each.at), [(late + 780, TRAVELLER)], [1.1 * HOUR, 4.6 * HOUR])


def _span(rng: Random, start: float, stop: float, every: float) -> Iterator[float]:
    return times(rng, start * HOUR, stop * HOUR, every, 0.8)


def _people(rng: Random) -> Iterator[Try]:
    names = [account(n) for n in range(PEOPLE + IN_OFFICES)]
    sources = [home(n) for n in range(PEOPLE)] + [office(n % 2) for n in range(IN_OFFICES)]
    yield from habit(rng, names, sources, SHOWN / HOUR, 900, start=-3 * HOUR)
    yield from habit(rng, names, sources, -3, 7200, start=-BEFORE)
    for at in times(rng, -BEFORE, SHOWN, 400, 1.5):
        number = rng.randrange(PEOPLE)
        yield person(at, home(number), account(number), right=False)
        yield person(at + 12, home(number), account(number))


def _strangers_of_every_day(rng: Random) -> Iterator[Try]:
    for number, at in enumerate(times(rng, -BEFORE, SHOWN, 420, 1.5)):
        yield from guesses([at + 70 * n for n in range(rng.randrange(1, 9))], [bot(30_000 + number)],
                           [account(rng.randrange(400))], rng.choice((Protocol.SMTP, Protocol.IMAP)))  # fmt: skip


def _guessers(rng: Random) -> Iterator[Try]:
    for number, (start, stop) in enumerate(((0.4, 1.6), (0.9, 2.2), (1.4, 6), (3.1, 4.4))):
        protocol = (Protocol.SMTP, Protocol.IMAP, Protocol.SMTP, Protocol.POP3)[number]
        yield from guesses(_span(rng, start, stop, 9), [bot(500 + number)], [account(number)], protocol)


def _spray(rng: Random) -> Iterator[Try]:
    names = [account(2000 + n) for n in range(300)]
    yield from guesses(_span(rng, 0.8, 2.0, 20), [bot(700)], names, Protocol.SMTP)


def _siege(rng: Random) -> Iterator[Try]:
    for at in _span(rng, 1.9, 2.9, 22):
        yield Try(at, bot(1000 + rng.randrange(120)), account(0), protocol=rng.choice((Protocol.SMTP, Protocol.IMAP)))


def _break_in(rng: Random) -> Iterator[Try]:
    start, victim = 2.55 * HOUR, account(61)
    yield from (Try(start + 25 * n, bot(900), victim) for n in range(4))
    yield from (Try(start + 110 + 45 * n, bot(900), victim, right=True, recipients=50) for n in range(20))


def _campaign(rng: Random) -> Iterator[Try]:
    for number in range(260):
        begins = 3.4 + 0.5 * rng.random() ** 2 + 0.3 * rng.random()
        for at in _span(rng, begins, 4.5 + rng.random() * 0.6, 150 + 150 * rng.random()):
            protocol = rng.choice((Protocol.SMTP, Protocol.SMTP, Protocol.IMAP, Protocol.SOAP))
            yield Try(at, bot(4000 + number), account(rng.randrange(400)), protocol=protocol)


def _ipv6(rng: Random) -> Iterator[Try]:
    for number, at in enumerate(_span(rng, 3.0, 4.2, 15)):
        yield Try(at, f"2001:db8:bad:{number // 90:x}::{number:x}", account(number % 300))


def _names(rng: Random) -> Iterator[Try]:
    """Names that nobody has: only nginx and mailbox.log tell of them, whose lines a client can forge."""
    for number, at in enumerate(_span(rng, 0.6, 5.8, 40)):
        protocol = Protocol.IMAP if number % 2 else Protocol.SOAP
        yield Try(at, bot(9000 + number // 12), f"info{number}@example.com", exists=False, protocol=protocol)
