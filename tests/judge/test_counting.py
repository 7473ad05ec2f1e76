from dataclasses import replace

from story import ANA, BOB, ENFORCE, SOURCE, START, Story, address, line, smtp_attempt

from appliance.judge.counting import Counting
from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.memory import Memory
from appliance.model import Evidence, Outcome, Protocol

HERE = address(SOURCE)


def counting(policy=ENFORCE):
    memory = Memory(policy, b"seed")
    return memory, Counting(memory)


def count(memory, counted, event, points=1):
    account = None if event.account is None else memory.accounts.of(event.account)
    return counted.login(event, event.source, account, event.time, START + 10, points)


def test_horizon_is_the_longest_window_of_all_detectors_and_follows_the_policy():
    memory, counted = counting(replace(ENFORCE, detectors=(Guessing(within=600),), tellers=()))
    assert counted.horizon == 600

    memory.policy = replace(ENFORCE, detectors=(Guessing(), SlowGuessing(within=1234567)))
    counted.refit()

    assert counted.horizon == 1234567


def test_failure_is_counted_for_source_account_site_and_everybody():
    memory, counted = counting()

    case, is_news = count(memory, counted, line(0))

    assert is_news
    assert [each.account for each in case.attempts] == [ANA]
    assert memory.attempts == 1
    assert memory.everyone.within(60, START) == 1
    assert memory.accounts.of(ANA).strangers_within(60, START) == 1
    assert memory.site.strangers_this_hour(START) == 1


def test_six_lines_of_one_attempt_are_one_everywhere():
    memory, counted = counting()
    for event in smtp_attempt(0):
        if event.source is not None:
            count(memory, counted, event)

    assert memory.attempts == 1
    assert memory.everyone.within(60, START + 5) == 1
    assert memory.accounts.of(ANA).tally.within(60, START + 5) == 1
    assert memory.accounts.of(ANA).strangers_tries(60, START + 5) == 1


def test_line_without_a_source_counts_for_its_account_alone():
    memory, counted = counting()

    case, _ = count(memory, counted, line(0, source=None))

    assert case.source is None
    assert memory.attempts == 0
    assert memory.accounts.of(ANA).tally.within(60, START) == 1


def test_familiar_source_is_known_at_its_account_and_no_stranger_of_the_site():
    memory, counted = counting()
    memory.familiar.learn(HERE, ANA, START)

    case, _ = count(memory, counted, line(0))

    assert case.is_familiar
    assert counted.held_against(case, HERE) == []
    assert memory.accounts.of(ANA).budget(ENFORCE.lockout, 0, START)[3:5] == (0, 1)
    assert memory.site.strangers_this_hour(START) == 0
    assert memory.site.familiar_failing(300, START + 10) == 1


def test_name_that_forgeable_lines_alone_gave_excuses_nothing_for_good():
    """A guesser behind Ana's router cannot buy his guesses at Bob's free by writing her name into another log."""
    memory, counted = counting()
    memory.familiar.learn(HERE, ANA, START)
    case, _ = count(memory, counted, line(0, rule="mailbox-bad", evidence=Evidence.WEAK))
    assert counted.held_against(case, HERE) == []

    case, _ = count(memory, counted, line(0, account=BOB))

    assert [(each.account, each.points) for each in counted.held_against(case, HERE)] == [(BOB, 1)]


def test_account_that_failed_at_home_of_others_is_noted_there():
    memory, counted = counting()
    memory.familiar.learn(HERE, ANA, START)
    count(memory, counted, line(0, account=BOB))
    count(memory, counted, line(5))

    assert list(memory.offices[HERE.packed].failing) == [BOB]


def test_owner_near_home_is_not_held_to_account_for_a_locked_one_though_postfix_spoke_first():
    memory, counted = counting()
    memory.familiar.learn(address("203.0.113.80"), ANA, START)
    postfix = line(0, rule="postfix-sasl", account=None, protocol=Protocol.SMTP, session="mx1/7")
    count(memory, counted, postfix)

    locked = line(1, rule="audit-locked", outcome=Outcome.ACCOUNT_LOCKED, protocol=Protocol.SMTP)
    case, _ = count(memory, counted, locked)

    assert [each.points for each in case.attempts] == [0]


def test_dropped_login_that_its_sessions_failures_explain_is_none():
    story = Story()
    story.fails(0, rule="postfix-sasl", account=None, protocol=Protocol.SMTP, session="mx1/7")
    dropped = {"rule": "postfix-dropped", "outcome": Outcome.AUTH_INCOMPLETE, "account": None}

    assert story.fails(5, protocol=Protocol.SMTP, **dropped).reason == "another line of an attempt that is counted"
    assert story.fails(6, protocol=Protocol.IMAP, **dropped).reason == "1 of 10 points in 10 min"
    assert story.fails(700, protocol=Protocol.SMTP, **dropped).reason == "1 of 10 points in 10 min"
