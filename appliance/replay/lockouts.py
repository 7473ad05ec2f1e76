"""Accounts that Zimbra itself locked, and whether it would have come to that."""

from collections import OrderedDict, deque
from typing import NamedTuple

ACCOUNTS = 100_000
"""Accounts whose failures are remembered; the one that failed longest ago gives way."""

SET = "audit-lockout-set"
"""The rule that recognises Zimbra's own word of it."""

AGAIN = 60.0
"""Seconds in which a lockout told twice is one."""


class Lockout(NamedTuple):
    """One account locked by Zimbra."""

    time: float
    account: str
    failures: int
    """Failed attempts at it within the time that Zimbra looks back, by the logs."""
    reached: int
    """How many of them would have reached Zimbra."""
    avoided: bool
    """Whether those are too few to lock it."""


class Lockouts:
    """Failures by account, as many as Zimbra counts."""

    def __init__(self, max_failures: int, within: float) -> None:
        """As `[zimbra.lockout]` says; 0 where Zimbra locks nobody."""
        self.found: list[Lockout] = []
        self._most = max_failures
        self._within = within
        self._failures: OrderedDict[str, deque[tuple[float, bool]]] = OrderedDict()

    def failure(self, account: str, time: float, *, reached: bool) -> None:
        times = self._failures.get(account)
        if times is None:
            times = self._failures[account] = deque(maxlen=4 * max(self._most, 25))
            if len(self._failures) > ACCOUNTS:
                self._failures.popitem(last=False)
        else:
            self._failures.move_to_end(account)
        times.append((time, reached))

    def set(self, account: str, time: float) -> None:
        """Zimbra locked an account."""
        if any(each.account == account and time - each.time < AGAIN for each in self.found[-8:]):
            return
        times = [each for each in self._failures.get(account, ()) if time - self._within <= each[0] <= time + 1]
        failures, reached = len(times), sum(reached for _, reached in times)
        needed = min(self._most, failures) if self._most else failures  # the logs may begin in the middle
        self.found.append(Lockout(time, account, failures, reached, reached < needed))
