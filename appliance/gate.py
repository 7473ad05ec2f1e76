"""THE ONE LOOP: blocks of frames come in, verdicts become acts.

`receive` reads and judges at once, in the event loop, and never waits. What a verdict demands is carried out
by three tasks beside it: the enforcer bans in the firewall, the recorder writes to the store, the prover finds out
who was really here. Nothing below the gate knows the gate.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from appliance.address import Net
from appliance.clocks import Clocks
from appliance.enforcer import Enforcer
from appliance.firewall.backend import Backend
from appliance.judge.judge import Judge
from appliance.judge.words import moment, shown
from appliance.metrics import Metrics
from appliance.model import Banned, Noticed, Spared, Verdict, Watched
from appliance.prover import Prover
from appliance.read.frames import Block
from appliance.read.reader import Reader
from appliance.recorder import Recorder
from appliance.store.store import Store

log = logging.getLogger(__name__)

DISBELIEVED = 64
"""Peers with a disbelieved `oip=` that are counted by name; a site has a handful of proxies."""

_KINDS = {Watched: "watched", Spared: "spared", Banned: "banned", Noticed: "noticed"}


class Gate:
    """Holds what turns frames into acts. The reader and the backend can be exchanged; state survives."""

    def __init__(
        self, reader: Reader, judge: Judge, backend: Backend, store: Store, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        """`clock` gives seconds since the epoch."""
        self.reader = reader
        self.judge = judge
        self.enforcer = Enforcer(backend, judge, metrics, clock)
        self.recorder = Recorder(store, metrics)
        self.prover = Prover(
            lambda: self.enforcer.backend, self._prove, lambda fault: self.enforcer.failed("seen", fault)
        )
        self._metrics = metrics
        self._clock = clock
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

    # Coming in

    def receive(self, block: Block, sender: str, transport: str) -> None:
        """Read and judge a block of frames. Called by the listeners; returns at once."""
        self._received[transport].inc(len(block))
        self._frames += len(block)
        now = self._clock()
        parsed = self._parsed
        for frame in self.reader.suspects(block):
            try:
                self._take(frame, sender, now)
            except Exception as fault:  # the one boundary around one line: it is told, and the others go on
                self._metrics.faults.labels("quarantined").inc()
                self.doubts.append(f"{type(fault).__name__}: {fault}: {shown(frame[:200].decode('utf-8', 'replace'))}")
                log.exception("a line could not be judged; it is counted and left out")
        self._metrics.parsed.inc(self._parsed - parsed)
        self._count_block()

    def _count_block(self) -> None:
        """Hand the block's counts to the metrics: once for each kind, since finding a labelled counter costs 1 µs."""
        for labels, number in self._events_here.items():
            self._metrics.matched.labels(*labels).inc(number)
        for detector_and_kind, number in self._verdicts_here.items():
            self._metrics.verdicts.labels(*detector_and_kind).inc(number)
        self._events_here.clear()
        self._verdicts_here.clear()

    def _take(self, frame: bytes, sender: str, now: float) -> None:
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
        self.recorder.event(event, now)

    def _note_disbelieved(self, peer: str) -> None:
        if peer in self.disbelieved or len(self.disbelieved) < DISBELIEVED:
            self.disbelieved[peer] += 1

    def _heed(self, verdict: Verdict) -> None:
        """Count a verdict, and put into motion what it demands."""
        kind = _KINDS[type(verdict)]
        match verdict:
            case Watched(asks_proof=True, source=Net() as source):
                self.prover.ask(source)
            case Watched(would_ban=False):
                pass
            case Watched():
                kind = "would_ban"
                log.warning("%s: %s", verdict.source, verdict.reason)
            case Banned(ban=ban):
                self.enforcer.want([ban])
                self.recorder.ban(ban)
                log.warning("ban %s until %s: %s", ban.net, moment(ban.until), ban.reason)
            case Spared():
                log.warning("spared %s: %s", verdict.source, verdict.reason)
            case Noticed():
                log.warning("notice (%s): %s", verdict.detector, verdict.reason)
        self._verdicts_here[verdict.detector or "none", kind] += 1

    def _prove(self, sources: Sequence[Net]) -> None:
        """These sources were here: what they did may now be enough."""
        for verdict in self.judge.prove(sources, self._clock()):
            self._heed(verdict)
        self._count_block()

    # Going out

    async def run(self) -> None:
        """Carry out what verdicts demand, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.enforcer.run(), name="enforcer")
            tasks.create_task(self.recorder.run(), name="recorder")
            tasks.create_task(self.prover.run(), name="prover")

    def funnel(self) -> dict[str, int]:
        """Frames received and read, and events, since the start."""
        return {"received": self._frames, "parsed": self._parsed, "events": self._events}
