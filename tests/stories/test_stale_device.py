"""A phone with an old password, where its owner logs in. People are told whose it is, and nobody is banned."""

from dataclasses import replace

import pytest
from story import ANA, BOB, ENFORCE, SOURCE, Story, address, bans, line, notices, smtp_attempt

from appliance.judge.detect.stale_device import StaleDevice
from appliance.judge.detector import DetectorMode
from appliance.model import Noticed, Protocol, Severity, Spared


def at_home(policy=ENFORCE) -> Story:
    story = Story(policy)
    story.logs_in(0)
    return story


def test_thirtieth_failure_of_an_hour_is_told_with_what_it_speaks():
    story = at_home()
    early = story.all_tell(line(10 + each * 60, protocol=[Protocol.IMAP, Protocol.EAS][each % 2]) for each in range(29))
    assert notices(early) == []

    assert notices(story.tells(line(1800))) == [
        Noticed(
            "stale-device",
            f"{ANA} from {SOURCE}",
            "30 failed logins in 1 h of ana@example.com from 203.0.113.9 over eas, imap, where it logs in as a rule: "
            "a device with an old password; it is not banned",
            Severity.NOTICE,
            address(SOURCE),
            ANA,
        )
    ]


def test_it_is_told_once_an_hour_and_never_banned_however_long_it_goes_on():
    story = at_home()
    told = story.all_tell(line(10 + each * 10) for each in range(360 * 24))

    assert len(notices(told, "stale-device")) == 24
    assert bans(told) == []


def test_phone_that_sends_mail_is_known_by_audit_log_though_postfix_names_no_account():
    story = at_home()
    told = [
        verdict
        for each in range(60)
        for event in smtp_attempt(10 + each * 30, session=f"mx1/{each}")
        for verdict in story.tells(event)
    ]

    assert bans(told) == []
    assert len(notices(told, "stale-device")) == 1


def test_phone_behind_postfix_alone_is_not_banned_by_an_hours_retries_in_an_office():
    """Where audit.log is not sent, nobody knows whose failures they are. Five of them count as one."""
    story = Story()
    story.is_home_of(ANA, BOB, "cid@example.com")
    nameless = {"rule": "postfix-sasl", "account": None, "protocol": Protocol.SMTP}

    told = [story.fails(10 + each * 60, **nameless) for each in range(60)]

    assert bans(told) == []
    assert any(isinstance(verdict, Spared) for verdict in told)


def test_stranger_at_the_same_account_is_no_device_of_its_owner():
    story = Story()

    assert notices(story.all_tell(line(each * 60) for each in range(40)), "stale-device") == []


def test_colleagues_failures_are_counted_apart():
    story = at_home()
    story.logs_in(1, account=BOB)
    told = story.all_tell(line(10 + each * 60, account=[ANA, BOB][each % 2]) for each in range(50))

    assert notices(told, "stale-device") == []


@pytest.mark.parametrize(("mode", "count"), [(DetectorMode.OBSERVE, 1), (DetectorMode.OFF, 0)], ids=str)
def test_detector_that_is_off_says_nothing(mode, count):
    story = at_home(replace(ENFORCE, tellers=(StaleDevice(mode),)))

    assert len(story.notices(line(10 + each * 10) for each in range(60))) == count
