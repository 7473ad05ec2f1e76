from story import ANA, START, address

from appliance.judge.attempts import Attempt
from appliance.judge.detector import Case
from appliance.judge.reasons import points_reason, tried
from appliance.judge.tallies import Tally
from appliance.model import Outcome, Protocol


def case(*attempts):
    return Case(START, address("203.0.113.9"), ANA, attempts, False, None, Tally())


def bad_password(account=ANA, proved=1):
    return Attempt(START, Protocol.IMAP, Outcome.BAD_PASSWORD, account, 1, proved)


def test_reason_without_an_account_names_none():
    assert points_reason(case(bad_password(None)), 1, 6, 1800) == (
        "1 point in 30 min (limit 6): 1 bad password over imap"
    )


def test_reason_says_how_much_is_proved_where_that_is_less():
    told = points_reason(case(bad_password(), bad_password(proved=0)), 2, 2, 60)

    assert told.startswith("2 points in 60 s (limit 2, 1 of them proved): 2 bad passwords")


def test_accounts_tried_are_at_most_ten_and_forgiven_ones_are_not_among_them():
    attempts = [bad_password(f"user{number}") for number in range(12)]
    attempts[0].forgive()

    assert tried(case(*attempts)) == tuple(f"user{number}" for number in range(1, 11))
