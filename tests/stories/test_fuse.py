"""We ban at a rate that no site needs. Whoever can make a sender write lines names victims in them; a botnet really
comes, and packets prove it."""

from dataclasses import replace

import pytest
from story import ANA, ENFORCE, SOURCE, START, Story, address, bans, line, nets, notices, stranger

from appliance.judge.detect.fuse import FuseLimits
from appliance.judge.detect.table import Watches
from appliance.judge.detect.trap import Trap
from appliance.judge.detector import DetectorMode
from appliance.judge.policy import Ours
from appliance.model import Banned, Mode, Noticed, Severity, Spared, Watched

TRAPPED = replace(ENFORCE, detectors=(Trap(accounts=("oracle",)),))
"""One line is enough for a ban: nothing can be forged more cheaply."""


def forged(number: int, at: float):
    return line(at, source=stranger(number), account="oracle")


def blown(policy=TRAPPED) -> Story:
    """A hundred bans and one more within a minute."""
    story = Story(policy)
    story.all_tell(forged(number, number / 2) for number in range(101))
    return story


def test_ban_one_over_a_hundred_in_five_minutes_blows_the_fuse_and_wakes_somebody():
    story = Story(TRAPPED)
    early = story.all_tell(forged(number, number / 2) for number in range(100))
    assert len(bans(early)) == 100

    told = story.tells(forged(100, 60))

    assert told == [
        Noticed(
            "fuse",
            "site",
            "more than 100 bans in 5 min: from now on a ban needs packet proof",
            Severity.CRITICAL,
        ),
        Watched(
            address(stranger(100)),
            "trap",
            "the fuse is blown, so a ban waits for proof that the address was here",
            asks_proof=True,
        ),
    ]


def test_proved_source_is_banned_all_the_same():
    story = blown()
    assert story.fails(60, account="oracle").asks_proof

    [verdict] = story.proves(SOURCE)

    assert isinstance(verdict, Banned)


def test_hundred_bans_in_an_hour_blow_nothing():
    story = Story(TRAPPED)

    assert len(story.bans(forged(number, number * 4) for number in range(300))) == 300


def test_five_hundred_bots_that_really_attack_are_all_banned():
    """They blow the fuse, and gain nothing: each of them proves its address by attacking."""
    story = Story()
    told = []
    for number in range(500):
        for each in range(8):
            source = stranger(number)
            verdicts = story.tells(line(number / 2 + each, source=source, account=f"user{number}@example.com"), number)
            told += verdicts
            if any(isinstance(verdict, Watched) and verdict.asks_proof for verdict in verdicts):
                told += story.proves(source)

    assert len(notices(told, "fuse")) == 1
    assert {address(stranger(number)) for number in range(500)} <= {ban.source for ban in bans(told)}


@pytest.mark.slow
def test_one_sender_that_forges_a_hundred_thousand_sources_has_a_hundred_of_them_banned_and_no_more():
    ours, allowed, home = "198.18.7.7", "198.18.8.8", "198.18.9.9"
    policy = replace(TRAPPED, allowlist=nets(allowed), never_ban={Ours.ZIMBRA: nets(ours)})
    story = Story(policy)
    story.logs_in(0, source=home)
    standing = story.judge.ban(address("192.0.2.200"), 86400, "by hand", story.now)

    told = story.bans(forged(number, 1 + number / 400) for number in range(100_000))

    assert len(told) == 100
    assert not {address(text) for text in (ours, allowed, home)} & {ban.source for ban in told}
    assert standing.ban in story.judge.bans_in_force(story.now)
    assert len(story.judge.bans_in_force(story.now)) == 101


def test_even_proved_sources_fall_no_faster_than_a_thousand_in_five_minutes_by_one_senders_lines():
    """A forger who names those who are really here, all of them at once."""
    story = Story(TRAPPED)
    told = []
    for number in range(2500):
        told += story.proves(stranger(number), at=number / 10)
        told += story.tells(forged(number, number / 10))

    assert len(bans(told)) == 1000
    assert told[-1].reason == (
        "the lines of 192.0.2.1 led to 1000 bans in 5 min; "
        "tried oracle at 2023-11-14 22:17 UTC, a name that nobody uses (trap)"
    )
    story.proves(SOURCE, at=251)
    assert len(story.bans([line(251, account="oracle", sender="192.0.2.2")])) == 1


def test_lines_that_ask_before_the_proof_comes_count_for_the_same_sender():
    story = Story(TRAPPED)
    told = []
    for number in range(1300):
        told += story.tells(forged(number, number / 10))
        told += story.proves(stranger(number))

    assert len(bans(told)) == 1000


def test_networks_around_forged_sources_are_not_banned_either():
    """Four forged neighbours would have 256 addresses banned, and the fuse counts those bans as well."""
    story = Story(TRAPPED)

    told = story.bans(line(each / 10, source=f"10.0.{each // 5}.{each % 5}", account="oracle") for each in range(1000))

    assert len(told) == 100
    story.proves(*(f"10.7.7.{each}" for each in range(4)))
    proved = story.bans(line(101 + each, source=f"10.7.7.{each}", account="oracle") for each in range(4))
    assert [str(ban.source) for ban in proved] == [*(f"10.7.7.{each}" for each in range(4)), "10.7.7.0/24"]


def test_whoever_ever_logged_in_is_only_told_of():
    story = blown()
    story.logs_in(60, account=ANA)
    story.proves(SOURCE)

    verdict = story.fails(61, account="oracle")

    assert isinstance(verdict, Spared)
    assert verdict.reason == (
        "we ban at a rate that no site needs, and this source logged in before; "
        "tried oracle at 2023-11-14 22:14 UTC, a name that nobody uses (trap)"
    )


def test_bans_by_hand_pass_a_blown_fuse():
    story = blown()

    assert isinstance(story.judge.ban(address(SOURCE), 600, "the help desk knows it", story.now), Banned)


def test_it_is_whole_again_after_a_quiet_quarter_of_an_hour_and_that_is_told():
    story = blown()
    last = story.now - START
    assert notices(story.goes_by(last + 899)) == []

    assert [notice.reason for notice in notices(story.goes_by(last + 901))] == [
        "blown since 2023-11-14 22:14 UTC, and whole again"
    ]
    assert isinstance(story.fails(last + 902, account="oracle"), Banned)


def test_blind_gateway_cannot_ask_for_proof_and_counts_the_senders_share():
    story = Story(replace(TRAPPED, sees_traffic=False))

    assert len(story.bans(forged(number, number / 10) for number in range(1500))) == 1000


def test_observing_fuse_is_told_and_holds_nothing():
    story = Story(replace(TRAPPED, watches=Watches(fuse=FuseLimits(DetectorMode.OBSERVE))))
    told = story.all_tell(forged(number, number / 10) for number in range(200))

    assert len(notices(told, "fuse")) == 1
    assert len(bans(told)) == 200


def test_fuse_that_is_off_is_not_told_of():
    story = Story(replace(TRAPPED, watches=Watches(fuse=FuseLimits(DetectorMode.OFF))))

    told = story.all_tell(forged(number, number * 2) for number in range(140))

    assert notices(told, "fuse") == []
    assert len(bans(told)) == 140


def test_observing_policy_has_no_fuse_to_blow():
    story = Story(replace(TRAPPED, mode=Mode.OBSERVE))
    told = story.all_tell(forged(number, number / 10) for number in range(200))

    assert notices(told, "fuse") == []
    assert len(story.judge.rehearsals(story.now)) == 200
