"""What can be seen of a running zward from outside: figures for a scrape, a status, a doctor's findings."""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from appliance.doctor import Finding, of_arrivals, of_drift
from appliance.drift import DriftWatch
from appliance.gate import Gate
from appliance.learner import Learner
from appliance.listen.listeners import Listeners
from appliance.model import Mode, Noticed, Severity
from appliance.moments import iso
from appliance.version import VERSION

ALERTS_SHOWN = 20
INEFFECTIVE = "ineffective"
LATELY = 3600.0
"""Seconds for which it counts that a ban did not hold."""


class Overview:
    """Looks at the parts; changes nothing."""

    def __init__(
        self,
        gate: Gate,
        learner: Learner,
        listeners: Listeners,
        drift: DriftWatch,
        mode: Callable[[], Mode],
        not_enforced: Callable[[], str],
        dropped: Callable[[], int],
        untold: Callable[[], str],
    ) -> None:
        """`not_enforced` says why nothing is enforced although it should be, "" where all is well; `dropped` how many
        packets the kernel dropped; `untold` who cannot be told of anything, and why."""
        self._gate = gate
        self._learner = learner
        self._listeners = listeners
        self._drift = drift
        self._mode = mode
        self._not_enforced = not_enforced
        self._dropped = dropped
        self._untold = untold
        self._started = time.time()

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
        now, senders = time.time(), self._listeners.senders
        faults = {
            "enforce": self._not_enforced(),
            "firewall": self._firewall_fault(),
            "drift": self._drift.told(),
            "store": self._gate.recorder.fault or self._learner.fault,
            "ineffective": self._ineffective(now),
            "notify": self._untold(),
        }
        return {
            "version": VERSION,
            "mode": self._mode(),
            "uptime": round(now - self._started),
            "missing": self.what_is_missing(),
            "faults": [f"{part}: {fault}" for part, fault in faults.items() if fault],
            "listening": self.listening(),
            "frames": self._gate.funnel(),
            "conditions": self._gate.judge.conditions(now),
            "alerts": [_alert(told, notice) for told, notice in self._alerts()],
            "bans": len(self._gate.judge.bans_in_force(now)),
            "dropped_packets": self._dropped(),
            "senders": [
                {
                    "address": address,
                    "name": senders.called(address),
                    "frames": sender.frames,
                    "silent": round(now - sender.last_seen),
                }
                for address, sender in senders.facts().items()
            ],
            "doubts": list(self._gate.doubts),
        }

    def _alerts(self) -> list[tuple[float, Noticed]]:
        """What somebody has to look at, the latest last."""
        alerts = [(told, notice) for told, notice in self._gate.notices if notice.severity is not Severity.NOTICE]
        return alerts[-ALERTS_SHOWN:]

    def _ineffective(self, now: float) -> str:
        """Whether banned sources reached a mail host of late."""
        told = (notice for at, notice in self._gate.notices if notice.detector == INEFFECTIVE and now - at < LATELY)
        return next((notice.reason for notice in told), "")

    async def findings(self) -> list[dict[str, Any]]:
        """What `zward doctor` asks of a running daemon."""
        gate = self._gate
        parts = [("firewall", self.what_is_missing()), ("store", gate.recorder.fault), ("notify", self._untold())]
        works = [Finding(part, not fault, fault or "works") for part, fault in parts]
        drifted = of_drift(self._drift.told())
        arrived = of_arrivals(self._listeners.senders.facts(), gate.clocks, gate.disbelieved)
        return [asdict(finding) for finding in (*works, *drifted, *arrived)]


def _alert(told: float, notice: Noticed) -> dict[str, Any]:
    return {
        "at": iso(told),
        "severity": notice.severity,
        "detector": notice.detector,
        "source": None if notice.source is None else str(notice.source),
        "account": notice.account,
        "reason": notice.reason,
    }
