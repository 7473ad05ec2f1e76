import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from story import ANA, BOB, DAY, START, address, nets

from appliance.address import source_of
from appliance.judge.familiar import KEPT, PLACES, Familiar, Seen, network_of

HERE, THERE = address("203.0.113.9"), address("198.51.100.7")
HOME6 = source_of(address("2001:db8:1:2::7"))
MANY = [address(f"198.18.0.{number}") for number in range(PLACES + 5)]


def network(text):
    return next(iter(nets(text).networks))


def test_what_was_learned_is_known_for_thirty_days():
    familiar = Familiar()
    familiar.learn(HERE, ANA, START)

    assert familiar.knows(HERE, ANA, START + KEPT - 1)
    assert not familiar.knows(HERE, ANA, START + KEPT)
    assert not familiar.knows(HERE, BOB, START)
    assert not familiar.knows(THERE, ANA, START)
    assert familiar.has_succeeded(HERE, START + KEPT - 1)
    assert not familiar.has_succeeded(HERE, START + KEPT)
    assert familiar.accounts_at(HERE, START + KEPT) == []


def test_late_line_does_not_make_a_login_older():
    familiar = Familiar()
    familiar.learn(HERE, ANA, START)
    familiar.learn(HERE, ANA, START - DAY)

    assert familiar.sources_of(ANA) == [Seen(HERE, ANA, START - DAY, START)]


@pytest.mark.parametrize(
    ("known", "named", "is_one"),
    [
        ("ana@example.com", "ana", True),
        ("ana", "ana@example.com", True),
        ("ana@example.com", "ana@example.net", False),
        ("ana", "an", False),
        ("an@example.com", "ana", False),
        ("ana@example.com", "ana@", False),
    ],
)
def test_name_with_and_without_its_domain_is_one(known, named, is_one):
    familiar = Familiar()
    familiar.learn(HERE, known, START)

    assert familiar.knows(HERE, named, START) is is_one


def test_neighbourhood_of_a_place_is_its_24_or_48():
    familiar = Familiar()
    familiar.learn(HERE, ANA, START)
    familiar.learn(HOME6, ANA, START)

    assert familiar.is_near(address("203.0.113.200"), ANA, START)
    assert familiar.is_near(source_of(address("2001:db8:1:ffff::1")), ANA, START)
    assert not familiar.is_near(address("203.0.112.200"), ANA, START)
    assert not familiar.is_near(address("203.0.113.200"), BOB, START)
    assert not familiar.is_near(address("203.0.113.200"), ANA, START + KEPT)
    assert familiar.lives_in(network("203.0.113.0/24"), START)
    assert familiar.lives_in(network("2001:db8:1::/48"), START)
    assert not familiar.lives_in(network("203.0.113.0/24"), START + KEPT)
    assert not familiar.lives_in(network("198.51.100.0/24"), START)


def test_forgetting_takes_exactly_what_was_asked_for():
    familiar = Familiar()
    for source, account in ((HERE, ANA), (HERE, BOB), (THERE, ANA)):
        familiar.learn(source, account, START)

    assert familiar.forget(ANA, network("203.0.113.0/24")) == [Seen(HERE, ANA, START, START)]
    assert familiar.forget(account="nobody") == []
    assert [(each.source, each.account) for each in familiar] == [(HERE, BOB), (THERE, ANA)]
    assert len(familiar.forget()) == 2
    assert len(familiar) == 0


def test_forgotten_network_leaves_no_trace_of_who_lived_there():
    familiar = Familiar()
    familiar.learn(HERE, ANA, START)
    familiar.learn(address("203.0.113.10"), BOB, START)

    familiar.forget(ANA)
    assert familiar.lives_in(network("203.0.113.0/24"), START)
    familiar.forget(BOB)
    assert not familiar.lives_in(network("203.0.113.0/24"), START)


def test_news_are_told_once_an_hour_a_pair():
    familiar = Familiar()
    for second in range(0, 3600, 60):
        familiar.learn(HERE, ANA, START + second)
    assert familiar.take_news() == [Seen(HERE, ANA, START, START + 3540)]
    assert familiar.take_news() == []

    familiar.learn(HERE, ANA, START + 3600)

    assert familiar.take_news() == [Seen(HERE, ANA, START, START + 3600)]


def test_what_is_forgotten_before_it_is_written_is_no_news():
    familiar = Familiar()
    familiar.learn(HERE, ANA, START)
    familiar.forget(ANA)

    assert familiar.take_news() == []


def test_accounts_seen_longest_ago_give_way_and_are_counted():
    familiar = Familiar(accounts=2)
    for number, account in enumerate((ANA, BOB, "cid")):
        familiar.learn(HERE, account, START + number)

    assert familiar.accounts_at(HERE, START) == [BOB, "cid"]
    assert familiar.evicted == 1


@st.composite
def deeds(draw):
    """Something that is done to what is known."""
    kind = draw(st.sampled_from(("learn", "learn", "learn", "load", "forget", "news")))
    source = draw(st.sampled_from([HERE, THERE, HOME6, *MANY]))
    account = draw(st.sampled_from((ANA, "ana", BOB, "cid", "dan")))
    return kind, source, account, START + draw(st.floats(-2 * KEPT, 2 * KEPT)), draw(st.booleans())


def do(familiar, deed):
    kind, source, account, time, which = deed
    match kind:
        case "learn":
            familiar.learn(source, account, time)
        case "load":
            familiar.load([Seen(source, account, time - 10, time)])
        case "forget":
            familiar.forget(account if which else None, network_of(source) if not which else None)
        case "news":
            familiar.take_news()


@settings(max_examples=200, deadline=None)
@given(st.lists(deeds(), max_size=60))
def test_both_indexes_tell_the_same_and_keep_their_bounds_whatever_is_done(done):
    familiar = Familiar(accounts=3)
    for deed in done:
        do(familiar, deed)

    pairs = {(each.source, each.account) for each in familiar}
    assert pairs == {(source, each) for source in [HERE, THERE, HOME6, *MANY] for each in at(familiar, source)}
    assert len({account for _, account in pairs}) <= 3
    assert all(len(familiar.sources_of(account)) <= PLACES for account in (ANA, "ana", BOB, "cid", "dan"))
    assert len(familiar) == len({source for source, _ in pairs})
    for source, account in pairs:
        assert familiar.knows(source, account, -KEPT)
        assert familiar.lives_in(network_of(source), -KEPT) or len(familiar._networks) == 3


def at(familiar, source):
    """Every account at a source, however long ago it logged in."""
    return familiar.accounts_at(source, float("-inf"))


@settings(max_examples=100, deadline=None)
@given(st.lists(deeds(), max_size=40))
def test_what_one_run_tells_another_takes_up(done):
    first, second = Familiar(), Familiar()
    for deed in done:
        do(first, deed)

    second.load(first)

    assert sorted(second) == sorted(first)
    assert second.take_news() == []
