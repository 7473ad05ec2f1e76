"""admin-door: failed logins at the admin console. Whoever gets in there owns every mailbox."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import NOTHING, Case, DetectorMode, Kind, Score
from appliance.judge.reasons import reason
from appliance.judge.windows import failures_of
from appliance.model import Outcome, Scope

COUNTED = frozenset({Outcome.ADMIN_BAD_PASSWORD})


@dataclass(frozen=True, slots=True)
class AdminDoor:
    """3 failures in 1 h."""

    name: ClassVar[str] = "admin-door"
    kind: ClassVar[Kind] = Kind.LOGIN
    unit: ClassVar[str] = "failed admin logins"
    term: ClassVar[float | None] = None

    mode: DetectorMode = DetectorMode.ENFORCE
    attempts: int = 3
    within: float = 3600.0

    def scope(self, _case: Case) -> Scope:
        return Scope.ALL

    @property
    def limit(self) -> int:
        return self.attempts

    def first_step(self, _case: Case) -> int:
        return 0

    def score(self, case: Case) -> Score:
        if case.outcome is not Outcome.ADMIN_BAD_PASSWORD:
            return NOTHING
        return failures_of(case.attempts, COUNTED, self.within, case.now, self.attempts)

    def explain(self, case: Case) -> str:
        score = self.score(case)
        counted = f"{score.counting(proved=case.proved)} failed admin logins"
        return reason(case, counted, f"limit {self.attempts}", self.within, by_proof=score.needs_proof)
