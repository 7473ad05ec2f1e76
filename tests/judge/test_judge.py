from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from story import ANA, BOB, ENFORCE, SOURCE, START, Story, address, line, nets

from appliance.address import source_of
from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.policy import POINTS, Policy
from appliance.model import Ban, Banned, Evidence, Mode, Outcome, Protocol, Spared, Watched

SOURCES = (SOURCE, "203.0.113.10", "2001:db8::7")

events = st.builds(
    line,
    st.floats(0, 7200),
    rule=st.sampled_from(("audit-a", "audit-b", "mailbox-a", "postfix-a", "nginx-a")),
    outcome=st.sampled_from(Outcome),
    source=st.sampled_from((*SOURCES, None)),
    account=st.sampled_from((ANA, BOB, None)),
    protocol=st.sampled_from((Protocol.IMAP, Protocol.SMTP)),
    evidence=st.sampled_from(Evidence),
    session=st.sampled_from((None, "mx1/7")),
    count=st.integers(1, 8),
)
stories = st.lists(events, max_size=40)


@settings(max_examples=150, deadline=None)
@given(stories)
def test_allowlisted_source_is_never_banned_whatever_the_story(told):
    story = Story(Policy(mode=Mode.ENFORCE, allowlist=nets("203.0.113.9", "2001:db8::1")))

    banned = {str(each.ban.net) for each in story.bans(told)}

    assert banned <= {"203.0.113.10"}


@settings(max_examples=150, deadline=None)
@given(st.lists(events.map(lambda event: replace(event, evidence=Evidence.WEAK)), max_size=40))
def test_forged_lines_alone_never_ban_whatever_they_say(told):
    assert Story().bans(told) == []


@settings(max_examples=150, deadline=None)
@given(st.lists(events.map(lambda event: replace(event, evidence=Evidence.WEAK)), max_size=40), st.integers(0, 40))
def test_forged_lines_never_ban_a_source_because_others_are_proved(told, when):
    story = Story()
    bans = story.bans(told[:when])
    story.proves("203.0.113.10", "2001:db8::7")

    bans += story.bans(told[when:])

    assert {str(each.ban.net) for each in bans} <= {"203.0.113.10", "2001:db8::/64"}


@settings(max_examples=150, deadline=None)
@given(stories, st.booleans())
def test_without_proof_forged_lines_never_ban_whom_doubled_strong_evidence_does_not(told, sees_traffic):
    """The lowest limits by default are 3 accounts, or 5 where unknown ones double: one strong line makes 2, or 4."""
    strong = [event for event in told if event.evidence is Evidence.STRONG]
    story = Story(Policy(mode=Mode.ENFORCE, sees_traffic=sees_traffic))

    bans = {each.ban.net for each in story.bans(told)}

    for net in bans:
        seen = [event for event in strong if event.source is not None and source_of(event.source) == net]
        assert sum(POINTS.get(event.outcome, 1) * event.count for event in seen) >= 2


@settings(max_examples=100, deadline=None)
@given(stories)
def test_weak_lines_of_proved_sources_ban_just_as_strong_ones_do(told):
    in_points = replace(ENFORCE, detectors=(Guessing(), SlowGuessing()))
    proved, trusted = Story(in_points), Story(in_points)
    weak_bans, strong_bans = [], []

    for event in (each for each in told if each.outcome is not Outcome.SUCCESS):
        proved.proves(*SOURCES, at=max(event.time, proved.now) - START)
        weak_bans += proved.bans([replace(event, evidence=Evidence.WEAK)])
        strong_bans += trusted.bans([replace(event, evidence=Evidence.STRONG)])

    assert [(each.source, each.detector) for each in weak_bans] == [
        (each.source, each.detector) for each in strong_bans
    ]


@settings(max_examples=100, deadline=None)
@given(stories, st.booleans())
def test_every_reason_prints_on_one_line(told, is_proved):
    story = Story()
    if is_proved:
        story.proves(*SOURCES)

    for event in told:
        verdicts = story.tells(event)
        assert verdicts
        assert all(0 < len(verdict.reason) < 500 and verdict.reason.isprintable() for verdict in verdicts)


@settings(max_examples=100, deadline=None)
@given(stories)
def test_same_story_ends_the_same(told):
    assert [Story().bans(told)] == [Story().bans(told)]


def test_outcome_that_says_nothing_of_passwords_is_worth_nothing():
    verdict = Story().fails(0, outcome=Outcome.BACKEND_ERROR)

    assert verdict == Watched(address(SOURCE), None, "backend_error is worth no points")


def test_line_older_than_every_window_is_not_counted():
    assert Story().fails(0, now=86400).reason == "older than 24 h, the longest window"


def test_line_that_names_no_client_bans_nobody():
    story = Story()

    assert story.bans([line(second, source=None) for second in range(60)]) == []


def test_restored_ban_is_in_force_and_the_ladder_goes_on():
    story = Story()
    old = Ban(address("203.0.113.10"), START - 9000, START - 7200, "guessing", "six bad passwords")
    ban = Ban(address(SOURCE), START - 60, START + 600, "guessing", "six bad passwords")

    assert story.judge.restore([ban], [old]) == []

    assert story.fails(1).reason == "already banned until 2023-11-14 22:23 UTC"
    assert story.bans([line(second * 10, source="203.0.113.10") for second in range(6)])[0].ban.step == 1


def test_restored_ban_of_what_is_spared_by_now_is_given_back():
    story = Story(replace(ENFORCE, allowlist=nets("203.0.113.0/24")))
    ban = Ban(address(SOURCE), START - 60, START + 600, "guessing", "six bad passwords")

    assert story.judge.restore([ban], []) == [ban]
    assert story.judge.bans_in_force(START) == []


def test_ban_by_hand_is_in_force_at_once():
    story = Story()

    verdict = story.judge.ban(address(SOURCE), 600, "asked for by the help desk", START)

    assert isinstance(verdict, Banned)
    assert verdict.ban == Ban(address(SOURCE), START, START + 600, "operator", "asked for by the help desk")
    assert story.judge.bans_in_force(START) == [verdict.ban]


def test_ban_by_hand_of_our_own_host_is_refused():
    verdict = Story().judge.ban(address("127.0.0.1"), 600, "a slip", START)

    assert verdict == Spared(address("127.0.0.1"), "operator", "127.0.0.0/8 is loopback")


def test_ban_by_hand_of_a_wide_network_must_be_forced():
    judge = Story().judge
    wide = next(iter(nets("203.0.0.0/16").networks))

    assert judge.ban(wide, 600, "too much", START).reason == "203.0.0.0/16 is wider than a /24"
    assert isinstance(judge.ban(wide, 600, "too much", START, force=True), Banned)


def test_change_to_enforce_forgets_the_bans_that_there_would_have_been():
    story = Story(replace(ENFORCE, mode=Mode.OBSERVE))
    for second in range(6):
        story.fails(second)
    story.judge.adopt(ENFORCE)

    assert isinstance(story.fails(60), Watched)
    assert story.bans([line(second) for second in range(61, 66)])


def test_every_bound_is_counted():
    assert set(Story().judge.evicted.values()) == {0}
