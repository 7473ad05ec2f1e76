"""What can be seen of a running zward from outside: figures for a scrape, a status, a doctor's findings."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from appliance.doctor import Finding, of_arrivals, of_drift
from appliance.drift import DriftWatch
from appliance.firewall.backend import BackendError
from appliance.gate import Gate
from appliance.listen.listeners import Listeners
from appliance.metrics import Figures
from appliance.model import Mode
from appliance.version import VERSION

COUNTERS_EVERY = 1.0
"""Seconds between two looks at the kernel's drop counters; a scrape reads what was seen last."""


class Overview:
    """Looks at the parts; changes nothing."""

    def __init__(
        self,
        gate: Gate,
        listeners: Listeners,
        drift: DriftWatch,
        mode: Callable[[], Mode],
        not_enforced: Callable[[], str],
    ) -> None:
        """`not_enforced` says why nothing is enforced although it should be; "" where all is well."""
        self._gate = gate
        self._listeners = listeners
        self._drift = drift
        self._mode = mode
        self._not_enforced = not_enforced
        self._figures = Figures()
        self._started = time.time()

    async def poll_counters(self) -> None:
        """Read the kernel's counters again and again, until cancelled."""
        while True:
            with contextlib.suppress(BackendError):  # told by whoever needs the firewall to act
                self._figures.dropped |= await self._gate.enforcer.backend.dropped()
            await asyncio.sleep(COUNTERS_EVERY)

    def figures(self) -> Figures:
        """What a scrape reads."""
        figures, judge = self._figures, self._gate.judge
        figures.bans = dict.fromkeys(figures.bans, 0)
        for (family, prefix), number in judge.bans_counted(time.time()).items():
            figures.bans[str(family), "host" if prefix in (32, 64, 128) else "network"] += number
        figures.health = self._drift.health
        figures.reconnects = self._drift.reconnects
        figures.proofs |= self._gate.prover.answers
        figures.attempts = judge.attempts
        figures.tracked = dict(judge.tracked)
        figures.evicted = dict(judge.evicted)
        senders = self._listeners.senders.facts()
        figures.senders = len(senders)
        figures.connections = sum(sender.connections for sender in senders.values())
        figures.udp_lost = self._listeners.dropped
        return figures

    def listening(self) -> list[str]:
        """`udp 192.0.2.1:5514`, for each open listener."""
        return [f"{each.transport} {each.endpoint}" for each in self._listeners.opened]

    def what_is_missing(self) -> str:
        """Why it is not ready, in words."""
        return self._not_enforced() or self._firewall_fault()

    def _firewall_fault(self) -> str:
        return self._gate.enforcer.fault or self._drift.silence()

    def status(self) -> dict[str, Any]:
        """How the daemon is, for `zward status`."""
        now = time.time()
        faults = {
            "enforce": self._not_enforced(),
            "firewall": self._firewall_fault(),
            "drift": self._drift.told(),
            "store": self._gate.recorder.fault,
        }
        return {
            "version": VERSION,
            "mode": self._mode(),
            "uptime": round(now - self._started),
            "faults": [f"{part}: {fault}" for part, fault in faults.items() if fault],
            "listening": self.listening(),
            "frames": self._gate.funnel(),
            "bans": len(self._gate.judge.bans_in_force(now)),
            "dropped_packets": sum(number.packets for number in self._figures.dropped.values()),
            "senders": [
                {"address": address, "frames": sender.frames, "silent": round(now - sender.last_seen)}
                for address, sender in self._listeners.senders.facts().items()
            ],
            "doubts": list(self._gate.doubts),
        }

    async def findings(self) -> list[dict[str, Any]]:
        """What `zward doctor` asks of a running daemon."""
        gate = self._gate
        parts = [("firewall", self.what_is_missing()), ("store", gate.recorder.fault)]
        works = [Finding(part, not fault, fault or "works") for part, fault in parts]
        drifted = of_drift(self._drift.told())
        arrived = of_arrivals(self._listeners.senders.facts(), gate.clocks, gate.disbelieved)
        return [asdict(finding) for finding in (*works, *drifted, *arrived)]
