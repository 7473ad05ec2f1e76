from story import ANA, BOB, START, address

from appliance.judge.attempts import Attempt
from appliance.judge.detect.spraying import Spraying
from appliance.judge.detector import Case
from appliance.judge.tallies import Tally
from appliance.model import Outcome, Protocol


def score(*attempts):
    return Spraying().score(Case(START, address("203.0.113.9"), None, attempts, False, None, Tally()))


def attempt(account, proved=1, outcome=Outcome.BAD_PASSWORD):
    return Attempt(START, Protocol.IMAP, outcome, account, 1, proved)


def test_distinct_accounts_are_counted():
    assert score(attempt(ANA), attempt(ANA), attempt(BOB), attempt(None)) == 2


def test_account_unknown_once_counts_double():
    assert score(attempt(ANA, outcome=Outcome.UNKNOWN_ACCOUNT), attempt(ANA)) == 2


def test_accounts_that_forged_lines_name_at_most_double_the_proved_ones():
    assert score(attempt(ANA), *(attempt(f"user{each}", proved=0) for each in range(9))) == 2
