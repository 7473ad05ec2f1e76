"""A firewall of the stories: it keeps who is banned out of doors that are scripts, and counts as the kernel does."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import cycle
from pathlib import Path

from appliance.address import Net, source_of
from appliance.firewall.backend import CLOSED_PORTS, DROPS, Drop, Dropped, Element, Health, Place, Refused, SampledDrop
from appliance.firewall.observe import ObserveBackend

SYN = 60
"""Bytes of one."""
KNOCKS = 4
"""SYNs of a client that gets no answer, before it gives up."""
LASTS = (0.0011, 0.0008, 0.0014, 0.0009, 0.0031, 0.0012, 0.0010, 0.0017)
"""Seconds that a ban takes in the kernel, as measured; each in turn."""
SEEN = 1800.0
"""Seconds for which it is known that a source completed a connection."""


class StoryFirewall:
    """Takes the place of the kernel's helper: the daemon makes it with the helper's socket, which it does not need."""

    clock: Callable[[], float]
    """Of all of them; to be set before one is made."""

    def __init__(self, _socket: Path) -> None:
        self.reconnects = 0
        self._kept = ObserveBackend(self.clock)
        self._ends: dict[Place, float] = {}
        self._dropped = dict.fromkeys(DROPS, Dropped(0, 0))
        self._seen: dict[Net, float] = {}
        self._ended = 0
        self._lasts = cycle(LASTS)

    def meets(self, address: Net, port: int) -> bool:
        """Somebody connects; whether they are let through."""
        now = self.clock()
        for prefix in (address.prefix, 64, 48, 56, 24):
            if prefix > address.prefix:
                continue
            net = address.widened(prefix)
            for scope, ports in CLOSED_PORTS.items():
                if port in ports and self._ends.get(Place(net, scope), 0.0) > now:
                    drop = Drop(port, scope, address.family)
                    packets, octets = self._dropped[drop]
                    self._dropped[drop] = Dropped(packets + KNOCKS, octets + KNOCKS * SYN)
                    return False
        self._seen[source_of(address)] = now
        return True

    async def open(self) -> None:
        await self._kept.open()

    async def close(self) -> None:
        await self._kept.close()

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        await asyncio.sleep(next(self._lasts))
        refused = await self._kept.ban(bans)
        now, nets = self.clock(), {each.net for each in refused}
        for element in bans:
            if element.net not in nets:
                self._ends[Place(element.net, element.scope)] = now + element.seconds
                self._ended += self._seen.get(element.net, 0.0) > now - 60
        return refused

    async def unban(self, nets: Sequence[Net]) -> list[Net]:
        lifted = await self._kept.unban(nets)
        self._ends = {place: end for place, end in self._ends.items() if place.net not in lifted}
        return lifted

    async def banned(self) -> dict[Place, float]:
        return await self._kept.banned()

    async def allow(self, nets: Collection[Net]) -> None:
        await self._kept.allow(nets)

    async def favour(self, sources: Sequence[Element]) -> None:
        await self._kept.favour(sources)

    async def fence(self, ports: Collection[int], seconds: int) -> None:
        await self._kept.fence(ports, seconds)

    async def seen(self, sources: Collection[Net]) -> set[Net]:
        since = self.clock() - SEEN
        return {source for source in sources if self._seen.get(source, 0.0) > since}

    async def dropped(self) -> Mapping[Drop, Dropped]:
        return dict(self._dropped)

    async def samples(self) -> list[SampledDrop]:
        return []

    async def health(self) -> Health:
        return Health(ended=self._ended)
