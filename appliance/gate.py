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
from itertools import islice

from appliance.address import Net
from appliance.clocks import Clocks
from appliance.enforcer import Enforcer
from appliance.firewall.backend import Backend
from appliance.judge.judge import TICK, Judge
from appliance.judge.words import moment, shown
from appliance.metrics.declared import OTHER, SAMPLED
from appliance.metrics.metrics import Metrics
from appliance.model import AuthEvent, Banned, Noticed, Spared, Verdict, Watched
from appliance.notify.channel import Told
from appliance.prover import Prover
from appliance.read.frames import Block
from appliance.read.reader import LOGIN_WORDS, Reader
from appliance.recorder import Recorder
from appliance.store.store import Store

log = logging.getLogger(__name__)

TOGETHER = 32
"""Frames that are read before the first of them is judged. Doing one thing several times keeps it in the processor's
caches: a line costs a seventh less (measured), and the first of them waits for half a millisecond."""

DISBELIEVED = 64
"""Peers with a disbelieved `oip=` that are counted by name; a site has a handful of proxies."""

NOTICES = 200
"""Notices that `status` can still show."""

_STRIDE = 2_654_435_761
"""A prime near 2**32 divided by the golden ratio: multiples of it fall evenly on the places of a block (Knuth, TAOCP
6.4), and a sender cannot arrange its lines around them."""

_KINDS = {Watched: "watched", Spared: "spared", Banned: "banned", Noticed: "noticed"}


def _nobody(_what: Told, _now: float) -> None:
    """Nobody has to be told."""


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
        self._lines_here: Counter[tuple[str, str]] = Counter()
        self._events_here: Counter[tuple[str, str, str]] = Counter()
        self._verdicts_here: Counter[tuple[str, str]] = Counter()
        """Counts of the block at hand."""
        self._frames = self._parsed = self._events = 0
        self._until_sample = SAMPLED
        """Frames that the sieve may still pass over before one of them is looked at."""
        self.tell: Callable[[Told, float], None] = _nobody
        """Is told of everything that people may want to hear of, and when it happened."""
        self.doubts: deque[str] = deque(maxlen=20)
        """The last lines that reading or judging stumbled over, with the fault: for `status`."""
        self.notices: deque[tuple[float, Noticed]] = deque(maxlen=NOTICES)
        """What people were told of late, and when."""
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
        suspects = self.reader.suspects(block)
        while frames := list(islice(suspects, TOGETHER)):
            self._take(frames, sender, now)
        self._heed_all(self.judge.heard(sender, len(block), now))
        self._metrics.parsed.inc(self._parsed - parsed)
        self._until_sample -= len(block) - (self._parsed - parsed)
        if self._until_sample <= 0:
            self._sample(block, now)
        self._count_block()

    def _sample(self, block: Block, now: float) -> None:
        """Look at one frame that the sieve passed over: which program it is of, and whether it speaks of logins."""
        frame = self.reader.passed_over(block, self._frames * _STRIDE % len(block.data))
        if frame is None:
            return  # a suspect stands there; the next block has another place
        looks = "login" if any(word in frame for word in LOGIN_WORDS) else OTHER
        passed = 1 + -self._until_sample // SAMPLED
        self._metrics.sampled.labels(self._program(self.reader.app_of(frame, now)), looks).inc(passed)
        self._until_sample += passed * SAMPLED

    def _program(self, app: str | None) -> str:
        """The rule file of a program, as a label."""
        return (self.reader.rules.stem_of(app) if app else None) or OTHER

    def _count_block(self) -> None:
        """Hand the block's counts to the metrics: once for each kind, since finding a labelled counter costs 1 µs."""
        for program_and_result, number in self._lines_here.items():
            self._metrics.lines.labels(*program_and_result).inc(number)
        for labels, number in self._events_here.items():
            self._metrics.matched.labels(*labels).inc(number)
        for detector_and_kind, number in self._verdicts_here.items():
            self._metrics.verdicts.labels(*detector_and_kind).inc(number)
        self._lines_here.clear()
        self._events_here.clear()
        self._verdicts_here.clear()

    def _take(self, frames: Sequence[bytes], sender: str, now: float) -> None:
        """Read some frames, then judge them. Here is the boundary around one line: the others go on."""
        told: list[tuple[bytes, AuthEvent]] = []
        for frame in frames:
            try:
                if event := self._read(frame, sender, now):
                    told.append((frame, event))
            except Exception as fault:
                self._quarantine(frame, fault)
        for frame, event in told:
            try:
                self.judged(event, now)
                self.recorder.event(event, now)
            except Exception as fault:
                self._quarantine(frame, fault)

    def _quarantine(self, frame: bytes, fault: Exception) -> None:
        """Tell of a line that reading or judging stumbled over."""
        self._metrics.faults.labels("quarantined").inc()
        self.doubts.append(f"{type(fault).__name__}: {fault}: {shown(frame[:200].decode('utf-8', 'replace'))}")
        log.error("a line could not be judged; it is counted and left out", exc_info=fault)

    def _read(self, frame: bytes, sender: str, now: float) -> AuthEvent | None:
        """Read a frame, and count what it is."""
        self._parsed += 1
        fact = self.reader.read(frame, sender, now)
        event = fact.event
        if event is None:
            self._lines_here[self._program(fact.message.app), OTHER if fact.is_readable else "unreadable"] += 1
            return None
        self._lines_here[self._program(event.program), "event"] += 1
        self._events += 1
        if fact.disbelieved is not None:
            self._note_disbelieved(str(fact.disbelieved))
        self._events_here[event.protocol, event.outcome, event.evidence] += 1
        return self.righted(event, now)

    def righted(self, event: AuthEvent, now: float) -> AuthEvent:
        """An event with its time corrected, where its sender's clock is known to be in another zone."""
        time = self.clocks.right(event.sender, event.program, event.time, now)
        self._metrics.lag.observe(max(0.0, now - time))
        return event if time == event.time else replace(event, time=time)

    def judged(self, event: AuthEvent, now: float) -> Sequence[Verdict]:
        """Judge an event, and put into motion what follows from it. A replay comes in here, line by line."""
        verdicts = self.judge.judge(event, now)
        self._heed_all(verdicts)
        return verdicts

    def _note_disbelieved(self, peer: str) -> None:
        if peer in self.disbelieved or len(self.disbelieved) < DISBELIEVED:
            self.disbelieved[peer] += 1

    def _heed_all(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            self._heed(verdict)

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
                self.tell(verdict, self._clock())
            case Banned(ban=ban):
                self.enforcer.want([ban])
                self.recorder.ban(ban)
                self.tell(verdict, self._clock())
                log.warning("ban %s until %s: %s", ban.net, moment(ban.until), ban.reason)
            case Spared(cause=cause):
                self._metrics.spared.labels(cause).inc()
                self.tell(verdict, self._clock())
                log.warning("spared %s: %s", verdict.source, verdict.reason)
            case Noticed():
                now = self._clock()
                self.notices.append((now, verdict))
                self._metrics.notices.labels(verdict.detector, verdict.severity).inc()
                self.tell(verdict, now)
                log.warning("%s (%s): %s", verdict.severity.value, verdict.detector, verdict.reason)
        self._verdicts_here[verdict.detector or "none", kind] += 1

    def _prove(self, sources: Sequence[Net]) -> None:
        """These sources were here: what they did may now be enough."""
        self._heed_all(self.judge.prove(sources, self._clock()))
        self._count_block()

    async def _follow_time(self) -> None:
        """Have the judge see what time alone leads to, until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            now = self._clock()
            self._heed_all(self.judge.tick(now))
            self._count_block()

    # Going out

    async def run(self) -> None:
        """Carry out what verdicts demand, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.enforcer.run(), name="enforcer")
            tasks.create_task(self.recorder.run(), name="recorder")
            tasks.create_task(self.prover.run(), name="prover")
            tasks.create_task(self._follow_time(), name="time")

    def funnel(self) -> dict[str, int]:
        """Frames received and read, and events, since the start."""
        return {"received": self._frames, "parsed": self._parsed, "events": self._events}
