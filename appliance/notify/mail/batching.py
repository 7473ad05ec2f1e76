"""What waits to be told by mail, gathered so that a flood makes one mail and not thousands.

Nothing here sends or reads a clock: times are arguments, in seconds since the epoch. Whatever happens, what waits
takes a bounded place: counts are exact, of what they count some samples are kept.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from appliance.model import RANK, Ban, Banned, Noticed, Severity, Watched

SAMPLES = 50
"""Bans kept of each detector, and shown in one mail: what a person looks through."""

NOTICES = 200
"""Notices kept in a group, each about another subject; what is beyond is counted."""

DETECTORS = 64
"""Detectors told apart; there are twenty. What is beyond counts as `other`."""

OTHER = "other"

REMEMBERED = 1024
"""Subjects whose beginning is remembered, so that a mail can say since when, and what is over."""

FRESH = 86400.0
"""Seconds after which a subject that was not told of again begins anew."""

QUIET = 2.0
"""Seconds without a further notice after which what is urgent goes out: what belongs together comes together."""
WITHIN = 10.0
"""Seconds after the first within which it goes out whatever else comes."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One ban, or one that there would be in mode `enforce`."""

    time: float
    source: str
    reason: str
    until: float | None = None
    """None where nobody is banned."""
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """A notice, however often it came."""

    notice: Noticed
    since: float
    """When its subject was first told of, perhaps in an earlier mail."""
    last: float
    times: int = 1


@dataclass(frozen=True, slots=True)
class Pile:
    """Bans by detector: how many, and some of them."""

    counts: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def count(self, detector: str) -> list[Sample] | None:
        """Count a ban; where to put it as a sample, if there is room."""
        if detector not in self.samples and len(self.samples) >= DETECTORS:
            detector = OTHER
        kept = self.samples.setdefault(detector, [])
        self.counts[detector] += 1
        return kept if len(kept) < SAMPLES else None


@dataclass(frozen=True, slots=True)
class Gathered:
    """What goes into one mail."""

    first: float
    last: float
    """When the first and the last of it came."""
    notices: tuple[Heard, ...]
    beyond: Mapping[str, int]
    """Detector → notices that came and are not kept."""
    bans: Pile
    would_bans: Pile


class Group:
    """What goes together into one mail, and when that is due."""

    def __init__(self, quiet: float, within: float, every: float = 0.0) -> None:
        """Due after `quiet` seconds without anything further, `within` seconds after the first at the latest, and
        not sooner than `every` seconds after the last mail."""
        self._quiet = quiet
        self._within = within
        self._every = every
        self._sent: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._first = self._last = 0.0
        self._is_empty = True
        self._notices: dict[tuple[str, str, bool], Heard] = {}
        self._beyond: Counter[str] = Counter()
        self._bans, self._would_bans = Pile(), Pile()

    def add_ban(self, ban: Ban, accounts: tuple[str, ...], now: float) -> None:
        self._note(now)
        if (kept := self._bans.count(ban.detector)) is not None:
            kept.append(Sample(now, str(ban.net), ban.reason, ban.until, accounts))

    def add_would_ban(self, watched: Watched, now: float) -> None:
        self._note(now)
        if (kept := self._would_bans.count(watched.detector or OTHER)) is not None:
            kept.append(Sample(now, str(watched.source), watched.reason))

    def add_notice(self, notice: Noticed, since: float, now: float) -> None:
        """Take note of a notice; of one subject the gravest is kept, and of equals the latest."""
        self._note(now)
        key = notice.detector, notice.subject, notice.over
        known = self._notices.get(key)
        if known is not None:
            is_graver = RANK[notice.severity] >= RANK[known.notice.severity]
            self._notices[key] = Heard(notice if is_graver else known.notice, known.since, now, known.times + 1)
        elif len(self._notices) < NOTICES:
            self._notices[key] = Heard(notice, since, now)
        else:
            self._beyond[notice.detector if len(self._beyond) < DETECTORS else OTHER] += 1

    def _note(self, now: float) -> None:
        if self._is_empty:
            self._is_empty, self._first = False, now
        self._last = now

    def due(self, now: float) -> float | None:
        """When a mail is to go out; None while there is nothing to tell."""
        self._follow(now)
        if self._is_empty:
            return None
        due = min(self._last + self._quiet, self._first + self._within)
        return due if self._sent is None else max(due, self._sent + self._every)

    def take(self, now: float) -> Gathered:
        """What is to be told. The group is empty then, and the mail counts as sent."""
        gathered = Gathered(
            self._first, self._last, tuple(self._notices.values()), dict(self._beyond), self._bans, self._would_bans
        )
        self._begin()
        self._sent = now
        return gathered

    def _follow(self, now: float) -> None:
        """Keep the distances where the clock was set back: a mail must not wait for the time that was wrong."""
        latest = max(self._last, self._sent or 0.0)
        if not now < latest:
            return
        back = latest - now
        self._first, self._last = self._first - back, self._last - back
        if self._sent is not None:
            self._sent -= back


@dataclass(slots=True)
class _Told:
    since: float
    last: float
    is_urgent: bool


class Batching:
    """The two groups: what is told at once, and what waits for the next batch."""

    def __init__(self, at_once: Severity, every: float, batch_after: float, batch_within: float) -> None:
        self.urgent = Group(QUIET, WITHIN, every)
        self.batch = Group(batch_after, batch_within)
        self._least = RANK[at_once]
        self._begun: OrderedDict[tuple[str, str], _Told] = OrderedDict()

    def tell(self, what: Banned | Watched | Noticed, now: float) -> None:
        match what:
            case Banned(ban=ban, accounts=accounts):
                self.batch.add_ban(ban, accounts, now)
            case Watched():
                self.batch.add_would_ban(what, now)
            case Noticed():
                self._notice(what, now)

    def _notice(self, notice: Noticed, now: float) -> None:
        """What ends is told as soon as what began was."""
        key = notice.detector, notice.subject
        is_urgent = RANK[notice.severity] >= self._least
        told = self._begun.pop(key, None)
        if told is not None and now - told.last > FRESH and not notice.over:
            told = None
        since = now if told is None else told.since
        if notice.over:
            is_urgent = is_urgent or (told is not None and told.is_urgent)
        else:
            self._begun[key] = _Told(since, now, is_urgent or (told is not None and told.is_urgent))
            if len(self._begun) > REMEMBERED:
                self._begun.popitem(last=False)
        (self.urgent if is_urgent else self.batch).add_notice(notice, since, now)


def shares(counts: Mapping[str, int], most: int) -> dict[str, int]:
    """How many of `most` lines each detector gets: the rare ones all they need, the loud ones what is left."""
    given: dict[str, int] = {}
    ranked: Iterable[tuple[int, str]] = sorted((number, detector) for detector, number in counts.items())
    left = most
    for place, (number, detector) in enumerate(ranked):
        given[detector] = min(number, left // (len(counts) - place))
        left -= given[detector]
    return given
