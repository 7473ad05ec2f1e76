"""What happened lately: exact sliding windows over the attempts of one source.

A source has one list of attempts, sorted by time, that serves every window. A window is the half-open span
(now - within, now], so that an attempt leaves it exactly `within` seconds after it was made.
"""

from bisect import insort
from collections.abc import Collection, Iterator, Sequence
from operator import attrgetter

from appliance.judge.attempts import Attempt
from appliance.judge.detector import Case, Score
from appliance.model import Outcome

_time = attrgetter("time")


def keep(attempts: list[Attempt], attempt: Attempt, oldest: float, depth: int) -> None:
    """Put an attempt in its place, and drop what can no longer matter.

    That is what happened at `oldest` or before, and whatever exceeds twice `depth`: then the oldest goes of
    those that strong evidence bears or of those that it does not, whichever are more. So at least the `depth`
    newest of either kind stay, and a flood of forged lines cannot push out what really happened.
    """
    if not attempts or attempts[-1].time <= attempt.time:
        attempts.append(attempt)
    else:
        insort(attempts, attempt, key=_time)
    while attempts and attempts[0].time <= oldest:
        del attempts[0]
    if len(attempts) > 2 * depth:
        strong = sum(1 for each in attempts if each.strong)
        kind = strong > len(attempts) - strong
        del attempts[next(place for place, each in enumerate(attempts) if bool(each.strong) is kind)]


def points_within(attempts: Sequence[Attempt], within: float, now: float, limit: int) -> Score:
    """The points of a window."""
    since = now - within
    points = strong = 0
    for attempt in reversed(attempts):
        time = attempt.time
        if time <= since:
            break
        if time <= now:
            points += attempt.points
            strong += attempt.strong
    return Score(points, strong, limit)


def scoring(attempts: Sequence[Attempt], within: float, now: float) -> Iterator[Attempt]:
    """The attempts of a window that are worth points, oldest first."""
    since = now - within
    return (each for each in attempts if since < each.time <= now and each.points)


def failures_of(
    attempts: Sequence[Attempt],
    outcomes: Collection[Outcome],
    within: float,
    now: float,
    limit: int,
    account: str | None = None,
) -> Score:
    """How many attempts of a window ended in one of these ways; with an account, at that one."""
    since = now - within
    failures = strong = 0
    for attempt in reversed(attempts):
        if attempt.time <= since:
            break
        if (
            attempt.points
            and attempt.outcome in outcomes
            and attempt.time <= now
            and account in (None, attempt.account)
        ):
            failures += 1
            strong += bool(attempt.strong)
    return Score(failures, strong, limit)


def is_locked_out(case: Case) -> bool:
    """Whether all that a source did was to find accounts locked.

    Zimbra then refuses right and wrong passwords alike, and the owner on the way is a stranger too.
    """
    return not any(each.points and each.outcome is not Outcome.ACCOUNT_LOCKED for each in case.attempts)
