from dataclasses import replace

from story import ANA, ENFORCE, SOURCE, Story, line, smtp_attempt

from appliance.judge.detect.zmauditswatch import Zmauditswatch
from appliance.judge.detector import DetectorMode
from appliance.model import Evidence, Noticed, Protocol

TELLING = replace(ENFORCE, detectors=())


def notices(story, events):
    told = [verdict for event in events for verdict in story.tells(event)]
    return [verdict for verdict in told if isinstance(verdict, Noticed)]


def test_tenth_failure_of_a_source_at_an_account_is_told_of_both():
    story = Story(TELLING)
    assert notices(story, [line(second * 5) for second in range(9)]) == []

    told = notices(story, [line(45)])

    assert [(notice.subject, notice.reason) for notice in told] == [
        (f"{ANA} from {SOURCE}", f"10 failed logins in 60 s (limit 10): {ANA} from {SOURCE}"),
        (ANA, f"10 failed logins in 60 s (limit 10): {ANA}"),
    ]


def test_each_subject_is_told_once_in_a_window():
    story = Story(TELLING)
    told = notices(story, [line(second * 5) for second in range(24)])

    assert [notice.subject for notice in told].count(ANA) == 2


def test_account_attacked_from_everywhere_is_told():
    story = Story(TELLING)
    told = notices(story, [line(each, source=f"203.0.113.{each}") for each in range(10)])

    assert [notice.subject for notice in told] == [ANA]


def test_twentieth_failure_of_a_source_is_told():
    story = Story(TELLING)
    told = notices(story, [line(each, account=f"user{each}@example.com") for each in range(20)])

    assert [notice.reason for notice in told] == [f"20 failed logins in 60 s (limit 20): {SOURCE}"]


def test_hundredth_failure_of_the_site_is_told():
    story = Story(TELLING)
    failures = [line(each / 2, source=f"198.51.100.{each}", account=f"user{each}@example.com") for each in range(100)]
    assert notices(story, failures[:99]) == []

    assert [notice.subject for notice in notices(story, failures[99:])] == ["site"]


def test_six_lines_of_one_attempt_over_smtp_are_one_failure():
    story = Story(TELLING)
    attempts = [smtp_attempt(each * 5, session=f"mx1/{each}") for each in range(10)]
    assert notices(story, [event for attempt in attempts[:9] for event in attempt]) == []

    assert {notice.subject for notice in notices(story, attempts[9])} == {ANA, f"{ANA} from {SOURCE}"}


def test_lines_without_a_source_count_for_account_and_site():
    story = Story(replace(TELLING, tellers=(Zmauditswatch(total=10),)))
    told = notices(story, [line(each, rule="saslauthd-zimbra", source=None) for each in range(10)])

    assert [notice.subject for notice in told] == [ANA, "site"]


def test_imap_soap_and_smtp_at_one_moment_are_three_attempts():
    story = Story(replace(TELLING, tellers=(Zmauditswatch(account=3),)))
    told = notices(story, [line(0, protocol=each) for each in (Protocol.IMAP, Protocol.SOAP, Protocol.SMTP)])

    assert [notice.subject for notice in told] == [ANA]


def test_forged_lines_are_told_too():
    story = Story(TELLING)

    assert notices(story, [line(each, evidence=Evidence.WEAK) for each in range(10)])


def test_teller_that_is_off_tells_nothing():
    story = Story(replace(TELLING, tellers=(Zmauditswatch(mode=DetectorMode.OFF),)))

    assert notices(story, [line(each) for each in range(30)]) == []
