"""Somebody talks to the login ports and does not log in: AUTH begun and dropped, garbage, commands too early."""

from dataclasses import replace

from story import ENFORCE, SOURCE, Story, line, nets

from appliance.judge.detect.probing import Probing
from appliance.judge.detect.table import default_detectors
from appliance.judge.detector import DetectorMode
from appliance.model import Banned, Evidence, Outcome, Protocol, Scope, Spared

SMTP = {"account": None, "protocol": Protocol.SMTP}
DROPPED = {"rule": "postfix-auth-dropped", "outcome": Outcome.AUTH_INCOMPLETE, **SMTP}
PREGREET = {"rule": "postfix-pregreet", "outcome": Outcome.PROTOCOL_ABUSE, **SMTP}


def test_tenth_probe_within_ten_minutes_closes_the_login_ports():
    story = Story()
    for each in range(9):
        assert not isinstance(story.fails(each * 60, **[DROPPED, PREGREET][each % 2]), Banned)

    verdict = story.fails(9 * 60, **PREGREET)

    assert isinstance(verdict, Banned)
    assert verdict.ban.scope is Scope.LOGIN
    assert verdict.reason == "10 points in 10 min (limit 10): 5 dropped logins, 5 protocol abuses over smtp"


def test_slow_prober_is_left_alone():
    story = Story()

    assert not any(isinstance(story.fails(each * 120, **DROPPED), Banned) for each in range(50))


def test_phone_that_drops_its_session_where_people_log_in_is_left_alone():
    story = Story()
    story.logs_in(0)

    assert not any(isinstance(story.fails(each, **DROPPED), Banned) for each in range(1, 50))


def test_end_of_a_session_that_failed_to_log_in_is_not_held_against_it_twice():
    """Postfix warns of each bad password, and counts them once more when the session ends."""
    story = Story()
    session = {"session": "mx1/7", **SMTP}
    for second in range(5):
        story.fails(second, rule="postfix-sasl", **session)

    verdict = story.fails(60, rule="postfix-ends", outcome=Outcome.AUTH_INCOMPLETE, count=5, **session)

    assert verdict.reason == "another line of an attempt that is counted"
    more = story.fails(70, rule="postfix-ends", outcome=Outcome.AUTH_INCOMPLETE, count=7, **session)
    assert more.reason == "2 of 10 points in 10 min"


def test_forged_garbage_bans_nobody():
    story = Story()

    assert story.bans(line(each, **DROPPED | {"evidence": Evidence.WEAK}) for each in range(50)) == []


def test_failed_logins_are_no_probes_and_probes_no_failed_logins():
    story = Story()
    for each in range(9):
        story.fails(each, **DROPPED)

    assert story.fails(20).reason == "1 of 6 points in 30 min"


def test_allowlisted_scanner_is_spared():
    story = Story(replace(ENFORCE, allowlist=nets(SOURCE)))

    assert isinstance([story.fails(each, **PREGREET) for each in range(10)][-1], Spared)


def test_probing_that_is_off_bans_nobody():
    off = tuple(Probing(DetectorMode.OFF) if each.name == "probing" else each for each in default_detectors())

    assert Story(replace(ENFORCE, detectors=off)).bans(line(each, **PREGREET) for each in range(50)) == []
