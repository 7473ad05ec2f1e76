"""trap: a login name that nobody uses, so that whoever tries it is a guesser."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import NOTHING, Case, DetectorMode, Kind, Score
from appliance.judge.words import moment, shown
from appliance.model import Scope


@dataclass(frozen=True, slots=True)
class Trap:
    """One failure at a listed name: 24 h. The list is the operator's; empty by default."""

    name: ClassVar[str] = "trap"
    kind: ClassVar[Kind] = Kind.LOGIN
    limit: ClassVar[int] = 1
    unit: ClassVar[str] = "failures at a trap"
    within: ClassVar[float] = 1800.0

    mode: DetectorMode = DetectorMode.ENFORCE
    accounts: tuple[str, ...] = ()
    """In lower case; `info` stands for `info@` any domain."""
    term: float = 86400.0

    def scope(self, _case: Case) -> Scope:
        return Scope.ALL

    def first_step(self, _case: Case) -> int:
        return 2

    def score(self, case: Case) -> Score:
        if not self.accounts or case.account is None or not self._is_trap(case.account):
            return NOTHING
        since = case.now - self.within
        tried = [each for each in case.attempts if each.account == case.account and since < each.time <= case.now]
        whole = any(each.points for each in tried)
        return Score(int(whole), int(any(each.strong for each in tried)), 1)

    def explain(self, case: Case) -> str:
        return f"tried {shown(case.account or '')} at {moment(case.now)}, a name that nobody uses (trap)"

    def _is_trap(self, account: str) -> bool:
        return account in self.accounts or account.partition("@")[0] in self.accounts
