from story import START, address

from appliance.judge.attempts import Attempt
from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.detector import Case, Score
from appliance.judge.tallies import Tally
from appliance.model import Outcome, Protocol


def case(*attempts, succeeded=False):
    return Case(START, address("203.0.113.9"), None, attempts, succeeded, None, Tally())


def attempt(ago, points=1, strong=1):
    return Attempt(START - ago, Protocol.IMAP, Outcome.BAD_PASSWORD, None, points, strong)


def test_score_is_the_points_of_the_window():
    assert Guessing().score(case(attempt(1800), attempt(1799), attempt(0, 2))) == Score(3, 2)


def test_score_does_not_depend_on_earlier_successes():
    assert Guessing().score(case(attempt(0), succeeded=True)) == Score(1, 1)
    assert SlowGuessing().score(case(attempt(0), succeeded=True)) == Score(0, 0)
