"""probing: talks to the login ports without logging in."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import NOTHING, Case, DetectorMode, Kind, Score
from appliance.judge.reasons import reason
from appliance.judge.windows import failures_of
from appliance.model import Outcome, Scope

COUNTED = frozenset({Outcome.AUTH_INCOMPLETE, Outcome.PROTOCOL_ABUSE, Outcome.RELAY_DENIED})


@dataclass(frozen=True, slots=True)
class Probing:
    """10 dropped AUTHs, pregreets, pipelined or foreign commands, refused relays in 10 min, by a stranger."""

    name: ClassVar[str] = "probing"
    kind: ClassVar[Kind] = Kind.ABUSE
    unit: ClassVar[str] = "points"
    term: ClassVar[float | None] = None

    mode: DetectorMode = DetectorMode.ENFORCE
    points: int = 10
    within: float = 600.0

    def scope(self, _case: Case) -> Scope:
        return Scope.LOGIN

    @property
    def limit(self) -> int:
        return self.points

    def first_step(self, _case: Case) -> int:
        return 0

    def score(self, case: Case) -> Score:
        return NOTHING if case.succeeded else failures_of(case.attempts, COUNTED, self.within, case.now, self.points)

    def explain(self, case: Case) -> str:
        score = self.score(case)
        counted = f"{score.counting(proved=case.proved)} points"
        limited = f"limit {self.points}"
        return reason(case, counted, limited, self.within, only=COUNTED, by_proof=score.needs_proof)
