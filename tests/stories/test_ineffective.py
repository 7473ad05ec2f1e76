"""A banned source still reaches a mail host: there is a way round the gateway, or a proxy in front of it."""

from dataclasses import replace

import pytest
from story import ANA, ENFORCE, SOURCE, START, Story, address, line, nets, notices

from appliance.judge.detect.ineffective import Ineffective
from appliance.judge.detect.table import Watches
from appliance.judge.detector import DetectorMode
from appliance.model import Mode, Noticed, Outcome, Protocol, Severity


def banned(policy=ENFORCE) -> Story:
    """Banned at the fifth second."""
    story = Story(policy)
    story.all_tell(line(second) for second in range(6))
    return story


def test_failure_six_seconds_after_the_ban_wakes_somebody_and_names_sender_and_protocol():
    told = banned().tells(line(11, protocol=Protocol.SMTP))

    assert notices(told) == [
        Noticed(
            "ineffective",
            "mx1 smtp",
            "203.0.113.9 was banned at 2023-11-14 22:13 UTC and still reached mx1 over smtp: "
            "a way round this gateway, or a proxy in front of it",
            Severity.CRITICAL,
            address(SOURCE),
            ANA,
        )
    ]


def test_lines_of_attempts_made_before_the_ban_took_hold_are_nothing_to_tell():
    assert notices(banned().tells(line(10), now=3600.0)) == []


def test_log_of_a_host_that_lags_is_nothing_to_tell():
    story = banned()

    assert notices(each for second in range(6) for each in story.tells(line(second, host="mx2"), 600 + second)) == []


def test_login_of_a_banned_source_shows_the_same():
    told = banned().tells(line(60, rule="audit-success", outcome=Outcome.SUCCESS, account="bob@example.com"))

    assert "ineffective" in {notice.detector for notice in notices(told)}


def test_each_host_and_protocol_is_told_of_once_an_hour():
    story = banned()
    lines = [
        line(20 + second, host=host, protocol=protocol)
        for second in range(300)
        for host in ("mx1", "mx2")
        for protocol in (Protocol.SMTP, Protocol.IMAP)
    ]

    told = notices(story.all_tell(lines), "ineffective")

    assert [notice.subject for notice in told] == ["mx1 smtp", "mx1 imap", "mx2 smtp", "mx2 imap"]


def test_host_of_a_banned_network_counts_as_well():
    story = Story()
    story.judge.ban(next(iter(nets("203.0.113.0/24").networks)), 600, "by hand", START)

    assert [notice.source for notice in story.notices([line(20)])] == list(nets("203.0.113.0/24").networks)


def test_observing_policy_bans_nobody_so_nothing_is_ineffective():
    assert notices(banned(replace(ENFORCE, mode=Mode.OBSERVE)).tells(line(60))) == []


@pytest.mark.parametrize(
    ("mode", "severities"), [(DetectorMode.OBSERVE, [Severity.NOTICE]), (DetectorMode.OFF, [])], ids=str
)
def test_detector_that_observes_is_a_notice_and_off_says_nothing(mode, severities):
    story = banned(replace(ENFORCE, watches=Watches(ineffective=Ineffective(mode))))

    assert [each.severity for each in notices(story.tells(line(60)))] == severities
