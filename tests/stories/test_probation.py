"""A ban ends. Whoever goes on where he left off gets no second row of tries; whoever logs in is free."""

from dataclasses import replace

from story import ANA, BOB, DAY, ENFORCE, HOUR, SOURCE, START, Story, address, line, nets

from appliance.judge.bans import Ladder
from appliance.model import Banned, Evidence, Mode, Outcome, Spared, Watched


def ended(policy=ENFORCE) -> tuple[Story, float]:
    """A stranger was banned for guessing; when the ban ended, in seconds of the story."""
    story = Story(policy)
    [ban] = story.bans(line(each) for each in range(6))
    return story, ban.ban.until - START


def test_first_failure_within_a_day_after_a_ban_is_the_next_ban():
    story, end = ended()

    verdict = story.fails(end + 2 * HOUR)

    assert isinstance(verdict, Banned)
    assert (verdict.detector, verdict.ban.step) == ("guessing", 1)
    assert verdict.reason == (
        "failed again at ana@example.com 2 h after its ban by guessing had ended, and never logged in"
    )


def test_bans_of_a_stranger_that_never_stops_climb_the_ladder_with_one_guess_each():
    story, at = ended()
    steps = []
    for _ in range(5):
        [ban] = story.bans([line(at + 60)])
        steps.append(ban.ban.step)
        at = ban.ban.until - START

    assert steps == [1, 2, 3, 4, 4]


def test_after_a_day_a_stranger_has_all_its_tries_again():
    story, end = ended()

    assert story.fails(end + DAY).reason == "1 of 6 points in 30 min"


def test_place_where_somebody_logs_in_beyond_doubt_is_on_no_probation():
    story, end = ended()
    story.judge.familiar.learn(address(SOURCE), ANA, START + end)

    assert story.fails(end + 60, account=BOB).reason == "1 of 6 points in 30 min"


def test_owner_who_was_banned_for_his_own_typing_gets_in_after_it_and_somebody_is_told():
    story, end = ended()

    told = story.notices([line(end + 60, rule="audit-success", outcome=Outcome.SUCCESS)])

    assert [notice.detector for notice in told] == ["break-in"]


def test_help_desk_that_lifts_a_ban_ends_the_probation():
    story = Story()
    story.bans(line(each) for each in range(6))
    story.judge.unban(address(SOURCE), story.now)

    assert story.fails(60).reason == "1 of 6 points in 30 min"


def test_ban_by_hand_puts_nobody_on_probation():
    story = Story()
    story.judge.ban(address(SOURCE), 60, "by hand", START)

    assert story.fails(120).reason == "1 of 6 points in 30 min"


def test_line_of_the_time_before_the_ban_ended_is_no_failure_after_it():
    story, end = ended()

    assert isinstance(story.fails(end - 60, now=end + 60, account=BOB), Watched)


def test_forged_line_needs_proof_here_as_well():
    story, end = ended()

    verdict = story.fails(end + 60, evidence=Evidence.WEAK)

    assert isinstance(verdict, Watched)
    assert verdict.asks_proof
    assert isinstance(story.proves(SOURCE)[-1], Banned)


def test_source_that_came_to_be_allowed_is_spared():
    story, end = ended()
    story.judge.adopt(replace(ENFORCE, allowlist=nets(SOURCE)))

    assert isinstance(story.fails(end + 60), Spared)


def test_neighbour_is_on_no_probation():
    story, end = ended()

    assert story.fails(end + 60, source="203.0.113.10").reason == "1 of 6 points in 30 min"


def test_operator_may_switch_it_off():
    story, end = ended(replace(ENFORCE, ladder=Ladder(probation=0)))

    assert story.fails(end + 60).reason == "1 of 6 points in 30 min"


def test_observing_policy_rehearses_it():
    story = Story(replace(ENFORCE, mode=Mode.OBSERVE))
    story.all_tell(line(each) for each in range(6))
    end = story.judge.rehearsed(address(SOURCE), story.now).until - START

    assert story.fails(end + 60).would_ban
