"""slow-guessing: a source that fails all day long and never once gets in."""

from dataclasses import dataclass

from appliance.judge.detector import Case, DetectorMode, Score
from appliance.judge.reasons import points_reason
from appliance.judge.windows import points_within

NOTHING = Score(0, 0)


@dataclass(frozen=True, slots=True)
class SlowGuessing:
    """10 points in 24 h without a success ever. Whoever is that patient is kept out for 12 h at first."""

    mode: DetectorMode = DetectorMode.ENFORCE
    points: int = 10
    within: float = 86400.0

    @property
    def name(self) -> str:
        return "slow-guessing"

    @property
    def limit(self) -> int:
        return self.points

    @property
    def unit(self) -> str:
        return "points"

    @property
    def first_step(self) -> int:
        return 2

    def score(self, case: Case) -> Score:
        return NOTHING if case.succeeded else points_within(case.attempts, self.within, case.now)

    def explain(self, case: Case) -> str:
        return points_reason(case, self.score(case), self.limit, self.within, "and no login ever")
