"""What bans cost the kernel and us: one more, many, listing them, reading the counters, memory."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.flood import resident
from helping import helper
from namespaces import Namespace, network

from appliance.address import Net
from appliance.firewall.backend import Element
from appliance.firewall.client import HelperBackend
from appliance.firewall.orders import Orders
from appliance.firewall.table.kernel import Kernel
from appliance.firewall.table.netlink import Netlink

SINGLES = 2_000
"""Bans, each on its own."""
SIZES = (0, 100_000, 1_000_000)
BATCH = 32_768
KERNEL_MEMORY = ("SUnreclaim", "Percpu", "VmallocUsed")


@dataclass(frozen=True, slots=True)
class BanCost:
    """With so many bans in the kernel. Microseconds for one, seconds for all."""

    present: int
    one_p50: float
    one_p99: float
    helper_p50: float
    """The same asked by the receiver: over the socket, checked by the helper, and answered."""
    helper_p99: float
    loaded: float
    """Seconds in which the present ones went in."""
    listed: float
    counters: float
    """Microseconds for reading all drop counters."""
    bytes_each: float
    """Of kernel memory; 0 where there are none."""


def measure() -> list[BanCost]:
    return [_measured(size) for size in SIZES]


def _measured(size: int) -> BanCost:
    with network() as net, tempfile.TemporaryDirectory(prefix="zward-bench-") as directory:
        where = net.namespace("bans")
        with where.entered():
            kernel = Kernel(Netlink())
        kernel.open(Orders())
        before = _kernel_memory()
        loaded = _load(kernel, size)
        used = _kernel_memory() - before
        singles = [_timed(lambda n=n: kernel.ban([_nth(0xC800_0000 + n)])) for n in range(SINGLES)]
        listed = _timed(kernel.banned)
        counters = statistics.median(_timed(kernel.dropped) for _ in range(50))
        kernel.close()
        asked = asyncio.run(_through_the_helper(where, Path(directory)))
    return BanCost(
        present=size,
        one_p50=statistics.median(singles) * 1e6,
        one_p99=statistics.quantiles(singles, n=100)[98] * 1e6,
        helper_p50=statistics.median(asked) * 1e6,
        helper_p99=statistics.quantiles(asked, n=100)[98] * 1e6,
        loaded=loaded,
        listed=listed,
        counters=counters * 1e6,
        bytes_each=used / size if size else 0.0,
    )


def _load(kernel: Kernel, size: int) -> float:
    bans = [_nth(0x0B00_0000 + number) for number in range(size)]
    began = time.perf_counter()
    for start in range(0, size, BATCH):
        kernel.ban(bans[start : start + BATCH])
    return time.perf_counter() - began


async def _through_the_helper(where: Namespace, directory: Path) -> Sequence[float]:
    with helper(where, directory) as running:
        backend = HelperBackend(running.socket)
        await backend.open()
        times = [await _timed_async(lambda n=n: backend.ban([_nth(0xC900_0000 + n)])) for n in range(SINGLES)]
        await backend.close()
    return times


def _nth(number: int) -> Element:
    return Element(Net(number.to_bytes(4, "big"), 32), 3600)


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


async def _timed_async(act: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


def _kernel_memory() -> int:
    time.sleep(1)  # the kernel frees and grows hash tables in its own time
    found = resident()
    return sum(found[name] for name in KERNEL_MEMORY)
