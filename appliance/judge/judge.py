"""The judge: what one event leads to, and why.

It reads no clock and touches nothing: it is told the time, and answers with verdicts.
"""

from collections.abc import Iterable, Mapping, Sequence

from appliance.address import SOURCE_PREFIX, Net, source_of
from appliance.judge.attempts import MOST_REPEATS, Attempt, Attempts
from appliance.judge.bans import OPERATOR, Bans
from appliance.judge.detector import Case, Detector, DetectorMode, Score, Teller
from appliance.judge.policy import POINTS, WIDEST, Policy
from appliance.judge.proofs import Proofs
from appliance.judge.reasons import BLIND, KNOWN, UNPROVED, doubt, tried
from appliance.judge.sources import Sources, Succeeded
from appliance.judge.tallies import SITE_JOINABLE, Accounts, Tally
from appliance.judge.told import Told
from appliance.judge.windows import keep
from appliance.judge.words import moment, progress, shown, span
from appliance.model import AuthEvent, Ban, Banned, Evidence, Mode, Noticed, Outcome, Scope, Spared, Verdict, Watched

ACCOUNT_LENGTH = 254
"""Characters of an account name that count: the longest mail address (RFC 5321 4.5.3.1.3, less brackets)."""

EXPLAINED = 3600.0
"""Seconds before it is explained again why a spared source would be banned."""


class Judge:
    """Counts what events tell, and says who is to be banned. The policy can be exchanged; counts survive."""

    def __init__(self, policy: Policy, seed: bytes) -> None:
        """`seed` keys the jitter of bans: secret, and the same over restarts."""
        self._attempts = Attempts()
        self._sources = Sources()
        self._succeeded = Succeeded()
        self._proofs = Proofs()
        self._accounts = Accounts()
        self._site = Tally(joinable=SITE_JOINABLE)
        self._told = Told()
        self._bans = Bans(seed)
        self._rehearsed = Bans(seed)
        """The bans that there would be if the policy's mode were enforce."""
        self._seed = seed
        self.attempts = 0
        """Failed attempts of sources so far, each once however many lines told of it."""
        self._install(policy)

    def judge(self, event: AuthEvent, now: float) -> list[Verdict]:
        """Say what one event leads to. Nearly always one verdict; notices come besides."""
        source = None if event.source is None else source_of(event.source)
        account = None if event.account is None else event.account[:ACCOUNT_LENGTH].lower()
        time = min(event.time, now)
        points = POINTS.get(event.outcome, 0)
        if event.outcome is Outcome.SUCCESS:
            return [self._welcome(event, source, account, time)]
        if not points:
            return [Watched(source, None, f"{event.outcome.value} is worth no points")]
        if time <= now - self._horizon:
            return [Watched(source, None, f"older than {span(self._horizon)}, the longest window")]

        case, is_news = self._count(event, source, account, time, now, points)
        verdicts: list[Verdict] = self._notices(case) if is_news else []
        if source is None:
            verdicts.append(Watched(None, None, "counted for the account: the line names no client"))
        elif standing := self._standing(case, source, now):
            verdicts.append(Watched(source, standing[0].detector, standing[1]))
        elif not is_news:
            verdicts.append(Watched(source, None, "another line of an attempt that is counted"))
        else:
            verdicts += self._weigh(case, source)
        return verdicts

    def prove(self, sources: Iterable[Net], now: float) -> list[Verdict]:
        """Take note that these sources completed a connection here, and weigh anew what they did.

        Whose proof is wanted, a `Watched` says that asks for it.
        """
        verdicts: list[Verdict] = []
        for source in map(source_of, sources):
            self._proofs.add(source.packed, now)
            case = self._case(source, None, self._sources.known(source.packed), None, now)
            if case.attempts and not self._standing(case, source, now):
                verdicts += self._weigh(case, source)
        return verdicts

    def is_proved(self, net: Net, now: float) -> bool:
        """Whether a source is known to have completed a connection here in the last half hour."""
        return self._policy.sees_traffic and self._proofs.hold(source_of(net).packed, now)

    # What is counted

    def _welcome(self, event: AuthEvent, source: Net | None, account: str | None, time: float) -> Watched:
        """Take a success's points back, if it is proved: a forged one must not clear anybody."""
        who = "somebody" if account is None else shown(account)
        if event.evidence is not Evidence.STRONG:
            return Watched(source, None, f"{who} logged in, by weak evidence")
        if source is not None:
            self._succeeded.add(source.packed)
            for attempt in self._sources.known(source.packed):
                if account is not None and attempt.account == account and attempt.time <= time:
                    attempt.forgive()
        return Watched(source, None, f"{who} logged in")

    def _count(
        self, event: AuthEvent, source: Net | None, account: str | None, time: float, now: float, points: int
    ) -> tuple[Case, bool]:
        """Add a failure to every count that it belongs to; whether any of them changed."""
        protocol = event.protocol.value
        count = min(event.count, MOST_REPEATS)
        tally = None
        if account is not None:
            tally = self._accounts.of(account)
            account = tally.account
            tally.add(protocol, event.rule, time, count, self._tally_depth)
        if source is None:
            self._site.add(protocol, event.rule, time, count, self._tally_depth)
            return Case(now, None, account, (), False, tally, self._site), True

        attempts = self._sources.attempts(source.packed)
        joined = self._attempts.join(source.packed, event, time, account, points)
        for attempt in joined.created:
            keep(attempts, attempt, now - self._horizon, self._depth)
        if joined.created:
            self.attempts += len(joined.created)
            self._site.add(protocol, "from a source", time, len(joined.created), self._tally_depth)
        return self._case(source, account, attempts, tally, now), joined.changed

    def _case(
        self, source: Net, account: str | None, attempts: Sequence[Attempt], tally: Tally | None, now: float
    ) -> Case:
        succeeded = source.packed in self._succeeded
        proved = not succeeded and self._policy.sees_traffic and self._proofs.hold(source.packed, now)
        return Case(now, source, account, attempts, succeeded, tally, self._site, proved)

    # What it leads to

    def _notices(self, case: Case) -> list[Verdict]:
        notices: list[Verdict] = []
        for teller in self._tellers:
            for subject in teller.subjects(case):
                if self._told.until(teller.name, subject.name, case.now) is None:
                    self._told.tell(teller.name, subject.name, case.now + teller.within)
                    notices.append(Noticed(teller.name, subject.name, teller.explain(subject)))
        return notices

    def _standing(self, case: Case, source: Net, now: float) -> tuple[Ban, str] | None:
        """The ban that a source is under. What still comes from it belongs to that ban and is spent."""
        if ban := self._bans.covering(source, now, Scope.LOGIN):
            words = f"already banned until {moment(ban.until)}"
        elif ban := self._rehearsed.covering(source, now, Scope.LOGIN):
            words = f"would be banned until {moment(ban.until)}"
        else:
            return None
        for attempt in case.attempts:
            if attempt.points:
                attempt.forgive()
        return ban, words

    def _weigh(self, case: Case, source: Net) -> list[Verdict]:
        """Ask every detector. Where none asks for a ban, say how near it is: the first, or one past half."""
        asking: list[Detector] = []
        doubted: tuple[Detector, Score] | None = None
        nearest, most, least = None, 0, 1
        for detector, limit in self._detectors:
            counted = detector.score(case)
            score = counted.counting(proved=case.proved)
            if score >= limit:
                asking.append(detector)
            elif doubted is None and counted.whole >= limit:
                doubted = detector, counted
            if nearest is None or (2 * score >= limit and score * least > most * limit):
                nearest, most, least = detector, score, limit
        self._sources.mark(source.packed, close=2 * most >= least)
        verdicts = self._asked(case, source, asking) if asking else []
        if doubted and not any(each.mode is DetectorMode.ENFORCE for each in asking):
            verdicts.append(self._doubt(case, source, *doubted))
        if verdicts:
            return verdicts
        if nearest is None:
            return [Watched(source, None, "every detector is off")]
        return [Watched(source, nearest.name, progress(most, least, nearest.unit, nearest.within))]

    def _asked(self, case: Case, source: Net, asking: list[Detector]) -> list[Verdict]:
        """Some detectors ask for a ban: see what stands against it."""
        decisive = max(asking, key=lambda each: (each.mode is DetectorMode.ENFORCE, each.first_step))
        if against := self._policy.spares(source):
            return [self._spare(case, source, decisive, against)]
        observed = [each for each in asking if each.mode is DetectorMode.OBSERVE]
        verdicts: list[Verdict] = [self._observe(case, source, each) for each in observed]
        if decisive.mode is DetectorMode.ENFORCE:
            verdicts.append(self._ban(case, source, decisive))
        return verdicts

    def _doubt(self, case: Case, source: Net, detector: Detector, score: Score) -> Watched:
        """A detector would ask for a ban if it believed forgeable lines, which takes proof of their source.

        Proof says that an address was here, not that it did what a line says. So it does not count against whoever
        ever logged in: of them everybody knows that they are here, and could have them banned by forged lines.
        """
        against = self._policy.spares(source)
        if against is None and case.succeeded:
            against = KNOWN
        if against is None and not self._policy.sees_traffic:
            against = BLIND
        words = doubt(score, detector.limit, detector.unit, detector.within, against or UNPROVED)
        return Watched(source, detector.name, words, asks_proof=against is None)

    def _spare(self, case: Case, source: Net, detector: Detector, against: str) -> Spared:
        """Explain once an hour what a source was spared for; it may go on for days."""
        if self._told.until("spared", str(source), case.now) is not None:
            return Spared(source, detector.name, against)
        self._told.tell("spared", str(source), case.now + EXPLAINED)
        return Spared(source, detector.name, f"{against}; {detector.explain(case)}")

    def _observe(self, case: Case, source: Net, detector: Detector) -> Watched:
        """One detector is tried out. Its score is not spent, for the others count on it."""
        until = self._told.until(detector.name, str(source), case.now)
        if until is not None:
            return Watched(source, detector.name, f"would be banned until {moment(until)}")
        steps = self._policy.ladder.steps
        until = case.now + steps[min(detector.first_step, len(steps) - 1)]
        self._told.tell(detector.name, str(source), until)
        return Watched(source, detector.name, f"would be banned: {detector.explain(case)}", would_ban=True)

    def _ban(self, case: Case, source: Net, detector: Detector) -> Verdict:
        """Ban a source, or say so where the policy only observes. Its points are spent with that."""
        enforcing = self._policy.mode is Mode.ENFORCE
        bans = self._bans if enforcing else self._rehearsed
        reason, accounts = detector.explain(case), tried(case)
        ban = bans.open(source, detector.name, reason, case.now, detector.first_step, self._policy.ladder)
        for attempt in case.attempts:
            attempt.forgive()
        if enforcing:
            return Banned(ban, accounts)
        return Watched(source, detector.name, f"would be banned: {reason}", would_ban=True)

    # What operators do

    def adopt(self, policy: Policy) -> list[Ban]:
        """Judge by another policy from now on; the bans that it does not allow, which are to be lifted."""
        if policy.mode is not self._policy.mode:
            self._rehearsed = Bans(self._seed)
        self._install(policy)
        return self._spared_now()

    def restore(self, bans: Iterable[Ban], history: Iterable[Ban]) -> list[Ban]:
        """Take up an earlier run's bans in force and ended ones; those that the policy does not allow."""
        self._bans.restore(bans, history)
        return self._spared_now()

    def ban(
        self, net: Net, seconds: float, reason: str, now: float, *, scope: Scope = Scope.ALL, force: bool = False
    ) -> Banned | Spared:
        """Ban by hand; `force` is for networks wider than `WIDEST`. Nobody bans what the policy spares."""
        if against := self._policy.spares(net):
            return Spared(net, OPERATOR, against)
        if net.prefix < WIDEST[net.family] and not force:
            return Spared(net, OPERATOR, f"{net} is wider than a /{WIDEST[net.family]}")
        ban = Ban(net, now, now + seconds, OPERATOR, reason, scope=scope)
        self._bans.add(ban)
        return Banned(ban)

    def unban(self, net: Net, now: float) -> list[Ban]:
        """Lift every ban that shares an address with `net`, and forgive what led to it; the bans lifted."""
        lifted = self._bans.lift(net, now)
        freed = {net, *(ban.net for ban in lifted + self._rehearsed.lift(net, now))}
        for each in freed:
            self._sources.forgive(each)
            self._told.forget(str(each.widened(SOURCE_PREFIX[each.family])))
        return lifted

    def bans_in_force(self, now: float) -> list[Ban]:
        return self._bans.in_force(now)

    def bans_counted(self, now: float) -> Mapping[tuple[int, int], int]:
        """How many bans are in force of each (family, prefix length)."""
        return self._bans.counted(now)

    def rehearsed(self, net: Net, now: float) -> Ban | None:
        """The ban that `net` would be under if the mode were enforce."""
        return self._rehearsed.covering(net, now)

    def rehearsals(self, now: float) -> list[Ban]:
        """The bans that would be in force if the mode were enforce."""
        return self._rehearsed.in_force(now)

    @property
    def policy(self) -> Policy:
        return self._policy

    @property
    def tracked(self) -> Mapping[str, int]:
        """How many entries each table holds, for the metrics."""
        return {
            "sources": len(self._sources),
            "accounts": len(self._accounts),
            "proofs": len(self._proofs),
            "bans": len(self._bans),
        }

    @property
    def evicted(self) -> Mapping[str, int]:
        """How often each bound was reached and something was forgotten, for the metrics."""
        return {
            "bursts": self._attempts.evicted,
            "repeats": self._attempts.capped,
            "sources": self._sources.evicted,
            "sources_close_to_a_ban": self._sources.evicted_close,
            "succeeded": self._succeeded.evicted,
            "accounts": self._accounts.evicted,
            "proofs": self._proofs.evicted,
            "told": self._told.evicted,
            "ladder": self._bans.forgotten,
        }

    def _install(self, policy: Policy) -> None:
        self._policy = policy
        self._detectors = [(each, each.limit) for each in policy.detectors if each.mode is not DetectorMode.OFF]
        self._tellers = [each for each in policy.tellers if each.mode is not DetectorMode.OFF]
        everyone: list[Detector | Teller] = [*policy.detectors, *policy.tellers]
        self._horizon = max((each.within for each in everyone), default=0.0)
        """The longest window, in seconds: what is older is not kept."""
        self._depth = max((each.limit for each in everyone), default=1)
        """The highest limit: more attempts of one source need not be kept."""
        self._tally_depth = max((each.tally_limit for each in policy.tellers), default=1)

    def _spared_now(self) -> list[Ban]:
        """End the bans in force that the policy does not allow."""
        spared = [ban for ban in self._bans.all() if self._policy.spares(ban.net)]
        for ban in spared:
            self._bans.end(ban.net)
        return spared
