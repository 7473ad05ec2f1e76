from story import ANA, BOB, START, address

from appliance.judge.attempts import Attempt
from appliance.judge.detect.spraying import Spraying
from appliance.judge.detector import Case, Score
from appliance.judge.tallies import Tally
from appliance.model import Outcome, Protocol


def score(*attempts):
    return Spraying().score(Case(START, address("203.0.113.9"), None, attempts, False, None, Tally()))


def attempt(account, strong=1, outcome=Outcome.BAD_PASSWORD):
    return Attempt(START, Protocol.IMAP, outcome, account, 1, strong)


def test_distinct_accounts_are_counted():
    assert score(attempt(ANA), attempt(ANA), attempt(BOB), attempt(None)) == Score(2, 2)


def test_account_unknown_once_counts_double():
    assert score(attempt(ANA, outcome=Outcome.UNKNOWN_ACCOUNT), attempt(ANA)) == Score(2, 2)


def test_accounts_that_forged_lines_name_are_told_apart():
    assert score(attempt(ANA), *(attempt(f"user{each}", strong=0) for each in range(9))) == Score(10, 1)


def test_account_that_strong_evidence_calls_unknown_counts_double_there_as_well():
    unknown = attempt(ANA, outcome=Outcome.UNKNOWN_ACCOUNT)

    assert score(unknown, attempt(BOB, strong=0, outcome=Outcome.UNKNOWN_ACCOUNT)) == Score(4, 2)
