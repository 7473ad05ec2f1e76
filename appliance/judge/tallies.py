"""How many attempts were made at an account, or at the whole site, whoever made them.

Nobody is banned on these counts, so they cost less than `attempts`: of each shape of line (its rule), the
k-th joins the k-th attempt that lies within `NEAR` seconds. That is exact while the lines of one shape come
in order.
"""

from bisect import bisect_right, insort

from appliance.judge.attempts import NEAR

JOINABLE = 64
"""Attempts at one account that a line may still join: more within the senders' lag are past every limit."""
SITE_JOINABLE = 1024
"""The same for the whole site."""


class _Joins:
    """The attempts of one protocol, and for each shape of line the next that it may join."""

    __slots__ = ("_dropped", "_most", "_next", "_times")

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: list[float] = []
        self._dropped = 0
        """How many attempts left the list; `_next` counts from the first there ever was."""
        self._next: dict[str, int] = {}

    def opens(self, shape: str, time: float) -> bool:
        """Whether the line is a new attempt's first."""
        times = self._times
        if len(times) >= 2 * self._most:
            del times[: self._most]
            self._dropped += self._most
        dropped = self._dropped
        place = max(self._next.get(shape, 0) - dropped, 0)
        while place < len(times) and times[place] < time - NEAR:
            place += 1
        if place < len(times) and times[place] <= time + NEAR:
            self._next[shape] = dropped + place + 1
            return False
        times.append(time)
        self._next[shape] = dropped + len(times)
        return True


class Tally:
    """The attempts at one account, or at all of them."""

    __slots__ = ("_joinable", "_joins", "account", "times")

    def __init__(self, account: str = "", joinable: int = JOINABLE) -> None:
        self.account = account
        """The one copy of the name that all attempts share; empty for the whole site."""
        self._joinable = joinable
        self._joins: dict[str, _Joins] = {}
        self.times: list[float] = []
        """When the newest attempts were made, sorted."""

    def add(self, protocol: str, shape: str, time: float, count: int, depth: int) -> int:
        """Count one line that stands for `count` attempts, and keep the `depth` newest; how many are new."""
        joins = self._joins.get(protocol)
        if joins is None:
            joins = self._joins[protocol] = _Joins(self._joinable)
        opened = 0
        for _ in range(count):
            if joins.opens(shape, time):
                self._put(time, depth)
                opened += 1
        return opened

    def _put(self, time: float, depth: int) -> None:
        times = self.times
        if not times or times[-1] <= time:
            times.append(time)
        else:
            insort(times, time)
        if len(times) > depth:
            del times[0]

    def within(self, seconds: float, now: float) -> int:
        """How many attempts lie in the window (now - seconds, now]."""
        return bisect_right(self.times, now) - bisect_right(self.times, now - seconds)
