"""Which bans would stand, and what they close."""

import pytest
from story import START, address, line

from appliance.address import parse_network
from appliance.judge.doors import door_of
from appliance.model import Ban, Outcome, Protocol, Scope
from appliance.replay.standing import AROUND, Kept, Standing, closing


def kept(net: str, number: int = 0, since: float = 0.0, seconds: float = 1800.0, scope: Scope = Scope.ALL) -> Kept:
    return Kept(
        number, Ban(parse_network(net), START + since, START + since + seconds, "guessing", "x", 0, scope), (), True
    )


@pytest.mark.parametrize(
    ("facts", "scope"),
    [
        ({}, Scope.LOGIN),
        ({"outcome": Outcome.SUCCESS}, Scope.LOGIN),
        ({"outcome": Outcome.RECIPIENT_UNKNOWN}, Scope.SMTP_IN),
        ({"outcome": Outcome.MAIL_ACCEPTED}, Scope.SMTP_IN),
        ({"protocol": Protocol.SSH}, Scope.ALL),
    ],
)
def test_what_happened_tells_the_door(facts, scope):
    assert door_of(line(0, **facts)) is scope


@pytest.mark.parametrize(
    ("ban", "door", "closed"),
    [
        (Scope.ALL, Scope.LOGIN, True),
        (Scope.ALL, Scope.SMTP_IN, True),
        (Scope.ALL, Scope.ALL, True),
        (Scope.LOGIN, Scope.LOGIN, True),
        (Scope.LOGIN, Scope.SMTP_IN, False),
        (Scope.LOGIN, Scope.ALL, False),
        (Scope.SMTP_IN, Scope.SMTP_IN, True),
        (Scope.SMTP_IN, Scope.LOGIN, False),
    ],
)
def test_a_ban_closes_the_doors_of_its_scope(ban, door, closed):
    assert (closing([kept("203.0.113.9", scope=ban)], door, START + 60) is not None) is closed


def test_a_ban_that_has_ended_closes_none():
    assert closing([kept("203.0.113.9")], Scope.LOGIN, START + 1800) is None


def test_bans_are_found_by_every_network_around_a_source_until_a_day_after():
    standing = Standing()
    bans = [kept("203.0.113.9"), kept("203.0.113.0/24", 1, 60), kept("2001:db8::/64", 2), kept("203.0.113.9", 3, 9000)]
    for ban in bans:
        standing.open(ban)

    def around(source: str, at: float) -> list[int]:
        return [ban.number for ban in standing.around(address(source), START + at)]

    assert around("203.0.113.9", 100) == [0, 1, 3]
    assert around("203.0.113.10", 100) == [1]
    assert around("198.51.100.1", 100) == []
    assert [b.number for b in standing.around(parse_network("2001:db8::/64"), START)] == [2]
    assert around("203.0.113.9", 1800 + AROUND) == [1, 3]
    assert around("203.0.113.9", 1860 + AROUND) == [3]
    assert around("203.0.113.9", 10_800 + AROUND) == []
