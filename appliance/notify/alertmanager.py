"""Alerts that name addresses and accounts, sent to Alertmanager (API version 2) and kept up there.

Names must not be labels of a metric, so no rule of Prometheus can raise these. Whoever raises alerts sends each again
and again until it ends (https://prometheus.io/docs/alerting/latest/clients/), to every Alertmanager of a cluster
and not to one behind a balancer. Labels say which alert it is; everything that may change is an annotation.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import aiohttp

from appliance.config.notify import Alertmanager
from appliance.judge.words import moment, shown, visible
from appliance.model import Noticed, Severity
from appliance.moments import iso
from appliance.notify.advice import advice_of
from appliance.notify.alerts import WITH_AN_END, Alert, Alerts
from appliance.notify.backoff import Backoff
from appliance.notify.channel import CLOSING, ChannelError, Count, Told
from appliance.notify.posting import client, named, post, post_to_each

GATHER = 1.0
"""Seconds that the first alert of a burst waits for the others."""
BATCH = 100
"""Alerts in one POST: some 100 kB."""
TEST_LASTS = 60.0

LEVELS = {Severity.NOTICE: "info", Severity.WARNING: "warning", Severity.CRITICAL: "critical"}
"""What Alertmanagers' routes call severities."""

Json = dict[str, Any]


@dataclass(slots=True)
class _Place:
    """One Alertmanager."""

    url: str
    backoff: Backoff
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    seen: int = 0
    """How many changes of the alerts it has been told."""
    whole_at: float = 0.0
    """When everything is sent to it again, by the event loop's clock."""


class AlertmanagerChannel:
    """Keeps the alerts up at every Alertmanager that is configured."""

    name: ClassVar[str] = "alertmanager"

    def __init__(
        self,
        config: Alertmanager,
        host: str,
        runbooks: str,
        count: Count,
        clock: Callable[[], float],
        alerts: Alerts | None = None,
    ) -> None:
        """`alerts`: the table of the channel that this one takes over from, after a reload."""
        self.alerts = alerts if alerts is not None else Alerts(config.hold)
        self.alerts.hold = config.hold
        self._every = config.every
        self._host = visible(host)
        self._runbooks = runbooks
        self._count = count
        self._clock = clock
        self._places = [_Place(f"{url}/api/v2/alerts", Backoff(f"Alertmanager at {named(url)}")) for url in config.urls]

    @property
    def waiting(self) -> int:
        """Changes that not every Alertmanager knows."""
        return self.alerts.unseen(min(place.seen for place in self._places))

    @property
    def alerts_active(self) -> int:
        return len(self.alerts)

    @property
    def fault(self) -> str:
        return "; ".join(place.backoff.fault for place in self._places if place.backoff.fault)

    def tell(self, what: Told, now: float) -> None:
        if not isinstance(what, Noticed):
            return
        changes, crowded_out = self.alerts.changes, self.alerts.crowded_out
        self.alerts.take(what, now)
        if self.alerts.crowded_out != crowded_out:
            self._count("dropped", self.alerts.crowded_out - crowded_out)
        if self.alerts.changes != changes:
            for place in self._places:
                place.woken.set()

    async def run(self) -> None:
        async with client() as session, asyncio.TaskGroup() as serving:
            for place in self._places:
                serving.create_task(self._serve(session, place))

    async def close(self) -> None:
        """Nobody will send again for a while: what has no end of its own is sent with the time at which it ends, so
        that a restart resolves nothing."""
        now = self._clock()
        due = self.alerts.due(now, 0, whole=True)
        parting = [
            self._said(each, now, now + 3 * self._every if each.detector in WITH_AN_END else each.ends) for each in due
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING), client() as session:
                await asyncio.gather(*(self._part(session, place, parting) for place in self._places))
        if lost := self.waiting:
            self._count("dropped", lost)

    async def check(self) -> str:
        now = self._clock()
        test = Alert("test", self._host, Severity.NOTICE, "", None, None, now, now, now + TEST_LASTS, 0)
        told = self._said(test, now, test.ends)
        told["annotations"] = {"summary": "This is a test.", "description": "Somebody ran `zward test`."}
        taken = await post_to_each(((place.backoff.name, place.url) for place in self._places), [told])
        return f"{taken}: took the alert {test.alertname}, which ends in {TEST_LASTS:g} s"

    async def _serve(self, session: aiohttp.ClientSession, place: _Place) -> None:
        while True:
            try:
                await self._send(session, place)
            except ChannelError as fault:
                place.whole_at = 0.0  # it may have been restarted, and have forgotten
                await asyncio.sleep(place.backoff.failed(fault))
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(place.whole_at):
                    await place.woken.wait()
                await asyncio.sleep(GATHER)

    async def _send(self, session: aiohttp.ClientSession, place: _Place) -> None:
        """What it does not know, or, when it is time, everything. Raises ChannelError."""
        place.woken.clear()
        begun, now = asyncio.get_running_loop().time(), self._clock()
        whole = begun >= place.whole_at
        due = self.alerts.due(now, place.seen, whole=whole)
        changes = self.alerts.changes
        await self._post(session, place, [self._said(each, now, now + 3 * self._every) for each in due])
        place.seen = changes
        if whole:
            place.whole_at = begun + self._every

    async def _part(self, session: aiohttp.ClientSession, place: _Place, parting: Sequence[Json]) -> None:
        changes = self.alerts.changes
        with contextlib.suppress(ChannelError):
            await self._post(session, place, parting)
            place.seen = changes

    async def _post(self, session: aiohttp.ClientSession, place: _Place, alerts: Sequence[Json]) -> None:
        for begin in range(0, len(alerts), BATCH):
            batch = alerts[begin : begin + BATCH]
            try:
                await post(session, place.url, batch)
            except ChannelError:
                self._count("failed", len(batch))
                raise
            place.backoff.worked()
            self._count("sent", len(batch))

    def _said(self, alert: Alert, now: float, lasts: float) -> Json:
        """One alert as the API's `postableAlert`; it lasts until then if nothing more is sent."""
        advice = advice_of(alert.detector)
        annotations = {
            "summary": f"{advice.title}.",
            "description": visible(alert.reason),
            "source": str(alert.source) if alert.source else "",
            "account": shown(alert.account) if alert.account else "",
            "since": moment(alert.since),
            "to_do": "\n".join(advice.steps(alert.source, alert.account)),
            "runbook_url": f"{self._runbooks}/{alert.alertname}.md",
        }
        return {
            "labels": {
                "alertname": alert.alertname,
                "severity": LEVELS[alert.severity],
                "detector": alert.detector,
                "instance": self._host,
                "case": alert.case,
                "origin": "zward",
            },
            "annotations": {name: text for name, text in annotations.items() if text},
            "startsAt": iso(min(alert.since, alert.ends, now)),  # it may not end before, though a clock was set back
            "endsAt": iso(min(alert.ends, now) if alert.is_over else lasts),
        }
