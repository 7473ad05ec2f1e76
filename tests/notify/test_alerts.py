"""Which facts are alerts, and which of them are up."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import Noticed, Severity
from appliance.notify.alerts import DAY, FORSAKEN, RANK, RESOLVED, WITH_AN_END, Alert, Alerts, is_alert

HOUR = 3600.0
T = 1_800_000_000.0
BREAK_IN = Noticed("break-in", "ana@example.com from 203.0.113.9", "a stranger got in", Severity.CRITICAL)
PLACES = Noticed("many-places", "ana@example.com", "7 networks", Severity.WARNING)
STALE = Noticed("stale-device", "ana@example.com from 192.0.2.33", "30 failures")


def up(alerts: Alerts, now: float = T) -> list[Alert]:
    return [each for each in alerts.due(now, alerts.changes, whole=True) if not each.is_over]


def over(alerts: Alerts, now: float = T, seen: int = 0) -> list[Alert]:
    return [each for each in alerts.due(now, seen, whole=False) if each.is_over]


def table(*told: Noticed, hold: float = 4 * HOUR, most: int = 1000) -> Alerts:
    alerts = Alerts(hold, most)
    for each in told:
        alerts.take(each, T)
    return alerts


def test_warnings_are_alerts_and_of_the_notices_only_those_that_a_help_desk_can_act_on() -> None:
    assert is_alert(PLACES)
    assert is_alert(STALE)
    assert is_alert(Noticed("zmauditswatch", "site", "100 failed logins"))
    assert not is_alert(Noticed("many-places", "ana@example.com", "7 networks", Severity.NOTICE))


def test_what_is_told_again_is_refreshed_and_not_doubled() -> None:
    alerts = table(PLACES)
    alerts.take(Noticed("many-places", "ana@example.com", "9 networks", Severity.WARNING), T + HOUR)

    (alert,) = up(alerts, T + HOUR)
    assert (alert.since, alert.last, alert.reason) == (T, T + HOUR, "9 networks")
    assert alert.ends == T + 5 * HOUR
    assert alerts.changes == 1, "nothing that must be sent at once"


def test_two_subjects_and_two_detectors_are_four_cases() -> None:
    cases = {
        alert.case
        for detector in ("guessing", "spraying")
        for subject in ("203.0.113.9", "203.0.113.10")
        for alert in up(table(Noticed(detector, subject, "", Severity.WARNING)))
    }

    assert len(cases) == 4
    assert all(len(case) == 12 and int(case, 16) >= 0 for case in cases)


def test_a_case_is_the_same_after_it_ended() -> None:
    alerts = table(PLACES)
    before = up(alerts)[0].case
    assert not up(alerts, T + DAY)
    alerts.take(PLACES, T + DAY)

    assert up(alerts, T + DAY)[0].case == before


def test_what_has_no_end_ends_after_it_was_last_told() -> None:
    alerts = table(PLACES)

    assert up(alerts, T + 4 * HOUR - 1)
    assert not up(alerts, T + 4 * HOUR)
    assert [each.ends for each in over(alerts, T + 4 * HOUR)] == [T + 4 * HOUR]


def test_a_break_in_stays_up_over_night() -> None:
    assert up(table(BREAK_IN), T + DAY - 1)
    assert not up(table(BREAK_IN), T + DAY)
    assert up(table(BREAK_IN, hold=3 * DAY), T + 3 * DAY - 1)


@pytest.mark.parametrize("detector", sorted(WITH_AN_END))
def test_what_has_an_end_waits_for_it_but_not_for_ever(detector: str) -> None:
    told = Noticed(detector, "site", "it began", Severity.CRITICAL)
    alerts = table(told, hold=60)

    assert up(alerts, T + FORSAKEN - 1)
    alerts.take(Noticed(detector, "site", "it is over", over=True), T + FORSAKEN - 1)
    assert not up(alerts, T + FORSAKEN - 1)
    assert not up(table(told), T + FORSAKEN)


def test_the_end_of_something_that_nobody_was_told_of_is_no_alert() -> None:
    alerts = table(Noticed("campaign", "site", "it is over", Severity.WARNING, over=True))

    assert alerts.due(T, 0, whole=True) == []
    assert alerts.changes == 0


def test_what_is_over_is_due_until_it_was_seen() -> None:
    alerts = table(BREAK_IN)
    seen = alerts.changes
    alerts.take(Noticed(BREAK_IN.detector, BREAK_IN.subject, "", over=True), T + 1)

    assert [each.is_over for each in alerts.due(T + 1, seen, whole=False)] == [True]
    assert alerts.unseen(seen) == 1
    assert alerts.due(T + 1, alerts.changes, whole=True) == []
    assert over(alerts, T + RESOLVED, seen)
    assert not over(alerts, T + 1 + RESOLVED, seen)


def test_what_gets_worse_is_another_alert_and_the_milder_one_ends() -> None:
    office = Noticed("guessing", "192.0.2.33", "an office", Severity.WARNING)
    alerts = table(office)
    seen = alerts.changes
    alerts.take(Noticed("guessing", "192.0.2.33", "100 in a day", Severity.CRITICAL), T + 60)
    milder, worse = alerts.due(T + 60, seen, whole=False)

    assert (milder.severity, milder.is_over) == (Severity.WARNING, True)
    assert (worse.severity, worse.is_over, worse.since) == (Severity.CRITICAL, False, T)
    alerts.take(office, T + 120)
    assert [each.severity for each in up(alerts, T + 120)] == [Severity.CRITICAL]


def test_what_comes_up_again_is_no_longer_over() -> None:
    alerts = table(PLACES)
    assert not up(alerts, T + DAY)
    alerts.take(PLACES, T + DAY)

    assert [each.is_over for each in alerts.due(T + DAY, 0, whole=True)] == [False]


def test_a_full_table_gives_up_the_least_severe_and_of_those_the_one_told_first() -> None:
    stale = [Noticed("stale-device", f"{number} from 192.0.2.33", "") for number in range(3)]
    alerts = table(BREAK_IN, *stale, most=4)
    alerts.take(stale[0], T + 1)
    alerts.take(PLACES, T + 2)

    assert {each.subject for each in up(alerts)} == {
        BREAK_IN.subject, PLACES.subject, stale[0].subject, stale[2].subject,
    }  # fmt: skip
    assert alerts.crowded_out == 1


def test_a_table_full_of_worse_takes_no_newcomer() -> None:
    alerts = table(BREAK_IN, STALE, most=1)

    assert [each.subject for each in up(alerts)] == [BREAK_IN.subject]
    assert alerts.crowded_out == 1


def steps() -> Iterator[st.SearchStrategy[object]]:
    yield st.sampled_from(["break-in", "siege", "stale-device", "guessing"])
    yield st.text(max_size=3)
    yield st.sampled_from(list(Severity))
    yield st.booleans()
    yield st.floats(-HOUR, 2 * DAY)


@given(st.lists(st.tuples(*steps()), max_size=60))
def test_whatever_is_told_the_table_is_bounded_and_holds_each_alert_once(told: list[tuple[object, ...]]) -> None:
    alerts, seen = Alerts(HOUR, most=5), 0
    for detector, subject, severity, is_over, later in told:
        alerts.take(Noticed(str(detector), str(subject), "", Severity(severity), over=bool(is_over)), T + float(later))
        due = alerts.due(T + float(later), seen, whole=True)
        lasting = [(each.detector, each.subject) for each in due if not each.is_over]
        assert len(lasting) == len(set(lasting)) == len(alerts) <= 5
        assert len({(each.case, each.severity) for each in due}) == len(due) <= 10
        assert [RANK[each.severity] for each in due if not each.is_over] == sorted(
            (RANK[each.severity] for each in due if not each.is_over), reverse=True
        )
        seen = alerts.changes
        assert alerts.unseen(seen) == 0
