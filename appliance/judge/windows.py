"""What happened lately: exact sliding windows over the attempts of one source.

A source has one list of attempts, sorted by time, that serves every window. A window is the half-open span
(now - within, now], so that an attempt leaves it exactly `within` seconds after it was made.
"""

from bisect import insort
from collections.abc import Iterator, Sequence
from operator import attrgetter

from appliance.judge.attempts import Attempt
from appliance.judge.detector import Score

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


def points_within(attempts: Sequence[Attempt], within: float, now: float) -> Score:
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
    return Score(points, strong)


def scoring(attempts: Sequence[Attempt], within: float, now: float) -> Iterator[Attempt]:
    """The attempts of a window that are worth points, oldest first."""
    since = now - within
    return (each for each in attempts if since < each.time <= now and each.points)
