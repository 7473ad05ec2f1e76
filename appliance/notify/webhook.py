"""Every ban and notice as JSON, posted to whoever wants it: a chat, a ticket system, a script.

A POST is an array of events, each with `version`, `host`, `time` and `kind`: `ban`, `notice`, `dropped` (so many
events before these are lost) or `test`. A later version may add keys; it will not change these.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import aiohttp

from appliance.config.notify import Webhook
from appliance.judge.words import visible
from appliance.model import RANK, Banned, Noticed
from appliance.moments import iso
from appliance.notify.advice import advice_of
from appliance.notify.backoff import Backoff
from appliance.notify.channel import CLOSING, ChannelError, Count, Told
from appliance.notify.posting import Refused, client, named, post, post_to_each

VERSION = 1
WAITING = 10_000
"""Events that wait for one receiver: the bans of a quarter of an hour in a flood, some 10 MB."""
BATCH = 100
"""Events in one POST: some 100 kB."""
EVERY = 1.0
"""Seconds between two POSTs to one receiver, so that a flood of bans is none of calls."""

Event = tuple[Banned | Noticed, float]
Json = dict[str, Any]


@dataclass(slots=True)
class _Place:
    """One receiver, and what waits for it."""

    url: str
    backoff: Backoff
    events: deque[Event] = field(default_factory=deque)
    batch: tuple[Event, ...] = ()
    """Taken from the events, and not yet taken by the receiver."""
    dropped: int = 0
    """Events lost since the last POST that was taken."""
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def waiting(self) -> int:
        return len(self.batch) + len(self.events)


class WebhookChannel:
    """Posts what happens to every receiver that is configured."""

    name: ClassVar[str] = "webhook"

    def __init__(self, config: Webhook, host: str, count: Count, clock: Callable[[], float]) -> None:
        self._host = visible(host)
        self._least = RANK[config.at_least]
        self._count = count
        self._clock = clock
        self._places = [_Place(url, Backoff(f"webhook at {named(url)}")) for url in config.urls]

    @property
    def waiting(self) -> int:
        return sum(place.waiting for place in self._places)

    @property
    def fault(self) -> str:
        return "; ".join(place.backoff.fault for place in self._places if place.backoff.fault)

    def tell(self, what: Told, now: float) -> None:
        if isinstance(what, Banned) or (isinstance(what, Noticed) and self._concerns(what)):
            for place in self._places:
                self._put(place, (what, now))

    async def run(self) -> None:
        async with client() as session, asyncio.TaskGroup() as serving:
            for place in self._places:
                serving.create_task(self._serve(session, place))

    async def close(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING), client() as session:
                await asyncio.gather(*(self._drain(session, place) for place in self._places))
        if lost := self.waiting:
            self._count("dropped", lost)

    async def check(self) -> str:
        told = self._event("test", self._clock()) | {"reason": "Somebody ran `zward test`."}
        taken = await post_to_each(((place.backoff.name, place.url) for place in self._places), [told])
        return f"{taken}: took an event of kind test"

    def _concerns(self, noticed: Noticed) -> bool:
        """What ends something is told whatever it weighs: the receiver may have been told that it began."""
        return noticed.over or RANK[noticed.severity] >= self._least

    def _put(self, place: _Place, event: Event) -> None:
        """Where there is no room a ban is lost; a notice pushes out what waits longest."""
        if len(place.events) >= WAITING:
            place.dropped += 1
            self._count("dropped", 1)
            if isinstance(event[0], Banned):
                return
            place.events.popleft()
        place.events.append(event)
        place.woken.set()

    async def _serve(self, session: aiohttp.ClientSession, place: _Place) -> None:
        wait = EVERY
        while True:
            await asyncio.sleep(wait)
            if not place.waiting:
                place.woken.clear()
                await place.woken.wait()
                await asyncio.sleep(EVERY)  # the first of a burst waits for the others
            wait = EVERY
            try:
                await self._send(session, place)
            except ChannelError as fault:
                wait = place.backoff.failed(fault)

    async def _drain(self, session: aiohttp.ClientSession, place: _Place) -> None:
        with contextlib.suppress(ChannelError):
            while place.waiting:
                await self._send(session, place)

    async def _send(self, session: aiohttp.ClientSession, place: _Place) -> None:
        """The oldest events. Raises ChannelError; those that were refused are lost with it."""
        if not place.batch:
            place.batch = tuple(place.events.popleft() for _ in range(min(BATCH, len(place.events))))
        dropped = place.dropped
        lost = [self._event("dropped", self._clock()) | {"dropped": dropped}] if dropped else []
        try:
            await post(session, place.url, lost + [self._said(*each) for each in place.batch])
        except Refused:
            place.dropped += len(place.batch)
            self._count("dropped", len(place.batch))
            place.batch = ()
            raise
        except ChannelError:
            self._count("failed", len(place.batch))
            raise
        place.backoff.worked()
        place.dropped -= dropped
        self._count("sent", len(place.batch))
        place.batch = ()

    def _said(self, what: Banned | Noticed, time: float) -> Json:
        """One event. `account` and `accounts` are what clients typed, with escapes for what does not print."""
        advice = advice_of(what.detector)
        if isinstance(what, Banned):
            about = self._event("ban", time) | {
                "source": str(what.source),
                "accounts": [visible(account) for account in what.accounts],
                "since": iso(what.ban.since),
                "until": iso(what.ban.until),
                "scope": what.ban.scope.value,
                "step": what.ban.step,
            }
            steps = advice.steps(what.source)
        else:
            about = self._event("notice", time) | {
                "severity": what.severity.value,
                "subject": visible(what.subject),
                "over": what.over,
                "source": str(what.source) if what.source else None,
                "account": visible(what.account) if what.account else None,
            }
            steps = advice.steps(what.source, what.account)
        return about | {
            "detector": what.detector,
            "reason": visible(what.reason),
            "title": advice.title,
            "to_do": steps,
        }

    def _event(self, kind: str, time: float) -> Json:
        return {"version": VERSION, "host": self._host, "time": iso(time), "kind": kind}
