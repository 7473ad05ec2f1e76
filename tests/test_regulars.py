"""Who logs in at an address, and whether it is on probation."""

import pytest

from appliance.address import parse_network
from appliance.judge.bans import OPERATOR
from appliance.judge.familiar import KEPT, Seen
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.model import Ban
from appliance.regulars import logins_at, probation_end
from appliance.store.store import Lift, PastBan

NOW = 1_792_584_000.0
DAY = 86400.0
HOME, SITE = parse_network("203.0.113.9"), parse_network("2001:db8:0:7::/64")
ANA, BOB = "ana@example.com", "bob@example.com"


@pytest.fixture
def judge() -> Judge:
    return Judge(Policy(), b"seed")


def test_the_accounts_of_a_source_are_told_the_latest_first(judge: Judge) -> None:
    judge.familiar.learn(HOME, BOB, NOW)
    judge.familiar.learn(HOME, ANA, NOW - 60)
    judge.familiar.learn(SITE, ANA, NOW)

    assert logins_at(judge, HOME, NOW) == [Seen(HOME, BOB, NOW, NOW), Seen(HOME, ANA, NOW - 60, NOW - 60)]
    assert logins_at(judge, parse_network("2001:db8:0:7::1"), NOW) == [Seen(SITE, ANA, NOW, NOW)]
    assert logins_at(judge, parse_network("203.0.113.0/24"), NOW) == []
    assert logins_at(judge, HOME, NOW + KEPT) == []


def past(until: float, detector: str = "guessing", lift: Lift | None = None) -> PastBan:
    return PastBan(Ban(HOME, NOW - 10 * DAY, until, detector, "6 points"), lift)


@pytest.mark.parametrize(
    ("bans", "expected"),
    [
        ([past(NOW - 60)], NOW - 60 + DAY),
        ([past(NOW - 60), past(NOW - 2 * DAY)], NOW - 60 + DAY),
        ([past(NOW - DAY)], None),
        ([past(NOW + 60)], None),
        ([past(NOW - 60, lift=Lift(NOW - 90, "ana", ""))], None),
        ([past(NOW - 60, OPERATOR)], None),
        ([past(NOW - 60, "kernel")], None),
        ([], None),
    ],
)
def test_probation_is_a_day_after_a_ban_that_ended_by_itself(
    judge: Judge, bans: list[PastBan], expected: float | None
) -> None:
    assert probation_end(judge, HOME, bans, NOW) == expected
    assert probation_end(judge, parse_network("203.0.113.10"), bans, NOW) is None, "the ban was of another source"


def test_where_somebody_logs_in_there_is_no_probation(judge: Judge) -> None:
    judge.familiar.learn(HOME, ANA, NOW)

    assert probation_end(judge, HOME, [past(NOW - 60)], NOW) is None
