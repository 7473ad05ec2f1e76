"""Somebody tries the admin console, through which every mailbox can be had."""

from dataclasses import replace

from story import ANA, BOB, ENFORCE, HOUR, SOURCE, Story, address, line, nets, notices

from appliance.judge.detect.admin_door import AdminDoor
from appliance.judge.detector import DetectorMode
from appliance.model import Banned, Evidence, Noticed, Outcome, Protocol, Scope, Severity, Spared

ADMIN = {"rule": "audit-admin", "outcome": Outcome.ADMIN_BAD_PASSWORD, "protocol": Protocol.ADMIN}
IN = {"rule": "audit-admin-in", "outcome": Outcome.SUCCESS, "protocol": Protocol.ADMIN}
ALONE = replace(ENFORCE, detectors=(AdminDoor(),))


def test_third_failed_admin_login_within_an_hour_bans_from_every_port():
    story = Story(ALONE)
    story.fails(0, **ADMIN)
    story.fails(1200, **ADMIN)

    verdict = story.fails(2400, **ADMIN)

    assert isinstance(verdict, Banned)
    assert verdict.ban.scope is Scope.ALL
    assert verdict.reason == (
        "3 failed admin logins in 1 h (limit 3): 3 bad admin passwords on ana@example.com over admin"
    )


def test_with_everything_on_three_tries_are_enough_as_well():
    story = Story()

    assert len(story.bans(line(each, **ADMIN) for each in range(3))) == 1


def test_failures_of_an_hour_ago_and_those_at_the_mailbox_do_not_count():
    story = Story(ALONE)
    story.fails(0, **ADMIN)
    story.fails(10)
    story.fails(20, **ADMIN)

    assert not isinstance(story.fails(HOUR, **ADMIN), Banned)


def test_administrator_who_mistypes_where_he_logs_in_as_a_rule_is_not_banned():
    story = Story()
    story.judge.familiar.learn(address(SOURCE), ANA, story.now)

    assert story.bans(line(each, **ADMIN) for each in range(20)) == []


def test_allowlisted_administrator_is_spared():
    story = Story(replace(ALONE, allowlist=nets(SOURCE)))

    assert isinstance([story.fails(each, **ADMIN) for each in range(3)][-1], Spared)


def test_success_of_a_stranger_at_the_admin_console_wakes_somebody():
    told = notices(Story().tells(line(0, **IN)))

    assert told == [
        Noticed(
            "admin-door",
            f"{ANA} from {SOURCE}",
            "ana@example.com logged in at the admin console from 203.0.113.9, where nobody ever logged in",
            Severity.CRITICAL,
            address(SOURCE),
            ANA,
        )
    ]


def test_success_where_people_log_in_is_nothing_to_tell():
    story = Story()
    story.logs_in(0, account=BOB)

    assert notices(story.tells(line(10, **IN))) == []


def test_forged_admin_failures_ban_nobody():
    story = Story(ALONE)

    assert story.bans(line(each, **ADMIN | {"evidence": Evidence.WEAK}) for each in range(20)) == []


def test_detector_that_observes_bans_nobody():
    story = Story(replace(ENFORCE, detectors=(AdminDoor(DetectorMode.OBSERVE),)))

    assert [story.fails(each, **ADMIN).would_ban for each in range(3)] == [False, False, True]
