from story import ANA, START, address

from appliance.judge.attempts import Attempt
from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.detector import NOTHING, Case, Score
from appliance.judge.tallies import Tally
from appliance.model import Outcome, Protocol


def case(*attempts, succeeded=False):
    return Case(START, address("203.0.113.9"), None, attempts, succeeded, None, Tally())


def attempt(ago, points=1, strong=1, account=None):
    return Attempt(START - ago, Protocol.IMAP, Outcome.BAD_PASSWORD, account, points, strong)


def test_score_is_the_points_of_the_window():
    assert Guessing().score(case(attempt(1800), attempt(1799), attempt(0, 2))) == Score(3, 2, 6)


def test_whoever_logged_in_before_pays_for_the_accounts_that_are_named():
    named = [attempt(0, account=ANA) for _ in range(3)]

    assert Guessing().score(case(*named, succeeded=True)) == Score(3, 3, 6)
    assert SlowGuessing().score(case(*named, succeeded=True)) == NOTHING


def test_where_somebody_logs_in_five_failures_without_a_name_are_one_point():
    nameless = [attempt(0) for _ in range(9)]

    assert Guessing().score(case(*nameless, succeeded=True)) == Score(1, 1, 6)
    assert Guessing().score(case(*nameless)) == Score(9, 9, 6)


def test_strangers_have_fewer_tries_in_a_campaign_and_others_as_many_as_ever():
    case_of_stranger, case_of_user = case(attempt(0)), case(attempt(0, account=ANA), succeeded=True)
    case_of_stranger.in_campaign = case_of_user.in_campaign = True

    assert Guessing().score(case_of_stranger).limit == 3
    assert Guessing().score(case_of_user).limit == 6
    assert Guessing(points=2).score(case_of_stranger).limit == 2
