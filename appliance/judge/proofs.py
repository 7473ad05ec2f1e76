"""Which sources are proved to have been here: the kernel saw them complete a connection to a port of ours."""

from collections import OrderedDict

LASTS = 1800.0
"""Seconds for which a proof holds: as long as the kernel itself remembers the connection."""
PROVED = 65_536
"""Sources proved at a time. Only those are asked about whose ban waits for it: addresses that attack from real
connections, 10^2 to 10^4 in half an hour. The one proved longest ago gives way, and may be asked about anew."""


class Proofs:
    """Since when each source is proved, the oldest proof first."""

    def __init__(self, most: int = PROVED) -> None:
        self._most = most
        self._since: OrderedDict[bytes, float] = OrderedDict()
        self.evicted = 0
        """Proofs given up early because there were too many."""

    def __len__(self) -> int:
        return len(self._since)

    def add(self, source: bytes, now: float) -> None:
        self._since[source] = now
        self._since.move_to_end(source)
        while not self.hold(next(iter(self._since)), now):
            self._since.popitem(last=False)
        if len(self._since) > self._most:
            self._since.popitem(last=False)
            self.evicted += 1

    def hold(self, source: bytes, now: float) -> bool:
        """Whether a source is proved. What was proved later than `now` is not: the clock was set back."""
        since = self._since.get(source)
        return since is not None and 0 <= now - since < LASTS
