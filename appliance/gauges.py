"""What a scrape reads: sizes, states and counts that the parts keep. No reading waits, or grows with the bans."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from appliance.clocks import Clocks
from appliance.drift import DriftWatch
from appliance.enforcer import kind_of
from appliance.firewall.backend import DROPS, BackendError, Drop, Dropped
from appliance.gate import Gate
from appliance.judge.detector import DetectorMode
from appliance.judge.policy import Policy
from appliance.learner import Learner
from appliance.listen.listeners import Listeners
from appliance.metrics import declared as d
from appliance.metrics.declared import Declared
from appliance.metrics.metrics import Readings
from appliance.model import Scope
from appliance.notify.herald import Herald

COUNTERS_EVERY = 1.0
"""Seconds between two looks at the kernel's drop counters; a scrape reads what was seen last."""

BUDGETS_EVERY = 10.0
"""Seconds between two looks at the accounts that were tried last: 16,384 of them cost 20 ms (measured)."""

LEVELS = (("spent", 1.0), ("most", 0.8), ("half", 0.5))
"""Share of the lockout budget from which on an account is of a level, the highest first."""

Values = dict[tuple[str, ...], float]


class Gauges:
    """Looks at the parts; changes nothing."""

    def __init__(
        self,
        gate: Gate,
        learner: Learner,
        listeners: Listeners,
        drift: DriftWatch,
        herald: Herald,
        store: Path,
        missing: Callable[[], str],
    ) -> None:
        """`missing` says why zward is not ready; "" where it is."""
        self._gate = gate
        self._learner = learner
        self._listeners = listeners
        self._drift = drift
        self._herald = herald
        self._store = store
        self._missing = missing
        self.dropped: dict[Drop, Dropped] = dict.fromkeys(DROPS, Dropped(0, 0))
        """Packets and bytes that the kernel dropped, as they were seen last."""
        self._levels: Counter[str] = Counter()
        self._started = time.time()

    async def run(self) -> None:
        """Look again and again at what a scrape must not wait for, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_kernel())
            tasks.create_task(self._follow_budgets())

    async def _follow_kernel(self) -> None:
        while True:
            with contextlib.suppress(BackendError):  # told by whoever needs the firewall to act
                self.dropped |= await self._gate.enforcer.backend.dropped()
            await asyncio.sleep(COUNTERS_EVERY)

    async def _follow_budgets(self) -> None:
        while True:
            self._levels = Counter(
                level
                for _, budget in self._gate.judge.budgets(time.time())
                if (level := _level(budget.used, budget.of))
            )
            await asyncio.sleep(BUDGETS_EVERY)

    def readings(self) -> Readings:
        """Every metric that is read and not counted."""
        now = time.time()
        gate, judge, listeners, health = self._gate, self._gate.judge, self._listeners, self._drift.health
        conditions = judge.conditions(now)
        strangers, usual = judge.strangers(now)
        lost = {("unwritten_logins",): float(self._learner.lost)}
        return {
            d.ATTEMPTS: _one(judge.attempts),
            d.UDP_LOST: _one(listeners.dropped),
            **_of_senders(listeners, gate.clocks, self._started),
            d.DETECTOR_MODE: _modes(judge.policy),
            d.CONDITION: {(name,): float(name in conditions) for name in d.CONDITIONS},
            d.BESIEGED: _one(len(judge.besieged(now))),
            d.BUDGETS: {(level,): self._levels[level] for level, _ in LEVELS},
            d.STRANGERS: _one(strangers),
            d.STRANGERS_USUAL: {} if usual is None else _one(usual),
            d.TRACKED: _by_name(judge.tracked),
            d.EVICTIONS: _by_name(judge.evicted) | lost,
            d.BANS_ACTIVE: _standing(judge.bans_counted(now)),
            d.ASKED_PROOF: _by_name(gate.prover.answers),
            d.DROPPED_PACKETS: {_place(drop): number.packets for drop, number in self.dropped.items()},
            d.DROPPED_BYTES: {_place(drop): number.bytes for drop, number in self.dropped.items()},
            d.FENCED: _one(health.fenced),
            d.ENDED: _one(health.ended),
            d.REPAIRS: _one(health.repairs),
            d.CROWDED_OUT: _one(health.crowded_out),
            d.RECONNECTS: _one(self._drift.reconnects),
            d.STORE_BYTES: _one(_size(self._store)),
            d.EVIDENCE_WAITING: _one(gate.recorder.waiting),
            d.NOTIFICATIONS_WAITING: {(name,): self._herald.waiting(name) for name in d.CHANNELS},
            d.ALERTS_ACTIVE: _one(self._herald.alerts_active),
            d.READY: _one(not self._missing()),
        }


def _one(number: float) -> Values:
    return {(): float(number)}


def _by_name(numbers: Mapping[str, int]) -> Values:
    return {(name,): float(number) for name, number in numbers.items()}


def _level(used: int, of: int) -> str | None:
    return next((level for level, share in LEVELS if of and used >= share * of), None)


def _of_senders(listeners: Listeners, clocks: Clocks, started: float) -> dict[Declared, Values]:
    """How each sender fares, by its name; those beyond the bound together."""
    senders = listeners.senders
    facts = senders.facts()
    frames: Counter[tuple[str, ...]] = Counter({(name,): 0 for name in senders.names.values()})
    last: Values = {(name,): started for name in senders.names.values()}
    for address, fact in facts.items():
        name = (senders.called(address),)
        frames[name] += fact.frames
        last[name] = max(last.get(name, 0.0), fact.last_seen)
    farthest: dict[tuple[str, ...], tuple[float, float]] = {}
    for (address, _program), stream in clocks.streams.items():
        name = (senders.called(address),)
        skew = stream.median
        if name not in farthest or abs(skew) > abs(farthest[name][0]):
            farthest[name] = skew, stream.offset
    return {
        d.SENDERS: _one(len(facts)),
        d.CONNECTIONS: _one(sum(fact.connections for fact in facts.values())),
        d.SENDER_FRAMES: dict(frames),
        d.SENDER_LAST: last,
        d.SENDER_SKEW: {name: skew for name, (skew, _) in farthest.items()},
        d.SENDER_CORRECTION: {name: offset for name, (_, offset) in farthest.items()},
    }


def _modes(policy: Policy) -> Values:
    in_force = {each.name: each.mode for each in (*policy.detectors, *policy.tellers, *policy.watches)}
    return {(name, mode): float(mode is now) for name, now in in_force.items() for mode in DetectorMode}


def _standing(counted: Mapping[tuple[int, int, Scope], int]) -> Values:
    values: Values = dict.fromkeys(d.BANS_ACTIVE.known, 0.0)
    for (family, prefix, scope), number in counted.items():
        values[scope, str(family), kind_of(prefix)] += number
    return values


def _place(drop: Drop) -> tuple[str, ...]:
    return str(drop.port), drop.scope.value, str(drop.family)


def _size(store: Path) -> int:
    """Bytes of the database and of what is not yet in it."""
    size = 0
    for path in (store, store.with_name(store.name + "-wal")):
        with contextlib.suppress(OSError):
            size += path.stat().st_size
    return size
