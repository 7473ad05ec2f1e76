"""Which lines belong to one attempt to log in.

One wrong password writes up to five lines: Postfix warns and names no account, saslauthd twice and names no
source, audit.log and mailbox.log name both. Lines of one source and one protocol that lie within `NEAR`
seconds are laid side by side: each rule writes once per attempt, so the attempts are as many as the most
frequent rule's lines. Three things keep lines apart: the same rule, another account named by the same
program, another smtpd session. Names are compared within a program only: nginx writes what was typed,
audit.log what the directory calls it, and an alias must not turn one attempt into two.

Points follow the same count, one level at a time: the attempts worth two are as many as the most frequent
rule's two-point lines. So the sum does not depend on the order in which the lines of a burst arrive.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from appliance.model import AuthEvent, Evidence, Outcome, Protocol

NEAR = 3.0
"""Seconds between lines of one attempt: Postfix stamps whole seconds, and saslauthd waits for Zimbra."""
SESSION = 600.0
"""Seconds for lines of one smtpd session: `disconnect … auth=0/6` follows the first warning at leisure."""
RECENT = 32
"""Attempts of one source and protocol that a line may still join: the newest, more are past every limit."""
MOST_REPEATS = 100
"""Attempts that one line may stand for (`message repeated N times`): the highest limit that ships."""
BURSTS = 32_768
"""Pairs of source and protocol whose lines are still awaited: measured 34 MB with one attempt in each."""


@dataclass(slots=True)
class Attempt:
    """One try to log in, as far as its lines have told. Forgiven when it is worth no points."""

    time: float
    """Of the line that came first."""
    protocol: Protocol
    outcome: Outcome
    account: str | None
    points: int
    strong: int
    """How many of the points strong evidence accounts for."""

    def forgive(self) -> None:
        """Take the points away for good; lines that still come for it add none."""
        self.points = self.strong = 0


class Joined(NamedTuple):
    """What one line did."""

    created: list[Attempt]
    changed: bool
    """Whether points, evidence or account of any attempt are other than before."""


class _Line(NamedTuple):
    rule: str
    program: str
    account: str | None
    session: tuple[str, str] | None


@dataclass(slots=True)
class _Marks:
    """Which lines an attempt has, on one level of points."""

    rules: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    """Each program's account: three at the most, so a dictionary would only cost more."""
    session: tuple[str, str] | None = None

    def fit(self, line: _Line) -> int:
        """How well a line of another rule belongs here: 0 not at all, more where names agree."""
        fit = 1
        if line.account is not None:
            for program, account in self.names:
                if program == line.program:
                    if account != line.account:
                        return 0
                    fit += 1
        if line.session is not None and self.session is not None:
            if self.session != line.session:
                return 0
            fit += 2
        return fit

    def add(self, line: _Line) -> None:
        self.rules += (line.rule,)
        if line.account is not None and (line.program, line.account) not in self.names:
            self.names += ((line.program, line.account),)
        if line.session is not None:
            self.session = line.session


@dataclass(slots=True)
class _Entry:
    """An attempt that lines may still join."""

    attempt: Attempt
    levels: list[_Marks]

    def is_recent(self, time: float) -> bool:
        """Whether lines of the same smtpd session may still join: it can last longer than `NEAR`."""
        return abs(self.attempt.time - time) <= SESSION

    def marks(self, level: int) -> _Marks:
        while len(self.levels) <= level:
            self.levels.append(_Marks())
        return self.levels[level]


class _Burst:
    """The attempts of one source over one protocol that lines may still join."""

    __slots__ = ("_latest", "_sessions", "entries")

    def __init__(self) -> None:
        self.entries: list[_Entry] = []
        """The newest, however long ago: another sender's log may lag by hours."""
        self._latest = float("-inf")
        """No attempt is later. So nearly every line is known to be an attempt of its own at a glance, where looking
        through 32 of them took 8 µs."""
        self._sessions: list[tuple[str, str]] = []
        """Smtpd sessions that any of the entries can be of, the one heard last at the end."""

    def near(self, time: float, session: tuple[str, str] | None) -> list[_Entry]:
        """The entries that a line of this time and session may belong to, oldest first."""
        if session is not None and session in self._sessions:
            return [
                entry
                for entry in self.entries
                if abs(entry.attempt.time - time) <= NEAR
                or (entry.levels[0].session == session and entry.is_recent(time))
            ]
        if time - NEAR > self._latest:
            return []
        return [entry for entry in self.entries if abs(entry.attempt.time - time) <= NEAR]

    def heard(self, session: tuple[str, str]) -> None:
        """A line of this session joined an entry. The 32 entries are of no more than the last 63 sessions: those
        that the oldest shares the list with, and one each for what came since."""
        if session in self._sessions:
            self._sessions.remove(session)
        self._sessions.append(session)
        del self._sessions[: -2 * RECENT]

    def open(self, entry: _Entry) -> None:
        self.entries.append(entry)
        self._latest = max(self._latest, entry.attempt.time)


class Attempts:
    """The attempts that lines may still join, by source and protocol."""

    def __init__(self, most: int = BURSTS) -> None:
        self._most = most
        self._bursts: OrderedDict[tuple[bytes, Protocol], _Burst] = OrderedDict()
        self.evicted = 0
        """Bursts given up because there were too many: a late line of theirs counts as an attempt."""
        self.capped = 0
        """Lines that stood for more than `MOST_REPEATS` attempts."""

    def join(self, source: bytes, event: AuthEvent, time: float, account: str | None, points: int) -> Joined:
        """Lay a failure's line beside those of the same attempt, or open an attempt for it."""
        line = _Line(
            event.rule,
            event.program,
            account,
            None if event.session is None else (event.sender, event.session),
        )
        strong = event.evidence is Evidence.STRONG
        burst = self._burst(source, event.protocol)
        near = burst.near(time, line.session)
        if not near and event.count == 1:  # nearly every line
            entry = _alone(event, line, time, max(1, points), strong)
            burst.open(entry)
            created, changed = [entry.attempt], True
        else:
            created, changed = self._lay(burst, near, event, line, time, points)
        if line.session is not None:
            burst.heard(line.session)
        del burst.entries[:-RECENT]
        return Joined(created, changed)

    def _lay(
        self, burst: _Burst, near: list[_Entry], event: AuthEvent, line: _Line, time: float, points: int
    ) -> tuple[list[Attempt], bool]:
        """Find each event of the line its attempt among those near, or open one."""
        strong = event.evidence is Evidence.STRONG
        created: list[Attempt] = []
        changed = False
        for _ in range(self._repeats(event.count)):
            entry = _best(near, 0, line)
            if entry is None:
                entry = _alone(event, line, time, 1, strong)
                burst.open(entry)
                near.append(entry)
                created.append(entry.attempt)
                changed = True
            else:
                changed |= _tell(entry.attempt, line.account, strong)
                entry.levels[0].add(line)
            for level in range(1, points):
                changed |= _raise(near, entry, level, line, event.outcome, strong)
        return created, changed

    def _repeats(self, count: int) -> int:
        if count > MOST_REPEATS:
            self.capped += 1
            return MOST_REPEATS
        return count

    def _burst(self, source: bytes, protocol: Protocol) -> _Burst:
        key = (source, protocol)
        burst = self._bursts.get(key)
        if burst is None:
            burst = self._bursts[key] = _Burst()
            if len(self._bursts) > self._most:
                self._bursts.popitem(last=False)
                self.evicted += 1
        else:
            self._bursts.move_to_end(key)
        return burst


def _alone(event: AuthEvent, line: _Line, time: float, points: int, strong: bool) -> _Entry:
    """An attempt that one line alone tells of."""
    names = () if line.account is None else ((line.program, line.account),)
    attempt = Attempt(time, event.protocol, event.outcome, line.account, points, points if strong else 0)
    return _Entry(attempt, [_Marks((line.rule,), names, line.session) for _ in range(points)])


def _best(near: list[_Entry], level: int, line: _Line) -> _Entry | None:
    """The first of the entries that the line fits best."""
    best, most = None, 0
    for entry in near:
        marks = entry.marks(level)
        if line.rule not in marks.rules and (fit := marks.fit(line)) > most:
            best, most = entry, fit
    return best


def _tell(attempt: Attempt, account: str | None, strong: bool) -> bool:
    """Add to an attempt what a further line knows; whether that changed anything."""
    if not attempt.points:
        return False
    changed = False
    if account is not None and account != attempt.account and (strong or attempt.account is None):
        attempt.account = account
        changed = True
    if strong and not attempt.strong:
        attempt.strong = 1
        changed = True
    return changed


def _raise(near: list[_Entry], joined: _Entry, level: int, line: _Line, outcome: Outcome, strong: bool) -> bool:
    """Let a line worth more than `level` points raise the attempt whose turn it is; whether it did.

    That is the first which no like line raised, not always the one that the line joined. Attempts of one
    burst are interchangeable in time, so the two exchange what is told of them.
    """
    raised = _best(near, level, line) or joined
    raised.marks(level).add(line)
    ours, theirs = joined.attempt, raised.attempt
    if not theirs.points:
        return False
    changed = False
    if theirs.points <= level:
        if 0 < ours.points <= level:
            ours.outcome, theirs.outcome = theirs.outcome, outcome
            ours.account, theirs.account = theirs.account, ours.account
        theirs.points = level + 1
        changed = True
    if strong and theirs.strong <= level:
        theirs.strong = level + 1
        changed = True
    return changed
