"""Verdicts and operators' acts go to a SIEM, each as a line of syslog.

Over TCP and TLS a line is sent at least once as long as it waits here: syslog knows no answer, so what was sent within
`SURE` seconds before a break is sent again, and a SIEM may see it twice. Over UDP nobody knows what arrives.
"""

import asyncio
import logging
import math
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import ClassVar

from appliance.config.notify import Siem, Transport
from appliance.model import Noticed, Severity, Watched
from appliance.notify.channel import CLOSING, ChannelError, Count, Told
from appliance.notify.siem.counted import CountedFrames
from appliance.notify.siem.plain import Datagrams, Lines
from appliance.notify.siem.rfc5424 import Origin, line
from appliance.notify.siem.streams import TIMEOUT, Way

log = logging.getLogger(__name__)

QUEUE = 10_000
"""Lines that wait for a SIEM that is down, and as many that it may have lost: a day of bans, 20 MB at the very most."""

SURE = TIMEOUT + 5.0
"""Seconds after which a line that was sent has arrived if the connection stands: the other kernel acknowledged it
within `TIMEOUT`, and a receiver that lives has read it in the rest."""

LOST_EVERY = 10.0
"""Seconds between two lines that say how many were lost, while more are lost all the time."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a SIEM that failed is tried again, twice as many each time."""

_ASKING = 0.05
"""Seconds between two looks at whether a full window of lines has been acknowledged."""

_LISTENING = 1.0
"""Seconds for which a connection must stand before it counts as one: whoever refuses our certificate takes it first."""


def way_to(config: Siem) -> Way:
    """The way that the configuration asks for, not yet open."""
    match config.transport:
        case Transport.UDP:
            return Datagrams(config.server)
        case Transport.TCP:
            return Lines(config.server)
        case Transport.TLS:
            return CountedFrames(config)


class SiemChannel:
    """The lines for one SIEM."""

    name: ClassVar[str] = "siem"

    def __init__(self, config: Siem, host: str, count: Count, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self._config = config
        self._origin = Origin(host, os.getpid(), config.facility, config.enterprise)
        self._count = count
        self._clock = clock
        self._queue: deque[tuple[Told, float]] = deque()
        self._lost = 0  # since it was last told
        self._lost_told = -math.inf  # monotonic seconds
        self._sending: list[bytes] = []
        self._sent: deque[tuple[float, bytes]] = deque()  # within the last `SURE` seconds, oldest first
        self._again: deque[bytes] = deque()  # what a break may have swallowed
        self._due = asyncio.Event()
        self._way: Way | None = None  # open
        self._fault = ""

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._again)

    @property
    def fault(self) -> str:
        return self._fault

    def tell(self, what: Told, now: float) -> None:
        """Under a microsecond, since the line is written when it is sent."""
        if isinstance(what, Watched) and not what.would_ban:
            return
        if len(self._queue) == QUEUE:
            self._queue.popleft()
            self._lost += 1
            self._count("dropped", 1)
        self._queue.append((what, now))
        self._due.set()

    async def run(self) -> None:
        """A second run, after the first was cancelled, goes on with its connection."""
        self._take_up()
        pause = FIRST_PAUSE
        while True:
            await self._due.wait()
            begun = monotonic()
            try:
                await self._connected()
            except OSError as fault:
                self._failed(fault)
            if monotonic() - begun > SURE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _connected(self) -> None:
        """One connection, from its beginning to its break. Raises OSError unless it broke at rest."""
        way = self._way or way_to(self._config)
        try:
            if not self._way:
                await way.open()
            self._way = way
            await self._until_broken(way)
        except OSError:
            self._let_go(way)
            raise
        finally:
            if self._way is not way:  # `run` was cancelled while it was opened
                way.drop()
        self._let_go(way)
        if self._again:
            raise ConnectionResetError("the SIEM hung up")

    async def _until_broken(self, way: Way) -> None:
        proof = asyncio.get_running_loop().call_later(_LISTENING, self._worked)
        tasks = [asyncio.create_task(self._send_all(way)), asyncio.create_task(way.broken())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            proof.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take_up(self) -> None:
        """`run` may have been cancelled in the middle of some lines: nobody knows whether they went out."""
        self._again.extendleft(reversed(self._sending))
        self._sending = []
        if self._again:
            self._due.set()

    def _let_go(self, way: Way) -> None:
        way.drop()
        self._way = None
        self._forget_arrived()
        self._again = deque((*(text for _, text in self._sent), *self._sending, *self._again))
        self._sent.clear()
        self._sending = []
        if self._again:
            self._due.set()

    async def _send_all(self, way: Way) -> None:
        """Send whatever comes. Ends by a fault only."""
        while True:
            await self._due.wait()
            await self._send_some(way)
            await asyncio.sleep(way.pause)
            if not self.waiting:
                self._due.clear()

    async def _send_some(self, way: Way) -> None:
        await self._room(way)
        self._sending = self._next(way.at_once)
        await way.send(self._sending)
        if way.repeats:
            now = monotonic()
            self._sent.extend((now, text) for text in self._sending)
        self._sending = []

    async def _room(self, way: Way) -> None:
        """Wait until lines sent earlier need not be kept any more, if they are too many."""
        self._forget_arrived()
        while len(self._sent) + way.at_once > QUEUE:
            if way.settled():
                self._sent.clear()
                return
            await asyncio.sleep(_ASKING)
            self._forget_arrived()

    def _forget_arrived(self) -> None:
        sure = monotonic() - SURE
        while self._sent and self._sent[0][0] < sure:
            self._sent.popleft()

    def _next(self, most: int) -> list[bytes]:
        """The lines whose turn it is: those to be repeated, how many were lost, the others."""
        lines = [self._again.popleft() for _ in range(min(most, len(self._again)))]
        if lines:
            return lines
        now = monotonic()
        if self._lost and (now - self._lost_told > LOST_EVERY or len(self._queue) <= most):
            words = f"{self._lost} lines for this SIEM are lost, since more than {QUEUE:,} waited"
            lines.append(self._own("lost lines", words, Severity.WARNING))
            self._lost, self._lost_told = 0, now
        told = [self._queue.popleft() for _ in range(min(most - len(lines), len(self._queue)))]
        if told:
            self._count("sent", len(told))
        return lines + [line(what, time, self._origin) for what, time in told]

    def _own(self, subject: str, words: str, severity: Severity) -> bytes:
        return line(Noticed(self.name, subject, words, severity), self._clock(), self._origin)

    def _failed(self, fault: OSError) -> None:
        self._count("failed", 1)
        if not self._fault:
            log.error("the SIEM at %s cannot be told; lines wait: %s", self._where, fault)
        self._fault = str(fault) or type(fault).__name__

    def _worked(self) -> None:
        if self._fault:
            log.warning("the SIEM at %s is told again", self._where)
        self._fault = ""

    @property
    def _where(self) -> str:
        return f"{self._config.server} ({self._config.transport})"

    async def close(self) -> None:
        """`run` has been cancelled, and its connection stands if it did."""
        self._take_up()
        way = self._way or way_to(self._config)
        try:
            async with asyncio.timeout(CLOSING):
                if self.waiting and not self._way:
                    await way.open()
                while self.waiting:
                    await self._send_some(way)
                await way.close()
        except OSError:  # a TimeoutError is one
            lost = self.waiting + len(self._sending) + len(self._sent)
            self._count("dropped", lost)
            log.warning("the SIEM at %s: %d lines are lost at the end, or may be", self._where, lost)
        finally:
            way.drop()
            self._way = None

    async def check(self) -> str:
        """The test message has a connection of its own."""
        way = way_to(self._config)
        try:
            await way.open()
            await way.send([self._own("test", f"a test message of {self._origin.host}", Severity.NOTICE)])
            if not way.repeats:
                return f"sent to {self._where}; over UDP nobody knows whether it arrived"
            with suppress(TimeoutError):
                async with asyncio.timeout(_LISTENING):
                    await way.broken()
                    raise ChannelError(f"the SIEM at {self._where} hung up")
            await way.close()
        except OSError as fault:
            raise ChannelError(f"the SIEM at {self._where}: {str(fault) or type(fault).__name__}") from fault
        finally:
            way.drop()
        return f"sent to {self._where}, which took the connection; syslog has no answer to the line itself"
