"""Lets the firewall know who logs in here, and fences besieged accounts where the operator wants that."""

import asyncio
from collections.abc import Callable
from time import monotonic

from appliance.config.fence import Fence
from appliance.drift import DriftWatch
from appliance.firewall.backend import BackendError, Element
from appliance.firewall.limits import MAX_BATCH
from appliance.gate import Gate

LOOK = 1.0
"""Seconds between two looks at the sieges."""
RENEWED = 60.0
"""Seconds between two tellings while the fence stands: whoever logged in meanwhile may come again."""
FAVOURED = 3600.0
"""Seconds between two tellings else. The firewall remembers for twice as long."""
MOST = 65_536
"""Sources that the firewall is told of, those seen last: its sets hold as many."""


class Fencer:
    """The way from the judge's familiarity and sieges to the firewall."""

    def __init__(self, gate: Gate, drift: DriftWatch, fence: Callable[[], Fence], clock: Callable[[], float]) -> None:
        """`fence` gives the configuration as it is now, `clock` seconds since the epoch."""
        self.is_up = False
        """Whether the fence stands."""
        self._gate = gate
        self._drift = drift
        self._fence = fence
        self._clock = clock
        self._told_at = float("-inf")
        self._repairs = (0, 0)

    async def run(self) -> None:
        """Keep the firewall informed, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        """Tell the firewall what it has to know now."""
        fence, now = self._fence(), self._clock()
        wanted = fence.enabled and bool(self._gate.judge.besieged(now))
        repairs = self._drift.health.repairs, self._drift.reconnects
        since = monotonic() - self._told_at
        if repairs != self._repairs or since >= FAVOURED or (wanted and (since >= RENEWED or not self.is_up)):
            if not await self._favour(now):
                return
            self._repairs, self._told_at = repairs, monotonic()
            if wanted:
                self.is_up = await self._gate.enforcer.fence(fence.ports, int(fence.term))
        if self.is_up and not wanted:
            self.is_up = not await self._gate.enforcer.fence((), 0)

    async def _favour(self, now: float) -> bool:
        """Tell the firewall who logs in here; whether it took that."""
        sources = self._gate.judge.familiar.latest(MOST, now)
        elements = [Element(source, int(2 * FAVOURED)) for source in sources]
        try:
            for start in range(0, len(elements), MAX_BATCH):
                await self._gate.enforcer.backend.favour(elements[start : start + MAX_BATCH])
        except BackendError as fault:
            self._gate.enforcer.failed("favour", fault)
            return False
        return True
