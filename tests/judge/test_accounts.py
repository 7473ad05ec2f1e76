from story import START

from appliance.judge.accounts import FAILING, Account, Accounts, Lockout

LOCKOUT = Lockout(10, 1800.0)


def tried(accounts, name):
    account = accounts.of(name)
    account.tally.add("imap", "audit", START, 1, 10)
    return account


def test_accounts_least_recently_tried_give_way_and_are_counted():
    accounts = Accounts(most=4, attacked=4, warm=1)
    for number in range(10):
        tried(accounts, f"user{number}")

    assert accounts.known("user0") is None
    assert accounts.known("user9") is not None
    assert accounts.evicted > 0
    assert len(accounts) <= 1 + 4


def test_account_under_attack_outlasts_a_flood_of_invented_names():
    accounts = Accounts(most=10, attacked=4, warm=2)
    attacked = tried(accounts, "ana@example.com")
    attacked.note_stranger(b"abcd", START, 1, 10)
    attacked.note_known(b"p" * 16, START + 1)
    accounts.besiege(attacked, START)
    accounts.mark(attacked, close=True)
    for number in range(1000):
        tried(accounts, f"invented{number}")

    found = accounts.known("ana@example.com")
    assert (found.name, found.strangers, found.known) == ("ana@example.com", {b"abcd": START}, {b"p" * 16: START + 1})
    assert (found.stranger_times, found.pressed_at, found.besieged_since) == ([START], START, START)
    assert accounts.besieged(3600, START) == ["ana@example.com"]
    assert accounts.evicted_close == 0
    assert accounts.besieged(3600, START + 3600) == []


def test_siege_that_is_over_does_not_go_on_with_the_next_stranger():
    account = Account("ana")
    account.note_stranger(b"a", START, 1, 10)
    account.besieged_since = START

    account.end_siege(3600, START + 3599)
    assert account.besieged_since == START
    account.end_siege(3600, START + 3600)
    account.note_stranger(b"b", START + 3600, 1, 10)
    assert not account.is_besieged(3600, START + 3600)


def test_strangers_are_counted_once_each_and_their_tries_all():
    account = Account("ana")
    for number in range(3):
        account.note_stranger(b"%d" % (number % 2), START + number, 1, 10)

    assert account.strangers_within(60, START + 2) == 2
    assert account.strangers_tries(60, START + 2) == 3
    assert account.strangers_within(2, START + 2) == 2
    assert account.strangers_within(1, START + 2) == 1


def test_order_in_which_hosts_report_does_not_matter():
    forward, backward = Account("ana"), Account("ana")
    told = [(b"a", START), (b"b", START + 5), (b"a", START + 9)]
    for source, time in told:
        forward.note_stranger(source, time, 1, 10)
    for source, time in reversed(told):
        backward.note_stranger(source, time, 1, 10)

    assert forward.stranger_times == backward.stranger_times
    assert forward.strangers == backward.strangers
    assert forward.pressed_at == backward.pressed_at == START + 9


def test_sources_told_apart_are_bounded():
    account = Account("ana")
    for number in range(1000):
        account.note_stranger(number.to_bytes(4, "big"), START, 1, 10)

    assert len(account.strangers) == FAILING
    assert len(account.stranger_times) == 10


def test_budget_says_how_much_is_used_and_whose_doing_it_is():
    account = Account("ana")
    account.tally.add("imap", "audit", START, 4, 10)
    account.note_stranger(b"a", START, 1, 10)
    account.note_stranger(b"b", START, 1, 10)
    account.note_known(b"c", START)

    assert str(account.budget(LOCKOUT, 3600, START)) == "4 of 10 in 30 min (2 strangers, 1 known device)"
    assert str(account.budget(LOCKOUT, 3600, START + 1800)) == "0 of 10 in 30 min (0 strangers)"


def test_siege_is_over_after_an_hour_without_a_strangers_failure():
    account = Account("ana")
    account.note_stranger(b"a", START, 1, 10)
    assert not account.is_besieged(3600, START)
    account.besieged_since = START

    assert account.is_besieged(3600, START + 3599)
    assert not account.is_besieged(3600, START + 3600)
