from story import ANA, BOB, START, address

from appliance.judge.attempts import Attempt
from appliance.judge.detect.spraying import Spraying
from appliance.judge.detector import Case, Score
from appliance.judge.tallies import Tally
from appliance.model import Outcome, Protocol


def case(*attempts, succeeded=False):
    return Case(START, address("203.0.113.9"), None, attempts, succeeded, None, Tally())


def attempt(account, strong=1, outcome=Outcome.BAD_PASSWORD):
    return Attempt(START, Protocol.IMAP, outcome, account, 1, strong)


def unknown(account, strong=1):
    return attempt(account, strong, Outcome.UNKNOWN_ACCOUNT)


def score(*attempts, succeeded=False):
    return Spraying().score(case(*attempts, succeeded=succeeded))


def test_distinct_accounts_are_counted():
    tried = attempt(ANA), attempt(ANA), attempt(BOB), attempt(None)

    assert score(*tried) == Score(2, 2, 3)
    assert score(*tried, succeeded=True) == Score(2, 2, 5)


def test_account_unknown_once_counts_double():
    assert score(unknown(ANA), attempt(ANA)) == Score(2, 2, 5)


def test_of_the_two_limits_the_nearer_one_is_told_of():
    assert score(unknown("a"), unknown("b"), attempt(ANA)) == Score(5, 5, 5)
    assert score(unknown("a"), attempt(BOB), attempt(ANA)) == Score(4, 4, 5)
    assert score(attempt("a"), attempt(BOB), attempt(ANA)) == Score(3, 3, 3)


def test_ban_of_a_stranger_at_existing_accounts_begins_a_rung_higher():
    existing = [attempt(f"user{number}") for number in range(5)]

    assert Spraying().first_step(case(*existing)) == 3
    assert Spraying().first_step(case(*existing, succeeded=True)) == 2
    assert Spraying().first_step(case(*[unknown(f"user{number}") for number in range(3)])) == 2


def test_accounts_that_forged_lines_name_are_told_apart():
    assert score(attempt(ANA), *(attempt(f"user{each}", strong=0) for each in range(9))) == Score(10, 1, 3)


def test_account_that_strong_evidence_calls_unknown_counts_double_there_as_well():
    assert score(unknown(ANA), unknown(BOB, strong=0)) == Score(4, 2, 5)
