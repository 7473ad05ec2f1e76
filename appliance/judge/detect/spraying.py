"""spraying: one source that fails at many accounts."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import Case, DetectorMode, Kind, Score
from appliance.judge.reasons import reason
from appliance.model import Outcome, Scope


@dataclass(frozen=True, slots=True)
class Spraying:
    """5 distinct failing accounts in 1 h, unknown ones counted double: nobody has so many mailboxes.

    Where nobody ever logged in, 3 accounts that exist are enough: of people who share an address, three do not fail
    before one gets in. Names that do not exist stay with the first rule, for a newcomer may try a few of his own.
    """

    name: ClassVar[str] = "spraying"
    kind: ClassVar[Kind] = Kind.LOGIN
    unit: ClassVar[str] = "accounts"
    term: ClassVar[float | None] = None

    mode: DetectorMode = DetectorMode.ENFORCE
    accounts: int = 5
    strangers: int = 3
    within: float = 3600.0

    def scope(self, _case: Case) -> Scope:
        return Scope.ALL

    @property
    def limit(self) -> int:
        return self.accounts

    def first_step(self, case: Case) -> int:
        return 3 if self.score(case).limit < self.accounts else 2

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
        doubled = Score(len(accounts) + len(unknown), len(strong) + len(strong & unknown), self.accounts)
        if case.succeeded:
            return doubled
        existing = Score(len(accounts - unknown), len(strong - unknown), self.strangers)
        return max(existing, doubled, key=lambda score: score.whole / score.limit)

    def explain(self, case: Case) -> str:
        score = self.score(case)
        counted = f"{score.counting(proved=case.proved)} accounts"
        limited = (
            f"limit {score.limit}"
            if score.limit < self.accounts
            else f"limit {self.accounts}, unknown ones count double"
        )
        besides = "" if case.succeeded else "and no login ever"
        return reason(case, counted, limited, self.within, besides, by_proof=score.needs_proof)
