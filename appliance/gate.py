"""THE ONE LOOP: blocks of frames come in, verdicts become acts.

`receive` reads and judges at once, in the event loop, and never waits. What a verdict demands is carried out
by two tasks beside it, one for the firewall and one for the store, so that a slow disk delays no ban. A ban
is sent at once; others that come while one is under way go together in the next transaction. Nothing below
the gate knows the gate.
"""

import asyncio
import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from appliance.address import Net, source_of
from appliance.clocks import Clocks
from appliance.firewall.backend import Backend, BackendError, Element
from appliance.firewall.limits import MAX_BATCH
from appliance.judge.judge import Judge
from appliance.judge.words import moment, shown
from appliance.metrics import Metrics
from appliance.model import Ban, Banned, Noticed, Result, Spared, Verdict, Watched
from appliance.read.frames import Block
from appliance.read.reader import Reader
from appliance.store.queue import EvidenceQueue
from appliance.store.store import Store, StoreError

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Pause before what failed is tried again: a full disk or a dead helper does not come back sooner."""

DISBELIEVED = 64
"""Peers with a disbelieved `oip=` that are counted by name; a site has a handful of proxies."""

STORE_BATCH = 4096
"""Evidence lines in one write: 75 to 210 ms of SQLite's work in its own thread (measured)."""

_KINDS = {Watched: "watched", Spared: "spared", Banned: "banned", Noticed: "noticed"}

_KEPT = frozenset({Result.FAILURE, Result.LOCKOUT, Result.ABUSE})


@dataclass(slots=True)
class Wanted:
    """A ban on its way to the kernel."""

    ban: Ban
    arrived: float
    """Monotonic seconds at which the deciding line came in."""


class Gate:
    """Holds what turns frames into acts. The reader and the backend can be exchanged; state survives."""

    def __init__(
        self, reader: Reader, judge: Judge, backend: Backend, store: Store, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        """`clock` gives seconds since the epoch."""
        self.reader = reader
        self.judge = judge
        self.backend = backend
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._wanted: dict[Net, Wanted] = {}
        self._unwritten: list[Ban] = []
        self._evidence = EvidenceQueue()
        self._ban_due = asyncio.Event()
        self._write_due = asyncio.Event()
        self._received = {transport: metrics.received.labels(transport) for transport in ("udp", "tcp")}
        self._events_here: Counter[tuple[str, str, str]] = Counter()
        self._verdicts_here: Counter[tuple[str, str]] = Counter()
        """Counts of the block at hand."""
        self._frames = self._parsed = self._events = 0
        self.doubts: deque[str] = deque(maxlen=20)
        """The last lines that reading or judging stumbled over, with the fault: for `status`."""
        self.clocks = Clocks()
        self.disbelieved: Counter[str] = Counter()
        """Peers that sent an `oip=` which was not believed, the first `DISBELIEVED` of them: a proxy not listed?"""
        self.firewall_fault = ""
        """Why the firewall does not do what is asked; "" while it does."""
        self.store_fault = ""

    # Coming in

    def receive(self, block: Block, sender: str, transport: str) -> None:
        """Read and judge a block of frames. Called by the listeners; returns at once."""
        self._received[transport].inc(len(block))
        self._frames += len(block)
        now = self._clock()
        for frame in self.reader.suspects(block):
            try:
                self._take(frame, sender, now)
            except Exception as fault:  # the one boundary around one line: it is told, and the others go on
                self._metrics.faults.labels("quarantined").inc()
                self.doubts.append(f"{type(fault).__name__}: {fault}: {shown(frame[:200].decode('utf-8', 'replace'))}")
                log.exception("a line could not be judged; it is counted and left out")
        self._count_block()
        if self._wanted:
            self._ban_due.set()
        if self._evidence:
            self._write_due.set()

    def _count_block(self) -> None:
        """Hand the block's counts to the metrics: once for each kind, since finding a labelled counter costs 1 µs."""
        for labels, number in self._events_here.items():
            self._metrics.matched.labels(*labels).inc(number)
        for detector_and_kind, number in self._verdicts_here.items():
            self._metrics.verdicts.labels(*detector_and_kind).inc(number)
        self._events_here.clear()
        self._verdicts_here.clear()

    def _take(self, frame: bytes, sender: str, now: float) -> None:
        self._metrics.parsed.inc()
        self._parsed += 1
        fact = self.reader.read(frame, sender, now)
        event = fact.event
        if event is None:
            if not fact.is_readable:
                self._metrics.unreadable.inc()
            return
        self._events += 1
        if fact.disbelieved is not None:
            self._note_disbelieved(str(fact.disbelieved))
        self._events_here[event.protocol, event.outcome, event.evidence] += 1
        time = self.clocks.right(sender, event.program, event.time, now)
        if time != event.time:
            event = replace(event, time=time)
        self._metrics.lag.observe(max(0.0, now - time))
        for verdict in self.judge.judge(event, now):
            self._heed(verdict)
        if event.source is None or event.result not in _KEPT:
            return
        if not self._evidence.add(event, source_of(event.source), now):
            self._metrics.evidence_dropped.inc()

    def _note_disbelieved(self, peer: str) -> None:
        if peer in self.disbelieved or len(self.disbelieved) < DISBELIEVED:
            self.disbelieved[peer] += 1

    def _heed(self, verdict: Verdict) -> None:
        """Count a verdict, and put into motion what it demands."""
        kind = _KINDS[type(verdict)]
        match verdict:
            case Watched(would_ban=False):
                pass
            case Watched():
                kind = "would_ban"
                log.warning("%s: %s", verdict.source, verdict.reason)
            case Banned(ban=ban):
                self._wanted[ban.net] = Wanted(ban, monotonic())
                self._unwritten.append(ban)
                self._write_due.set()
                log.warning("ban %s until %s: %s", ban.net, moment(ban.until), ban.reason)
            case Spared():
                log.warning("spared %s: %s", verdict.source, verdict.reason)
            case Noticed():
                log.warning("notice (%s): %s", verdict.detector, verdict.reason)
        self._verdicts_here[verdict.detector or "none", kind] += 1

    # Going out

    async def run(self) -> None:
        """Carry out what verdicts demand, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._enforce(), name="gate-enforce")
            tasks.create_task(self._record(), name="gate-record")

    async def _enforce(self) -> None:
        while True:
            await self._ban_due.wait()
            self._ban_due.clear()
            while self._wanted:
                batch = [self._wanted.pop(net) for net in list(self._wanted)[:MAX_BATCH]]
                await _finished(self._enforce_batch(batch))

    async def _enforce_batch(self, batch: list[Wanted]) -> None:
        now = self._clock()
        elements = [Element(w.ban.net, math.ceil(w.ban.until - now)) for w in batch if w.ban.until > now]
        try:
            refused = await self.backend.ban(elements)
        except BackendError as fault:
            self._firewall_failed("ban", fault)
            for wanted in batch:
                self._wanted.setdefault(wanted.ban.net, wanted)
            await asyncio.sleep(RETRY_SECONDS)
            await self._mend()
            return
        self._firewall_worked()
        for net, reason in refused:
            self._metrics.refused.inc()
            log.warning("the firewall refuses to ban %s: %s", net, reason)
        done, not_done = monotonic(), {net for net, _ in refused}
        for wanted in batch:
            if wanted.ban.net not in not_done:
                self._metrics.bans.labels(wanted.ban.detector, str(wanted.ban.net.family)).inc()
                self._metrics.latency.observe(done - wanted.arrived)

    async def _record(self) -> None:
        while True:
            await self._write_due.wait()
            self._write_due.clear()
            while self._unwritten or self._evidence:
                await _finished(self._write_batch())

    async def _write_batch(self) -> None:
        bans = self._unwritten[:STORE_BATCH]
        lines = self._evidence.take(STORE_BATCH)
        try:
            if bans:
                await self._store.add_bans(bans)
                del self._unwritten[: len(bans)]
            if lines:
                await self._store.add_evidence(lines)
        except StoreError as fault:
            self._evidence.put_back(lines)
            self._metrics.store_faults.inc()
            if not self.store_fault:
                log.error("the store does not take writes; bans go on: %s", fault)
            self.store_fault = str(fault)
            self._metrics.degraded.labels("store").set(1)
            await asyncio.sleep(RETRY_SECONDS)
            return
        self.store_fault = ""
        self._metrics.degraded.labels("store").set(0)

    async def flush(self) -> None:
        """Write what waits for the disk once more, at the end; what fails is told."""
        while self._unwritten or self._evidence:
            waiting = len(self._unwritten) + len(self._evidence)
            try:
                await self._store.add_bans(self._unwritten)
                await self._store.add_evidence(self._evidence.take(waiting))
            except StoreError as fault:
                log.error("%d records are not written: %s", waiting, fault)
                return
            self._unwritten.clear()

    def record(self, ban: Ban) -> None:
        """Have a ban made by hand written down."""
        self._unwritten.append(ban)
        self._write_due.set()

    def count_unbans(self, number: int) -> None:
        self._metrics.unbans.labels("operator").inc(number)

    def funnel(self) -> dict[str, int]:
        """Frames received and read, and events, since the start."""
        return {"received": self._frames, "parsed": self._parsed, "events": self._events}

    # The kernel and the book

    def want(self, bans: Collection[Ban]) -> None:
        """Put these bans into the kernel, as if a line had just decided them."""
        for ban in bans:
            self._wanted[ban.net] = Wanted(ban, monotonic())
        if self._wanted:
            self._ban_due.set()

    def unwant(self, nets: Collection[Net]) -> None:
        """Forget bans of these networks that have not reached the kernel yet."""
        for net in nets:
            self._wanted.pop(net, None)

    async def protect(self) -> None:
        """Have the firewall spare, and refuse to ban, whatever the judge's policy spares."""
        try:
            await self.backend.allow(self.judge.policy.untouchable())
        except BackendError as fault:
            self._firewall_failed("allow", fault)

    async def lift(self, nets: Iterable[Net]) -> None:
        """Take these networks out of the firewall; what fails is done by the next `reconcile`."""
        nets = list(nets)
        self.unwant(nets)
        try:
            await self.backend.unban(nets)
        except BackendError as fault:
            self._firewall_failed("unban", fault)

    async def reconcile(self) -> int:
        """Make the kernel hold what the judge's book holds; the number of differences that are repaired.

        Bans that stand in the kernel alone end by themselves, but for those that the policy spares.
        """
        was_faulty = bool(self.firewall_fault)
        try:
            present = await self.backend.banned()
        except BackendError as fault:
            self._firewall_failed("list", fault)
            if not await self._mend():
                return 0
            present, was_faulty = {}, True
        self._firewall_worked()
        if was_faulty:
            await self.protect()
        wrong = [net for net in present if self.judge.policy.spares(net)]
        if wrong:
            await self.lift(wrong)
        missing = [ban for ban in self.judge.bans_in_force(self._clock()) if ban.net not in present]
        self.want(missing)
        return len(missing) + len(wrong)

    async def _mend(self) -> bool:
        """Put back the table that somebody else may have removed; whether the firewall is in place now."""
        try:
            await self.backend.open()
        except BackendError as fault:
            self._firewall_failed("open", fault)
            return False
        return True

    def _firewall_failed(self, operation: str, fault: BackendError) -> None:
        self._metrics.firewall_faults.labels(operation).inc()
        self._metrics.degraded.labels("firewall").set(1)
        if not self.firewall_fault:
            log.error("the firewall does not answer; standing bans stay: %s", fault)
        self.firewall_fault = str(fault)

    def _firewall_worked(self) -> None:
        if self.firewall_fault:
            log.warning("the firewall answers again")
        self.firewall_fault = ""
        self._metrics.degraded.labels("firewall").set(0)


async def _finished(work: Coroutine[Any, Any, None]) -> None:
    """Let a batch that has begun end, even if we are cancelled meanwhile: half a batch would be lost."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise
