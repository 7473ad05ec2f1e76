"""siege: one account, many strangers. Each further stranger has one try."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.accounts import Account, Lockout
from appliance.judge.detector import NOTHING, Case, DetectorMode, Kind, Score
from appliance.judge.reasons import reason
from appliance.judge.windows import failures_of
from appliance.judge.words import several, span
from appliance.model import Outcome, Protocol, Scope

COUNTED = frozenset({Outcome.BAD_PASSWORD, Outcome.ADMIN_BAD_PASSWORD, Outcome.SECOND_FACTOR_FAILED})
"""What says that the password was wrong, or known to somebody."""
REFUSED = COUNTED | {Outcome.ACCOUNT_LOCKED}
"""A locked account refuses right and wrong passwords alike, its owner's phone on a new address too. So it counts only
against who had a wrong password before."""
DAY = 86400.0
PRESSERS = 2
"""Strangers from which on a spent budget is a siege. One alone is a guesser."""


@dataclass(frozen=True, slots=True)
class Siege:
    """Starts with 5 failing strangers in 1 h, or when strangers used half of Zimbra's lockout budget.

    From then on a stranger is banned at its second failure, or 90 s after its first if no success came. Whoever is
    near the account's owner, in a /24 or /48 where the account logged in, is left to the other detectors.
    """

    name: ClassVar[str] = "siege"
    kind: ClassVar[Kind] = Kind.LOGIN
    unit: ClassVar[str] = "failures at a besieged account"
    term: ClassVar[float | None] = None

    mode: DetectorMode = DetectorMode.ENFORCE
    strangers: int = 5
    within: float = 3600.0
    tries: int = 2
    grace: float = 90.0
    """Seconds after a stranger's first failure in which a success clears it."""
    quiet: float = 3600.0
    """Seconds without a stranger's failure after which the siege is over."""

    def scope(self, case: Case) -> Scope:
        """Port 25 as well where it was tried over SMTP, for Postfix offers logins there too."""
        return Scope.ALL if any(each.protocol is Protocol.SMTP for each in case.attempts) else Scope.LOGIN

    @property
    def limit(self) -> int:
        return self.tries

    def first_step(self, case: Case) -> int:
        return 0 if case.is_inhabited else 1

    def starts(self, account: Account, lockout: Lockout, now: float) -> bool:
        """Whether what strangers did at an account is a siege."""
        strangers = account.strangers_within(self.within, now)
        if strangers >= self.strangers:
            return True
        if strangers < PRESSERS or not lockout.max_failures:
            return False
        return 2 * account.strangers_tries(lockout.within, now) >= lockout.max_failures

    def concerns(self, case: Case) -> bool:
        """Whether a stranger failed at a besieged account."""
        if not case.besieged or case.succeeded or case.is_near:
            return False
        return case.outcome in COUNTED or (case.outcome is Outcome.ACCOUNT_LOCKED and _was_wrong(case))

    def score(self, case: Case) -> Score:
        if not self.concerns(case):
            return NOTHING
        return failures_of(case.attempts, REFUSED, self.within, case.now, self.tries, case.account)

    def explain(self, case: Case) -> str:
        """`2 failures at a besieged account in 1 h (limit 2): …; 7 strangers tried it`."""
        score = self.score(case)
        failures = score.counting(proved=case.proved)
        counted = f"{failures} failure{'s' * (failures != 1)} at a besieged account"
        waited = f"limit {self.tries}" if failures >= self.tries else f"and no login within {span(self.grace)}"
        strangers = case.on_account.strangers_within(self.within, case.now) if case.on_account else 0
        said = reason(case, counted, waited, self.within, by_proof=score.needs_proof)
        return f"{said}; {several(strangers, 'strangers')} tried that account"


def _was_wrong(case: Case) -> bool:
    """Whether this source had a wrong password at this account within a day."""
    since = case.now - DAY
    return any(
        since < each.time <= case.now and each.account == case.account and each.outcome in COUNTED
        for each in case.attempts
    )
