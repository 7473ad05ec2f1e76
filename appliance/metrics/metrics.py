"""The counters that run, and the figures that are read at a scrape; `declared` says what each of them is."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance.metrics import declared as d
from appliance.metrics.declared import CHANNELS, FAMILIES, OTHER, Declared, Kind
from appliance.metrics.exposition import Exposition
from appliance.model import BAN_SCOPES, Mode, Severity

Readings = Mapping[Declared, Mapping[tuple[str, ...], float]]
"""Metric → values of its labels, in their order → number; () where it has no labels."""

Made = TypeVar("Made", Counter, Gauge, Histogram, Info)


class Metrics:
    """The funnel from received frame to dropped packet, and the daemon's own health."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, read by nobody
        self.registry = CollectorRegistry()
        self._exposition = Exposition()
        ProcessCollector(registry=self.registry)
        self.received = self._made(Counter, d.FRAMES_RECEIVED)
        self.parsed = self._made(Counter, d.FRAMES_PARSED)
        self.lines = self._made(Counter, d.LINES)
        self.sampled = self._made(Counter, d.LINES_SAMPLED)
        self.matched = self._made(Counter, d.EVENTS)
        self.lag = self._made(Histogram, d.LAG)
        self.faults = self._made(Counter, d.FAULTS)
        self.verdicts = self._made(Counter, d.VERDICTS)
        self.notices = self._made(Counter, d.NOTICES)
        self.bans = self._made(Counter, d.BANS)
        self.ban_steps = self._made(Counter, d.BAN_STEPS)
        self.spared = self._made(Counter, d.SPARED)
        self.refused = self._made(Counter, d.REFUSED)
        self.unbans = self._made(Counter, d.UNBANS)
        self.latency = self._made(Histogram, d.LATENCY)
        self.firewall_faults = self._made(Counter, d.FIREWALL_FAILURES)
        self.differences = self._made(Counter, d.DIFFERENCES)
        self.store_faults = self._made(Counter, d.STORE_FAILURES)
        self.evidence_dropped = self._made(Counter, d.EVIDENCE_DROPPED)
        self.notifications = self._made(Counter, d.NOTIFICATIONS)
        self.degraded = self._made(Gauge, d.DEGRADED)
        self.mode = self._made(Gauge, d.MODE)
        self.reloads = self._made(Counter, d.RELOADS)
        self.reload_ok = self._made(Gauge, d.RELOAD_OK)
        self.reloaded = self._made(Gauge, d.RELOADED)
        self.build = self._made(Info, d.BUILD)

    def _made(self, kind: type[Made], declared: Declared) -> Made:
        """A metric of the client library; with labels whose values are all known, each stands at 0."""
        options: dict[str, Any] = {"buckets": declared.buckets} if declared.buckets else {}
        labels = () if declared.kind is Kind.INFO else tuple(declared.labels)
        made = kind(declared.family, declared.says, labels, registry=self.registry, **options)
        if labels:
            for values in declared.known:
                made.labels(*values)
        return made

    def set_mode(self, mode: Mode) -> None:
        for each in Mode:
            self.mode.labels(each).set(each is mode)

    def start_detectors(self, banning: Mapping[str, Iterable[str]], telling: Iterable[str]) -> None:
        """Let the counters of the detectors that ban, each with the kinds of net that it bans (`KINDS`), and of those
        that only tell, stand at 0."""
        for name, kinds in banning.items():
            for verdict in ("watched", "would_ban", "spared", "banned"):
                self.verdicts.labels(name, verdict)
            for kind, scope, family in product(kinds, BAN_SCOPES, FAMILIES):
                self.bans.labels(name, scope, family, kind)
        for name in (*banning, *telling):
            self.verdicts.labels(name, "noticed")
            for severity in Severity:
                self.notices.labels(name, severity)

    def start_programs(self, programs: Iterable[str]) -> None:
        """The same for the programs that rules know."""
        for name in (*programs, OTHER):
            for result in d.LINES.labels["result"]:
                self.lines.labels(name, result)
            for looks in d.LINES_SAMPLED.labels["looks"]:
                self.sampled.labels(name, looks)

    def notified(self, channel: str) -> Callable[[str, int], None]:
        """What counts the results of one channel."""
        assert channel in CHANNELS

        def count(result: str, number: int = 1) -> None:
            self.notifications.labels(channel, result).inc(number)

        return count

    def watch(self, read: Callable[[], Readings]) -> None:
        """Read these figures afresh at every scrape."""
        self.registry.register(_AtScrape(read))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return self._exposition.written(self.registry.collect())


class _AtScrape(Collector):
    def __init__(self, read: Callable[[], Readings]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        for declared, values in self._read().items():
            family_of = CounterMetricFamily if declared.kind is Kind.COUNTER else GaugeMetricFamily
            family = family_of(declared.family, declared.says, labels=tuple(declared.labels))
            for labels, number in values.items():
                family.add_metric(labels, number)
            yield family

    def describe(self) -> Iterable[Metric]:
        return ()
