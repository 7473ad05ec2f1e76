"""Who logs in from where, as people live: at home, in trains, with old phones, on holidays."""

from story import ANA, BOB, DAY, SOURCE, START, Story, address, line, nets, stranger

from appliance.judge.familiar import Seen
from appliance.model import Banned, Evidence, Outcome, Protocol

HERE = address(SOURCE)


def test_owners_failures_at_home_are_never_held_against_the_place():
    story = Story()
    story.logs_in(0)

    told = [
        story.fails(10 + each, outcome=outcome) for each in range(50) for outcome in Outcome if "account" in outcome
    ]

    assert not any(isinstance(verdict, Banned) for verdict in told)
    assert told[-1].reason == "an account that logs in from here: its own failures are never held against a source"


def test_what_is_tried_at_other_accounts_from_there_counts():
    story = Story()
    story.logs_in(0)

    assert isinstance([story.fails(10 + each, account=BOB) for each in range(6)][-1], Banned)


def test_login_of_a_month_ago_is_forgotten():
    story = Story()
    story.logs_in(0)

    assert isinstance([story.fails(30 * DAY + each) for each in range(6)][-1], Banned)


def test_each_login_keeps_a_place_for_another_month():
    story = Story()
    for week in range(10):
        story.logs_in(week * 7 * DAY)

    assert not isinstance([story.fails(90 * DAY + each) for each in range(6)][-1], Banned)


def test_short_name_that_postfix_writes_is_the_same_person():
    story = Story()
    story.logs_in(0)

    assert not any(isinstance(story.fails(10 + each, account="ana"), Banned) for each in range(20))


def test_short_name_that_logged_in_stands_for_the_whole_one():
    story = Story()
    story.logs_in(0, account="ana", protocol=Protocol.SMTP)

    assert not any(isinstance(story.fails(10 + each), Banned) for each in range(20))


def test_namesake_of_another_domain_is_somebody_else():
    story = Story()
    story.logs_in(0, account="ana@example.net")

    assert isinstance([story.fails(10 + each) for each in range(6)][-1], Banned)


def test_forged_login_teaches_nothing():
    story = Story()
    story.logs_in(0, evidence=Evidence.WEAK)

    assert story.judge.familiar.accounts_at(HERE, story.now) == []
    assert isinstance([story.fails(10 + each) for each in range(6)][-1], Banned)


def test_login_whose_line_names_no_client_teaches_nothing():
    story = Story()
    story.logs_in(0, source=None)

    assert len(story.judge.familiar) == 0


def test_phone_of_a_provider_that_changes_the_host_part_of_its_ipv6_address_is_known():
    story = Story()
    story.logs_in(0, source="2001:db8:0:1::5")

    told = [story.fails(10 + each, source=f"2001:db8:0:1::{each + 10:x}") for each in range(30)]

    assert not any(isinstance(verdict, Banned) for verdict in told)


def test_account_is_known_at_twenty_places_and_the_one_seen_longest_ago_gives_way():
    story = Story()
    for each in range(21):
        story.logs_in(each * DAY, source=stranger(each))

    known = [story.judge.familiar.knows(address(stranger(each)), ANA, story.now) for each in range(21)]

    assert known == [False] + [True] * 20


def test_forgotten_person_is_a_stranger_at_home():
    """Somebody asks to be forgotten: what goes is named, and goes at once."""
    story = Story()
    story.is_home_of(ANA, BOB)

    gone = story.judge.familiar.forget(account=ANA)

    assert gone == [Seen(HERE, ANA, START, START)]
    assert story.judge.familiar.accounts_at(HERE, story.now) == [BOB]
    assert story.judge.familiar.forget(net=next(iter(nets("203.0.113.0/24").networks))) == [
        Seen(HERE, BOB, START, START)
    ]
    assert not story.judge.familiar.has_succeeded(HERE, story.now)


def test_what_was_learned_outlives_a_restart():
    before, after = Story(), Story()
    before.logs_in(0)

    after.judge.familiar.load(before.judge.familiar.take_news())

    assert not any(isinstance(after.fails(10 + each), Banned) for each in range(20))
    assert after.judge.familiar.take_news() == []


def test_login_that_a_lagging_host_tells_of_late_makes_what_came_after_it_the_owners_own_failures():
    """The queue of one host drains late: her login of half an hour ago comes after the failures of now."""
    story = Story()
    for each in range(5):
        story.fails(3600 + each)
    story.logs_in(1800, now=3700)

    assert not story.bans([line(3701 + each) for each in range(6)])


def test_proof_that_a_familiar_source_is_here_turns_nothing_against_it():
    story = Story()
    story.logs_in(0)
    for second in range(10, 70, 5):
        story.fails(second)

    told = story.proves(SOURCE)

    assert not any(isinstance(verdict, Banned) for verdict in told)
    assert story.judge.bans_in_force(story.now) == []
