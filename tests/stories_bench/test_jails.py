"""fail2ban's own decisions, from Debian's package."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from bench.stories.jails import PUBLISHED, TUNED, Fail2ban, why_not
from bench.stories.lines import Pen
from bench.stories.run import START
from bench.stories.script import Try
from bench.stories.zimbra import Answer

from appliance.address import parse_address
from appliance.model import Protocol

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

ATTACKER, ANA = "198.18.0.1", "ana@example.com"
ADDRESS = parse_address(ATTACKER.encode())
SPOKEN = (Protocol.SMTP, Protocol.IMAP, Protocol.POP3, Protocol.SOAP)


@pytest.fixture
def tuned() -> Iterator[Fail2ban]:
    with closing(Fail2ban(TUNED, 3, 1800, 86400)) as jails:
        yield jails


@pytest.fixture
def published() -> Iterator[Fail2ban]:
    with closing(Fail2ban(PUBLISHED, 3, 1800, 86400)) as jails:
        yield jails


def fails(jails: Fail2ban, *moments: float, exists: bool = True, protocol: Protocol = Protocol.IMAP) -> bool:
    """Whether the source of these failures is banned after them."""
    pen, answer = Pen(START, {}), Answer.WRONG if exists else Answer.UNKNOWN
    for at in moments:
        jails.hear(pen.write(Try(at, ATTACKER, ANA, exists=exists, protocol=protocol), answer), START + at)
    assert ADDRESS
    return jails.bans.cover(ADDRESS, START + moments[-1])


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("protocol", SPOKEN)
def test_the_tuned_filters_see_every_failure_once(tuned: Fail2ban, protocol: Protocol, exists: bool) -> None:
    assert not fails(tuned, 0, 60, exists=exists, protocol=protocol)
    assert fails(tuned, 120, exists=exists, protocol=protocol)


def test_a_ban_lasts_as_long_as_its_jail_says(tuned: Fail2ban) -> None:
    fails(tuned, 0, 60, 120)
    assert ADDRESS
    assert tuned.bans.cover(ADDRESS, START + 120 + 86_399)
    assert not tuned.bans.cover(ADDRESS, START + 120 + 86_401)


def test_fail2ban_estimates_from_the_rate_what_lies_beyond_its_window(tuned: Fail2ban) -> None:
    """Three failures in 2,000 s count as three in 1,800 s (`adjustTime` in its ticket.py); two do not."""
    assert not fails(tuned, 0, 1000)
    assert fails(tuned, 2000)


def test_failures_further_apart_than_the_window_ban_nobody(tuned: Fail2ban) -> None:
    assert not fails(tuned, 0, 4000, 8000, 12_000)


def test_two_of_the_six_published_expressions_are_comments_to_fail2ban(published: Fail2ban) -> None:
    assert published.expressions == {"zimbra-account": 4, "zimbra-audit": 4, "postfix": 1}


def test_the_published_filters_see_smtp_and_unknown_accounts_of_the_web_only(published: Fail2ban) -> None:
    assert not fails(published, 0, 60, 120, protocol=Protocol.IMAP)
    assert not fails(published, 0, 60, 120, protocol=Protocol.SOAP)
    assert fails(published, 200, 260, 320, protocol=Protocol.SMTP)


def test_a_mail_is_sent_for_each_ban(tuned: Fail2ban) -> None:
    fails(tuned, 0, 60, 120, protocol=Protocol.SMTP)
    assert tuned.alerts == {"mail": 2}, "by the jail that reads audit.log and by the one that reads zimbra.log"
