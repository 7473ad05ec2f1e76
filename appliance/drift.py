"""Notices that the firewall no longer holds what it should, and has it compared with the book.

Listing 100,000 bans costs 0.4 s of CPU, so that is done where there is a reason to: somebody else changed our
table, the helper was started again, an operation failed. Otherwise rarely.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from time import monotonic

from appliance.enforcer import Enforcer
from appliance.firewall.backend import BackendError, Health
from appliance.judge.words import visible

log = logging.getLogger(__name__)

HEALTH_EVERY = 0.5
"""Seconds between two looks at the firewall's health: a quarter of the 2 s within which drift is repaired."""

SOON = 1.0
"""Seconds from one comparison to the next where there is a reason: a tool that changes our table over and over
must not keep us listing."""

LATER = 30.0
"""The same after an operation that failed: it is tried again by whoever needed it."""

RARELY = 600.0
"""The same without any reason."""

PATIENCE = 3.0
"""Seconds without an answer after which that is a fault: a listing of 100,000, behind which others wait, takes
1.5 s at the most (measured)."""

TOLD_FOR = 3600.0
"""Seconds for which `status` tells of a change by somebody else."""

LOGGED_EVERY = 60.0
"""Seconds between two warnings of it; the counters have every one."""


class DriftWatch:
    """Looks at the firewall's health again and again, and has it repaired."""

    def __init__(self, enforcer: Enforcer, reconnects: Callable[[], int]) -> None:
        """`reconnects` says how often the helper had to be reached anew."""
        self.health = Health()
        """As it was seen last."""
        self.reconnects = 0
        self._enforcer = enforcer
        self._ask_reconnects = reconnects
        self._failures = enforcer.failures
        self._is_known = False
        """Whether `health` was ever seen: what happened before our start is nobody's news."""
        self._is_silent = False
        self._asked_at = math.inf
        self._compared_at = monotonic()
        self._due = self._compared_at + LATER  # what fell between the start's comparison and the first look
        self._told = ""
        self._told_at = self._logged_at = -math.inf

    async def run(self) -> None:
        """Look and repair, until cancelled."""
        while True:
            await self._look()
            if monotonic() >= self._due and not self._is_silent and not self._would_hinder():
                await self._compare()
            await asyncio.sleep(HEALTH_EVERY)

    def _would_hinder(self) -> bool:
        """Whether bans wait, which a listing would delay; but there may always be some."""
        return self._enforcer.is_behind and monotonic() < self._due + LATER

    def silence(self) -> str:
        """That the firewall has not answered for a while, in words; "" while it answers."""
        seconds = monotonic() - self._asked_at
        return f"the firewall has not answered for {seconds:.0f} s" if seconds > PATIENCE else ""

    def told(self) -> str:
        """What somebody else did to our table within the last hour, in words; "" if nothing."""
        minutes = (monotonic() - self._told_at) / 60
        return f"{self._told} ({minutes:.0f} min ago)" if minutes * 60 < TOLD_FOR else ""

    async def _look(self) -> None:
        self._asked_at = monotonic()
        try:
            health = await self._enforcer.backend.health()
        except BackendError as fault:
            self._enforcer.failed("health", fault)
            self._is_silent = True
            return
        finally:
            self._asked_at = math.inf
        self._weigh(health)

    def _weigh(self, health: Health) -> None:
        """Compare what is seen with what was seen last, and decide when to look closer.

        Bans that gave way in a full set are no reason: to put them back would crowd out others.
        """
        before, self.health = self.health, health
        reconnects, failures = self._ask_reconnects(), self._enforcer.failures
        repairs = health.repairs - before.repairs
        crowded_out = health.crowded_out - before.crowded_out
        if self._is_known and (repairs > 0 or crowded_out > 0):
            self._tell(health.told or _words(max(repairs, 0), max(crowded_out, 0)))
        if (self._is_known and repairs > 0) or self._is_silent or reconnects != self.reconnects:
            self._compare_within(SOON)
        elif failures != self._failures:
            self._compare_within(LATER)
        self._is_known, self._is_silent, self.reconnects, self._failures = True, False, reconnects, failures

    def _compare_within(self, seconds: float) -> None:
        self._due = min(self._due, self._compared_at + seconds)

    async def _compare(self) -> None:
        repaired = await self._enforcer.reconcile()
        self._compared_at = monotonic()
        self._due = self._compared_at + RARELY
        if repaired:
            log.warning("%d bans differed between the firewall and the book; that is being put right", repaired)

    def _tell(self, words: str) -> None:
        now = monotonic()
        self._told, self._told_at = visible(words), now  # it may name a program, and that name be anybody's choice
        if now - self._logged_at >= LOGGED_EVERY:
            self._logged_at = now
            log.warning("the firewall: %s", self._told)


def _words(repairs: int, crowded_out: int) -> str:
    """For a helper that says nothing itself."""
    if repairs:
        return "somebody else changed our table; it was put back"
    return f"a set was full: {crowded_out} bans gave way, the soonest to end"
