"""Adds one failure to every count it belongs to, and lays together what bears on it."""

from collections.abc import Sequence
from dataclasses import replace

from appliance.address import Net
from appliance.judge.accounts import Account
from appliance.judge.attempts import MOST_REPEATS, NEAR, SESSION, Attempt
from appliance.judge.detect.siege import COUNTED as PRESSING
from appliance.judge.detect.siege import Siege
from appliance.judge.detector import Case, Detector, Teller
from appliance.judge.memory import Memory
from appliance.judge.windows import keep
from appliance.model import AuthEvent, Evidence, Outcome

_LOCKED = frozenset({Outcome.ACCOUNT_LOCKED, Outcome.ACCOUNT_INACTIVE})
_LATELY = 300.0
"""Seconds for which a failure bears on whether the login service is broken."""


class Counting:
    """The way of one failure into the tables."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.refit()

    def refit(self) -> None:
        """Follow the policy: how far back and how much is kept."""
        policy = self._memory.policy
        everyone: list[Detector | Teller] = [*policy.detectors, *policy.tellers]
        self.horizon = max((each.within for each in everyone), default=0.0)
        """The longest window, in seconds: what is older is not kept."""
        self._depth = max((each.limit for each in everyone), default=1)
        """The highest limit: more attempts of one source need not be kept."""
        self._tally_depth = max((each.tally_limit for each in policy.tellers), default=1)
        self._tally_depth = max(self._tally_depth, policy.lockout.max_failures)
        self._quiet = next((each.quiet for each in policy.detectors if isinstance(each, Siege)), 0.0)

    def login(
        self, event: AuthEvent, source: Net | None, account: Account | None, time: float, now: float, points: int
    ) -> tuple[Case, bool]:
        """Count a failed login; whether any count changed by it."""
        memory = self._memory
        if source is None:
            count = min(event.count, MOST_REPEATS)
            memory.everyone.add(event.protocol.value, event.rule, time, count, self._tally_depth)
            self.at_account(event, account, time)
            name = None if account is None else account.name
            return Case(now, None, name, (), False, account, memory.everyone, outcome=event.outcome), True
        tries = self.at_account(event, account, time)
        attempts = memory.logins.attempts(source.packed)
        name = None if account is None else account.name
        joined = memory.joins.join(source.packed, event, time, name, points)
        for attempt in joined.created:
            keep(attempts, attempt, now - self.horizon, self._depth)
        if joined.created:
            memory.attempts += len(joined.created)
            memory.everyone.add(event.protocol.value, "from a source", time, len(joined.created), self._tally_depth)
        case = self.case(source, account, attempts, now, event.outcome)
        if case.succeeded:
            self._excuse(case, source)
        if joined.changed:
            self._note(case, source, time, tries, strong=event.evidence is Evidence.STRONG)
        return case, joined.changed

    def spent(self, event: AuthEvent, account: Account | None, time: float, now: float) -> Case:
        """Count a failed login of a source that is banned, at its account and for the site alone."""
        memory = self._memory
        tries = self.at_account(event, account, time)
        memory.everyone.add(event.protocol.value, event.rule, time, min(event.count, MOST_REPEATS), self._tally_depth)
        memory.attempts += tries
        name = None if account is None else account.name
        return Case(now, None, name, (), False, account, memory.everyone, outcome=event.outcome)

    def at_account(self, event: AuthEvent, account: Account | None, time: float) -> int:
        """Count a line at its account; how many attempts it is the first to tell of."""
        if account is None:
            return 0
        count = min(event.count, MOST_REPEATS)
        return account.tally.add(event.protocol.value, event.rule, time, count, self._tally_depth)

    def abuse(self, event: AuthEvent, source: Net, time: float, now: float) -> tuple[Case, bool]:
        """Count what is no login. A dropped AUTH that its session's failed logins explain is none."""
        memory = self._memory
        attempts = memory.abuses.attempts(source.packed)
        if event.outcome is Outcome.AUTH_INCOMPLETE:
            explained = sum(
                1
                for each in memory.logins.known(source.packed)
                if each.protocol is event.protocol and time - SESSION <= each.time <= time + SESSION
            )
            if explained >= event.count:
                return self.case(source, None, attempts, now, event.outcome), False
            event = event if not explained else _fewer(event, explained)
        joined = memory.abuse_joins.join(source.packed, event, time, None, 1)
        for attempt in joined.created:
            keep(attempts, attempt, now - self.horizon, self._depth)
        return self.case(source, None, attempts, now, event.outcome), joined.changed

    def case(
        self, source: Net, account: Account | None, attempts: Sequence[Attempt], now: float, outcome: Outcome
    ) -> Case:
        """Everything that bears on a failure of this source."""
        memory = self._memory
        familiar = memory.familiar
        name = None if account is None else account.name
        succeeded = familiar.has_succeeded(source, now)
        case = Case(
            now,
            source,
            name,
            attempts,
            succeeded,
            account,
            memory.everyone,
            not succeeded and memory.is_proved(source, now),
            outcome,
        )
        if succeeded and name is not None:
            case.is_familiar = familiar.knows(source, name, now)
        case.in_campaign = memory.campaign_seen is not None and memory.in_campaign(now)
        return case

    def _excuse(self, case: Case, source: Net) -> None:
        """Failures at accounts that this source is familiar for are worth no points, whichever line named them.

        Until its last line has come an attempt may still turn out to be somebody else's: `held_against` sees to that.
        """
        knows, now = self._memory.familiar.knows, case.now
        for attempt in case.attempts:
            account = attempt.account if attempt.points and now - attempt.time > SESSION else None
            if account is not None and knows(source, account, now):
                attempt.forgive()

    def held_against(self, case: Case, source: Net) -> Sequence[Attempt]:
        """The attempts of a source, less those at accounts that it is familiar for."""
        if not case.succeeded:
            return case.attempts
        knows, now = self._memory.familiar.knows, case.now
        return [each for each in case.attempts if each.account is None or not knows(source, each.account, now)]

    def _note(self, case: Case, source: Net, time: float, tries: int, *, strong: bool) -> None:
        """Whose failure it was, for the account and for the site."""
        memory, account, now = self._memory, case.on_account, case.now
        lately = time > now - _LATELY
        if case.is_familiar:
            if account is not None:
                account.note_known(source.packed, time)
            if lately:
                memory.site.note_familiar_failure(source.packed, now)
            return
        if case.succeeded:
            if account is not None:
                memory.office(source).fails(account.name, time)
            return
        if lately:
            memory.site.note_stranger(source.packed, now)
        if strong and len(source.packed) == 16:
            memory.rotating.note(source, now)
        if account is None:
            return
        if case.outcome in _LOCKED and memory.familiar.is_near(source, account.name, now):
            # the owner's phone on a new address, while Zimbra refuses everybody; Postfix may have told of it before
            for attempt in case.attempts:
                if (
                    attempt.account == account.name
                    and abs(attempt.time - time) <= NEAR
                    and (strong or not attempt.strong)
                ):
                    attempt.forgive()
        elif case.outcome in _LOCKED:
            if account.is_besieged(self._quiet, now):
                account.note_pressure(time)
        elif case.outcome in PRESSING:
            account.end_siege(self._quiet, now)
            account.note_stranger(source.packed, time, tries, max(memory.policy.lockout.max_failures, 1))
            memory.accounts.mark(account, close=len(account.strangers) > 1)


def _fewer(event: AuthEvent, explained: int) -> AuthEvent:
    return replace(event, count=event.count - explained)
