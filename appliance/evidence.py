"""How many lines of one source are kept: enough to explain a ban, not enough to fill the disk."""

from collections import OrderedDict

from appliance.address import Net

LINES_AN_HOUR = 32
"""Evidence lines of one source in one hour of the clock; `why` shows the newest twenty."""

SOURCES = 262_144
"""Sources whose share is remembered; the least recently seen gives way, and may then keep a few lines more."""


class Shares:
    """Who has how much of its share left this hour."""

    def __init__(self, lines: int = LINES_AN_HOUR, sources: int = SOURCES) -> None:
        self._lines = lines
        self._sources = sources
        self._hour = -1
        self._taken: OrderedDict[Net, int] = OrderedDict()

    def take(self, source: Net, now: float) -> bool:
        """Whether one more line of this source is to be kept."""
        hour = int(now // 3600)
        if hour != self._hour:
            self._hour = hour
            self._taken.clear()
        taken = self._taken.get(source, 0)
        if taken >= self._lines:
            return False
        self._taken[source] = taken + 1
        if len(self._taken) > self._sources:
            self._taken.popitem(last=False)
        return True
