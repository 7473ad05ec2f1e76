"""Everything remembered of sources, and what is forgotten first when there are too many."""

from collections import OrderedDict

from appliance.address import Net
from appliance.judge.attempts import Attempt

SOURCES = 1_000_000
"""Sources with attempts. A site sees 10^3 to 10^5 a day; the rest is room for a flood."""
SUCCEEDED = 1_000_000
"""Sources that logged in at least once."""


class Sources:
    """The attempts of each source.

    Sources close to a ban stand apart from the quiet ones, and give way only when no quiet one is left: a
    flood of new addresses cannot make zward forget who has nearly enough points. In each of the two the
    least recently heard goes first.
    """

    def __init__(self, most: int = SOURCES) -> None:
        self._most = most
        self._quiet: OrderedDict[bytes, list[Attempt]] = OrderedDict()
        self._close: OrderedDict[bytes, list[Attempt]] = OrderedDict()
        self.evicted = 0
        """Quiet sources forgotten because there were too many."""
        self.evicted_close = 0
        """The same of sources close to a ban: an alarm, for an attacker gains by it."""

    def __len__(self) -> int:
        return len(self._quiet) + len(self._close)

    def attempts(self, source: bytes) -> list[Attempt]:
        """The list of a source's attempts, opened if there is none yet."""
        found = self._quiet.get(source)
        if found is not None:
            self._quiet.move_to_end(source)
            return found
        found = self._close.get(source)
        if found is not None:
            self._close.move_to_end(source)
            return found
        if len(self) >= self._most:
            self._evict()
        found = self._quiet[source] = []
        return found

    def known(self, source: bytes) -> list[Attempt]:
        """The attempts of a source, without opening a list for one that has none."""
        return self._quiet.get(source) or self._close.get(source) or []

    def mark(self, source: bytes, *, close: bool) -> None:
        """Say whether a source is close to a ban."""
        there, here = (self._close, self._quiet) if close else (self._quiet, self._close)
        found = here.pop(source, None)
        if found is not None:
            there[source] = found

    def forgive(self, net: Net) -> None:
        """Take every point from the sources inside a network, or around it if it is less than a source."""
        for source in self._inside(net):
            for attempt in self.known(source):
                attempt.forgive()

    def _inside(self, net: Net) -> list[bytes]:
        whole = 32 if net.family == 4 else 64
        if net.prefix >= whole:
            return [net.widened(whole).packed]
        width = len(net.packed)
        return [
            source
            for each in (self._quiet, self._close)
            for source in each
            if len(source) == width and net.covers(Net(source, whole))
        ]

    def _evict(self) -> None:
        if self._quiet:
            self._quiet.popitem(last=False)
            self.evicted += 1
        else:
            self._close.popitem(last=False)
            self.evicted_close += 1


class Succeeded:
    """Which sources have ever logged in, by strong evidence."""

    def __init__(self, most: int = SUCCEEDED) -> None:
        self._most = most
        self._sources: OrderedDict[bytes, None] = OrderedDict()
        self.evicted = 0
        """Sources forgotten because there were too many; slow-guessing takes them for strangers."""

    def __contains__(self, source: bytes) -> bool:
        return source in self._sources

    def add(self, source: bytes) -> None:
        self._sources[source] = None
        self._sources.move_to_end(source)
        if len(self._sources) > self._most:
            self._sources.popitem(last=False)
            self.evicted += 1
