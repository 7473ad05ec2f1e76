"""The model of Zimbra's failed-login lockout."""

from bench.stories.script import Try
from bench.stories.zimbra import Answer, Lockout, Zimbra

ANA = "ana@example.com"


def tries(zimbra: Zimbra, *moments: float, right: bool = False, account: str = ANA) -> list[Answer]:
    return [zimbra.meet(Try(at, "198.18.0.1", account, right)) for at in moments]


def test_the_tenth_failure_within_half_an_hour_locks_the_account_for_an_hour() -> None:
    zimbra = Zimbra()
    assert tries(zimbra, *range(9)) == [Answer.WRONG] * 9
    assert tries(zimbra, 9) == [Answer.LOCKS]
    assert zimbra.lockouts == 1
    assert tries(zimbra, 3608, right=True) == [Answer.LOCKED]
    assert tries(zimbra, 3609, right=True) == [Answer.WELCOME]


def test_failures_half_an_hour_apart_lock_nothing() -> None:
    zimbra = Zimbra()
    assert set(tries(zimbra, *range(0, 40_000, 200))) == {Answer.WRONG}


def test_a_login_takes_the_failures_back() -> None:
    zimbra = Zimbra(Lockout(failures=3))
    tries(zimbra, 1, 2)
    assert tries(zimbra, 3, right=True) == [Answer.WELCOME]
    assert tries(zimbra, 4, 5) == [Answer.WRONG, Answer.WRONG]


def test_accounts_are_locked_one_by_one() -> None:
    zimbra = Zimbra(Lockout(failures=1))
    assert tries(zimbra, 1) == [Answer.LOCKS]
    assert tries(zimbra, 2, right=True, account="bob@example.com") == [Answer.WELCOME]


def test_in_an_outage_the_right_password_is_wrong() -> None:
    zimbra = Zimbra(broken=((10, 20),))
    assert tries(zimbra, 9, 10, 19, 20, right=True) == [Answer.WELCOME, Answer.WRONG, Answer.WRONG, Answer.WELCOME]


def test_an_account_that_does_not_exist_is_never_locked() -> None:
    zimbra = Zimbra(Lockout(failures=1))
    assert {zimbra.meet(Try(at, "198.18.0.1", ANA, exists=False)) for at in range(20)} == {Answer.UNKNOWN}
    assert zimbra.lockouts == 0
