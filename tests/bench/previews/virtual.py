"""An event loop whose time flies: where nothing is due it goes on to the next timer at once.

Real sockets on loopback and real threads work in it. A thread's work takes no time.
"""

import asyncio
import selectors
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import aiosqlite


class Clock:
    """Seconds since the epoch, and since the loop began."""

    def __init__(self, start: float) -> None:
        self.start = start
        self.passed = 0.0

    def time(self) -> float:
        return self.start + self.passed

    def monotonic(self) -> float:
        return self.passed


class _Selector(selectors.DefaultSelector):
    """Waits for sockets and threads, and for nothing else."""

    def __init__(self, clock: Clock, threads: Callable[[], int]) -> None:
        super().__init__()
        self._clock = clock
        self._threads = threads

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if events or timeout == 0:
            return events
        if timeout is None or self._threads():
            return super().select(0.05)
        self._clock.passed += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its threads are those of SQLite."""

    def __init__(self, clock: Clock) -> None:
        self._virtual = clock
        self._working = 0
        super().__init__(_Selector(clock, lambda: self._working))
        self._count_work()

    def time(self) -> float:
        return self._virtual.passed

    def _count_work(self) -> None:
        execute = aiosqlite.Connection._execute

        async def counted(connection: aiosqlite.Connection, *arguments: Any, **options: Any) -> Any:
            self._working += 1
            try:
                return await execute(connection, *arguments, **options)
            finally:
                self._working -= 1

        aiosqlite.Connection._execute = counted


def follow(clock: Clock, package: str) -> None:
    """Have the package's modules read this clock; they must be loaded already. For the rest of the process."""
    fake = ModuleType("time")
    fake.__dict__.update(vars(time), time=clock.time, monotonic=clock.monotonic)
    modules = [module for name, module in sys.modules.items() if name.startswith(f"{package}.")]
    for module in modules:
        for key, value in list(vars(module).items()):
            for known, other in ((time, fake), (time.time, clock.time), (time.monotonic, clock.monotonic)):
                if value is known:
                    setattr(module, key, other)
