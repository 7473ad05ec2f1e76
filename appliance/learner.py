"""Keeps what the judge learned of its users over a restart: who logged in from where."""

import asyncio
import logging
from collections.abc import Callable

from appliance.address import Net, source_of
from appliance.batches import finished
from appliance.judge.familiar import Seen
from appliance.judge.judge import Judge
from appliance.metrics.metrics import Metrics
from appliance.store.store import Store, StoreError

log = logging.getLogger(__name__)

WRITE_SECONDS = 10.0
"""Between two writes: what a kill costs at the most. Whoever logs in is written down once an hour, so it is little."""

WAITING = 100_000
"""Logins that may wait for a disk that takes none: 30 MB, an hour of a large site. Later ones are lost, and counted."""

BATCH = 4096
"""Logins in one transaction: the bans behind it wait 60 ms for the disk, and the kernel not at all."""


class Learner:
    """The way of familiarity from the judge to the store and back."""

    def __init__(self, judge: Judge, store: Store, metrics: Metrics, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self.fault = ""
        """Why nothing can be written; "" while it can."""
        self.lost = 0
        """Logins that were not written down because too many waited."""
        self._judge = judge
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._waiting: dict[tuple[str, Net], Seen] = {}
        self._writing = asyncio.Lock()
        """Or what is forgotten would come back with the write under way."""

    async def load(self) -> None:
        """Let the judge know whom an earlier run knew. Raises StoreError."""
        now, number = self._clock(), 0
        page = await self._store.familiar.fresh(now)
        while page:  # a large site has a million: never all of them at once
            self._judge.familiar.load(page)
            number += len(page)
            page = await self._store.familiar.fresh(now, page[-1])
        if number:
            log.info("%d logins of the last 30 days are known", number)

    async def run(self) -> None:
        """Write what the judge learns, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await finished(self.flush())

    async def flush(self) -> None:
        """Write down what was learned; what the disk does not take waits for the next time."""
        async with self._writing:
            self._take()
            try:
                while self._waiting:
                    batch = list(self._waiting.values())[:BATCH]
                    await self._store.familiar.learn(batch, self._clock())
                    for seen in batch:
                        del self._waiting[seen.account, seen.source]
            except StoreError as fault:
                self._failed(fault)
                return
            if self.fault:
                self._metrics.degraded.labels("store").set(0)
            self.fault = ""

    async def forget(self, account: str | None = None, net: Net | None = None) -> list[Seen]:
        """Forget an account, a network, or what they have in common: in memory, on the way, and on the disk.

        Returns what is gone. Raises StoreError; then the disk still knows it, and a restart would bring it back.
        """
        net = None if net is None else source_of(net)
        async with self._writing:
            self._take()
            waiting = [seen for seen in self._waiting.values() if _is_meant(seen, account, net)]
            for seen in waiting:
                del self._waiting[seen.account, seen.source]
            gone = [*waiting, *self._judge.familiar.forget(account, net)]
            gone += await self._store.familiar.forget(account, net)
        return list({(seen.account, seen.source): seen for seen in gone}.values())

    def _take(self) -> None:
        for seen in self._judge.familiar.take_news():
            key = seen.account, seen.source
            if key in self._waiting or len(self._waiting) < WAITING:
                self._waiting[key] = seen
            else:
                self.lost += 1

    def _failed(self, fault: StoreError) -> None:
        self._metrics.store_faults.inc()
        self._metrics.degraded.labels("store").set(1)
        if not self.fault:
            log.error("who logs in from where is not written down; %d logins wait: %s", len(self._waiting), fault)
        self.fault = str(fault)


def _is_meant(seen: Seen, account: str | None, net: Net | None) -> bool:
    return account in (None, seen.account) and (net is None or net.covers(seen.source))
