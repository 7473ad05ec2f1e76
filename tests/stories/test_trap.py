"""A login name that nobody uses: whoever tries it found it on a list of names."""

from dataclasses import replace

from story import ANA, ENFORCE, SOURCE, START, Story, address, line, nets

from appliance.judge.detect.trap import Trap
from appliance.judge.detector import DetectorMode
from appliance.model import Banned, Evidence, Outcome, Spared

TRAP = replace(ENFORCE, detectors=(Trap(accounts=("oracle", "old.boss@example.com")),))
UNKNOWN = {"rule": "audit-unknown", "outcome": Outcome.UNKNOWN_ACCOUNT}


def test_first_try_at_a_trap_bans_for_a_day_to_the_second():
    verdict = Story(TRAP).fails(0, account="Oracle@example.com", **UNKNOWN)

    assert isinstance(verdict, Banned)
    assert verdict.reason == "tried oracle@example.com at 2023-11-14 22:13 UTC, a name that nobody uses (trap)"
    assert verdict.ban.until == START + 86400


def test_whole_address_is_a_trap_in_its_domain_only():
    story = Story(TRAP)

    assert not isinstance(story.fails(0, account="old.boss@example.net"), Banned)
    assert isinstance(story.fails(10, account="old.boss@example.com"), Banned)


def test_name_that_begins_like_a_trap_is_none():
    assert not isinstance(Story(TRAP).fails(0, account="oracle.of.delphi@example.com"), Banned)


def test_list_is_empty_unless_the_operator_fills_it():
    assert not isinstance(Story().fails(0, account="oracle", **UNKNOWN), Banned)


def test_forged_line_traps_nobody_until_packets_prove_the_address():
    story = Story(TRAP)

    verdict = story.fails(0, account="oracle", evidence=Evidence.WEAK, **UNKNOWN)

    assert verdict.asks_proof
    assert isinstance(story.proves(SOURCE)[-1], Banned)


def test_office_from_which_somebody_tries_a_trap_is_told_of_and_not_banned():
    story = Story(TRAP)
    story.is_home_of(ANA, "bob@example.com", "cid@example.com")

    notice, verdict = story.tells(line(10, account="oracle", **UNKNOWN))

    assert isinstance(verdict, Spared)
    assert notice.reason == (
        "tried oracle at 2023-11-14 22:13 UTC, a name that nobody uses (trap); "
        "an office: at least three people log in there, so a detection tells and does not ban"
    )


def test_monitor_on_the_allowlist_is_spared():
    assert isinstance(Story(replace(TRAP, allowlist=nets(SOURCE))).fails(0, account="oracle"), Spared)


def test_observing_trap_bans_nobody():
    story = Story(replace(ENFORCE, detectors=(Trap(DetectorMode.OBSERVE, accounts=("oracle",)),)))

    assert story.fails(0, account="oracle").would_ban
    assert story.judge.bans_in_force(story.now) == []
    assert not story.judge.rehearsed(address(SOURCE), story.now)
