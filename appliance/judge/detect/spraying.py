"""spraying: one source that fails at many accounts."""

from dataclasses import dataclass

from appliance.judge.detector import Case, DetectorMode, Score
from appliance.judge.reasons import reason
from appliance.model import Outcome


@dataclass(frozen=True, slots=True)
class Spraying:
    """5 distinct failing accounts in 1 h, unknown ones counted double: nobody has so many mailboxes."""

    mode: DetectorMode = DetectorMode.ENFORCE
    accounts: int = 5
    within: float = 3600.0

    @property
    def name(self) -> str:
        return "spraying"

    @property
    def limit(self) -> int:
        return self.accounts

    @property
    def unit(self) -> str:
        return "accounts"

    @property
    def first_step(self) -> int:
        return 2

    def score(self, case: Case) -> Score:
        since = case.now - self.within
        accounts, unknown, strong = set(), set(), set()
        for attempt in reversed(case.attempts):
            if attempt.time <= since:
                break
            account = attempt.account
            if account is not None and attempt.points and attempt.time <= case.now:
                accounts.add(account)
                if attempt.outcome is Outcome.UNKNOWN_ACCOUNT:
                    unknown.add(account)
                if attempt.strong:
                    strong.add(account)
        return Score(len(accounts) + len(unknown), len(strong) + len(strong & unknown))

    def explain(self, case: Case) -> str:
        score = self.score(case)
        counted = f"{score.counting(proved=case.proved)} accounts"
        limited = f"limit {self.limit}, unknown ones count double"
        return reason(case, counted, limited, self.within, by_proof=score.needs_proof(self.limit))
