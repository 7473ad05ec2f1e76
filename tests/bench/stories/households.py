"""Stories of people, who are nearly always right, and of attackers among them."""

from random import Random

from bench.stories.script import DAY, HOUR, Script, Try
from bench.stories.town import account, bot, guesses, habit, home, neighbours, office, person, times

from appliance.model import Protocol


def office_with_stale_phone(
    rng: Random, hours: float = 24, people: int = 40, every: float = 960, stale: float = 120
) -> Script:
    """One address. A phone there still has the old password of an account that works there otherwise."""
    names = [account(n) for n in range(people)]
    tries = list(habit(rng, names, [office()] * people, hours, every))
    tries += [person(at, office(), names[0], right=False) for at in times(rng, 0, hours * HOUR, stale)]
    return Script(tries)


def password_changed(rng: Random, hours: float = 24, devices: int = 3, every: float = 300, lasts: float = 8) -> Script:
    """At home, after a change: devices fail until somebody tells them. The family reads mail meanwhile."""
    tries = list(habit(rng, [account(0), account(1)], [home(0)] * 2, hours, 600))
    for _ in range(devices):
        moments = times(rng, 0, hours * HOUR, every)
        tries += [person(at, home(0), account(0), right=at > lasts * HOUR) for at in moments]
    return Script(tries)


def traveller(rng: Random, hours: float = 24, typos: int = 4, every: float = 900) -> Script:
    """A new address, some typos, then in."""
    tries = neighbours(rng, hours, 3)
    start = hours * HOUR / 8
    for number in range(typos):
        tries.append(person(start + 25 * number, "100.126.5.77", account(0), right=False, protocol=Protocol.SOAP))
    begun = start + 25 * typos
    tries.append(person(begun, "100.126.5.77", account(0), protocol=Protocol.SOAP))
    tries += [person(at, "100.126.5.77", account(0)) for at in times(rng, begun, hours * HOUR, every)]
    return Script(tries)


def outage(rng: Random, hours: float = 24, people: int = 60, minutes: float = 20, bots: int = 30) -> Script:
    """The directory is down: right passwords fail, and clients try again and again. Bots guess meanwhile.

    The day before was a day like others, so that it can be known what is usual.
    """
    start = hours * HOUR / 2
    stop = start + minutes * 60
    names, sources = [account(n) for n in range(people)], [home(n) for n in range(people)]
    tries = list(habit(rng, names, sources, hours, 900, start=-DAY))
    for name, source in zip(names, sources, strict=True):
        tries += [person(at, source, name) for at in times(rng, start, stop, 120)]
    for number in range(bots):
        tries += guesses(times(rng, start, stop, 60), [bot(number)], [account(number)], Protocol.SMTP)
    return Script(tries, broken=((start, stop),))


def migration_day(rng: Random, hours: float = 24, people: int = 60, every: float = 1200) -> Script:
    """Half of the people have old passwords until they find the time, at most a day; most work in two offices."""
    names = [account(n) for n in range(people)]
    sources = [office(n % 2) if n % 5 < 3 else home(n) for n in range(people)]
    tries: list[Try] = []
    for number, (name, source) in enumerate(zip(names, sources, strict=True)):
        fixed = rng.random() * hours * HOUR if number % 2 else 0.0
        tries += [person(-n * DAY + rng.random() * DAY, source, name) for n in (1, 2)]
        tries += [person(at, source, name, right=at >= fixed) for at in times(rng, 0, hours * HOUR, every)]
    return Script(tries)


def carrier_nat(
    rng: Random, hours: float = 24, people: int = 60, every: float = 1800, typos: float = 0.03, guess: float = 60
) -> Script:
    """One address of a mobile network. Its people mistype; a guesser behind it sprays accounts that live elsewhere."""
    shared = "100.100.1.1"
    names = [account(n) for n in range(people)]
    tries: list[Try] = []
    for attempt in habit(rng, names, [shared] * people, hours, every):
        if attempt.at > 0 and rng.random() < typos:
            tries.append(person(attempt.at - 15, shared, attempt.account, right=False, protocol=attempt.protocol))
        tries.append(attempt)
    others = [account(1000 + n) for n in range(300)]
    tries += guesses(times(rng, 3600 if hours > 2 else 60, hours * HOUR, guess), [shared], others, Protocol.SMTP)
    return Script(tries)


def behind_an_office(
    rng: Random, hours: float = 24, people: int = 20, accounts: int = 300, guess: float = 60
) -> Script:
    """An account of an office is owned; whoever owns it guesses other accounts from there."""
    names = [account(n) for n in range(people)]
    tries = list(habit(rng, names, [office()] * people, hours, 1200))
    others = [account(1000 + n) for n in range(accounts)]
    tries.append(Try(60, office(), names[3], right=True, protocol=Protocol.IMAP))
    tries += guesses(times(rng, 120, hours * HOUR, guess), [office()], others, Protocol.IMAP)
    return Script(tries)


def mobile_owner(rng: Random, hours: float = 24, every: float = 600, guess: float = 60, addresses: int = 100) -> Script:
    """The owner of a besieged account moves through a mobile network, with a typo from every new address."""
    tries = neighbours(rng, hours, 5)
    for number, at in enumerate(times(rng, 0, hours * HOUR, every)):
        source = f"100.110.{number // 6 % 250}.{number // 6 % 240 + 1}"
        if number % 6 == 0:
            tries.append(person(at, source, account(0), right=False))
        tries.append(person(at + 20, source, account(0)))
    tries += [Try(at, bot(rng.randrange(addresses)), account(0)) for at in times(rng, 0, hours * HOUR, guess)]
    return Script(tries)


def skewed_clocks(
    rng: Random, hours: float = 24, ahead: float = 3 * HOUR, behind: float = 420, every: float = 20
) -> Script:
    """The mailbox host's clock is hours ahead, the MTA's minutes behind. One address guesses by IMAP and SMTP."""
    tries = neighbours(rng, hours, 20)
    for number, at in enumerate(times(rng, 0, hours * HOUR, every)):
        tries.append(Try(at, bot(0), account(number % 3), protocol=Protocol.SMTP if number % 2 else Protocol.IMAP))
    return Script(tries, skews={"mbox1": ahead, "mx1": -behind})


def drained_queue(rng: Random, hours: float = 24, waits: float = 2, people: int = 40, bots: int = 20) -> Script:
    """The senders' queues hold the lines of some hours, in which people mistyped and bots guessed; then all arrive."""
    start = hours * HOUR / 3
    stop = start + min(waits, hours / 3) * HOUR
    tries: list[Try] = []
    for attempt in neighbours(rng, hours, people, 1800):
        tries.append(attempt)
        if start <= attempt.at < stop:
            tries.append(
                person(attempt.at - 10, attempt.source, attempt.account, right=False, protocol=attempt.protocol)
            )
    for number in range(bots):
        tries += guesses(times(rng, start, hours * HOUR, 600), [bot(number)], [account(number)], Protocol.SMTP)
    return Script(tries, held=(start, stop))
