from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from story import ANA, BOB, line, smtp_attempt

from appliance.judge.attempts import MOST_REPEATS, RECENT, Attempts
from appliance.judge.policy import POINTS
from appliance.model import Evidence, Outcome, Protocol

KEY = b"\xcb\x00\x71\x09"


def joined(events, attempts=None):
    """The attempts that these lines make."""
    attempts = attempts or Attempts()
    return [
        attempt
        for event in events
        for attempt in attempts.join(KEY, event, event.time, event.account, POINTS[event.outcome]).created
    ]


def test_lines_of_different_rules_within_three_seconds_are_one_attempt():
    assert len(joined([line(0), line(3, rule="mailbox-bad-password")])) == 1


def test_lines_more_than_three_seconds_apart_are_two_attempts():
    assert len(joined([line(0), line(3.1, rule="mailbox-bad-password")])) == 2


def test_two_lines_of_one_rule_are_two_attempts():
    assert len(joined([line(0), line(0)])) == 2


def test_line_without_an_account_belongs_to_any():
    assert len(joined([line(0, rule="postfix-sasl", account=None), line(1), line(2, account=None)])) == 2


def test_program_that_names_two_accounts_saw_two_attempts():
    assert len(joined([line(0, account=ANA), line(0, rule="audit-locked", account=BOB)])) == 2


def test_alias_that_another_program_writes_is_no_second_attempt():
    assert len(joined([line(0, rule="nginx-bad", account="a.nice.alias@example.com"), line(0)])) == 1


def test_attempt_bears_the_name_that_strong_evidence_gives():
    attempts = joined([line(0, rule="nginx-bad", account="alias", evidence=Evidence.WEAK), line(0)])

    assert [attempt.account for attempt in attempts] == [ANA]


def test_imap_soap_and_smtp_at_one_moment_are_three_attempts():
    assert len(joined([line(0, protocol=each) for each in (Protocol.IMAP, Protocol.SOAP, Protocol.SMTP)])) == 3


def test_repeated_message_is_as_many_attempts_as_it_says():
    assert len(joined([line(0, count=4), line(1, rule="mailbox-bad-password", count=6)])) == 6


def test_absurd_repeat_is_cut_and_counted():
    attempts = Attempts()

    assert len(joined([line(0, count=10**9)], attempts)) == MOST_REPEATS
    assert attempts.capped == 1


def test_disconnect_joins_the_warnings_of_its_session_long_after_them():
    postfix = {"account": None, "protocol": Protocol.SMTP, "session": "mx1/7"}
    warnings = [line(second, rule="postfix-sasl", **postfix) for second in range(0, 60, 10)]

    assert len(joined([*warnings, line(90, rule="postfix-disconnect", count=6, **postfix)])) == 6


def test_sessions_side_by_side_are_not_mixed_up():
    postfix = {"account": None, "protocol": Protocol.SMTP}
    warnings = [
        line(second, rule="postfix-sasl", session=session, **postfix)
        for second in (0, 10, 20)
        for session in ("mx1/7", "mx1/8")
    ]
    ends = [line(21, rule="postfix-disconnect", session=each, count=3, **postfix) for each in ("mx1/8", "mx1/7")]

    assert len(joined(warnings + ends)) == 6


def test_all_lines_of_an_attempt_over_smtp_are_one_proved_attempt():
    attempts = joined([event for event in smtp_attempt(0) if event.source])

    assert [(each.points, each.strong, each.account) for each in attempts] == [(1, 1, ANA)]


def test_line_worth_more_adds_only_the_difference():
    attempts = joined([line(0), line(1, rule="mailbox-unknown", outcome=Outcome.UNKNOWN_ACCOUNT)])

    assert [(each.points, each.outcome) for each in attempts] == [(2, Outcome.UNKNOWN_ACCOUNT)]


def test_old_bursts_give_way_to_new_ones_and_are_counted():
    attempts = Attempts(most=2)
    for source in (b"a", b"b", b"c"):
        attempts.join(source, line(0), 0.0, ANA, 1)

    assert attempts.evicted == 1


def test_endless_burst_is_joined_by_its_newest_attempts_only():
    attempts = Attempts()
    for _ in range(RECENT + 10):
        joined([line(0)], attempts)

    assert len(joined([line(0, rule="mailbox-bad-password", count=MOST_REPEATS)], attempts)) == (MOST_REPEATS - RECENT)


SHAPES = (
    line(0, rule="audit-bad-password", protocol=Protocol.SMTP),
    line(0, rule="audit-unknown", outcome=Outcome.UNKNOWN_ACCOUNT, protocol=Protocol.SMTP),
    line(0, rule="mailbox-bad-password", evidence=Evidence.WEAK, protocol=Protocol.SMTP),
    line(
        0,
        rule="mailbox-unknown",
        outcome=Outcome.UNKNOWN_ACCOUNT,
        evidence=Evidence.WEAK,
        protocol=Protocol.SMTP,
    ),
    line(0, rule="postfix-sasl", account=None, protocol=Protocol.SMTP, session="mx1/7"),
    line(0, rule="postfix-sasl", account=None, protocol=Protocol.SMTP, session="mx1/8"),
    line(0, rule="postfix-disconnect", account=None, protocol=Protocol.SMTP, session="mx1/8", count=3),
)
bursts = st.lists(
    st.builds(
        lambda shape, at, account: replace(shape, time=shape.time + at, account=shape.account and account),
        st.sampled_from(SHAPES),
        st.floats(0, 3),
        st.sampled_from((ANA, BOB)),
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None)
@given(bursts.flatmap(lambda burst: st.tuples(st.just(burst), st.permutations(burst))))
def test_attempts_points_and_proof_do_not_depend_on_the_order_of_a_burst(orders):
    first, second = (
        (len(each), sum(a.points for a in each), sum(a.strong for a in each)) for each in map(joined, orders)
    )

    assert first == second


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SHAPES[:6:2]), max_size=20))
def test_attempts_are_as_many_as_the_most_frequent_rule_has_lines(burst):
    most = max((burst.count(shape) for shape in burst), default=0)

    assert len(joined(burst)) == most
