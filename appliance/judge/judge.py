"""The judge: what one event leads to, and why.

It reads no clock and touches nothing: it is told the time, and answers with verdicts.
"""

from collections.abc import Iterable, Iterator, Mapping

from appliance.address import SOURCE_PREFIX, Net, source_of
from appliance.judge.accounts import Account, Budget
from appliance.judge.alarms import Alarms
from appliance.judge.bans import OPERATOR, Bans
from appliance.judge.counting import Counting
from appliance.judge.detector import Case, Kind, Login
from appliance.judge.doors import door_of
from appliance.judge.familiar import Familiar
from appliance.judge.memory import DAY, Grace, Memory
from appliance.judge.policy import ABUSES, POINTS, WIDEST, Policy
from appliance.judge.sendings import OURS
from appliance.judge.sentencing import Sentencing
from appliance.judge.words import shown, span
from appliance.model import (
    AuthEvent,
    Ban,
    Banned,
    Evidence,
    Mode,
    Outcome,
    Scope,
    Spared,
    Verdict,
    Watched,
)

ACCOUNT_LENGTH = 254
"""Characters of an account name that count: the longest mail address (RFC 5321 4.5.3.1.3, less brackets)."""

TICK = 1.0
"""Seconds at least between two looks at what time alone leads to."""


class Judge:
    """Counts what events tell, and says who is to be banned. The policy can be exchanged; counts survive."""

    def __init__(self, policy: Policy, seed: bytes) -> None:
        """`seed` keys the jitter of bans: secret."""
        self._memory = Memory(policy, seed)
        self._counting = Counting(self._memory)
        self._sentencing = Sentencing(self._memory)
        self._alarms = Alarms(self._memory)
        self._ticked = float("-inf")

    def judge(self, event: AuthEvent, now: float) -> list[Verdict]:
        """Say what one event leads to: first what is overdue, then what the event is about, last of all its source."""
        before = self.tick(now) if not 0.0 <= now - self._ticked < TICK else []
        source = None if event.source is None else source_of(event.source)
        account = None if event.account is None else event.account[:ACCOUNT_LENGTH].lower()
        time = min(event.time, now)
        heard = self._alarms.heard(event.sender, event.program, 1, now)
        verdicts = self._judge(event, source, account, time, now)
        return verdicts if not before and not heard else [*before, *heard, *verdicts]

    def _judge(
        self, event: AuthEvent, source: Net | None, account: str | None, time: float, now: float
    ) -> list[Verdict]:
        outcome = event.outcome
        if points := POINTS.get(outcome, 0):
            if time <= now - self._counting.horizon:
                return [Watched(source, None, f"older than {span(self._counting.horizon)}, the longest window")]
            return self._failed(event, source, account, time, now, points)
        if outcome is Outcome.SUCCESS:
            return self._welcome(event, source, account, time, now)
        if outcome in ABUSES and source is not None and time > now - self._counting.horizon:
            return self._abused(event, source, time, now)
        if outcome is Outcome.MAIL_ACCEPTED:
            return self._delivered(event, source, now)
        if outcome is Outcome.MAIL_SENT:
            return self._sent(event, account, source, time, now)
        return [Watched(source, None, f"{outcome.value} is worth no points")]

    def tick(self, now: float) -> list[Verdict]:
        """What time alone leads to: a stranger's grace is over, a sender is silent, an outage ends."""
        self._ticked = now
        verdicts: list[Verdict] = []
        if self._memory.grace:
            for source, given in self._sentencing.overdue(now):
                verdicts += self._after_grace(source, given, now)
        return [*verdicts, *self._alarms.of_time(self._sentencing.siege, now)]

    def heard(self, sender: str, lines: int, now: float) -> list[Verdict]:
        """Take note that frames came from a sender, whatever is in them; what that ends."""
        return self._alarms.heard(sender, "", lines, now)

    def prove(self, sources: Iterable[Net], now: float) -> list[Verdict]:
        """Take note that these sources completed a connection here, and weigh anew what they did.

        Whose proof is wanted, a `Watched` says that asks for it.
        """
        memory = self._memory
        verdicts: list[Verdict] = []
        for source in map(source_of, sources):
            memory.proofs.add(source.packed, now)
            for kind in Kind:
                verdicts += self._weigh_anew(source, kind, now)
        return verdicts

    def is_proved(self, net: Net, now: float) -> bool:
        """Whether a source is known to have completed a connection here in the last half hour."""
        return self._memory.is_proved(source_of(net), now)

    # Failures

    def _failed(
        self, event: AuthEvent, source: Net | None, name: str | None, time: float, now: float, points: int
    ) -> list[Verdict]:
        account = None if name is None else self._memory.accounts.of(name)
        if source is not None and (standing := self._sentencing.standing(source, Scope.ALL, now)):
            return self._failed_while_banned(event, source, account, standing, time, now)
        case, is_news = self._counting.login(event, source, account, time, now, points)
        verdicts = self._alarms.of_failure(case) if is_news else []
        if source is None:
            return [*verdicts, Watched(None, None, "counted for the account: the line names no client")]
        if not is_news:
            return [*verdicts, Watched(source, None, "another line of an attempt that is counted")]
        if case.is_familiar:
            return [*verdicts, Watched(source, None, _HOME)]
        case.attempts = self._counting.held_against(case, source)
        narrow = self._sentencing.standing(source, door_of(event), now)
        if narrow and self.policy.mode is Mode.ENFORCE:
            verdicts += self._alarms.of_ineffective(narrow[0], event, time, now)
        return [*verdicts, *self._sentencing.weigh(case, source, Kind.LOGIN, event.sender, narrow)]

    def _failed_while_banned(
        self, event: AuthEvent, source: Net, account: Account | None, standing: tuple[Ban, str], time: float, now: float
    ) -> list[Verdict]:
        """A failure of a source that is out already belongs to that ban; it counts for the account and the site."""
        ban, words = standing
        verdicts = self._alarms.of_failure(self._counting.spent(event, account, time, now))
        if self.policy.mode is Mode.ENFORCE:
            verdicts += self._alarms.of_ineffective(ban, event, time, now)
        return [*verdicts, Watched(source, ban.detector, words)]

    def _abused(self, event: AuthEvent, source: Net, time: float, now: float) -> list[Verdict]:
        scope = Scope.SMTP_IN if event.outcome is Outcome.RECIPIENT_UNKNOWN else Scope.LOGIN
        if standing := self._sentencing.standing(source, scope, now):
            return [Watched(source, standing[0].detector, standing[1])]
        case, is_news = self._counting.abuse(event, source, time, now)
        if not is_news:
            return [Watched(source, None, "another line of an attempt that is counted")]
        case.delivers = self._delivers(source, now)
        return self._sentencing.weigh(case, source, Kind.ABUSE, event.sender)

    def _after_grace(self, source: Net, given: Grace, now: float) -> list[Verdict]:
        memory, siege = self._memory, self._sentencing.siege
        account = memory.accounts.known(given.account)
        if siege is None or account is None or not account.is_besieged(siege.quiet, now):
            return []
        case = self._counting.case(source, account, memory.logins.known(source.packed), now, Outcome.BAD_PASSWORD)
        if case.succeeded or self._sentencing.standing(source, Scope.LOGIN, now):
            return []
        self._sentencing.look_around(case, account)
        return self._sentencing.after_grace(case, source, given.sender)

    def _weigh_anew(self, source: Net, kind: Kind, now: float) -> list[Verdict]:
        case = self._latest(source, kind, now)
        if case is None or self._sentencing.standing(source, Scope.LOGIN, now):
            return []
        case.delivers = kind is Kind.ABUSE and self._delivers(source, now)
        return self._sentencing.weigh(case, source, kind, "")

    def _latest(self, source: Net, kind: Kind, now: float) -> Case | None:
        """What bears on a source now, as of its latest failure; None if it has none."""
        attempts = self._memory.failures(kind).known(source.packed)
        if not attempts:
            return None
        latest = attempts[-1]
        account = None if latest.account is None else self._memory.accounts.known(latest.account)
        case = self._counting.case(source, account, attempts, now, latest.outcome)
        case.attempts = self._counting.held_against(case, source)
        return case

    def _delivers(self, source: Net, now: float) -> bool:
        return bool(self._memory.policy.relays.touching(source)) or self._memory.mailers.knows(source, now)

    # Logins and mail

    def _welcome(
        self, event: AuthEvent, source: Net | None, account: str | None, time: float, now: float
    ) -> list[Verdict]:
        """Take a success's points back, if it is proved: a forged one must not clear anybody, and teaches nothing."""
        memory = self._memory
        who = "somebody" if account is None else shown(account)
        if event.mail is not None and account is not None:
            memory.sendings.submitted(event.mail, account)
        if event.evidence is not Evidence.STRONG:
            return [Watched(source, None, f"{who} logged in, by weak evidence")]
        memory.site.note_success(now)
        if source is None:
            return [Watched(source, None, f"{who} logged in")]
        attempts = memory.logins.known(source.packed)
        if account is None:
            return [Watched(source, None, f"{who} logged in")]
        login = self._login(source, account, time, now)
        suspicion, told = self._alarms.of_login(login, event.protocol)
        if memory.policy.mode is Mode.ENFORCE and (ban := memory.bans.covering(source, now, Scope.LOGIN)):
            told += self._alarms.of_ineffective(ban, event, time, now)
        memory.grace.pop(source.packed, None)
        for attempt in attempts:
            if attempt.account == account and attempt.time <= time:
                attempt.forgive()
        if suspicion is not None:
            return [*told, Watched(source, "break-in", f"{who} logged in; {suspicion}: it teaches nothing")]
        if office := memory.offices.get(source.packed):
            office.failing.pop(account, None)
        is_new = not memory.familiar.knows(source, account, now)
        memory.familiar.learn(source, account, time)
        if is_new:
            told += self._alarms.of_places(source, account, now)
        return [*told, Watched(source, None, f"{who} logged in")]

    def _login(self, source: Net, account: str, time: float, now: float) -> Login:
        memory = self._memory
        is_stranger = not memory.familiar.has_succeeded(source, now)
        if not is_stranger:
            return Login(now, source, account, False, 0, False, False, None)
        failing = memory.accounts.known(account)
        siege = self._sentencing.siege
        return Login(
            now,
            source,
            account,
            is_stranger,
            sum(1 for each in memory.logins.known(source.packed) if time - DAY < each.time <= time),
            siege is not None and failing is not None and failing.is_besieged(siege.quiet, now),
            memory.familiar.is_near(source, account, now),
            memory.bans.last(source),
        )

    def _delivered(self, event: AuthEvent, source: Net | None, now: float) -> list[Verdict]:
        if event.mail is not None:
            if source is None:
                self._memory.sendings.submitted(event.mail, OURS)
            else:
                self._memory.sendings.delivering(event.mail, source)
        return [Watched(source, None, "a mail is being handed in")]

    def _sent(
        self, event: AuthEvent, account: str | None, source: Net | None, time: float, now: float
    ) -> list[Verdict]:
        memory = self._memory
        if event.mail is not None and (mailer := memory.sendings.delivered(event.mail)):
            memory.mailers.accepted(mailer, now)
        sender = None if event.mail is None else memory.sendings.sent(event.mail, account, event.count, time)
        if sender is None:
            return [Watched(source, None, "mail from outside")]
        return [
            *self._alarms.of_sending(sender, time, now),
            Watched(source, None, f"{shown(sender)} sent mail to {event.count} recipients"),
        ]

    # What people ask

    @property
    def policy(self) -> Policy:
        return self._memory.policy

    @property
    def familiar(self) -> Familiar:
        """Who logs in from where."""
        return self._memory.familiar

    @property
    def attempts(self) -> int:
        """Failed logins of sources so far, each once however many lines told of it."""
        return self._memory.attempts

    def is_office(self, source: Net, now: float) -> bool:
        """Whether several people log in from a source, so that detections there tell and do not ban."""
        return self._memory.is_office(source_of(source), now)

    def doubts(self, net: Net, now: float) -> str | None:
        """Why an address is not banned although a detector would ask for it: its lines could be forged."""
        source = source_of(net)
        case = self._latest(source, Kind.LOGIN, now)
        return None if case is None else self._sentencing.doubts(case, source)

    def budget(self, account: str, now: float) -> Budget | None:
        """How near an account is to being locked by Zimbra, and by whose doing; None if nobody failed at it."""
        found = self._memory.accounts.known(account[:ACCOUNT_LENGTH].lower())
        siege = self._sentencing.siege
        quiet = 0.0 if siege is None else siege.quiet
        return None if found is None else found.budget(self.policy.lockout, quiet, now)

    def budgets(self, now: float) -> Iterator[tuple[str, Budget]]:
        """The same of each account that failed in the lockout's window, among those that were tried last."""
        siege = self._sentencing.siege
        return self._memory.accounts.budgets(self.policy.lockout, 0.0 if siege is None else siege.quiet, now)

    def strangers(self, now: float) -> tuple[int, float | None]:
        """How many strangers failed in the running hour, and how many are still usual, if that is known."""
        site = self._memory.site
        return site.strangers_this_hour(now), site.usual_strangers(now, self.policy.watches.campaign.sigmas)

    def besieged(self, now: float) -> list[str]:
        """The accounts under siege."""
        siege = self._sentencing.siege
        return [] if siege is None else self._memory.accounts.besieged(siege.quiet, now)

    def conditions(self, now: float) -> dict[str, str]:
        """What is not as on other days, by the detector that says so."""
        return self._alarms.conditions(self.besieged(now), now)

    # What operators do

    def adopt(self, policy: Policy) -> list[Ban]:
        """Judge by another policy from now on; the bans that it does not allow, which are to be lifted."""
        memory = self._memory
        if policy.mode is not memory.policy.mode:
            memory.rehearsed = Bans(memory.seed)
        memory.policy = policy
        self._counting.refit()
        self._sentencing.refit()
        return self._spared_now()

    def saved(self) -> dict[str, object]:
        """What has to outlive a restart beside bans and familiarity; it goes on changing with the next event."""
        return self._memory.saved()

    def take_up(self, saved: Mapping[str, object]) -> None:
        """Go on where an earlier run stopped, before any event is judged."""
        self._memory.take_up(saved)

    def last_ban(self, net: Net) -> Ban | None:
        """The last ban of an address's source, in force or ended; no operator's."""
        return self._memory.bans.last(source_of(net))

    def restore(self, bans: Iterable[Ban], history: Iterable[Ban]) -> list[Ban]:
        """Take up an earlier run's bans in force and ended ones; those that the policy does not allow."""
        self._memory.bans.restore(bans, history)
        return self._spared_now()

    def ban(
        self, net: Net, seconds: float, reason: str, now: float, *, scope: Scope = Scope.ALL, force: bool = False
    ) -> Banned | Spared:
        """Ban by hand; `force` is for networks wider than `WIDEST`. Nobody bans what the policy spares."""
        if against := self.policy.spares(net):
            return Spared(net, OPERATOR, against)
        if net.prefix < WIDEST[net.family] and not force:
            return Spared(net, OPERATOR, f"{net} is wider than a /{WIDEST[net.family]}")
        ban = Ban(net, now, now + seconds, OPERATOR, reason, scope=scope)
        self._memory.bans.add(ban)
        return Banned(ban)

    def unban(self, net: Net, now: float) -> list[Ban]:
        """Lift every ban that shares an address with `net`, and forget what led to it; the bans lifted."""
        memory = self._memory
        lifted = memory.bans.lift(net, now)
        freed = {net, *(ban.net for ban in lifted + memory.rehearsed.lift(net, now))}
        for each in freed:
            memory.forget(each)
            memory.told.forget(str(each.widened(SOURCE_PREFIX[each.family])))
        return lifted

    def bans_in_force(self, now: float) -> list[Ban]:
        return self._memory.bans.in_force(now)

    def bans_counted(self, now: float) -> Mapping[tuple[int, int, Scope], int]:
        """How many bans are in force of each family, prefix length and scope."""
        return self._memory.bans.counted(now)

    def rehearsed(self, net: Net, now: float) -> Ban | None:
        """The ban that `net` would be under if the mode were enforce."""
        return self._memory.rehearsed.covering(net, now)

    def rehearsals(self, now: float) -> list[Ban]:
        """The bans that would be in force if the mode were enforce."""
        return self._memory.rehearsed.in_force(now)

    @property
    def tracked(self) -> Mapping[str, int]:
        """How many entries each table holds, for the metrics."""
        return self._memory.tracked

    @property
    def evicted(self) -> Mapping[str, int]:
        """How often each bound was reached and something was forgotten, for the metrics."""
        return self._memory.evicted

    def _spared_now(self) -> list[Ban]:
        """End the bans in force that the policy does not allow."""
        spared = [ban for ban in self._memory.bans.all() if self.policy.spares(ban.net)]
        for ban in spared:
            self._memory.bans.end(ban.net)
        return spared


_HOME = "an account that logs in from here: its own failures are never held against a source"
