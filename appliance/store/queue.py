"""Evidence on its way to the disk: bounded, and a flood of one source is merged rather than dropped.

The store keeps 32 lines of a source and hour and counts the rest. So does this queue before it, because the
disk takes 20,000 lines a second (measured) and a flood brings ten times that: a source over its share sends one
line on for each account and outcome, with the number of events that it stands for.
"""

from collections import OrderedDict, deque

from appliance.address import Net
from appliance.model import AuthEvent
from appliance.store.evidence import LINES_AN_HOUR, EvidenceLine

LINES = 65_536
"""Lines that may wait: about 40 MB. What comes beyond is counted and not kept."""

SOURCES = 262_144
"""Sources whose share is remembered; the least recently seen gives way, and may then send a few lines more."""


class EvidenceQueue:
    """Holds what waits to be written."""

    def __init__(self, lines: int = LINES, sources: int = SOURCES) -> None:
        self._limit = lines
        self._sources = sources
        self._lines: deque[EvidenceLine] = deque()
        self._merged: dict[tuple[Net, str | None, str, str], tuple[EvidenceLine, int]] = {}
        self._hour = -1
        self._taken: OrderedDict[Net, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lines) + len(self._merged)

    def add(self, event: AuthEvent, source: Net, now: float) -> bool:
        """Queue an event; False where the queue is full and it is lost."""
        if self._is_within_share(source, now):
            if len(self) >= self._limit:
                return False
            self._lines.append(EvidenceLine.of(event, source, now))
            return True
        key = source, event.account, event.protocol, event.outcome
        if key in self._merged:
            line, count = self._merged[key]
            self._merged[key] = line, count + event.count
        elif len(self) >= self._limit:
            return False
        else:
            self._merged[key] = EvidenceLine.of(event, source, now), event.count
        return True

    def take(self, most: int) -> list[EvidenceLine]:
        """The next lines to write, at most so many."""
        lines = [self._lines.popleft() for _ in range(min(most, len(self._lines)))]
        for key in list(self._merged)[: most - len(lines)]:
            line, count = self._merged.pop(key)
            line.count = count
            lines.append(line)
        return lines

    def put_back(self, lines: list[EvidenceLine]) -> None:
        """The write failed: these come next again."""
        self._lines.extendleft(reversed(lines))

    def _is_within_share(self, source: Net, now: float) -> bool:
        hour = int(now // 3600)
        if hour != self._hour:
            self._hour = hour
            self._taken.clear()
        taken = self._taken.get(source, 0) + 1
        self._taken[source] = taken
        self._taken.move_to_end(source)
        if len(self._taken) > self._sources:
            self._taken.popitem(last=False)
        return taken <= LINES_AN_HOUR
