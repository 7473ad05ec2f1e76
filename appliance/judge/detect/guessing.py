"""guessing: a source that fails too often."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import NOTHING, Case, DetectorMode, Kind, Score
from appliance.judge.reasons import points_reason
from appliance.judge.windows import is_locked_out, points_within
from appliance.model import Outcome, Scope

UNNAMED = 5
"""Where somebody logs in, so many failures without an account's name count as one: a stale phone behind Postfix, whose
lines name no account, shall not have its office banned, and whoever owns one mailbox shall not guess for ever."""


@dataclass(frozen=True, slots=True)
class Guessing:
    """6 points in 30 min. Zimbra locks the account at 10 failures in 30 min; the source has to fall first."""

    name: ClassVar[str] = "guessing"
    kind: ClassVar[Kind] = Kind.LOGIN
    unit: ClassVar[str] = "points"
    term: ClassVar[float | None] = None

    mode: DetectorMode = DetectorMode.ENFORCE
    points: int = 6
    within: float = 1800.0
    in_campaign: int = 3
    """The limit for strangers while a campaign goes on; that detector's setting."""

    def scope(self, _case: Case) -> Scope:
        return Scope.ALL

    @property
    def limit(self) -> int:
        return self.points

    def first_step(self, _case: Case) -> int:
        return 0

    def score(self, case: Case) -> Score:
        if case.succeeded:
            return self._where_people_log_in(case)
        if case.outcome is Outcome.ACCOUNT_LOCKED and is_locked_out(case):
            return NOTHING
        limit = min(self.points, self.in_campaign) if case.in_campaign else self.points
        return points_within(case.attempts, self.within, case.now, limit)

    def explain(self, case: Case) -> str:
        score = self.score(case)
        besides = "while the whole site is under attack" if score.limit < self.points else ""
        return points_reason(case, score, self.within, besides)

    def _where_people_log_in(self, case: Case) -> Score:
        score = points_within(case.attempts, self.within, case.now, self.points)
        nameless = [each for each in case.attempts if each.account is None]
        unnamed = points_within(nameless, self.within, case.now, self.points)
        whole = score.whole - unnamed.whole + unnamed.whole // UNNAMED
        return Score(whole, score.strong - unnamed.strong + unnamed.strong // UNNAMED, self.points)
