"""From the deciding line to the attacker's first dropped SYN.

One thread does it all, so nothing waits for a scheduler between two clock readings: it knocks at the mail
host from the attacker's address, one TCP connection after the other, sends the deciding line between two
knocks and goes on until a SYN stays unanswered. The figure is the time from sending the line to sending that
SYN: an upper bound, too high by at most the gap between two knocks, which is reported beside it.
"""

import contextlib
import itertools
import socket
import statistics
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.lines import FRAMINGS, sasl_failure
from e2e.wire import GATEWAY, MAIL, World, wait_until
from e2e.zward import Zward

POINTS = 6
PATIENCE = 0.25
"""Seconds without an answer after which a SYN counts as dropped: the path answers in 0.1 ms, and the first
retransmission comes after 1 s."""

LONGEST = 10.0
"""Seconds after which a round is given up."""

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER: no TIME_WAIT is left behind."""


@dataclass(frozen=True, slots=True)
class Latency:
    rounds: int
    p50: float
    p99: float
    slowest: float
    gap_p50: float
    """Seconds from one knock to the next: the resolution."""


def measure(world: World, rounds: int) -> Latency:
    with (
        tempfile.TemporaryDirectory(prefix="zward-bench-") as directory,
        Zward(world.gateway, Path(directory)) as zward,
        world.mail.new_socket(GATEWAY[4]) as sender,
        contextlib.closing(world.mail.listen([443])[0]) as door,
    ):
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sender.connect((GATEWAY[4], 5514))
        door.setblocking(False)
        tries = [_round(world, zward, sender, door, number) for number in range(rounds)]
    times = sorted(taken for taken, _ in tries)
    gaps = [gap for _, gaps in tries for gap in gaps]
    return Latency(
        rounds=rounds,
        p50=statistics.median(times),
        p99=statistics.quantiles(times, n=100, method="inclusive")[98],
        slowest=times[-1],
        gap_p50=statistics.median(gaps),
    )


def _round(
    world: World, zward: Zward, sender: socket.socket, door: socket.socket, number: int
) -> tuple[float, list[float]]:
    attacker = world.new_attacker()
    frame = FRAMINGS["octet-counted"]
    for _ in range(POINTS - 1):
        sender.sendall(frame(sasl_failure(attacker)))
    wait_until(
        "the lines before the deciding one are counted",
        lambda: zward.metric("zward_attempts_total") == number * POINTS + POINTS - 1,
    )
    with world.attacker.namespace.entered():
        for _ in range(20):  # neighbours are resolved, caches are warm
            assert _knock(attacker, door), "the attacker is shut out too early"
        sent = time.monotonic()
        sender.sendall(frame(sasl_failure(attacker)))
        knocks = [time.monotonic()]
        while _knock(attacker, door):
            knocks.append(time.monotonic())
            assert knocks[-1] - sent < LONGEST, f"still open {LONGEST} s after the deciding line"
    wait_until("it is counted", lambda: zward.metric("zward_bans_total") == number + 1)
    return knocks[-1] - sent, [later - earlier for earlier, later in itertools.pairwise(knocks)]


def _knock(attacker: str, door: socket.socket) -> bool:
    """Whether a SYN sent now is answered. Runs in the attacker's namespace."""
    with socket.socket() as knocking:
        knocking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        knocking.settimeout(PATIENCE)
        knocking.bind((attacker, 0))
        try:
            knocking.connect((MAIL[4], 443))
        except TimeoutError:
            return False
    with contextlib.suppress(BlockingIOError):
        door.accept()[0].close()
    return True
