"""zmauditswatch's own phrases in a file, so that rules which look for them in `zmauditswatch.out` go on working.

The words are those that `/bin/echo` writes there by Zimbra's `auditswatchrc` (zm-build, rpmconf/Conf): no time, no
host, one line for each threshold that is reached.
"""

import asyncio
import contextlib
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from appliance.batches import finished
from appliance.config.notify import ZmauditswatchLog
from appliance.judge.detect.zmauditswatch import SITE, Zmauditswatch
from appliance.judge.words import shown, visible
from appliance.model import Noticed
from appliance.notify.backoff import Backoff
from appliance.notify.channel import CLOSING, ChannelError, Count, Told

WAITING = 10_000
"""Lines that wait for the disk, at most 300 octets each; the oldest give way."""
BATCH = 1000
"""Lines written at once."""
UNKNOWN = "-"
"""For an address or account that the log did not name; Zimbra's pattern misses such lines."""


class ZmauditswatchChannel:
    """Writes what the detector zmauditswatch tells into a file, which is opened anew for each batch: logrotate may
    take it away at any time."""

    name: ClassVar[str] = "zmauditswatch"

    def __init__(self, config: ZmauditswatchLog, host: str, count: Count, clock: Callable[[], float]) -> None:
        self._path = config.log
        self._host = visible(host)
        self._count = count
        self._lines: deque[str] = deque()
        self._batch = b""
        """What is left of the lines that are being written, when the disk took a part."""
        self._woken = asyncio.Event()
        self._backoff = Backoff(f"zmauditswatch's log {config.log}")
        self._rest = 0.0
        """Seconds to wait before the next try; 0 while it works."""

    @property
    def waiting(self) -> int:
        return len(self._lines) + self._batch.count(b"\n")

    @property
    def fault(self) -> str:
        return self._backoff.fault

    def tell(self, what: Told, now: float) -> None:
        if not isinstance(what, Noticed) or what.detector != Zmauditswatch.name or what.over:
            return
        if len(self._lines) >= WAITING:
            self._lines.popleft()
            self._count("dropped", 1)
        self._lines.append(phrase(what))
        self._woken.set()

    async def run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self.waiting:
                await finished(self._write())
                await asyncio.sleep(self._rest)

    async def close(self) -> None:
        self._rest = 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                while self.waiting and not self._rest:
                    await self._write()
        if lost := self.waiting:
            self._count("dropped", lost)

    async def check(self) -> str:
        line = f"zward on {self._host}: somebody ran `zward test`\n".encode()
        try:
            written = await asyncio.to_thread(append, self._path, line)
        except OSError as fault:
            raise ChannelError(f"{self._path}: {fault.strerror or fault}") from None
        if written < len(line):
            raise ChannelError(f"{self._path}: {written} of {len(line)} octets were written; the disk is full")
        return f"{self._path}: took a line"

    async def _write(self) -> None:
        """Write the oldest lines."""
        if not self._batch:
            lines = [self._lines.popleft() for _ in range(min(BATCH, len(self._lines)))]
            self._batch = "".join(lines).encode()
        try:
            written = await asyncio.to_thread(append, self._path, self._batch)
        except OSError as fault:
            self._count("failed", self._batch.count(b"\n"))
            self._rest = self._backoff.failed(fault.strerror or fault)
            return
        if sent := self._batch.count(b"\n", 0, written):
            self._count("sent", sent)
        self._batch = self._batch[written:]
        self._backoff.worked()
        self._rest = 0.0


def phrase(noticed: Noticed) -> str:
    """Zimbra's words for one of the four thresholds, with the end of the line."""
    source = str(noticed.source) if noticed.source else UNKNOWN
    account = _word(noticed.account) if noticed.account else UNKNOWN
    match noticed.subject:
        case subject if subject == SITE:
            return "Excessive authentication failures detected.\n"
        case subject if subject == f"{shown(noticed.account or '')} from {source}":
            return f"IP:Acct failure threshold exceeded: {source} {account}\n"
        case subject if subject == source:
            return f"IP failure threshold exceeded: {source} exceeded threshold on failure for {account}\n"
        case _:
            return f"Account failure threshold exceeded: {source} {account}\n"


def append(path: Path, text: bytes) -> int:
    """Add octets to a file, which is made if need be, for us and our group; returns how many the disk took.

    Raises OSError, also where something else than a file stands there: a link could lead anywhere, and a pipe that
    nobody reads would stop us.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    opened = os.open(path, flags, 0o640)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(f"{path} is no file")
        return os.write(opened, text)
    finally:
        os.close(opened)


def _word(account: str) -> str:
    r"""An account as one word: with a space in it, a client could write a phrase of its own."""
    return visible(account).replace(" ", r"\u{20}")
