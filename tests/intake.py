"""Listeners in the test's own loop, and what they hand on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from appliance.address import NetSet, parse_network
from appliance.config.values import Endpoint
from appliance.listen.listeners import Listeners, open_listeners
from appliance.listen.sockets import Limits
from appliance.read.frames import Block

PATIENCE = 10.0
"""Seconds to wait for what must come."""


class Intake:
    """What came out of some listeners."""

    def __init__(self) -> None:
        self.frames: list[tuple[bytes, str, str]] = []
        self.blocks: list[Block] = []
        self.counted: Counter[str] = Counter()
        self.listeners: Listeners
        self._changed = asyncio.Event()

    def receive(self, block: Block, sender: str, transport: str) -> None:
        self.blocks.append(block)
        self.frames += [(frame.data, sender, transport) for frame in block]
        self._changed.set()

    def count(self, reason: str, number: int) -> None:
        self.counted[reason] += number
        self._changed.set()

    @property
    def texts(self) -> list[bytes]:
        return [data for data, _, _ in self.frames]

    async def until(self, frames: int = 0, **counted: int) -> None:
        """Wait until so many frames have come and so much has been counted."""
        async with asyncio.timeout(PATIENCE):
            while len(self.frames) < frames or any(self.counted[r] < n for r, n in counted.items()):
                self._changed.clear()
                await self._changed.wait()

    def address(self, transport: str) -> tuple[str, int]:
        found = next(each for each in self.listeners.opened if each.transport == transport)
        return (found.endpoint.host, found.endpoint.port)


@asynccontextmanager
async def taking(*networks: str, host: str = "127.0.0.1", limits: Limits | None = None) -> AsyncIterator[Intake]:
    """One UDP and one TCP listener on loopback; everybody may send unless networks are given."""
    intake = Intake()
    allowed = NetSet(parse_network(network) for network in networks or ("0.0.0.0/0", "::/0"))
    anywhere = [Endpoint(host, 0)]
    intake.listeners = await open_listeners(anywhere, anywhere, allowed, intake.receive, intake.count, limits)
    try:
        yield intake
    finally:
        await intake.listeners.close()
