"""A model of Zimbra's login: passwords, and the failed-login lockout of zimbraPasswordLockout*."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from bench.stories.script import Try


class Answer(Enum):
    WELCOME = 0
    WRONG = 1
    """Wrong password."""
    LOCKS = 2
    """Wrong password, and the account is locked by it."""
    LOCKED = 3
    """Refused whatever the password: the account is locked."""
    UNKNOWN = 4
    """There is no such account."""


@dataclass(frozen=True, slots=True)
class Lockout:
    """Zimbra's failed-login policy; the defaults are those of its documentation."""

    failures: int = 10
    within: float = 1800.0
    lasts: float = 3600.0


@dataclass(slots=True)
class Zimbra:
    """Counts failures of each account, whoever makes them, and locks."""

    lockout: Lockout = field(default_factory=Lockout)
    broken: tuple[tuple[float, float], ...] = ()
    lockouts: int = 0
    _failures: dict[str, deque[float]] = field(default_factory=dict)
    _locked: dict[str, float] = field(default_factory=dict)

    def meet(self, attempt: Try) -> Answer:
        if not attempt.exists:
            return Answer.UNKNOWN
        if attempt.at < self._locked.get(attempt.account, attempt.at):
            return Answer.LOCKED
        if attempt.right and not any(start <= attempt.at < stop for start, stop in self.broken):
            self._failures.pop(attempt.account, None)
            return Answer.WELCOME
        failures = self._failures.setdefault(attempt.account, deque())
        failures.append(attempt.at)
        while failures[0] <= attempt.at - self.lockout.within:
            failures.popleft()
        if len(failures) < self.lockout.failures:
            return Answer.WRONG
        failures.clear()
        self._locked[attempt.account] = attempt.at + self.lockout.lasts
        self.lockouts += 1
        return Answer.LOCKS
