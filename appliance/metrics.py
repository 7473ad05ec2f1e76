"""Every metric, declared once. Labels come from small closed sets; none ever holds an address or an account."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance.firewall.backend import DROPS, Drop, Dropped, Health
from appliance.model import Mode

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_FAULTS = (
    "sender_refused", "truncated", "empty_frame", "framing_error", "framing_filler", "incomplete_frame_at_close",
    "unterminated_at_close", "idle_or_slow_frame", "too_many_connections", "quarantined",
)  # fmt: skip
"""Reasons known from the start, so that they stand at 0 and a first rise can be alerted on."""

PROOFS = ("seen", "unseen", "dropped")
"""What comes of asking whether a source completed a handshake: it did, it did not, too many were asked for."""


class Metrics:
    """The funnel from received frame to dropped packet, and the daemon's own health."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, read by nobody
        self.registry = registry = CollectorRegistry()

        self.received = Counter(
            "zward_frames_received", "Frames taken from listed senders.", ["transport"], registry=registry
        )
        self.faults = Counter(
            "zward_frame_faults",
            "Frames dropped or damaged on the way in, and connections closed for it, by reason.",
            ["reason"],
            registry=registry,
        )
        self.parsed = Counter(
            "zward_frames_parsed", "Frames that held a rule's literal and were read.", registry=registry
        )
        self.unreadable = Counter(
            "zward_frames_unreadable", "Frames of a known program that its decoder could not split.", registry=registry
        )
        self.matched = Counter(
            "zward_events", "Lines that a rule recognised.", ["protocol", "outcome", "evidence"], registry=registry
        )
        self.verdicts = Counter("zward_verdicts", "Verdicts by detector.", ["detector", "verdict"], registry=registry)
        self.bans = Counter("zward_bans", "Bans carried out.", ["detector", "family"], registry=registry)
        self.refused = Counter(
            "zward_bans_refused", "Bans that the firewall refused: never-ban list, width, term.", registry=registry
        )
        self.unbans = Counter("zward_unbans", "Bans lifted before their end.", registry=registry)
        self.firewall_faults = Counter(
            "zward_firewall_failures",
            "Firewall operations that failed and are tried again.",
            ["operation"],
            registry=registry,
        )
        self.store_faults = Counter("zward_store_failures", "Writes to the store that failed.", registry=registry)
        self.evidence_dropped = Counter(
            "zward_evidence_dropped",
            "Evidence lines lost because the queue to the disk was full.",
            registry=registry,
        )
        self.latency = Histogram(
            "zward_ban_seconds",
            "From the deciding line's arrival to the kernel's answer.",
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
            registry=registry,
        )
        self.lag = Histogram(
            "zward_event_lag_seconds",
            "From the time inside a line to its arrival.",
            buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
            registry=registry,
        )
        self.reloads = Counter("zward_config_reloads", "Reloads of the configuration.", ["result"], registry=registry)
        self.reload_ok = Gauge(
            "zward_config_last_reload_successful", "1 if the last reload took effect.", registry=registry
        )
        self.mode = Gauge("zward_mode", "1 for the mode in force.", ["mode"], registry=registry)
        self.degraded = Gauge(
            "zward_degraded", "1 while a part does not work: firewall or store.", ["part"], registry=registry
        )
        self.build = Info("zward_build", "What is running.", registry=registry)
        self._start_known_labels()

    def _start_known_labels(self) -> None:
        for transport in ("udp", "tcp"):
            self.received.labels(transport)
        for reason in _FAULTS:
            self.faults.labels(reason)
        for part in ("firewall", "store"):
            self.degraded.labels(part)
        for result in ("success", "failure"):
            self.reloads.labels(result)
        for mode in Mode:
            self.mode.labels(mode)

    def set_mode(self, mode: Mode) -> None:
        for each in Mode:
            self.mode.labels(each).set(each is mode)

    def start_detectors(self, detectors: Iterable[str], tellers: Iterable[str]) -> None:
        """Let the counters of these detectors, and of those that only tell, stand at 0."""
        for name in detectors:
            for verdict in ("watched", "would_ban", "spared", "banned"):
                self.verdicts.labels(name, verdict)
            for family in ("4", "6"):
                self.bans.labels(name, family)
        for name in tellers:
            self.verdicts.labels(name, "noticed")

    def watch(self, read: Callable[[], "Figures"]) -> None:
        """Read these figures afresh at every scrape."""
        self.registry.register(_AtScrape(read))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)


class Figures:
    """What is read at scrape time rather than counted: sizes of tables, and counters that the kernel keeps."""

    def __init__(self) -> None:
        self.bans: dict[tuple[str, str], int] = {(f, k): 0 for f in ("4", "6") for k in ("host", "network")}
        """(family, host | network) → bans in force."""
        self.dropped: dict[Drop, Dropped] = dict.fromkeys(DROPS, Dropped(0, 0))
        """Packets and bytes that the kernel dropped, by port, scope of the ban and family."""
        self.health = Health()
        self.reconnects = 0
        """How often the helper had to be reached anew."""
        self.proofs: dict[str, int] = dict.fromkeys(PROOFS, 0)
        """Answer → sources of which it was asked whether they completed a handshake."""
        self.attempts = 0
        """Failed login attempts, each once however many lines told of it."""
        self.tracked: dict[str, int] = {}
        """Table → entries."""
        self.evicted: dict[str, int] = {}
        """Table → entries pushed out because it was full."""
        self.senders = 0
        self.connections = 0
        self.udp_lost = 0
        """Datagrams that the kernel threw away because we were too slow."""


class _AtScrape(Collector):
    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        figures = self._read()
        bans = GaugeMetricFamily("zward_bans_active", "Bans in force.", labels=["family", "kind"])
        for labels, number in figures.bans.items():
            bans.add_metric(labels, number)
        yield bans
        yield from _dropped(figures.dropped)
        yield from _firewall(figures)
        tracked = GaugeMetricFamily("zward_tracked", "Entries of the judge's tables.", labels=["table"])
        for table, number in figures.tracked.items():
            tracked.add_metric([table], number)
        yield tracked
        evicted = CounterMetricFamily("zward_evictions", "Entries pushed out of a full table.", labels=["table"])
        for table, number in figures.evicted.items():
            evicted.add_metric([table], number)
        yield evicted
        yield CounterMetricFamily(
            "zward_attempts",
            "Login attempts that failed, each once however many lines told of it.",
            value=figures.attempts,
        )
        yield GaugeMetricFamily("zward_senders", "Senders heard since the start.", value=figures.senders)
        yield GaugeMetricFamily("zward_connections", "Open TCP connections.", value=figures.connections)
        yield CounterMetricFamily(
            "zward_udp_lost", "Datagrams that the kernel dropped because its buffer was full.", value=figures.udp_lost
        )

    def describe(self) -> Iterable[Metric]:
        return ()


def _dropped(dropped: Mapping[Drop, Dropped]) -> Iterable[Metric]:
    labels = ["port", "scope", "family"]
    packets = CounterMetricFamily("zward_dropped_packets", "Packets of banned sources dropped.", labels=labels)
    octets = CounterMetricFamily("zward_dropped_bytes", "Bytes of the packets dropped.", labels=labels)
    for drop, number in dropped.items():
        where = [str(drop.port), drop.scope.value, str(drop.family)]
        packets.add_metric(where, number.packets)
        octets.add_metric(where, number.bytes)
    return packets, octets


def _firewall(figures: Figures) -> Iterable[Metric]:
    health = figures.health
    for name, says, number in (
        ("zward_firewall_repairs", "Changes of our table by somebody else that were undone.", health.repairs),
        ("zward_bans_crowded_out", "Bans that gave way because their set was full.", health.crowded_out),
        ("zward_fenced_packets", "Packets of strangers dropped by the fence around accounts.", health.fenced),
        ("zward_sessions_ended", "Connections of banned sources that were ended.", health.ended),
        ("zward_helper_reconnects", "How often the firewall helper had to be reached anew.", figures.reconnects),
    ):
        yield CounterMetricFamily(name, says, value=number)
    proofs = CounterMetricFamily("zward_proofs", "Sources asked for packet proof, by the answer.", labels=["answer"])
    for answer, number in figures.proofs.items():
        proofs.add_metric([answer], number)
    yield proofs
