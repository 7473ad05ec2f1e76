"""slow-guessing: a source that fails all day long and never once gets in."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import NOTHING, Case, DetectorMode, Kind, Score
from appliance.judge.reasons import points_reason
from appliance.judge.windows import is_locked_out, points_within
from appliance.model import Outcome, Scope


@dataclass(frozen=True, slots=True)
class SlowGuessing:
    """10 points in 24 h without a success ever. Whoever is that patient is kept out for 12 h at first."""

    name: ClassVar[str] = "slow-guessing"
    kind: ClassVar[Kind] = Kind.LOGIN
    unit: ClassVar[str] = "points"
    term: ClassVar[float | None] = None

    mode: DetectorMode = DetectorMode.ENFORCE
    points: int = 10
    within: float = 86400.0

    def scope(self, _case: Case) -> Scope:
        return Scope.ALL

    @property
    def limit(self) -> int:
        return self.points

    def first_step(self, _case: Case) -> int:
        return 2

    def score(self, case: Case) -> Score:
        if case.succeeded or (case.outcome is Outcome.ACCOUNT_LOCKED and is_locked_out(case)):
            return NOTHING
        return points_within(case.attempts, self.within, case.now, self.points)

    def explain(self, case: Case) -> str:
        return points_reason(case, self.score(case), self.within, "and no login ever")
