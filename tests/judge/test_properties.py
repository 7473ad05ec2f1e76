"""What holds whatever happens, in whatever order it is told: who never falls, and that it does not matter which host
reports first."""

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from story import ANA, BOB, ENFORCE, START, Story, address, line, nets

from appliance.address import Net, source_of
from appliance.judge.detect.guessing import Guessing
from appliance.judge.policy import Ours, Policy
from appliance.model import AuthEvent, Evidence, Outcome, Protocol

HOME, OTHER, OWN, ALLOWED = "203.0.113.9", "198.51.100.7", "192.0.2.9", "192.0.2.66"
HOME6, ALLOWED6 = "2001:db8:1::7", "2001:db8:2::7"
EVERYWHERE = (HOME, HOME6, OTHER, OWN, ALLOWED, ALLOWED6)
SPARING = replace(
    ENFORCE,
    allowlist=nets("192.0.2.64/28", "2001:db8:2::1"),
    never_ban={Ours.ZIMBRA: nets(OWN)},
)
LENIENT = replace(ENFORCE, detectors=(Guessing(points=1000),))
HOSTS = ("mx1", "mx2")
FAILURES = (
    Outcome.BAD_PASSWORD,
    Outcome.UNKNOWN_ACCOUNT,
    Outcome.ACCOUNT_LOCKED,
    Outcome.ADMIN_BAD_PASSWORD,
    Outcome.SECOND_FACTOR_FAILED,
)

events = st.builds(
    line,
    st.floats(0, 7200),
    rule=st.sampled_from(("audit-a", "audit-b", "mailbox-a", "postfix-a", "nginx-a")),
    outcome=st.sampled_from(Outcome),
    source=st.sampled_from((*EVERYWHERE, None)),
    account=st.sampled_from((ANA, BOB, "ana", "eve@example.com", "root", None)),
    protocol=st.sampled_from(Protocol),
    evidence=st.sampled_from(Evidence),
    session=st.sampled_from((None, "mx1/7", "mx2/7")),
    count=st.integers(1, 12),
    sender=st.sampled_from(("192.0.2.1", "192.0.2.2")),
    host=st.sampled_from(HOSTS),
    mail=st.sampled_from((None, "mx1/4F2A")),
)
delays = st.sampled_from((0.0, 0.0, 1.0, 90.0, 3600.0))
stories = st.lists(st.tuples(events, delays), max_size=40)


def lived(story: Story, told: Iterable[tuple[AuthEvent, float]], proved: Iterable[str] = ()) -> set[Net]:
    """Every event arrives so late as it says, sources are proved in between and time goes by; who was banned."""
    banned = set()
    for event, delay in sorted(told, key=lambda each: each[0].time + each[1]):
        now = event.time + delay - START
        verdicts = story.tells(event, now) + story.proves(*proved) + story.judge.tick(story.now)
        banned |= {ban.net for ban in story.judge.bans_in_force(story.now)}
        assert verdicts
    return banned


@settings(max_examples=150, deadline=None)
@given(stories, st.booleans())
def test_own_and_allowed_addresses_are_never_banned_whatever_is_told_of_them(told, are_proved):
    banned = lived(Story(SPARING), told, EVERYWHERE if are_proved else ())

    spared = nets(OWN, "192.0.2.64/28", "2001:db8:2::1")
    assert not [net for net in banned if spared.touching(net)]


own_failures = st.builds(
    line,
    st.floats(0, 7200),
    rule=st.sampled_from(("audit-a", "audit-b", "mailbox-a", "nginx-a")),
    outcome=st.sampled_from((*FAILURES, Outcome.BACKEND_ERROR, Outcome.THROTTLED_BY_ZIMBRA)),
    source=st.sampled_from((HOME, HOME6)),
    account=st.sampled_from((ANA, ANA.upper(), "ana")),
    protocol=st.sampled_from(Protocol),
    evidence=st.sampled_from(Evidence),
    count=st.integers(1, 100),
    sender=st.sampled_from(("192.0.2.1", "192.0.2.2")),
    host=st.sampled_from(HOSTS),
)
elsewhere = events.map(
    lambda event: event if event.source not in (address(HOME), address(HOME6)) else replace(event, source=None)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.one_of(own_failures, elsewhere), delays), max_size=60), st.booleans())
def test_source_that_is_familiar_for_an_account_is_never_banned_by_failures_at_it(told, are_proved):
    story = Story()
    for source in (HOME, HOME6):
        story.logs_in(0, source=source)

    banned = lived(story, told, EVERYWHERE if are_proved else ())

    assert not [net for net in banned if net.covers(address(HOME)) or net.covers(address(HOME6))]


@settings(max_examples=100, deadline=None)
@given(st.lists(own_failures, min_size=1, max_size=40))
def test_familiar_sources_failures_at_its_account_are_worth_no_points(told):
    story = Story()
    for source in (HOME, HOME6):
        story.logs_in(0, source=source)

    story.all_tell(told)

    assert points_of(story) == 0


def points_of(story: Story) -> int:
    """What stands against anybody, less what is told of accounts that log in from there."""
    memory = story.judge._memory
    sources = [source_of(address(text)) for text in EVERYWHERE]
    return sum(
        each.points
        for source in sources
        for each in memory.logins.known(source.packed)
        if each.account is None or not memory.familiar.knows(source, each.account, story.now)
    )


def attempt(number: int, at: float, account: str, outcome: Outcome, protocol: Protocol, shapes: Iterable[str]):
    """The lines that one wrong password writes on several hosts. Postfix names no account."""
    smtp = protocol is Protocol.SMTP
    every = {
        "audit": line(at, rule="audit-a", account=account, outcome=outcome, protocol=protocol, host="mbox1"),
        "mailbox": line(
            at + 0.2,
            rule="mailbox-a",
            account=account,
            outcome=outcome,
            protocol=protocol,
            evidence=Evidence.WEAK,
            host="mbox1",
        ),
        "postfix": line(
            at + 0.9, rule="postfix-a", account=None, protocol=protocol, session=f"mx1/{number}", sender="192.0.2.2"
        ),
    }
    return [every[shape] for shape in shapes if shape != "postfix" or smtp]


def bursts(*outcomes: Outcome, accounts: tuple[str, ...] = (ANA, BOB)):
    """Some wrong passwords at one time, each told of by audit.log and perhaps by others, in two orders."""
    attempts = st.lists(
        st.tuples(
            st.floats(0, 2),
            st.sampled_from(accounts),
            st.sampled_from(outcomes),
            st.sampled_from((Protocol.SMTP, Protocol.IMAP)),
            st.sampled_from((("audit",), ("audit", "mailbox"), ("audit", "postfix"), ("audit", "mailbox", "postfix"))),
        ),
        max_size=8,
    )
    lines = attempts.map(lambda many: [each for number, one in enumerate(many) for each in attempt(number, *one)])
    return lines.flatmap(lambda told: st.tuples(st.just(told), st.permutations(told)))


def after(
    told: Iterable[AuthEvent], policy: Policy = ENFORCE, *, owner: bool = False, earlier: int = 0
) -> tuple[Story, set[str]]:
    """A burst arrives within a moment, at a source that perhaps is Ana's home; who is banned in the end."""
    story = Story(policy)
    if owner:
        story.logs_in(-1000)
    for number in range(earlier):
        story.fails(-500 + number * 10, account=BOB)
    for event in told:
        story.tells(event, 5)
    return story, {f"{ban.net} {ban.scope} {ban.step}" for ban in story.judge.bans_in_force(story.now)}


@settings(max_examples=200, deadline=None)
@given(bursts(Outcome.BAD_PASSWORD), st.integers(0, 5))
def test_bans_do_not_depend_on_which_host_tells_of_a_burst_first(orders, earlier):
    assert after(orders[0], earlier=earlier)[1] == after(orders[1], earlier=earlier)[1]


@settings(max_examples=200, deadline=None)
@given(bursts(Outcome.BAD_PASSWORD, accounts=(ANA,)), st.integers(0, 4))
def test_owners_failures_at_home_ban_nobody_though_the_line_that_names_her_comes_last(orders, earlier):
    for each in orders:
        story, banned = after(each, owner=True, earlier=earlier)

        assert banned == set()
        assert points_of(story) == earlier


@settings(max_examples=200, deadline=None)
@given(bursts(Outcome.BAD_PASSWORD, accounts=(BOB,)), st.integers(0, 4))
def test_bans_of_whoever_tries_another_account_from_there_do_not_depend_on_the_order(orders, earlier):
    assert after(orders[0], owner=True, earlier=earlier)[1] == after(orders[1], owner=True, earlier=earlier)[1]


@settings(max_examples=200, deadline=None)
@given(bursts(Outcome.BAD_PASSWORD))
def test_points_at_home_do_not_depend_on_the_order_where_both_are_tried_at_once(orders):
    (first, _), (second, _) = (after(each, LENIENT, owner=True) for each in orders)

    assert points_of(first) == points_of(second)


@settings(max_examples=200, deadline=None)
@given(bursts(Outcome.BAD_PASSWORD, Outcome.UNKNOWN_ACCOUNT, Outcome.ACCOUNT_LOCKED))
def test_points_and_attempts_do_not_depend_on_the_order_whatever_the_outcomes(orders):
    (first, banned), (second, others) = (after(each) for each in orders)

    assert bool(banned) == bool(others)
    if not banned:
        assert points_of(first) == points_of(second)
        assert first.judge.attempts == second.judge.attempts


@settings(max_examples=100, deadline=None)
@given(bursts(Outcome.BAD_PASSWORD), st.sampled_from(HOSTS))
def test_it_does_not_matter_which_sender_forwards_a_line(orders, host):
    told = [event for event in orders[0] if event.session is None]
    others = [replace(event, sender="192.0.2.77", host=host) for event in told]

    assert after(told)[1] == after(others)[1]


@settings(max_examples=100, deadline=None)
@given(bursts(Outcome.BAD_PASSWORD))
def test_burst_that_two_paths_forward_under_two_rules_counts_once(orders):
    """The same attempts told once more, in other words: a copy of mailbox.log beside audit.log."""
    told = list(orders[0])
    named = [event for event in told if event.session is None]
    copies = [replace(event, rule=f"{event.program}-copy", sender="192.0.2.78") for event in named]

    once, twice = after(told)[0], after([*told, *copies])[0]

    assert once.judge.attempts == twice.judge.attempts
