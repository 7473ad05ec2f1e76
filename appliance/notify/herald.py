"""Hands what happens to every channel, and exchanges the channels at a reload."""

import asyncio
from collections.abc import Sequence

from appliance.notify.alertmanager import AlertmanagerChannel
from appliance.notify.channel import Channel, Told


class Herald:
    """All ways of telling people, as one."""

    def __init__(self, channels: Sequence[Channel] = ()) -> None:
        self._channels = list(channels)
        self._leaving: list[Channel] = []
        """Channels of an earlier configuration, to be closed."""
        self._changed = asyncio.Event()

    def tell(self, what: Told, now: float) -> None:
        """Let every channel take note. Returns at once."""
        for channel in self._channels:
            channel.tell(what, now)

    def adopt(self, channels: Sequence[Channel]) -> None:
        """Tell people by these channels from now on; the others send what waits, and end."""
        self._leaving += self._channels
        self._channels = list(channels)
        self._changed.set()

    def waiting(self, name: str) -> int:
        """How much waits in the channels of a name."""
        return sum(channel.waiting for channel in self._channels if channel.name == name)

    @property
    def alerts_active(self) -> int:
        """How many alerts are held up at Alertmanager."""
        return sum(each.alerts_active for each in self._channels if isinstance(each, AlertmanagerChannel))

    @property
    def fault(self) -> str:
        """Who is not told, and why; "" while all are."""
        return "; ".join(channel.fault for channel in self._channels if channel.fault)

    async def run(self) -> None:
        """Let the channels send, until cancelled. A channel that ends by itself is a fault of ours, and raised."""
        while True:
            self._changed.clear()
            tasks = [asyncio.create_task(channel.run(), name=channel.name) for channel in self._channels]
            changed = asyncio.create_task(self._changed.wait())
            try:
                await asyncio.wait([*tasks, changed], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (*tasks, changed):
                    task.cancel()
                results = await asyncio.gather(*tasks, changed, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result
            await self._close_leaving()

    async def close(self) -> None:
        """Have all channels send what waits, and end."""
        self.adopt([])
        await self._close_leaving()

    async def _close_leaving(self) -> None:
        leaving, self._leaving = self._leaving, []
        await asyncio.gather(*(channel.close() for channel in leaving))
