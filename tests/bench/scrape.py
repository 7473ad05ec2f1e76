"""What a scrape of /metrics takes, from the request to the last byte, with no ban and with 100,000 in force."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from e2e.services import nth_source, remember
from e2e.wire import World, wait_until
from e2e.zward import Zward

BANS = (0, 100_000)
SCRAPES = 200
SETTLED = 5.0
"""Seconds after the start, in which it compares the kernel with its book."""


@dataclass(frozen=True, slots=True)
class Scrape:
    bans: int
    series: int
    kilobytes: float
    p50: float
    p99: float
    slowest: float
    """Seconds."""


def measure(world: World) -> Iterator[Scrape]:
    for bans in BANS:
        with tempfile.TemporaryDirectory(prefix="zward-bench-") as directory:
            zward = Zward(world.gateway, Path(directory))
            remember(zward, map(nth_source, range(bans)))
            with zward:
                yield _scraped(zward, bans)


def _scraped(zward: Zward, bans: int) -> Scrape:
    wait_until("all are in force", lambda: zward.metric("zward_bans_active") == bans, 60)
    time.sleep(SETTLED)
    taken = []
    for _ in range(SCRAPES):
        begun = time.perf_counter()
        _, body = zward.get("/metrics")
        taken.append(time.perf_counter() - begun)
        time.sleep(0.01)
    series = sum(1 for line in body.splitlines() if line and not line.startswith("#"))
    return Scrape(bans, series, len(body) / 1000, median(taken), quantiles(taken, n=100)[98], max(taken))
