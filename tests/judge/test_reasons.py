from story import ANA, START, address

from appliance.judge.attempts import Attempt
from appliance.judge.detector import Case, Score
from appliance.judge.reasons import UNPROVED, doubt, points_reason, tried
from appliance.judge.tallies import Tally
from appliance.model import Outcome, Protocol


def case(*attempts, proved=False):
    return Case(START, address("203.0.113.9"), ANA, attempts, False, None, Tally(), proved)


def bad_password(account=ANA, strong=1):
    return Attempt(START, Protocol.IMAP, Outcome.BAD_PASSWORD, account, 1, strong)


def test_reason_without_an_account_names_none():
    assert points_reason(case(bad_password(None)), Score(1, 1, 6), 1800) == (
        "1 point in 30 min (limit 6): 1 bad password over imap"
    )


def test_reason_says_how_much_strong_evidence_bears_where_that_is_less():
    told = points_reason(case(bad_password(), bad_password(strong=0)), Score(2, 1, 2), 60)

    assert told.startswith("2 points in 60 s (limit 2, 1 of them by strong evidence): 2 bad passwords")
    assert "proved" not in told


def test_reason_says_where_a_ban_rests_on_packet_proof():
    told = points_reason(case(bad_password(), *[bad_password(strong=0)] * 2, proved=True), Score(3, 1, 3), 60)

    assert told == (
        "3 points in 60 s (limit 3, 1 of them by strong evidence): 3 bad passwords on ana@example.com over imap; "
        "the address is proved: it completed a connection here"
    )


def test_reason_does_not_speak_of_proof_where_strong_evidence_is_enough():
    told = points_reason(case(*[bad_password()] * 3, proved=True), Score(3, 3, 3), 60)

    assert told == "3 points in 60 s (limit 3): 3 bad passwords on ana@example.com over imap"


def test_doubt_says_how_much_of_it_a_client_can_have_written():
    assert doubt(Score(6, 1, 6), "points", 1800, UNPROVED) == (
        "6 points in 30 min (limit 6), but 5 of them from lines that a client can write: "
        "waits for proof that the address was here"
    )


def test_accounts_tried_are_at_most_ten_and_forgiven_ones_are_not_among_them():
    attempts = [bad_password(f"user{number}") for number in range(12)]
    attempts[0].forgive()

    assert tried(case(*attempts)) == tuple(f"user{number}" for number in range(1, 11))
