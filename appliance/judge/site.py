"""What is normal for the whole site: strangers an hour, logins an hour, over the last two weeks."""

from collections import OrderedDict
from collections.abc import Iterator
from math import sqrt
from statistics import fmean, median, pstdev

HOUR = 3600.0
HOURS = 14 * 24
"""Hours remembered: two weeks, so that a day is compared with days of its kind."""
SAME_HOUR = 3
"""Days from which on the same hour of the day is compared with itself; before that with all hours there are."""
STRANGERS = 65_536
"""Strangers told apart within one hour: far above every limit."""
FAILING = 4096
"""Familiar sources that fail at once and are told apart."""


class Hour:
    """What one hour saw."""

    __slots__ = ("strangers", "successes")

    def __init__(self) -> None:
        self.strangers = 0
        """Distinct sources that never logged in and failed."""
        self.successes = 0


class Site:
    """Counts of the running hour and of those before it."""

    def __init__(self) -> None:
        self._hour: int | None = None
        self._strangers: set[bytes] = set()
        self._running = Hour()
        self._past: OrderedDict[int, Hour] = OrderedDict()
        self._failing: OrderedDict[bytes, float] = OrderedDict()
        """Familiar sources that failed of late, the latest last."""
        self._minutes: OrderedDict[int, int] = OrderedDict()
        """Logins a minute of late."""

    def note_stranger(self, source: bytes, now: float) -> None:
        """A source failed from which nobody ever logged in."""
        self._turn(now)
        if len(self._strangers) < STRANGERS:
            self._strangers.add(source)
            self._running.strangers = len(self._strangers)

    def note_familiar_failure(self, source: bytes, now: float) -> None:
        """A source failed at an account that it is familiar for."""
        self._failing[source] = now
        self._failing.move_to_end(source)
        if len(self._failing) > FAILING:
            self._failing.popitem(last=False)

    def note_success(self, now: float) -> None:
        """Somebody logged in, beyond doubt."""
        self._turn(now)
        self._running.successes += 1
        minute = int(now // 60)
        self._minutes[minute] = self._minutes.get(minute, 0) + 1
        if len(self._minutes) > 120:
            self._minutes.popitem(last=False)

    def strangers_this_hour(self, now: float) -> int:
        self._turn(now)
        return self._running.strangers

    def usual_strangers(self, now: float, sigmas: float) -> float | None:
        """How many strangers an hour are still normal: mean and so many standard deviations; None if unknown.

        The deviation is taken for no less than counting alone brings about (Poisson: the root of the mean).
        """
        numbers = [hour.strangers for hour in self._like(now)]
        if len(numbers) < SAME_HOUR:
            return None
        mean = fmean(numbers)
        return mean + sigmas * max(pstdev(numbers), sqrt(mean), 1.0)

    def familiar_failing(self, within: float, now: float) -> int:
        """How many familiar sources failed in the last `within` seconds."""
        while self._failing and next(iter(self._failing.values())) <= now - within:
            self._failing.popitem(last=False)
        return len(self._failing)

    def successes_within(self, within: float, now: float) -> int:
        """Logins in the last `within` seconds, to the minute."""
        since = (now - within) // 60
        return sum(number for minute, number in self._minutes.items() if since < minute <= now // 60)

    def usual_successes(self, within: float, now: float) -> float | None:
        """How many logins `within` seconds have at this hour: the median of the days before; None if unknown.

        Where no day has gone by yet, the hour before the last `within` seconds is taken for normal.
        """
        numbers = [hour.successes for hour in self._like(now)]
        if len(numbers) >= SAME_HOUR:
            return median(numbers) * within / HOUR
        before = self.successes_within(HOUR + within, now) - self.successes_within(within, now)
        return before * within / HOUR if before else None

    def _like(self, now: float) -> Iterator[Hour]:
        """The past hours to compare the running one with."""
        self._turn(now)
        hour = int(now // HOUR)
        same = [self._past[hour - day * 24] for day in range(1, 15) if hour - day * 24 in self._past]
        return iter(same if len(same) >= SAME_HOUR else self._past.values())

    def _turn(self, now: float) -> None:
        """Close the running hour when its time is over. Hours in which nothing happened count as well."""
        hour = int(now // HOUR)
        if self._hour is None:
            self._hour = hour
        if hour <= self._hour:  # a clock set back: the running hour grows longer
            return
        self._past[self._hour] = self._running
        for empty in range(max(self._hour + 1, hour - HOURS), hour):
            self._past[empty] = Hour()
        while len(self._past) > HOURS:
            self._past.popitem(last=False)
        self._hour, self._running, self._strangers = hour, Hour(), set()
