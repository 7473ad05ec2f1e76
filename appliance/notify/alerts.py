"""Which facts are alerts, and which of them are up. Time is an argument; nothing here sends.

An alert is one detector's word about one subject. Told again it lasts longer; it never doubles. It ends when the
detector says that it is over, or, for facts that have no end of their own, some time after they were last told.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from appliance.address import Net
from appliance.model import RANK, Noticed, Severity
from appliance.notify.advice import alertname

MOST = 1000
"""Alerts that are up at once: more than anybody reads. The least severe gives way, of those the one told first."""

DAY = 86400.0
LASTS: Mapping[str, float] = {"break-in": DAY}
"""Seconds after the last word, where `hold` would be too short: whoever comes to work in the morning must find it."""

WITH_AN_END = frozenset({"outage", "silence", "fuse", "campaign", "siege"})
"""Their detectors say when it is over."""
FORSAKEN = 7 * DAY
"""Seconds after which one of those ends all the same: its end may never come, as of a sender that was taken away."""

RESOLVED = 1800.0
"""Seconds for which a resolved alert is remembered: three times the longest `every`, the latest end that Alertmanager
was told. After that it has ended there by itself."""

TOLD_AS_NOTICES = frozenset({"stale-device", "zmauditswatch"})
"""Alerts although they are mere notices: a help desk can act on each. All others are from `WARNING` on."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One that is up, or was until a moment ago. Times in seconds since the epoch."""

    detector: str
    subject: str
    severity: Severity
    """The worst that was told while it is up."""
    reason: str
    """The latest."""
    source: Net | None
    account: str | None
    """As a client typed it."""
    since: float
    last: float
    """When it was last told."""
    ends: float
    """When it ends if nothing more is told; when it ended, if it is over."""
    change: int
    """The change of the table (`Alerts.changes`) that brought it, or resolved it."""
    is_over: bool = False

    @property
    def alertname(self) -> str:
        return alertname(self.detector)

    @property
    def case(self) -> str:
        """12 hexadecimal digits that are the same whenever this detector speaks of this subject."""
        name = f"{self.detector}\0{self.subject}".encode(errors="backslashreplace")
        return hashlib.blake2b(name, digest_size=6).hexdigest()


Key = tuple[str, str]


def is_alert(noticed: Noticed) -> bool:
    """Whether a notice is one to raise an alert for; what ends one has no severity of its own."""
    return noticed.severity is not Severity.NOTICE or noticed.detector in TOLD_AS_NOTICES


class Alerts:
    """The alerts that are up, and those that ended lately."""

    def __init__(self, hold: float, most: int = MOST) -> None:
        self.hold = hold
        """Seconds that a fact without an end stays up after it was last told; may be changed at any time."""
        self._most = most
        self._up: Mapping[Severity, OrderedDict[Key, Alert]] = {severity: OrderedDict() for severity in Severity}
        """By severity, in the order in which they were last told."""
        self._ended: OrderedDict[tuple[Key, Severity], Alert] = OrderedDict()
        self.changes = 0
        """Rises with each alert that is new, worse or over: what must be sent at once."""
        self.crowded_out = 0

    def __len__(self) -> int:
        """How many are up."""
        return sum(map(len, self._up.values()))

    def take(self, noticed: Noticed, now: float) -> None:
        """A detector told something."""
        key = noticed.detector, noticed.subject
        known = next((up.pop(key) for up in self._up.values() if key in up), None)
        if noticed.over:
            if known:
                self._end(known, now)
        elif known or is_alert(noticed):
            self._raise(noticed, known, now)

    def due(self, now: float, seen: int, *, whole: bool) -> list[Alert]:
        """What to send to somebody who has seen the first `seen` changes: what changed since, the resolved ones
        first; with `whole` also everything else that is up."""
        self._expire(now)
        ended = [each for each in self._ended.values() if each.change > seen]
        return ended + [each for each in self._all() if whole or each.change > seen]

    def unseen(self, seen: int) -> int:
        """How many alerts changed after the first `seen` changes."""
        return sum(1 for each in (*self._ended.values(), *self._all()) if each.change > seen)

    def _all(self) -> Iterator[Alert]:
        """All that are up, the worst first."""
        for severity in reversed(Severity):
            yield from self._up[severity].values()

    def _raise(self, noticed: Noticed, known: Alert | None, now: float) -> None:
        severity = noticed.severity
        if known and RANK[known.severity] >= RANK[severity]:
            severity = known.severity
        elif known:
            self._end(known, now)  # the severity is a label, so with another one it is another alert to Alertmanager
        if not known or known.severity is not severity:
            self.changes += 1
        key = noticed.detector, noticed.subject
        self._ended.pop((key, severity), None)
        self._up[severity][key] = Alert(
            noticed.detector,
            noticed.subject,
            severity,
            noticed.reason,
            noticed.source,
            noticed.account,
            since=known.since if known else now,
            last=now,
            ends=now + self._lasts(noticed.detector),
            change=known.change if known and known.severity is severity else self.changes,
        )
        if not known:
            self._make_room()

    def _lasts(self, detector: str) -> float:
        return FORSAKEN if detector in WITH_AN_END else max(self.hold, LASTS.get(detector, 0.0))

    def _make_room(self) -> None:
        """The newcomer itself gives way where all others are worse. Nobody is told that it ended, for it did not."""
        if len(self) > self._most:
            next(up for up in self._up.values() if up).popitem(last=False)
            self.crowded_out += 1

    def _end(self, alert: Alert, now: float) -> None:
        self.changes += 1
        key = (alert.detector, alert.subject), alert.severity
        self._ended.pop(key, None)
        self._ended[key] = replace(alert, ends=now, change=self.changes, is_over=True)
        if len(self._ended) > self._most:
            self._ended.popitem(last=False)

    def _expire(self, now: float) -> None:
        for up in self._up.values():
            for key in [key for key, alert in up.items() if alert.ends <= now]:
                self._end(up.pop(key), now)
        while self._ended and next(iter(self._ended.values())).ends <= now - RESOLVED:
            self._ended.popitem(last=False)
