"""harvesting: guesses recipients on port 25."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import NOTHING, Case, DetectorMode, Kind, Score
from appliance.judge.reasons import reason
from appliance.judge.windows import failures_of
from appliance.model import Outcome, Scope

COUNTED = frozenset({Outcome.RECIPIENT_UNKNOWN, Outcome.RELAY_DENIED})


@dataclass(frozen=True, slots=True)
class Harvesting:
    """15 unknown recipients in 10 min from a source of which no mail was accepted for 7 days. Closes port 25 only."""

    name: ClassVar[str] = "harvesting"
    kind: ClassVar[Kind] = Kind.ABUSE
    unit: ClassVar[str] = "points"
    term: ClassVar[float | None] = None

    mode: DetectorMode = DetectorMode.ENFORCE
    points: int = 15
    within: float = 600.0
    known_for: float = 7 * 86400.0
    """Seconds for which an accepted mail speaks for its source."""

    def scope(self, _case: Case) -> Scope:
        return Scope.SMTP_IN

    @property
    def limit(self) -> int:
        return self.points

    def first_step(self, _case: Case) -> int:
        return 1

    def score(self, case: Case) -> Score:
        return NOTHING if case.delivers else failures_of(case.attempts, COUNTED, self.within, case.now, self.points)

    def explain(self, case: Case) -> str:
        score = self.score(case)
        counted = f"{score.counting(proved=case.proved)} points"
        limited = f"limit {self.points}, no mail of it was accepted lately"
        return reason(case, counted, limited, self.within, only=COUNTED, by_proof=score.needs_proof)
