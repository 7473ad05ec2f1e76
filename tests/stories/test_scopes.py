"""A source may be out of several groups of ports at once, each for a reason and a time of its own."""

from story import ENFORCE, SOURCE, START, Story, address, line

from appliance.judge.judge import Judge
from appliance.model import Ban, Outcome, Protocol, Scope

HOUR = 3600.0


def harvests(story: Story, at: float = 0.0) -> list[Ban]:
    """Fifteen guessed recipients within five minutes."""
    facts = {"rule": "postfix-recipient-unknown", "outcome": Outcome.RECIPIENT_UNKNOWN, "account": None}
    guesses = [line(at + 20 * number, protocol=Protocol.SMTP, **facts) for number in range(15)]
    return [banned.ban for banned in story.bans(guesses)]


def guesses(story: Story, at: float) -> list[Ban]:
    """Six wrong passwords within five minutes."""
    return [banned.ban for banned in story.bans(line(at + 50 * number) for number in range(6))]


def test_who_harvests_and_then_guesses_is_banned_for_both_and_the_ladder_goes_on():
    story = Story()

    (mail,) = harvests(story)
    (login,) = guesses(story, 600.0)

    assert (mail.detector, mail.scope, login.detector, login.scope) == (
        *("harvesting", Scope.SMTP_IN),
        *("guessing", Scope.ALL),
    )
    assert login.step == mail.step + 1
    assert set(story.judge.bans_in_force(story.now)) == {mail, login}


def test_who_harvests_is_still_counted_where_it_logs_in():
    story = Story()
    (mail,) = harvests(story)

    told = story.fails(600.0)

    assert told.reason == "1 of 6 points in 30 min"
    assert story.judge.bans_in_force(story.now) == [mail]


def test_to_let_a_source_in_lifts_both_and_the_next_ban_begins_at_the_foot():
    story = Story()
    both = {*harvests(story), *guesses(story, 600.0)}

    assert set(story.judge.unban(address(SOURCE), story.now)) == both
    assert story.judge.bans_in_force(story.now) == []
    (again,) = guesses(story, 2 * HOUR)
    assert again.step == 0


def test_a_restart_keeps_both():
    story = Story()
    both = [*harvests(story), *guesses(story, 600.0)]
    judge = Judge(ENFORCE, b"another seed")

    assert judge.restore(both, []) == []

    assert judge.bans_in_force(START + 900.0) == both
    assert judge.unban(address(SOURCE), START + 900.0) == both
