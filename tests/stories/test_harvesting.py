"""Somebody guesses recipients on port 25."""

from dataclasses import replace

from story import ANA, DAY, ENFORCE, SOURCE, Story, line, nets

from appliance.judge.detect.harvesting import Harvesting
from appliance.judge.detector import DetectorMode
from appliance.model import Banned, Outcome, Protocol, Scope, Watched

SMTP = {"account": None, "protocol": Protocol.SMTP}
UNKNOWN = {"rule": "postfix-unknown-recipient", "outcome": Outcome.RECIPIENT_UNKNOWN, **SMTP}
RELAY = {"rule": "postfix-relay", "outcome": Outcome.RELAY_DENIED, **SMTP}


def test_fifteenth_guess_within_ten_minutes_closes_port_25_and_no_other():
    story = Story()
    for each in range(14):
        assert isinstance(story.fails(each * 30, **UNKNOWN), Watched)

    verdict = story.fails(14 * 30, **UNKNOWN)

    assert isinstance(verdict, Banned)
    assert verdict.ban.scope is Scope.SMTP_IN
    assert verdict.reason == (
        "15 points in 10 min (limit 15, no mail of it was accepted lately): 15 unknown recipients over smtp"
    )


def test_source_kept_out_of_port_25_is_still_judged_where_it_logs_in():
    story = Story()
    story.bans(line(each, **UNKNOWN) for each in range(15))

    assert story.fails(20).reason == "1 of 6 points in 30 min"
    assert story.fails(21, **UNKNOWN).reason.startswith("already banned until ")


def test_mail_host_with_an_old_list_of_recipients_is_not_banned():
    """A newsletter to people who left: much of it bounces, some is accepted."""
    story = Story()
    story.delivers(0)

    assert story.bans(line(each, **UNKNOWN) for each in range(1, 200)) == []


def test_mail_accepted_longer_ago_than_a_week_speaks_for_nobody():
    story = Story()
    story.delivers(0)

    assert len(story.bans(line(7 * DAY + each, **UNKNOWN) for each in range(1, 20))) == 1


def test_relay_of_ours_hands_on_what_others_guess_and_is_not_banned():
    story = Story(replace(ENFORCE, relays=nets("203.0.113.0/28")))

    assert story.bans(line(each, **UNKNOWN) for each in range(200)) == []


def test_refused_relay_is_a_probe_of_a_stranger_and_counts_for_both():
    story = Story()
    told = story.bans(line(each, **RELAY) for each in range(10))

    assert [(ban.detector, ban.reason) for ban in told] == [
        ("probing", "10 points in 10 min (limit 10): 10 refused relays over smtp")
    ]


def test_person_who_logs_in_and_mistypes_recipients_is_still_heard_on_other_ports():
    story = Story()
    story.logs_in(0, account=ANA)
    story.bans(line(each, **UNKNOWN) for each in range(1, 16))

    assert story.logs_in(20).reason == "ana@example.com logged in"


def test_harvesting_that_observes_bans_nobody():
    story = Story(replace(ENFORCE, detectors=(Harvesting(DetectorMode.OBSERVE),)))

    assert [story.fails(each, **UNKNOWN).would_ban for each in range(16)] == [False] * 14 + [True, False]
    assert SOURCE not in {str(ban.net) for ban in story.judge.bans_in_force(story.now)}
