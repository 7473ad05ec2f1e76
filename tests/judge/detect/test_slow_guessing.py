from story import START, address

from appliance.judge.attempts import Attempt
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.detector import NOTHING, Case, Score
from appliance.judge.tallies import Tally
from appliance.model import Outcome, Protocol


def case(succeeded):
    told = [Attempt(START - 3600 * ago, Protocol.IMAP, Outcome.BAD_PASSWORD, None, 1, 1) for ago in (24, 23, 1)]
    return Case(START, address("203.0.113.9"), None, told, succeeded, None, Tally())


def test_stranger_pays_for_the_whole_day():
    assert SlowGuessing().score(case(succeeded=False)) == Score(2, 2, 10)


def test_whoever_got_in_once_pays_nothing():
    assert SlowGuessing().score(case(succeeded=True)) == NOTHING
