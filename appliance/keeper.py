"""Keeps the judge's counts over a restart, so that one in the middle of an attack gives nobody a fresh start.

They lie beside the store. What happened after they were written down last is found again in the store's evidence: a
kill costs what no line was kept of.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from appliance.address import parse_address
from appliance.batches import finished
from appliance.gate import Gate
from appliance.keepsake import UnknownLayoutError, read, write
from appliance.model import AuthEvent, Evidence, Outcome, Protocol
from appliance.read.rules import RuleSet
from appliance.store.evidence import EvidenceLine
from appliance.store.store import Store

log = logging.getLogger(__name__)

SUFFIX = ".counts"
"""Behind the name of the store's file."""
LEAST = 60.0
"""Seconds between two writes at the least."""
SHARE = 500
"""For so many times as long as a write took none is begun: it holds everything up, so it may take 0.2 % of the time."""
GOES_BACK = 86400.0
"""Seconds of evidence that are read where there are no counts: the longest window that bans."""
MOST = 100_000
"""Lines of evidence that are read at a start, the newest: 5 s (measured)."""
PAGE = 2000
"""Lines between which others have their turn."""


class Keeper:
    """The way of the judge's counts to the disk and back."""

    def __init__(self, gate: Gate, store: Store, path: Path, clock: Callable[[], float]) -> None:
        """`path` is the store's; `clock` gives seconds since the epoch."""
        self.fault = ""
        """Why the counts cannot be written; "" while they can."""
        self._gate = gate
        self._store = store
        self._path = path.with_name(path.name + SUFFIX)
        self._clock = clock

    async def load(self) -> None:
        """Take up the counts of an earlier run, and what happened after they were written. Raises StoreError."""
        since = self._taken_up()
        lines = await self._store.evidence_since(since or self._clock() - GOES_BACK, MOST)
        for number, line in enumerate(lines, start=1):
            self._tell_again(line)
            if number % PAGE == 0:
                await asyncio.sleep(0)
        if lines:
            log.info("%d lines that came after the counts were written are counted again", len(lines))

    async def run(self) -> None:
        """Write the counts down now and then, until cancelled."""
        pause = LEAST
        while True:
            await asyncio.sleep(pause)
            began = monotonic()
            await finished(self.keep())
            pause = max(LEAST, SHARE * (monotonic() - began))

    async def keep(self) -> None:
        """Write the counts down; what fails is told, and tried again next time."""
        try:
            self._write()
        except OSError as fault:
            if not self.fault:
                log.error("the counts are not written down, a restart would begin them anew: %s", fault)
            self.fault = str(fault)
            return
        self.fault = ""

    def _write(self) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            write({"time": self._clock(), **self._gate.judge.saved()}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)

    def _taken_up(self) -> float | None:
        """When the counts that lie there were written; None where there are none."""
        try:
            with self._path.open("rb") as file:
                tables = read(file)
            since = tables.pop("time")
            assert isinstance(since, float)
            self._gate.judge.take_up(tables)
        except FileNotFoundError:
            return None
        except (OSError, UnknownLayoutError, KeyError, AssertionError) as fault:
            log.warning("%s: %s; what is needed is counted again from the evidence", self._path, fault)
            return None
        return since

    def _tell_again(self, line: EvidenceLine) -> None:
        """Have a line judged that an earlier run judged already; not one that led to a ban, or stands under it."""
        ban = self._gate.judge.last_ban(line.source)
        if ban is None or line.received > ban.until:
            self._gate.judged(_event(line, self._gate.reader.rules), self._clock())


def _event(line: EvidenceLine, rules: RuleSet) -> AuthEvent:
    """The event that a kept line told of, or several alike."""
    course = rules.course_of(line.program)
    evidence = Evidence.WEAK if course is None else course.evidence_of(line.rule)
    return AuthEvent(
        time=line.time,
        outcome=Outcome(line.outcome),
        rule=line.rule,
        source=parse_address(line.address.encode()),
        account=line.account,
        protocol=Protocol(line.protocol),
        evidence=evidence,
        sender=line.sender,
        host=line.host,
        program=line.program,
        line=line.line,
        count=line.count,
    )
