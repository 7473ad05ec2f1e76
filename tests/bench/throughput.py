"""Log lines per CPU-second: TCP in, verdict out, through a real `zward run` that observes; beside it fail2ban."""

import gc
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import fail2ban
from bench.lines import FRAMINGS, Site, stream
from bench.machine import cpu_seconds, resident_megabytes
from e2e.wire import GATEWAY, World, wait_until
from e2e.zward import Zward

LINES = {0.02: 300_000, 1.0: 30_000}
"""Share of failed logins → lines of one round: some seconds of work, so that 10 ms steps are below 1 %."""

SPAN = 1500.0
"""Seconds of log time in a round; it ends now, so every failure lies within the 30 min of guessing."""


@dataclass(frozen=True, slots=True)
class Throughput:
    failures: float
    framing: str
    lines: int
    per_cpu_second: float
    per_second: float
    """By the clock on the wall, the sender on another core."""
    seen: float
    """Wrong passwords that zward recognised, for each one sent: 1 if it saw them all."""
    megabytes: float
    fail2ban: float | None
    """Lines per CPU-second of fail2ban over the same lines, measured in turn with these; None where it is missing."""

    @property
    def ratio(self) -> float | None:
        """How many times as many lines as fail2ban."""
        return self.per_cpu_second / self.fail2ban if self.fail2ban else None


def measure(world: World, rounds: int) -> Iterator[Throughput]:
    """The median round of each combination; fail2ban's own has its rounds between."""
    for failures, count in LINES.items():
        start = datetime.now(UTC) - timedelta(seconds=SPAN)
        lines = list(Site(seed=1, failures=failures).lines(count, start, SPAN))
        failed = sum(is_failure for _, is_failure in lines)
        payloads = {framing: stream((line for line, _ in lines), framing) for framing in FRAMINGS}
        in_file = b"" if fail2ban.why_not() else fail2ban.in_file(line for line, _ in lines)
        del lines
        gc.collect()
        done: dict[str, list[Throughput]] = {framing: [] for framing in FRAMINGS}
        peer: list[float] = []
        for _ in range(rounds):
            if in_file:
                peer.append(fail2ban.lines_per_cpu_second(in_file, count))
            for framing, payload in payloads.items():
                done[framing].append(_round(world, payload, framing, count, failures, failed))
        for each in done.values():
            median = sorted(each, key=lambda one: one.per_cpu_second)[len(each) // 2]
            yield replace(median, fail2ban=statistics.median(peer) if peer else None)


def _round(world: World, payload: bytes, framing: str, count: int, failures: float, failed: int) -> Throughput:
    with (
        tempfile.TemporaryDirectory(prefix="zward-bench-") as directory,
        Zward(world.gateway, Path(directory), mode="observe") as zward,
        world.mail.new_socket(GATEWAY[4]) as sender,
    ):
        cpu_before = _settled_cpu(world)
        began = time.monotonic()
        sender.connect((GATEWAY[4], 5514))
        sender.sendall(payload)
        sender.shutdown(socket.SHUT_WR)
        sender.settimeout(120)
        sender.recv(1)  # zward closes its end when it has read ours
        took = time.monotonic() - began
        wait_until("all is received", lambda: zward.metric("zward_frames_received_total") >= count, 60)
        cpu = _settled_cpu(world) - cpu_before
        return Throughput(
            failures=failures,
            framing=framing,
            lines=count,
            per_cpu_second=count / cpu,
            per_second=count / took,
            seen=zward.metric("zward_events_total", outcome="bad_password") / failed,
            megabytes=resident_megabytes(world.gateway.pids()),
            fail2ban=None,
        )


def _settled_cpu(world: World) -> float:
    """CPU seconds of zward, helper included, once it has nothing left to do: the same for 0.3 s."""
    pids, readings = world.gateway.pids(), [-1.0]
    while len(readings) < 7 or statistics.pstdev(readings[-7:]) > 0:
        readings.append(cpu_seconds(pids))
        time.sleep(0.05)
    return readings[-1]
