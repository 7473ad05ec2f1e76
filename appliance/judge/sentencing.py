"""From a case to verdicts: every detector is asked, then everything that may stand against a ban."""

from appliance.address import Net, source_at
from appliance.judge.accounts import Account
from appliance.judge.bans import KERNEL, OPERATOR
from appliance.judge.detect.siege import Siege
from appliance.judge.detector import NOTHING, Case, Detector, DetectorMode, Kind, Score
from appliance.judge.familiar import network_of
from appliance.judge.memory import AWAITED, DAY, DETECTIONS, ON_GRACE, Grace, Memory
from appliance.judge.policy import Office
from appliance.judge.reasons import BLIND, HASTE, KNOWN, OFFICE, OUTAGE, UNPROVED, doubt, tried
from appliance.judge.windows import points_within
from appliance.judge.words import moment, progress, shown, span
from appliance.model import Ban, Banned, Cause, Mode, Noticed, Scope, Severity, Spared, Verdict, Watched

EXPLAINED = 3600.0
"""Seconds before it is explained again why a spared source would be banned."""


class Sentencing:
    """What cases lead to."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.refit()

    def refit(self) -> None:
        """Follow the policy: which detectors are asked about which failures."""
        active = [each for each in self._memory.policy.detectors if each.mode is not DetectorMode.OFF]
        self._asked_about = {kind: [each for each in active if each.kind is kind] for kind in Kind}
        self.siege = next((each for each in active if isinstance(each, Siege)), None)

    def standing(self, source: Net, scope: Scope, now: float) -> tuple[Ban, str] | None:
        """The ban that keeps a source out of these ports. What still comes from it belongs to that ban."""
        if ban := self._memory.bans.covering(source, now, scope):
            return ban, f"already banned until {moment(ban.until)}"
        if ban := self._memory.rehearsed.covering(source, now, scope):
            return ban, f"would be banned until {moment(ban.until)}"
        return None

    def weigh(
        self, case: Case, source: Net, kind: Kind, sender: str, narrow: tuple[Ban, str] | None = None
    ) -> list[Verdict]:
        """Ask every detector. Where none asks for a ban, say how near it is: the first, or one past half.

        `narrow` is a ban that keeps the source out of some ports already: what it did counts on, for one of all ports.
        """
        besieging = self._press(case, source, sender) if kind is Kind.LOGIN and not narrow else []
        asking: list[Detector] = []
        doubted: tuple[Detector, Score] | None = None
        nearest, most, least = None, 0, 1
        for detector in self._asked_about[kind]:
            counted = detector.score(case)
            if counted is NOTHING:
                continue
            limit, score = counted.limit, counted.counting(proved=case.proved)
            if score >= limit:
                if not narrow or detector.scope(case) is Scope.ALL:
                    asking.append(detector)
            elif doubted is None and counted.whole >= limit:
                doubted = detector, counted
            if nearest is None or (2 * score >= limit and score * least > most * limit):
                nearest, most, least = detector, score, limit
        self._memory.failures(kind).mark(source.packed, close=2 * most >= least)
        verdicts = self._sentence(case, source, asking, sender) if asking else []
        if not asking and kind is Kind.LOGIN and not narrow:
            verdicts = self._on_probation(case, source, sender)
        if doubted and not any(each.mode is DetectorMode.ENFORCE for each in asking):
            verdicts.append(self._doubt(case, source, *doubted))
        if kind is Kind.LOGIN and not asking and not narrow and not case.succeeded and len(source.packed) == 16:
            besieging += self._around(source, sender, case.now)
        if narrow and not verdicts:
            verdicts = [Watched(source, narrow[0].detector, narrow[1])]
        if not verdicts:
            words = progress(most, least, nearest.unit, nearest.within) if nearest else _nobody(self._asked_about[kind])
            verdicts = [Watched(source, nearest.name if nearest else None, words)]
        return [*besieging, *verdicts]

    def overdue(self, now: float) -> list[tuple[Net, Grace]]:
        """Strangers whose grace at a besieged account is over, and who did not log in."""
        grace, due = self._memory.grace, []
        while grace and next(iter(grace.values())).until <= now:
            packed, given = grace.popitem(last=False)
            due.append((source_at(packed), given))
        return due

    def after_grace(self, case: Case, source: Net, sender: str) -> list[Verdict]:
        """One failure at a besieged account, and no login since: enough, if it is beyond doubt."""
        siege = self.siege
        if siege is None or not (score := siege.score(case)).whole:
            return []
        if score.counting(proved=case.proved):
            return self._sentence(case, source, [siege], sender)
        return [self._doubt(case, source, siege, score._replace(limit=1))]

    # Siege

    def _press(self, case: Case, source: Net, sender: str) -> list[Verdict]:
        """Whether the account is besieged, from now on perhaps; a stranger's first failure there is on grace."""
        siege, account, memory = self.siege, case.on_account, self._memory
        if siege is None or account is None or case.succeeded:
            return []
        told: list[Verdict] = []
        now = case.now
        if not account.is_besieged(siege.quiet, now):
            if not siege.starts(account, memory.policy.lockout, now):
                return []
            memory.accounts.besiege(account, now)
            told.append(self._siege_begins(case, siege))
        self.look_around(case, account)
        if siege.concerns(case) and source.packed not in memory.grace and not told:
            memory.grace[source.packed] = Grace(now + siege.grace, account.name, sender)
            if len(memory.grace) > ON_GRACE:
                memory.grace.popitem(last=False)
                memory.crowded_out["on_grace"] += 1
        return told

    def look_around(self, case: Case, account: Account) -> None:
        """Find out what bears on a failure at a besieged account only."""
        familiar, source = self._memory.familiar, case.source
        assert source is not None
        case.besieged = True
        case.is_near = familiar.is_near(source, account.name, case.now)
        case.is_inhabited = familiar.lives_in(network_of(source), case.now)

    def _siege_begins(self, case: Case, siege: Siege) -> Noticed:
        account = case.on_account
        assert account is not None
        strangers = account.strangers_within(siege.within, case.now)
        budget = account.budget(self._memory.policy.lockout, siege.quiet, case.now)
        within = span(siege.within)
        reason = f"{strangers} strangers failed at {shown(account.name)} in {within}; lockout budget used: {budget}"
        severity = Severity.WARNING if siege.mode is DetectorMode.ENFORCE else Severity.NOTICE
        return Noticed(siege.name, shown(account.name), reason, severity, case.source, account.name)

    # What stands against a ban, and the ban

    def _sentence(self, case: Case, source: Net, asking: list[Detector], sender: str) -> list[Verdict]:
        """Some detectors ask for a ban: see what stands against it."""
        memory, now = self._memory, case.now
        policy = memory.policy
        decisive = max(asking, key=lambda each: (each.mode is DetectorMode.ENFORCE, each.first_step(case)))
        if against := policy.spares(source):
            return [self._spare(case, source, decisive, against)]
        if case.succeeded and policy.office is Office.ALERT and memory.is_office(source, now):
            return self._office(case, source, decisive)
        if case.succeeded and memory.in_outage(now):
            return [self._spare(case, source, decisive, OUTAGE, Cause.OUTAGE)]
        observed = [each for each in asking if each.mode is DetectorMode.OBSERVE]
        verdicts: list[Verdict] = [self._observe(case, source, each) for each in observed]
        if decisive.mode is DetectorMode.ENFORCE:
            verdicts += self._carry_out(case, source, decisive, sender)
        return verdicts

    def _carry_out(self, case: Case, source: Net, detector: Detector, sender: str, reason: str = "") -> list[Verdict]:
        """Ban a source, for what the detector says or another reason, unless a blown fuse stands against that."""
        is_wider = self._memory.book.has(source, case.now)  # a wider ban of the same source is no further one
        told = [] if is_wider else self._ask_the_fuse(case.now)
        sender = sender or self._memory.awaited.pop(source.packed, "")
        if self._is_blown():
            against = self._held(case, source, detector, sender)
            if against is not None:
                return [*told, against]
        else:
            self._has_room(sender, case.now)
        return [*told, *self._ban(case, source, detector, reason or detector.explain(case), sender)]

    def _has_room(self, sender: str, now: float) -> bool:
        """Whether the lines of a sender may lead to one more ban; it is counted if they may."""
        limits = self._memory.policy.watches.fuse
        return self._memory.fuse.admits(sender, now, limits.per_sender, limits.within)

    def _ask_the_fuse(self, now: float) -> list[Verdict]:
        """A ban is wanted: whether that is one too many."""
        memory, limits = self._memory, self._memory.policy.watches.fuse
        if limits.mode is DetectorMode.OFF or memory.policy.mode is not Mode.ENFORCE:
            return []
        if not memory.fuse.ask(now, limits.bans, limits.within):
            return []
        haste = f"more than {limits.bans} bans in {span(limits.within)}: from now on a ban needs packet proof"
        return [Noticed(limits.name, "site", haste, Severity.CRITICAL)]

    def _is_blown(self) -> bool:
        memory = self._memory
        enforced = memory.policy.watches.fuse.mode is DetectorMode.ENFORCE and memory.policy.mode is Mode.ENFORCE
        return enforced and memory.fuse.blown_since is not None

    def _held(self, case: Case, source: Net, detector: Detector, sender: str) -> Verdict | None:
        """What a blown fuse makes of a ban; None if it lets it pass."""
        memory, now = self._memory, case.now
        limits = memory.policy.watches.fuse
        if case.succeeded:
            return self._spare(case, source, detector, HASTE, Cause.FUSE)
        if memory.policy.sees_traffic and not case.proved:
            memory.awaited[source.packed] = sender
            if len(memory.awaited) > AWAITED:
                memory.awaited.popitem(last=False)
                memory.crowded_out["awaiting_proof"] += 1
            return Watched(source, detector.name, f"the fuse is blown, so a ban {UNPROVED}", asks_proof=True)
        if self._has_room(sender, now):
            return None
        words = f"the lines of {sender or 'one sender'} led to {limits.per_sender} bans in {span(limits.within)}"
        return self._spare(case, source, detector, words, Cause.FUSE)

    def _ban(self, case: Case, source: Net, detector: Detector, reason: str, sender: str) -> list[Verdict]:
        """Ban a source, or say so where the policy only observes. Its points are spent with that, unless failed logins
        close some ports only: through the others it may go on, and they count on."""
        memory, now = self._memory, case.now
        ladder, first, accounts = memory.policy.ladder, detector.first_step(case), tried(case)
        ban = memory.book.open(source, detector.name, reason, now, first, ladder, detector.scope(case), detector.term)
        if ban.scope is Scope.ALL or detector.kind is Kind.ABUSE:
            for attempt in case.attempts:
                attempt.forgive()
        memory.grace.pop(source.packed, None)
        verdicts = [self._told_of(ban, accounts)]
        if not case.succeeded:
            memory.neighbours.note(source, now)
            verdicts += self._around(source, sender, now)
        return verdicts

    def _told_of(self, ban: Ban, accounts: tuple[str, ...] = ()) -> Verdict:
        if self._memory.policy.mode is Mode.ENFORCE:
            return Banned(ban, accounts)
        return Watched(ban.net, ban.detector, f"would be banned: {ban.reason}", would_ban=True)

    def _around(self, source: Net, sender: str, now: float) -> list[Verdict]:
        """Whether so many sources of its network are banned, or fail in turn, that the network itself is to be."""
        memory = self._memory
        policy = memory.policy
        watch, network = policy.watches.neighbourhood, network_of(source)
        if watch.mode is DetectorMode.OFF:
            return []
        hosts = memory.neighbours.hosts(network, watch.within, now)
        failing = memory.rotating.hosts(network, watch.within, now) if len(source.packed) == 16 else []
        if len(hosts) >= watch.bound(network):
            reason = watch.explain(network, len(hosts))
        elif len(failing) >= watch.rotating:
            hosts, reason = failing, watch.explain_rotating(network, len(failing))
        else:
            return []
        if memory.book.covering(network, now, watch.scope) or policy.spares(network):
            return []
        if memory.familiar.lives_in(network, now) or memory.mailers.knows(network, now):
            return []
        if watch.mode is DetectorMode.OBSERVE:
            if memory.told.until(watch.name, str(network), now) is not None:
                return []
            memory.told.tell(watch.name, str(network), now + watch.within)
            return [Watched(network, watch.name, f"would be banned: {reason}", would_ban=True)]
        told = self._ask_the_fuse(now)
        if self._is_blown():
            proved = sum(1 for host in hosts if memory.proofs.hold(host, now) or not policy.sees_traffic)
            if proved < watch.bound(network) or not self._has_room(sender, now):
                return told
        return [*told, self._told_of(memory.book.open(network, watch.name, reason, now, 0, policy.ladder, watch.scope))]

    # Everything short of a ban

    def _on_probation(self, case: Case, source: Net, sender: str) -> list[Verdict]:
        """A stranger that fails again soon after its ban: it needs no second row of tries."""
        memory, now = self._memory, case.now
        last = memory.book.last(source)
        if last is None or case.succeeded or last.detector in (OPERATOR, KERNEL):
            return []
        since = now - last.until
        if not 0 <= since < memory.policy.ladder.probation:
            return []
        detector = next((each for each in self._asked_about[Kind.LOGIN] if each.name == last.detector), None)
        if detector is None or detector.mode is not DetectorMode.ENFORCE:
            return []
        score = points_within(case.attempts, since, now, 1)
        if not score.counting(proved=case.proved):
            return [self._doubt(case, source, detector, score)] if score.whole else []
        if against := memory.policy.spares(source):
            return [self._spare(case, source, detector, against)]
        reason = (
            f"failed again at {shown(case.account or 'an account')} {_ago(since)} after its ban by {last.detector} "
            "had ended, and never logged in"
        )
        return self._carry_out(case, source, detector, sender, reason)

    def doubts(self, case: Case, source: Net) -> str | None:
        """Why a source is not banned although a detector would ask for it; None if there is no such reason."""
        for detector in self._asked_about[Kind.LOGIN]:
            score = detector.score(case)
            if score.counting(proved=case.proved) < score.limit <= score.whole:
                return self._doubt(case, source, detector, score).reason
        return f"the fuse is blown, so a ban {UNPROVED}" if source.packed in self._memory.awaited else None

    def _doubt(self, case: Case, source: Net, detector: Detector, score: Score) -> Watched:
        """A detector would ask for a ban if it believed forgeable lines, which takes proof of their source.

        Proof says that an address was here, not that it did what a line says. So it does not count against whoever
        ever logged in: of them everybody knows that they are here, and could have them banned by forged lines.
        """
        policy = self._memory.policy
        against = policy.spares(source)
        if against is None and case.succeeded:
            against = KNOWN
        if against is None and not policy.sees_traffic:
            against = BLIND
        words = doubt(score, detector.unit, detector.within, against or UNPROVED)
        return Watched(source, detector.name, words, asks_proof=against is None)

    def _spare(self, case: Case, source: Net, detector: Detector, against: str, cause: Cause = Cause.LISTED) -> Spared:
        """Explain once an hour what a source was spared for; it may go on for days."""
        told = self._memory.told
        if told.until("spared", str(source), case.now) is not None:
            return Spared(source, detector.name, against, cause)
        told.tell("spared", str(source), case.now + EXPLAINED)
        return Spared(source, detector.name, f"{against}; {detector.explain(case)}", cause)

    def _office(self, case: Case, source: Net, detector: Detector) -> list[Verdict]:
        """A detection at an office is told, once an hour; a hundred of them in a day wake somebody."""
        memory, now = self._memory, case.now
        detections = memory.office(source).detections
        detections.append(now)
        spared = self._spare(case, source, detector, OFFICE, Cause.OFFICE)
        severity = Severity.WARNING
        if len(detections) == DETECTIONS and detections[0] > now - DAY:
            severity = Severity.CRITICAL
        subject = f"{source} {severity}"
        if memory.told.until(detector.name, subject, now) is not None:
            return [spared]
        memory.told.tell(detector.name, subject, now + (DAY if severity is Severity.CRITICAL else EXPLAINED))
        reason = f"{detector.explain(case)}; {OFFICE}"
        return [Noticed(detector.name, str(source), reason, severity, source, case.account), spared]

    def _observe(self, case: Case, source: Net, detector: Detector) -> Watched:
        """One detector is tried out. Its score is not spent, for the others count on it."""
        told = self._memory.told
        until = told.until(detector.name, str(source), case.now)
        if until is not None:
            return Watched(source, detector.name, f"would be banned until {moment(until)}")
        steps = self._memory.policy.ladder.steps
        until = case.now + steps[min(detector.first_step(case), len(steps) - 1)]
        told.tell(detector.name, str(source), until)
        return Watched(source, detector.name, f"would be banned: {detector.explain(case)}", would_ban=True)


def _nobody(asked: list[Detector]) -> str:
    return "no detector counts it" if asked else "every detector is off"


def _ago(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 7200 else f"{max(seconds, 60.0) / 60:.0f} min"
