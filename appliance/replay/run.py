"""One configuration tried on old lines: the gate on a virtual clock, and what it would have done.

What a source writes while a ban of it would stand never reaches the judge: had the ban been real, it would not have
happened. It is counted as avoided, or, where it is a login, as refused.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple, cast

from appliance.address import Net, NetSet, source_of
from appliance.config.policy import policy_of
from appliance.config.schema import Config
from appliance.firewall.observe import ObserveBackend
from appliance.gate import Gate
from appliance.judge.attempts import NEAR, Attempt, Attempts
from appliance.judge.doors import door_of
from appliance.judge.judge import Judge
from appliance.judge.policy import Ours
from appliance.judge.reasons import PROVED
from appliance.metrics.metrics import Metrics
from appliance.model import (
    AuthEvent,
    Ban,
    Banned,
    Evidence,
    Mode,
    Noticed,
    Outcome,
    Result,
    Severity,
    Verdict,
    Watched,
)
from appliance.read.origin import Trust
from appliance.read.reader import Fact, Reader
from appliance.read.rules import RuleSet
from appliance.replay.lockouts import SET, Lockouts
from appliance.replay.logins import Logins
from appliance.replay.sieges import Sieges
from appliance.replay.standing import Kept, Standing, closing
from appliance.replay.stream import Item
from appliance.replay.unparsed import Unparsed
from appliance.store.store import Store

SEED = b"zward replay"
"""Of the jitter of bans. A daemon's is secret and its own, so its bans differ by as much as the ladder's jitter."""

ASSUMED = "taken for proved: a replay has no packets to prove it by"
"""What the reason of a ban says in place of `PROVED`."""

SETTLED = 2 * NEAR
"""Seconds after which nothing more is told of an attempt."""

ALERTS = 10_000
"""Alerts that are kept; more are counted. Nobody reads as many."""

EVERY_SECOND = 7200.0
"""For how long of a gap in the logs the clock ticks each second; every term that time alone ends is shorter."""
TICK = 60.0
"""Seconds between ticks after that, for a day."""
DAY = 86400.0

SENDERS = 4096
"""Hosts of which it is kept when they were last heard: a header's host is whatever somebody wrote into the log."""

_NO_STORE: Store = cast("Store", None)
"""The tasks that would write to it are never started."""

_GUESSES = frozenset({Result.FAILURE, Result.LOCKOUT})


class Alert(NamedTuple):
    """Something that a person would have been told."""

    at: float
    detector: str
    subject: str
    reason: str
    severity: Severity
    source: Net | None
    account: str | None


class Hour:
    """What was counted in one hour, for the plots."""

    __slots__ = ("avoided", "failures", "refused", "successes")

    def __init__(self) -> None:
        self.failures = self.avoided = self.successes = self.refused = 0


class Run:
    """A gate without a network, and a notebook of what it decides."""

    def __init__(self, config: Config, rules: RuleSet, ignored: Sequence[bytes] = ()) -> None:
        """`ignored` are the shapes of lines that rules leave alone on purpose."""
        self.config = config
        self.now: float | None = None
        self.first: float | None = None
        trust = Trust(NetSet(config.zimbra.hosts), NetSet(config.zimbra.proxies))
        reader = Reader(rules, trust, config.zone)
        judge = Judge(policy_of(config, Mode.ENFORCE, NetSet(config.allow.networks), never_ban(config)), SEED)
        self.gate = Gate(reader, judge, ObserveBackend(self._clock), _NO_STORE, Metrics(), self._clock)
        self.events = self.attempts = self.avoided = self.avoided_lines = self.refused = 0
        self.kept: list[Kept] = []
        self.observed: Counter[str] = Counter()
        """Bans that detectors in mode `observe` would ask for."""
        self.alerts: list[Alert] = []
        self.alerts_beyond = 0
        self.hours: dict[int, Hour] = {}
        self.logins = Logins()
        self.lockouts = Lockouts(config.zimbra.lockout.max_failures, config.zimbra.lockout.within)
        self.sieges = Sieges(judge)
        self.unparsed = Unparsed(ignored)
        self.heard: dict[str, float] = {}
        """When each sender was last heard."""
        self._standing = Standing()
        self._merging = Attempts()
        self._waiting: deque[tuple[Net, Attempt, bool]] = deque()
        """Attempts of which lines may still tell more: source, attempt, whether it reached Zimbra."""
        self._kept_away: OrderedDict[str, float] = OrderedDict()
        """Accounts tried by a banned source within `NEAR` seconds: lines without a source may be of the same try."""

    def take(self, item: Item) -> None:
        """Read and judge one line, or take note of those that passed by."""
        if not item.time:
            self._undated(item)
            return
        self._advance(item.time)
        for sender, lines in item.heard:
            if sender in self.heard or len(self.heard) < SENDERS:
                self.heard[sender] = item.time
            self._note(self.gate.judge.heard(sender, lines, item.time), item.time)
        if not item.frame:
            return
        fact = self.gate.reader.read(item.frame, item.sender, item.time)
        if fact.event is None:
            self.unparsed.add(fact)
        elif item.wakes:
            self._event(fact, fact.event, item.time)

    def _undated(self, item: Item) -> None:
        """A line before any that has a time cannot be judged; what nobody knows of it can still be told."""
        if item.frame:
            fact = self.gate.reader.read(item.frame, item.sender, self.now or 0.0)
            if fact.event is None:
                self.unparsed.add(fact)

    def finish(self) -> None:
        """The last line has been taken."""
        self._settle(None)
        self.sieges.end(self.now or 0.0)

    def _clock(self) -> float:
        return self.now or 0.0

    def _advance(self, time: float) -> None:
        """Let the clock tick up to the next line."""
        if self.now is None:
            self.now = self.first = time
            return
        second = float(int(self.now)) + 1
        fine = second + EVERY_SECOND
        if second <= time:
            self._settle(time - SETTLED)
        while second <= time:
            self.now = second
            self._note(self.gate.judge.tick(second), second)
            self.sieges.look(second)
            second += 1 if second < fine else TICK
            if second > fine + DAY:  # nothing is left that time alone could lead to
                second = max(second, float(int(time)) - TICK)
                fine = time
        self.now = time

    # Events

    def _event(self, fact: Fact, event: AuthEvent, now: float) -> None:
        self.events += 1
        event = self.gate.righted(event, now)
        time = min(event.time, now)
        source = None if event.source is None else source_of(event.source)
        account = None if event.account is None else event.account.lower()
        if event.rule == SET and account is not None:
            self._settle(None)
            self.lockouts.set(account, time)
        around = [] if source is None else self._standing.around(source, now)
        ban = closing(around, door_of(event), now) if around else None
        if source is not None:
            if event.result is Result.SUCCESS:
                self._login(source, account, event, time, around, ban)
            elif event.result in _GUESSES:
                self._guess(source, account, event, time, ban)
        elif account is not None and now - self._kept_away.get(account, -NEAR) < NEAR:
            self.avoided_lines += 1
            return
        if ban is not None:
            self.avoided_lines += 1
            return
        self._note(self.gate.judged(event, now), now)

    def _login(
        self, source: Net, account: str | None, event: AuthEvent, time: float, around: list[Kept], ban: Kept | None
    ) -> None:
        if self.logins.success(
            source, account or "", time, event.rule, around, strong=event.evidence is Evidence.STRONG
        ):
            self._hour(time).successes += 1
            if ban is not None:
                ban.refused += 1
                self.refused += 1
                self._hour(time).refused += 1

    def _guess(self, source: Net, account: str | None, event: AuthEvent, time: float, ban: Kept | None) -> None:
        """Count a failure once, however many lines tell of it, by what held when its first line was written."""
        created = self._merging.join(source.packed, event, time, account, 1).created
        self.attempts += len(created)
        hour = self._hour(time)
        hour.failures += len(created)
        self._waiting += [(source, attempt, ban is None) for attempt in created]
        if ban is not None:
            ban.avoided += len(created)
            self.avoided += len(created)
            hour.avoided += len(created)
            if account is not None:
                self._kept_away[account] = time
                self._kept_away.move_to_end(account)

    def _settle(self, until: float | None) -> None:
        """Count attempts by account, of which everything has been told by now; None: all of them."""
        while self._waiting and (until is None or self._waiting[0][1].time <= until):
            source, attempt, reached = self._waiting.popleft()
            if attempt.account is not None:
                if attempt.outcome is not Outcome.UNKNOWN_ACCOUNT:
                    self.lockouts.failure(attempt.account, attempt.time, reached=reached)
                self.logins.failure(source, attempt.account, attempt.protocol.value, attempt.time)
        while self._kept_away and until is not None and next(iter(self._kept_away.values())) < until:
            self._kept_away.popitem(last=False)

    def _hour(self, time: float) -> Hour:
        hour = int(time // 3600)
        if hour not in self.hours:
            self.hours[hour] = Hour()
        return self.hours[hour]

    # Verdicts

    def _note(self, verdicts: Sequence[Verdict], now: float) -> None:
        for verdict in verdicts:
            match verdict:
                case Banned(ban=ban, accounts=accounts):
                    self._ban(ban, accounts)
                case Watched(asks_proof=True, source=Net() as source):
                    self._note(self.gate.judge.prove([source], now), now)
                case Watched(would_ban=True, detector=str() as detector):
                    self.observed[detector] += 1
                case Noticed() if len(self.alerts) < ALERTS:
                    self.alerts.append(
                        Alert(
                            now,
                            verdict.detector,
                            verdict.subject,
                            verdict.reason,
                            verdict.severity,
                            verdict.source,
                            verdict.account,
                        )
                    )
                case Noticed():
                    self.alerts_beyond += 1

    def _ban(self, ban: Ban, accounts: tuple[str, ...]) -> None:
        kept = Kept(len(self.kept), ban, accounts, PROVED not in ban.reason)
        self.kept.append(kept)
        self.logins.banned(kept)
        self._standing.open(kept)


def never_ban(config: Config) -> dict[Ours, NetSet]:
    """Whom the configuration itself says never to ban. Not this machine's addresses: the logs are another's."""
    return {
        Ours.ZIMBRA: NetSet(config.zimbra.hosts),
        Ours.PROXY: NetSet(config.zimbra.proxies),
        Ours.SENDER: NetSet(config.listen.senders),
    }


def reason_of(ban: Ban) -> str:
    """A ban's reason, which must not speak of packets that nobody saw."""
    return ban.reason.replace(PROVED, ASSUMED)
