from story import ANA, START, address

from appliance.judge.accounts import Account
from appliance.judge.attempts import Attempt
from appliance.judge.detect.zmauditswatch import Zmauditswatch
from appliance.judge.detector import Case
from appliance.model import Outcome, Protocol

LOW = Zmauditswatch(source_and_account=2, account=2, source=2, total=2)


def case(count):
    attempts = [Attempt(START, Protocol.IMAP, Outcome.BAD_PASSWORD, ANA, 0, 0) for _ in range(count)]
    account = Account(ANA)
    account.tally.add("imap", "audit", START, count, 10)
    return Case(START, address("203.0.113.9"), ANA, attempts, False, account, account.tally)


def test_below_its_limits_it_tells_nothing():
    assert list(LOW.subjects(case(1))) == []


def test_at_its_limits_it_tells_of_all_four_even_where_points_are_forgiven():
    assert [subject.name for subject in LOW.subjects(case(2))] == [
        f"{ANA} from 203.0.113.9",
        "203.0.113.9",
        ANA,
        "site",
    ]
