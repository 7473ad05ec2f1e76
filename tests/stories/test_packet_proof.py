"""Somebody guesses names that do not exist, over the web. audit.log says nothing of those: only mailbox.log does,
into which any client can write. So a ban waits until the kernel has seen that the address was really here."""

from dataclasses import replace

from story import BOB, ENFORCE, HOUR, MINUTE, SOURCE, START, Story, address, line, nets

from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.detect.spraying import Spraying
from appliance.judge.detector import DetectorMode
from appliance.judge.policy import Policy
from appliance.model import Banned, Evidence, Mode, Outcome, Protocol, Spared, Watched

GUESSING = replace(ENFORCE, detectors=(Guessing(),))
UNKNOWN = {
    "rule": "mailbox-soap-unknown",
    "outcome": Outcome.UNKNOWN_ACCOUNT,
    "protocol": Protocol.SOAP,
    "evidence": Evidence.WEAK,
}
WEAK = {"rule": "mailbox-soap-bad-password", "protocol": Protocol.SOAP, "evidence": Evidence.WEAK}
WAITS = Watched(
    address(SOURCE),
    "guessing",
    "6 points in 30 min (limit 6), but 6 of them from lines that a client can write: "
    "waits for proof that the address was here",
    asks_proof=True,
)


def guesser(policy: Policy = GUESSING) -> Story:
    """A story in which names that do not exist were tried twice: one try more reaches the limit."""
    story = Story(policy)
    for second in range(2):
        story.fails(second, account=f"user{second}@example.com", **UNKNOWN)
    return story


def test_web_guesser_of_unknown_accounts_is_banned_as_soon_as_packets_prove_the_address():
    story = Story(GUESSING)
    early = [story.fails(second, account=f"user{second}@example.com", **UNKNOWN) for second in range(2)]
    assert [verdict.reason for verdict in early] == ["0 of 6 points in 30 min"] * 2

    assert story.fails(2, account="user2@example.com", **UNKNOWN) == WAITS

    [verdict] = story.proves(SOURCE)
    assert isinstance(verdict, Banned)
    assert verdict.ban.net == address(SOURCE)
    assert verdict.accounts == ("user0@example.com", "user1@example.com", "user2@example.com")
    assert verdict.reason == (
        "6 points in 30 min (limit 6, 0 of them by strong evidence): 3 unknown accounts "
        "on user0@example.com, user1@example.com, user2@example.com over soap; "
        "the address is proved: it completed a connection here"
    )


def test_source_proved_before_is_banned_by_the_very_line_that_reaches_the_limit():
    story = guesser()
    told = story.proves(SOURCE)
    assert [verdict.reason for verdict in told] == ["4 of 6 points in 30 min"]

    assert isinstance(story.fails(2, account="user2@example.com", **UNKNOWN), Banned)


def test_weak_lines_of_a_proved_source_ban_exactly_at_the_limit():
    story = Story(GUESSING)
    story.proves(SOURCE)
    told = [story.fails(second * 10, **WEAK) for second in range(5)]

    assert [verdict.reason for verdict in told] == [f"{number} of 6 points in 30 min" for number in range(1, 6)]
    assert isinstance(story.fails(50, **WEAK), Banned)


def test_proof_is_asked_for_with_each_line_until_it_is_there():
    story = guesser()

    told = [story.fails(second * 10, **UNKNOWN) for second in range(2, 8)]

    assert [verdict.asks_proof for verdict in told] == [True] * 6


def test_proof_ends_after_half_an_hour():
    story = Story(GUESSING)
    story.proves(SOURCE, at=0)
    assert story.judge.is_proved(address(SOURCE), START + 30 * MINUTE - 1)
    assert not story.judge.is_proved(address(SOURCE), START + 30 * MINUTE)

    told = [story.fails(30 * MINUTE + second, account=f"user{second}", **UNKNOWN) for second in range(3)]

    assert told[-1] == WAITS


def test_patient_guesser_is_proved_anew_for_each_half_hour():
    story = Story(replace(ENFORCE, detectors=(SlowGuessing(),)))
    for hour in range(4):
        story.fails(hour * HOUR, account=f"user{hour}", **UNKNOWN)
        assert [type(verdict) for verdict in story.proves(SOURCE)] == [Watched]

    assert story.fails(4 * HOUR, account="user4", **UNKNOWN).asks_proof
    assert [verdict.detector for verdict in story.proves(SOURCE)] == ["slow-guessing"]
    assert story.judge.bans_in_force(story.now)


def test_accounts_of_a_proved_sprayer_all_count():
    story = Story(replace(ENFORCE, detectors=(Spraying(),)))
    for second in range(5):
        verdict = story.fails(second, account=f"user{second}@example.com", **WEAK)
    assert verdict.reason.startswith("5 accounts in 1 h (limit 3), but 5 of them from lines that a client can write: ")

    [verdict] = story.proves(SOURCE)

    assert isinstance(verdict, Banned)
    assert verdict.reason.endswith("over soap; the address is proved: it completed a connection here")


def test_strong_evidence_bans_at_once_and_asks_for_no_proof():
    story = Story(GUESSING)
    told = [story.fails(second * 10) for second in range(6)]

    assert not any(verdict.asks_proof for verdict in told[:5])
    assert isinstance(told[5], Banned)
    assert "proved" not in told[5].reason


def test_doubt_tells_how_much_strong_evidence_leaves_open():
    story = Story(GUESSING)
    story.fails(0)
    for second in range(10, 50, 10):
        story.fails(second, **WEAK)

    assert story.fails(60, **WEAK).reason.startswith(
        "6 points in 30 min (limit 6), but 5 of them from lines that a client can write: "
    )


def test_attempts_older_than_the_window_ban_nobody_when_proof_comes_late():
    story = guesser()
    story.fails(2, **UNKNOWN)

    assert [type(verdict) for verdict in story.proves(SOURCE, at=31 * MINUTE)] == [Watched]
    assert story.judge.bans_in_force(story.now) == []


def test_proof_of_a_source_that_did_nothing_says_nothing():
    assert Story().proves(SOURCE) == []


def test_proof_of_a_source_that_is_banned_already_bans_it_no_second_time():
    story = guesser()
    story.fails(2, **UNKNOWN)
    assert len(story.proves(SOURCE)) == 1

    assert story.proves(SOURCE) == []


def test_proof_of_one_64_counts_for_every_address_in_it():
    story = Story(GUESSING)
    for host in range(2):
        story.fails(host, source=f"2001:db8:0:1::{host}", **UNKNOWN)
    story.judge.prove([address("2001:db8:0:1::9").widened(64)], story.now)

    verdict = story.fails(3, source="2001:db8:0:1::5", **UNKNOWN)

    assert isinstance(verdict, Banned)
    assert str(verdict.ban.net) == "2001:db8:0:1::/64"


def test_where_the_gateway_does_not_see_the_traffic_weak_lines_never_ban_and_nobody_is_asked():
    story = guesser(replace(GUESSING, sees_traffic=False))

    verdict = story.fails(2, **UNKNOWN)

    assert verdict.reason.endswith(
        "from lines that a client can write: the gateway does not see the traffic that would prove the address"
    )
    assert not verdict.asks_proof
    story.proves(SOURCE)
    assert story.bans([line(3, account="user3", **UNKNOWN)]) == []
    assert not story.judge.is_proved(address(SOURCE), story.now)


def test_gateway_that_a_reload_takes_out_of_the_path_makes_earlier_proof_void():
    story = guesser()
    story.proves(SOURCE)
    story.judge.adopt(replace(GUESSING, sees_traffic=False))

    assert isinstance(story.fails(2, **UNKNOWN), Watched)


def test_allowlisted_source_is_neither_asked_about_nor_banned_once_it_is_proved():
    story = guesser(replace(GUESSING, allowlist=nets(SOURCE)))

    verdict = story.fails(2, **UNKNOWN)

    assert verdict.reason.endswith("lines that a client can write: 203.0.113.9 is on the allowlist")
    assert not verdict.asks_proof
    assert [type(each) for each in story.proves(SOURCE)] == [Spared]


def test_observing_policy_rehearses_the_ban_that_proof_would_lead_to():
    story = guesser(replace(GUESSING, mode=Mode.OBSERVE))
    assert story.fails(2, **UNKNOWN).asks_proof

    [verdict] = story.proves(SOURCE)

    assert isinstance(verdict, Watched)
    assert verdict.would_ban
    assert story.judge.rehearsed(address(SOURCE), story.now)


def test_detector_that_observes_does_not_keep_another_from_asking_for_proof():
    tried_out = Guessing(mode=DetectorMode.OBSERVE, points=1)
    story = Story(replace(ENFORCE, detectors=(tried_out, Guessing())))
    story.fails(0)
    for second in range(10, 20, 10):
        story.fails(second, **UNKNOWN)

    told = story.tells(line(20, **UNKNOWN)) + story.tells(line(30, **UNKNOWN))

    assert any(isinstance(verdict, Watched) and verdict.asks_proof for verdict in told)


def test_whoever_ever_logged_in_is_not_banned_by_forged_lines_though_it_is_proved_to_be_here():
    story = Story(GUESSING)
    story.logs_in(0, account=BOB)
    story.proves(SOURCE)

    told = [story.fails(second, **WEAK) for second in range(10, 200, 10)]

    assert not any(isinstance(verdict, Banned) for verdict in told)
    assert not any(isinstance(verdict, Watched) and verdict.asks_proof for verdict in told)
    assert "it logged in before" in told[-1].reason


def test_help_desk_is_told_what_a_ban_waits_for():
    story = guesser()
    assert story.judge.doubts(address(SOURCE), story.now) is None
    story.fails(2, account="user2@example.com", **UNKNOWN)

    assert story.judge.doubts(address(SOURCE), story.now) == WAITS.reason
    assert story.judge.doubts(address("203.0.113.77"), story.now) is None

    story.proves(SOURCE)
    assert story.judge.doubts(address(SOURCE), story.now) is None
