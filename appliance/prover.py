"""Asks the firewall which sources were really here, so that lines which a client can write count against them.

Off the ban path: questions wait in a bounded queue, one request is under way at a time, and what is asked for
meanwhile goes together in the next.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from time import monotonic

from appliance.address import Net
from appliance.firewall.backend import Backend, BackendError
from appliance.metrics.declared import PROOFS

RETRY_SECONDS = 1.0
"""Pause before what failed is asked again: a dead helper is back by then."""

AGAIN_SECONDS = 1.0
"""For so long nobody asks again about a source that was answered for: it may be forged, and written of a thousand
times a second, and the kernel's look-ups are better spent on others."""

BATCH = 1024
"""Sources in one request, of the 4096 that the helper takes: 4 ms of its time, for which a ban may have to wait."""

WAITING = 65_536
"""Sources in the queue, and sources remembered as answered: 64 requests, which take the helper 0.3 s in all. The
oldest question gives way, and is put again at its source's next line."""


class Prover:
    """The way from a doubt to a proof."""

    def __init__(
        self,
        backend: Callable[[], Backend],
        prove: Callable[[Sequence[Net]], None],
        failed: Callable[[BackendError], None],
    ) -> None:
        """`backend` is whichever is in use; `prove` is told who was seen, `failed` why nobody answers."""
        self.answers = dict.fromkeys(PROOFS, 0)
        """What came of the questions: sources seen, unseen, and dropped because the queue was full."""
        self._backend = backend
        self._prove = prove
        self._failed = failed
        self._waiting: OrderedDict[Net, None] = OrderedDict()
        """The oldest question first."""
        self._asked: dict[Net, None] = {}
        """The request under way."""
        self._answered: OrderedDict[Net, float] = OrderedDict()
        """Monotonic seconds of the last answers, the oldest first."""
        self._due = asyncio.Event()

    def ask(self, source: Net) -> None:
        """Have it found out whether a source was here. Returns at once."""
        if source not in self._waiting and source not in self._asked and not self._is_answered(source):
            self._waiting[source] = None
            self._bound()
            self._due.set()

    def _is_answered(self, source: Net) -> bool:
        answered = self._answered.get(source)
        return answered is not None and monotonic() - answered < AGAIN_SECONDS

    def _bound(self) -> None:
        while len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)
            self.answers["dropped"] += 1

    async def run(self) -> None:
        """Ask what is to be asked, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._waiting:
                await self._ask_oldest()

    async def _ask_oldest(self) -> None:
        """Send one request, and hand on its answer."""
        self._asked = dict.fromkeys(islice(self._waiting, BATCH))
        for source in self._asked:
            del self._waiting[source]
        try:
            seen = await self._backend().seen(self._asked)
        except BackendError as fault:
            self._failed(fault)
            self._queue_again(fault.net)
            await asyncio.sleep(RETRY_SECONDS)
            return
        asked, self._asked = self._asked, {}
        self._note_answered(asked)
        proved = [source for source in asked if source in seen]
        self.answers["seen"] += len(proved)
        self.answers["unseen"] += len(asked) - len(proved)
        if proved:
            self._prove(proved)

    def _queue_again(self, culprit: Net | None) -> None:
        """Put the request that failed back in front, but not what it failed for."""
        asked, self._asked = self._asked, {}
        if culprit in asked:
            del asked[culprit]
            self.answers["dropped"] += 1
        self._waiting = OrderedDict.fromkeys((*asked, *self._waiting))
        self._bound()

    def _note_answered(self, sources: Iterable[Net]) -> None:
        now = monotonic()
        for source in sources:
            self._answered[source] = now
            self._answered.move_to_end(source)
        while self._answered and (len(self._answered) > WAITING or not self._is_answered(next(iter(self._answered)))):
            self._answered.popitem(last=False)
