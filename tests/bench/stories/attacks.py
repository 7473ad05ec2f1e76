"""Stories of attackers: from one address, from many, from a network that is theirs."""

from itertools import count, takewhile
from random import Random

from bench.stories.script import HOUR, Script, Try
from bench.stories.town import account, bot, guesses, home, neighbours, times

from appliance.model import Protocol


def one_address(rng: Random, hours: float = 24, every: float = 5) -> Script:
    moments = times(rng, 0, hours * HOUR, every)
    return Script([*neighbours(rng, hours), *guesses(moments, [bot(0)], [account(0)], Protocol.SMTP)])


def reused_addresses(rng: Random, hours: float = 24, addresses: int = 200, every: float = 30) -> Script:
    sources = [bot(n) for n in range(addresses)]
    moments = times(rng, 0, hours * HOUR, every)
    tries = [Try(at, rng.choice(sources), account(0)) for at in moments]
    return Script([*neighbours(rng, hours), *tries])


def fresh_addresses(rng: Random, hours: float = 24, every: float = 30) -> Script:
    sources = map(bot, count())
    tries = [Try(at, next(sources), account(0)) for at in times(rng, 0, hours * HOUR, every)]
    return Script([*neighbours(rng, hours), *tries])


def spray_from_one(rng: Random, hours: float = 24, accounts: int = 300, every: float = 60) -> Script:
    moments = times(rng, 0, hours * HOUR, every)
    names = [account(n) for n in range(accounts)]
    return Script([*neighbours(rng, hours), *guesses(moments, [bot(0)], names, Protocol.SMTP)])


def spray_from_many(
    rng: Random, hours: float = 24, addresses: int = 20, accounts: int = 300, every: float = 600
) -> Script:
    sprayed = [
        Try(at, bot(number), account(rng.randrange(accounts)))
        for number in range(addresses)
        for at in times(rng, 0, hours * HOUR, every)
    ]
    return Script([*neighbours(rng, hours), *sprayed])


def unknown_accounts(rng: Random, hours: float = 24, addresses: int = 10, every: float = 60) -> Script:
    """IMAP and SOAP: only nginx, or only mailbox.log, names the client."""
    tried: list[Try] = []
    for number, at in enumerate(times(rng, 0, hours * HOUR, every)):
        protocol = Protocol.IMAP if number % 2 else Protocol.SOAP
        tried.append(Try(at, bot(number % addresses), f"info{number}@example.com", exists=False, protocol=protocol))
    return Script([*neighbours(rng, hours), *tried])


def rotating_ipv6(rng: Random, hours: float = 24, every: float = 30) -> Script:
    """The first half of the time another address of one /64 each try, then another /64 of one /48."""
    tried: list[Try] = []
    for number, at in enumerate(times(rng, 0, hours * HOUR, every)):
        second = at > hours * HOUR / 2
        source = f"2001:db8:b0b:{number:x}::{number:x}" if second else f"2001:db8:bad:1::{number:x}"
        tried.append(Try(at, source, account(number % 300)))
    return Script([*neighbours(rng, hours), *tried])


def credential_stuffing(
    rng: Random, hours: float = 24, addresses: int = 100, pairs: int = 1000, hits: float = 0.01
) -> Script:
    """Leaked pairs, each tried once; `hits` of them are still right."""
    moments = sorted(rng.random() * hours * HOUR for _ in range(pairs))
    tries = [
        Try(at, bot(rng.randrange(addresses)), account(number), right=rng.random() < hits)
        for number, at in enumerate(moments)
    ]
    return Script([*neighbours(rng, hours), *tries])


def compromised_account(
    rng: Random, hours: float = 24, failures: int = 4, mails: int = 40, recipients: int = 50
) -> Script:
    """A stranger gets in after some failures and sends what they came to send."""
    start, victim = hours * HOUR / 4, account(0)
    tries = [Try(start + 20 * n, bot(0), victim) for n in range(failures)]
    sent = takewhile(lambda at: at < hours * HOUR, (start + 20 * failures + 60 * n for n in range(mails)))
    tries += [Try(at, bot(0), victim, right=True, recipients=recipients) for at in sent]
    return Script([*neighbours(rng, hours), *tries])


def log_injection(rng: Random, hours: float = 24, victims: int = 40, every: float = 20) -> Script:
    """Each try comes from a fresh address, and its text holds a log line that blames a household."""
    tries = neighbours(rng, hours, victims)
    for number, at in enumerate(times(rng, 0, hours * HOUR, every)):
        victim, name = home(number % victims), account(number % victims)
        failed = f"authentication failed for [{name}], account not found"
        line = f"INFO  [qtp1-1:https://mail.example.com/service/soap/] [oip={victim};ua=x;soapId=1;] SoapEngine - "
        context = f"x] [ip=192.0.2.5;oip={victim};cid=1;] security - cmd=Auth; account={name}; protocol=imap; "
        bad = f"error=authentication failed for [{name}], invalid password;"
        if number % 2:
            typed, agent = f"x], account not found\n{line}handler exception: {failed}", "zclient/10"
        else:
            typed, agent = f"x;oip={victim};ip={victim};", context + bad
        tries.append(
            Try(
                at,
                bot(number),
                f"x{number}@example.com",
                exists=False,
                typed=typed,
                agent=agent,
                protocol=Protocol.SOAP,
            )
        )
    return Script(tries)
