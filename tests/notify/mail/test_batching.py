"""What waits for the next mail: when it is due, exact counts, bounded samples, and one mail however much comes."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import Net, parse_address
from appliance.model import Ban, Banned, Noticed, Severity, Watched
from appliance.notify.mail.batching import (
    DETECTORS,
    NOTICES,
    OTHER,
    QUIET,
    REMEMBERED,
    SAMPLES,
    WITHIN,
    Batching,
    Group,
    shares,
)

T = 1_795_000_000.0
EVERY, AFTER, LONGEST = 60.0, 300.0, 900.0


def batching(at_once: Severity = Severity.CRITICAL) -> Batching:
    return Batching(at_once, EVERY, AFTER, LONGEST)


def notice(subject: str = "ana@example.com", severity: Severity = Severity.CRITICAL, **facts: object) -> Noticed:
    detector = str(facts.pop("detector", "break-in"))
    return Noticed(detector, subject, f"about {subject}", severity, **facts)  # type: ignore[arg-type]


def source(number: int) -> Net:
    return Net((0x0B000000 + number).to_bytes(4, "big"), 32)


def ban(number: int = 1, detector: str = "guessing") -> Banned:
    return Banned(Ban(source(number), T, T + 1800, detector, "6 points"), ("ana@example.com",))


def test_nothing_is_due_while_nothing_came():
    it = batching()

    assert it.urgent.due(T) is None
    assert it.batch.due(T) is None


def test_an_urgent_notice_waits_two_seconds_for_what_belongs_to_it():
    it = batching()
    it.tell(notice(), T)
    it.tell(notice("bob@example.com"), T + 1.5)

    assert it.urgent.due(T + 1.5) == T + 1.5 + QUIET
    gathered = it.urgent.take(T + 4)
    assert [each.notice.subject for each in gathered.notices] == ["ana@example.com", "bob@example.com"]
    assert it.urgent.due(T + 5) is None


def test_it_never_waits_longer_than_ten_seconds_whatever_else_comes():
    it = batching()
    for second in range(30):
        it.tell(notice(f"{second}@example.com"), T + second)

    assert it.urgent.due(T + 30) == T + WITHIN


def test_between_two_urgent_mails_lies_the_configured_time():
    it = batching()
    it.tell(notice(), T)
    it.urgent.take(T + 2)
    it.tell(notice("bob@example.com"), T + 3)
    it.tell(notice("carla@example.com"), T + 40)

    assert it.urgent.due(T + 41) == T + 2 + EVERY
    assert len(it.urgent.take(T + 62).notices) == 2


def test_a_batch_goes_out_after_a_quiet_time_and_at_the_latest_after_the_long_one():
    it = batching()
    it.tell(ban(), T)
    assert it.batch.due(T) == T + AFTER
    for minute in range(20):
        it.tell(ban(minute), T + 60 * minute)
    assert it.batch.due(T + 1200) == T + LONGEST


@pytest.mark.parametrize(
    ("at_once", "severity", "is_urgent"),
    [
        (Severity.CRITICAL, Severity.CRITICAL, True),
        (Severity.CRITICAL, Severity.WARNING, False),
        (Severity.WARNING, Severity.WARNING, True),
        (Severity.NOTICE, Severity.NOTICE, True),
        (Severity.CRITICAL, Severity.NOTICE, False),
    ],
)
def test_the_severity_says_what_goes_out_at_once(at_once, severity, is_urgent):
    it = batching(at_once)
    it.tell(notice(severity=severity), T)

    assert (it.urgent.due(T) is not None, it.batch.due(T) is not None) == (is_urgent, not is_urgent)


def test_what_is_over_is_told_as_soon_as_its_beginning_was_and_says_how_long_it_lasted():
    it = batching()
    it.tell(notice("site", detector="outage"), T)
    it.urgent.take(T + 2)
    it.tell(notice("site", Severity.NOTICE, detector="outage", over=True), T + 600)

    (heard,) = it.urgent.take(T + 700).notices
    assert (heard.since, heard.last, heard.notice.over) == (T, T + 600, True)


def test_what_is_over_and_was_not_urgent_waits_for_the_batch():
    it = batching()
    it.tell(notice("site", Severity.WARNING, detector="campaign"), T)
    it.tell(notice("site", Severity.NOTICE, detector="campaign", over=True), T + 60)
    it.tell(notice("other", Severity.NOTICE, detector="silence", over=True), T + 60)

    assert it.urgent.due(T + 60) is None
    assert len(it.batch.take(T + 400).notices) == 3


def test_what_is_told_again_says_since_when_until_a_day_has_passed_without_it():
    it = batching()
    since = []
    for at in (0.0, 3600.0, 7200.0, 7200.0 + 86401.0):
        it.tell(notice(), T + at)
        since.append(it.urgent.take(T + at + 2).notices[0].since - T)

    assert since == [0.0, 0.0, 0.0, 7200.0 + 86401.0]


def test_of_one_subject_the_gravest_is_told_once_with_how_often_it_came():
    group = Group(1, 10)
    group.add_notice(notice(severity=Severity.CRITICAL), T, T)
    group.add_notice(notice(severity=Severity.WARNING), T, T + 5)

    (heard,) = group.take(T + 9).notices
    assert (heard.notice.severity, heard.times, heard.last) == (Severity.CRITICAL, 2, T + 5)


def test_would_be_bans_lie_on_a_pile_of_their_own():
    it = batching()
    it.tell(Watched(source(1), "siege", "would be banned: 2 failures", would_ban=True), T)

    gathered = it.batch.take(T + 300)
    assert (gathered.bans.counts, dict(gathered.would_bans.counts)) == ({}, {"siege": 1})


def test_a_hundred_thousand_bans_make_one_mail_a_group_and_interval_with_exact_totals():
    it = batching()
    sent = []
    for number in range(100_000):
        now = T + number * 0.01  # over 1000 s
        it.tell(ban(number, "guessing" if number % 5 else "siege"), now)
        if (due := it.batch.due(now)) is not None and due <= now:
            sent.append(it.batch.take(now))
    sent.append(it.batch.take(T + 2000))

    assert len(sent) == 2
    assert sum(each.bans.counts["guessing"] for each in sent) == 80_000
    assert sum(each.bans.counts["siege"] for each in sent) == 20_000


def test_a_flood_takes_a_bounded_place():
    it = batching()
    tracemalloc.start()
    for number in range(20_000):
        it.tell(ban(number), T)
        it.tell(notice(f"{number}@example.com"), T)
        it.tell(ban(number, f"made-up-{number}"), T)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    urgent, batch = it.urgent.take(T + 2), it.batch.take(T + 300)
    assert used < 4 << 20
    assert (len(urgent.notices), sum(urgent.beyond.values())) == (NOTICES, 20_000 - NOTICES)
    assert all(len(samples) <= SAMPLES for samples in batch.bans.samples.values())
    assert batch.bans.counts.total() == 40_000
    assert len(batch.bans.counts) == DETECTORS + 1
    assert batch.bans.counts[OTHER] > 19_000
    assert len(it._begun) == REMEMBERED


def test_a_clock_that_is_set_back_holds_up_no_mail():
    it = batching()
    it.tell(notice(), T)
    it.urgent.take(T + 2)
    it.tell(notice("bob@example.com"), T + 3)
    it.tell(ban(), T + 3)

    back = T - 7200
    assert it.urgent.due(back) == back - 1 + EVERY
    assert it.batch.due(back) == back + AFTER


@given(
    st.lists(st.floats(0, 1000), min_size=1, max_size=30),
    st.floats(0.1, 100),
    st.floats(0.1, 100),
    st.floats(0, 100),
)
def test_a_mail_is_due_within_its_limit_and_never_too_soon_after_the_last(gaps, quiet, within, every):
    group, now, sent, first = Group(quiet, within, every), T, None, None
    for gap in gaps:
        now += gap
        group.add_ban(Ban(source(1), now, now, "guessing", ""), (), now)
        first = now if first is None else first
        due = group.due(now)
        assert due is not None
        assert due <= max(first + within, (sent or 0) + every) + 1e-3
        assert sent is None or due >= sent + every - 1e-3
        if due <= now:
            group.take(now)
            sent, first = now, None


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 10**6)), st.integers(0, 100))
def test_shares_give_away_all_lines_and_nobody_more_than_it_has(counts, most):
    given_away = shares(counts, most)

    assert sum(given_away.values()) == min(most, sum(counts.values()))
    assert all(given_away[each] <= counts[each] for each in counts)


def test_a_rare_detector_keeps_its_lines_beside_a_loud_one():
    assert shares({"guessing": 99_990, "trap": 3, "siege": 7}, 50) == {"trap": 3, "siege": 7, "guessing": 40}


def test_an_address_is_told_as_it_is_written():
    it = batching()
    found = parse_address(b"2001:db8::1")
    assert found is not None
    it.tell(Banned(Ban(found.widened(64), T, T + 60, "guessing", "")), T)

    assert it.batch.take(T).bans.samples["guessing"][0].source == "2001:db8::/64"
