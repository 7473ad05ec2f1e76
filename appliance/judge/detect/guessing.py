"""guessing: a source that fails too often."""

from dataclasses import dataclass

from appliance.judge.detector import Case, DetectorMode, Score
from appliance.judge.reasons import points_reason
from appliance.judge.windows import points_within


@dataclass(frozen=True, slots=True)
class Guessing:
    """6 points in 30 min. Zimbra locks the account at 10 failures in 30 min; the source has to fall first."""

    mode: DetectorMode = DetectorMode.ENFORCE
    points: int = 6
    within: float = 1800.0

    @property
    def name(self) -> str:
        return "guessing"

    @property
    def limit(self) -> int:
        return self.points

    @property
    def unit(self) -> str:
        return "points"

    @property
    def first_step(self) -> int:
        return 0

    def score(self, case: Case) -> Score:
        return points_within(case.attempts, self.within, case.now)

    def explain(self, case: Case) -> str:
        return points_reason(case, self.score(case), self.limit, self.within)
