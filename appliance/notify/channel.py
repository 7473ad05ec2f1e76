"""What all ways of telling people have in common.

A channel is handed everything that happens (`tell`), keeps what concerns it in a bounded place, and sends it in its
own time (`run`). It never delays the gate and never raises at it: a mail server that is down is not our outage.
"""

from collections.abc import Callable
from typing import ClassVar, Protocol

from appliance.model import Act, Banned, Noticed, Spared, Watched

Told = Banned | Spared | Noticed | Watched | Act
"""What happens that somebody may want to hear of. Of `Watched` only those that would ban in mode `enforce`."""

Count = Callable[[str, int], None]
"""Counts results for the metrics: `sent`, `failed` (tried again), `dropped` (lost: too much waited, or it was refused
for good); and how many."""

CLOSING = 3.0
"""Seconds that a channel has at the end to send what waits."""


class ChannelError(Exception):
    """The other side did not take it; the message says who and why, in words that `zward test` can show."""


class Channel(Protocol):
    """One way of telling people."""

    name: ClassVar[str]
    """One of `metrics.declared.CHANNELS`."""

    @property
    def waiting(self) -> int:
        """How much waits to be sent."""

    @property
    def fault(self) -> str:
        """Why nothing gets through, in words; "" while it does."""

    def tell(self, what: Told, now: float) -> None:
        """Take note of what happened; `now` in seconds since the epoch. Returns at once, never raises."""

    async def run(self) -> None:
        """Send what there is to send, until cancelled."""

    async def close(self) -> None:
        """Send what waits once more, within `CLOSING` seconds; what fails is lost, and counted as dropped."""

    async def check(self) -> str:
        """Send one test message and wait for the answer; says what the other side took. Raises ChannelError."""
