"""Writes bans and evidence down, beside the gate: a slow or full disk delays no ban."""

import asyncio
import contextlib
import logging

from appliance.address import source_of
from appliance.batches import finished
from appliance.metrics.metrics import Metrics
from appliance.model import RESULT_OF, AuthEvent, Ban, Result
from appliance.store.queue import EvidenceQueue
from appliance.store.store import Store, StoreError

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Pause before a failed write is tried again: a full disk is not emptied sooner."""

BATCH = 4096
"""Evidence lines in one write: 75 to 210 ms of SQLite's work in its own thread (measured)."""

LINGER_SECONDS = 0.5
"""How long evidence waits for more of it. A line costs 33 µs in a batch of 256 and 18 µs in one of 4,096, for each
write is a transaction; bans do not wait, and take along what evidence there is."""

_KEPT = frozenset({Result.FAILURE, Result.LOCKOUT, Result.ABUSE})


class Recorder:
    """The way from the gate to the store. Bans wait as long as it takes; evidence is bounded."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self.fault = ""
        """Why nothing can be written; "" while it can."""
        self._store = store
        self._metrics = metrics
        self._bans: list[Ban] = []
        self._evidence = EvidenceQueue()
        self._due = asyncio.Event()
        """Something is to be written."""
        self._hurry = asyncio.Event()
        """It is worth a write now: a ban, or a whole batch."""

    def ban(self, ban: Ban) -> None:
        """Have a ban written down."""
        self._bans.append(ban)
        self._due.set()
        self._hurry.set()

    def event(self, event: AuthEvent, now: float) -> None:
        """Have the line of an event kept, if it blames a source."""
        if event.source is None or RESULT_OF[event.outcome] not in _KEPT:
            return
        if self._evidence.add(event, source_of(event.source), now):
            self._due.set()
            if len(self._evidence) >= BATCH:
                self._hurry.set()
        else:
            self._metrics.evidence_dropped.inc()

    @property
    def waiting(self) -> int:
        """Evidence lines that are not yet written."""
        return len(self._evidence)

    async def run(self) -> None:
        """Write what comes, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._bans or self._evidence:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), LINGER_SECONDS)
                await finished(self._write())
                if not self._bans and len(self._evidence) < BATCH:
                    self._hurry.clear()

    async def _write(self) -> None:
        bans = self._bans[:BATCH]
        lines = self._evidence.take(BATCH)
        try:
            if bans:
                await self._store.add_bans(bans)
                del self._bans[: len(bans)]
            if lines:
                await self._store.add_evidence(lines)
        except StoreError as fault:
            self._evidence.put_back(lines)
            self._failed(fault)
            await asyncio.sleep(RETRY_SECONDS)
            return
        self.fault = ""
        self._metrics.degraded.labels("store").set(0)

    def _failed(self, fault: StoreError) -> None:
        self._metrics.store_faults.inc()
        self._metrics.degraded.labels("store").set(1)
        if not self.fault:
            log.error("the store does not take writes; bans go on: %s", fault)
        self.fault = str(fault)

    async def flush(self) -> None:
        """Write what waits once more, at the end; what fails is told."""
        while self._bans or self._evidence:
            waiting = len(self._bans) + len(self._evidence)
            try:
                await self._store.add_bans(self._bans)
                await self._store.add_evidence(self._evidence.take(waiting))
            except StoreError as fault:
                log.error("%d records are not written: %s", waiting, fault)
                return
            self._bans.clear()
