"""What people are told beside the bans: who broke in, who sends too much, what broke, who fell quiet."""

from collections.abc import Sequence

from appliance.address import Net
from appliance.judge.detect.siege import Siege
from appliance.judge.detector import Case, DetectorMode, Login
from appliance.judge.familiar import network_of
from appliance.judge.memory import DAY, Memory
from appliance.judge.words import listed, moment, shown, span
from appliance.model import AuthEvent, Ban, Noticed, Outcome, Protocol, Severity, Verdict

AGAIN = 3600.0
"""Seconds before the same thing is told again while it lasts."""
BREAK_IN = "break-in"
ADMIN_DOOR = "admin-door"

MEANS = {
    "outage": "the login service seems to be broken; bans of sources that ever logged in are held",
    "campaign": "far more strangers than usual fail; they have fewer tries",
    "fuse": "we ban at a rate that no site needs; a ban needs packet proof",
}
"""What a condition means; the time beside it is when it was last seen, of the fuse when it blew."""


class Alarms:
    """The part of the judge that only tells."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    # Failures

    def of_failure(self, case: Case) -> list[Verdict]:
        """What the tellers make of a failure, each subject once in a window."""
        memory, told = self._memory, self._memory.told
        notices: list[Verdict] = []
        for teller in memory.policy.tellers:
            if teller.mode is DetectorMode.OFF or (case.is_familiar and memory.in_outage(case.now)):
                continue  # in an outage everybody's devices fail: that is told once
            for subject in teller.subjects(case):
                if told.until(teller.name, subject.name, case.now) is None:
                    told.tell(teller.name, subject.name, case.now + teller.within)
                    words = teller.explain(subject, case)
                    notices.append(
                        Noticed(teller.name, subject.name, words, teller.severity, case.source, case.account)
                    )
        if case.outcome is Outcome.SECOND_FACTOR_FAILED and case.source is not None and not case.is_familiar:
            notices += self._second_factor(case, case.source)
        return notices

    def _second_factor(self, case: Case, source: Net) -> list[Verdict]:
        """Whoever is asked for the second factor had the first one right."""
        account = case.account or "an account"
        reason = f"the password of {shown(account)} is known: {source} had it right, and the second factor wrong"
        subject = f"{shown(account)} from {source}"
        return self._once(Noticed(BREAK_IN, subject, reason, Severity.CRITICAL, source, case.account), case.now)

    def of_ineffective(self, ban: Ban, event: AuthEvent, time: float, now: float) -> list[Verdict]:
        """A line about a source that should not have reached anything."""
        watch = self._memory.policy.watches.ineffective
        if watch.mode is DetectorMode.OFF or not watch.shows(ban, time):
            return []
        subject = f"{shown(event.host or event.sender)} {event.protocol.value}"
        words = watch.explain(ban, event)
        return self._once(Noticed(watch.name, subject, words, _worst(watch.mode), ban.net, event.account), now)

    # Logins

    def of_login(self, login: Login, protocol: Protocol) -> tuple[str | None, list[Verdict]]:
        """Why a login is under suspicion, if it is, and what is to be told of it."""
        watch = self._memory.policy.watches.break_in
        suspicion = watch.suspects(login) if watch.mode is not DetectorMode.OFF else None
        source, account, now = login.source, login.account, login.now
        subject = f"{shown(account)} from {source}"
        told: list[Verdict] = []
        if suspicion is not None:
            reason = f"{source}, a stranger, got in at {shown(account)} over {protocol.value}: {suspicion}"
            told += self._once(Noticed(watch.name, subject, reason, _worst(watch.mode), source, account), now, DAY)
        if protocol is Protocol.ADMIN and login.is_stranger:
            reason = f"{shown(account)} logged in at the admin console from {source}, where nobody ever logged in"
            told += self._once(Noticed(ADMIN_DOOR, subject, reason, Severity.CRITICAL, source, account), now)
        return suspicion, told

    def of_places(self, source: Net, account: str, now: float) -> list[Verdict]:
        """Whether an account, seen at a new place, is at too many of them."""
        watch = self._memory.policy.watches.many_places
        if watch.mode is DetectorMode.OFF:
            return []
        places = watch.new_networks(self._memory.familiar.sources_of(account), now)
        if len(places) <= watch.networks:
            return []
        reason = (
            f"{shown(account)} logged in from {len(places)} networks in {span(watch.within)} where it was never seen "
            f"(limit {watch.networks}), {network_of(source)} the latest"
        )
        severity = Severity.WARNING if watch.mode is DetectorMode.ENFORCE else Severity.NOTICE
        return self._once(Noticed(watch.name, shown(account), reason, severity, source, account), now, watch.within)

    def of_sending(self, account: str, time: float, now: float) -> list[Verdict]:
        """Whether an account sends more than it should."""
        watch = self._memory.policy.watches.outbound
        if watch.mode is DetectorMode.OFF:
            return []
        number, peak = self._memory.sendings.lately(account, time)
        words = watch.exceeds(number, peak)
        if words is None:
            return []
        reason = f"{shown(account)}: {words}"
        return self._once(Noticed(watch.name, shown(account), reason, _worst(watch.mode), account=account), now)

    # What time leads to

    def of_time(self, siege: Siege | None, now: float) -> list[Verdict]:
        """What begins or ends by the clock: campaign, outage, silence, the fuse; and sieges end."""
        over = [] if siege is None else self._sieges_end(siege, now)
        return [*over, *self._campaign(now), *self._outage(now), *self._silence(now), *self._fuse(now)]

    def heard(self, sender: str, program: str, lines: int, now: float) -> list[Verdict]:
        """Lines came from a sender; whether that ends a silence."""
        watch = self._memory.policy.watches.silence
        if watch.mode is DetectorMode.OFF or not self._memory.heard.hear(sender, program, lines, now):
            return []
        what = f"lines of {shown(program)} come" if program else "lines come"
        return [
            Noticed(watch.name, shown(f"{sender} {program}".rstrip()), f"{what} from {shown(sender)} again", over=True)
        ]

    def conditions(self, besieged: Sequence[str], now: float) -> dict[str, str]:
        """What is not as on other days, by the detector that says so."""
        memory = self._memory
        since = {
            "outage": memory.outage_seen if memory.in_outage(now) else None,
            "campaign": memory.campaign_seen if memory.in_campaign(now) else None,
            "fuse": memory.fuse.blown_since,
        }
        told = {name: f"{MEANS[name]} ({moment(time)})" for name, time in since.items() if time is not None}
        return told | {"siege": f"strangers besiege {listed(besieged)}"} if besieged else told

    def _sieges_end(self, siege: Siege, now: float) -> list[Verdict]:
        since = f"no stranger failed there for {span(siege.quiet)}"
        return [
            Noticed(siege.name, shown(name), f"the siege of {shown(name)} is over: {since}", account=name, over=True)
            for name in self._memory.accounts.relieved(siege.quiet, now)
        ]

    def _campaign(self, now: float) -> list[Verdict]:
        memory, watch = self._memory, self._memory.policy.watches.campaign
        if watch.mode is DetectorMode.OFF:
            return []
        words = watch.seen(memory.site, now)
        if words is None:
            if memory.campaign_seen is not None and not memory.in_campaign(now):
                memory.campaign_seen = None
                return [Noticed(watch.name, "site", "no more strangers fail than on other days", over=True)]
            return []
        begins, memory.campaign_seen = memory.campaign_seen is None, now
        if not begins:
            return []
        then = f"; strangers have {watch.points} tries" if watch.mode is DetectorMode.ENFORCE else ""
        return [Noticed(watch.name, "site", words + then, Severity.WARNING)]

    def _outage(self, now: float) -> list[Verdict]:
        memory, watch = self._memory, self._memory.policy.watches.outage
        if watch.mode is DetectorMode.OFF:
            return []
        words = watch.seen(memory.site, now)
        if words is None:
            if memory.outage_seen is None or now - memory.outage_seen < watch.within:
                return []
            memory.outage_seen = None
            return [Noticed(watch.name, "site", "logins are as usual again; bans are no longer held", over=True)]
        begins, memory.outage_seen = memory.outage_seen is None, now
        held = "; bans of sources that ever logged in are held" if watch.mode is DetectorMode.ENFORCE else ""
        return [Noticed(watch.name, "site", words + held, Severity.CRITICAL)] if begins else []

    def _silence(self, now: float) -> list[Verdict]:
        memory, watch = self._memory, self._memory.policy.watches.silence
        if watch.mode is DetectorMode.OFF:
            return []
        severity = Severity.WARNING if watch.mode is DetectorMode.ENFORCE else Severity.NOTICE
        return [
            Noticed(watch.name, shown(f"{sender} {program}".rstrip()), watch.explain(sender, program, last), severity)
            for sender, program, last in memory.heard.fallen_silent(watch.after, watch.lines, now)
        ]

    def _fuse(self, now: float) -> list[Verdict]:
        memory, limits = self._memory, self._memory.policy.watches.fuse
        since = memory.fuse.blown_since
        if not memory.fuse.ends(now, limits.quiet):
            return []
        return [Noticed(limits.name, "site", f"blown since {moment(since or now)}, and whole again", over=True)]

    def _once(self, notice: Noticed, now: float, every: float = AGAIN) -> list[Verdict]:
        """The notice, unless its subject was told of within the last `every` seconds."""
        told = self._memory.told
        if told.until(notice.detector, notice.subject, now) is not None:
            return []
        told.tell(notice.detector, notice.subject, now + every)
        return [notice]


def _worst(mode: DetectorMode) -> Severity:
    return Severity.CRITICAL if mode is DetectorMode.ENFORCE else Severity.NOTICE
