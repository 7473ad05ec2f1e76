"""Every metric, declared once: its name as it is queried, its labels, what it counts, where it begins.

`metrics` counts, `gauges` reads at a scrape, `zward metrics` and docs/metrics.md explain. A label whose values are
known is exported with each of them from the start, so that the first rise of any can be alerted on. No label ever
holds an address, an account or other text of a client.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product

from appliance.judge.site import HOUR
from appliance.judge.words import span
from appliance.model import BAN_SCOPES, Cause, Evidence, Mode, Severity

FAMILIES = ("4", "6")
KINDS = ("host", "network")
PROOFS = ("seen", "unseen", "dropped")
"""What comes of asking whether a source completed a handshake: it did, it did not, too many were asked for."""
CONDITIONS = ("outage", "campaign", "siege", "fuse")
CHANNELS = ("email", "alertmanager", "webhook", "zmauditswatch", "siem")
STEPS = ("0", "1", "2", "3", "4", "5+")
SAMPLED = 1000
"""One of so many lines that the sieve passes over is read all the same, for what program it is of."""
OTHER = "other"
"""The label of what is not in a closed list: a program without rules, a sender beyond those that are told apart."""


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Topic(StrEnum):
    """Chapters of docs/metrics.md, in their order."""

    FUNNEL = "From the wire to the event"
    SENDERS = "Who sends"
    JUDGEMENT = "What is judged"
    BANS = "Bans"
    FIREWALL = "The firewall"
    STORE = "The store"
    TELLING = "Who is told"
    SELF = "zward itself"


@dataclass(frozen=True, slots=True)
class Declared:
    """One metric."""

    name: str
    """As it is queried: a counter's ends in `_total`, an info's in `_info`, a histogram's has no suffix."""
    kind: Kind
    topic: Topic
    says: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Label → all its values; none where only a run tells."""
    buckets: tuple[float, ...] = ()
    """Of a histogram, in seconds."""

    @property
    def family(self) -> str:
        """The name that the client library adds its suffix to."""
        return self.name.removesuffix("_total").removesuffix("_info")

    @property
    def known(self) -> Iterator[tuple[str, ...]]:
        """Every combination of label values that is known beforehand; none if one label's values are not."""
        return product(*self.labels.values())

    def __hash__(self) -> int:
        return hash(self.name)


_all: list[Declared] = []


def _declare(
    topic: Topic, kind: Kind, name: str, says: str, buckets: tuple[float, ...] = (), /, **labels: tuple[str, ...]
) -> Declared:
    declared = Declared(name, kind, topic, says, labels, buckets)
    _all.append(declared)
    return declared


FRAMES_RECEIVED = _declare(
    Topic.FUNNEL, Kind.COUNTER, "zward_frames_received_total", "Frames taken from listed senders.",
    transport=("udp", "tcp"),
)  # fmt: skip
FRAMES_PARSED = _declare(
    Topic.FUNNEL, Kind.COUNTER, "zward_frames_parsed_total",
    "Frames that held a rule's literal and were read; the sieve passed over all others, which are no login lines.",
)  # fmt: skip
LINES = _declare(
    Topic.FUNNEL, Kind.COUNTER, "zward_lines_total",
    "Frames that were read, by the program of a rule file: recognised by a rule (event), by none (other), or "
    "impossible to split (unreadable).",
    program=(), result=("event", "other", "unreadable"),
)  # fmt: skip
LINES_SAMPLED = _declare(
    Topic.FUNNEL, Kind.COUNTER, "zward_lines_sampled_total",
    f"One of {SAMPLED:,} lines that the sieve passed over, by program, and whether it holds a word about logins: those "
    "would be lines that zward does not know yet.",
    program=(), looks=("login", "other"),
)  # fmt: skip
EVENTS = _declare(
    Topic.FUNNEL, Kind.COUNTER, "zward_events_total", "Lines that a rule recognised.",
    protocol=(), outcome=(), evidence=tuple(Evidence),
)  # fmt: skip
ATTEMPTS = _declare(
    Topic.FUNNEL, Kind.COUNTER, "zward_attempts_total",
    "Login attempts that failed, each once however many lines told of it.",
)  # fmt: skip
LAG = _declare(
    Topic.FUNNEL, Kind.HISTOGRAM, "zward_event_lag_seconds", "From the time inside a line to its arrival.",
    (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200),
)  # fmt: skip
FAULTS = _declare(
    Topic.FUNNEL, Kind.COUNTER, "zward_frame_faults_total",
    "Frames refused, cut or damaged on the way in, and connections closed for it.",
    reason=(
        "sender_refused", "truncated", "empty_frame", "framing_error", "framing_filler", "incomplete_frame_at_close",
        "unterminated_at_close", "idle_or_slow_frame", "too_many_connections", "quarantined",
    ),
)  # fmt: skip
UDP_LOST = _declare(
    Topic.FUNNEL, Kind.COUNTER, "zward_udp_lost_total",
    "Datagrams that the kernel dropped because its buffer was full.",
)  # fmt: skip

SENDERS = _declare(Topic.SENDERS, Kind.GAUGE, "zward_senders", "Senders heard since the start.")
CONNECTIONS = _declare(Topic.SENDERS, Kind.GAUGE, "zward_connections", "Open TCP connections.")
SENDER_FRAMES = _declare(
    Topic.SENDERS, Kind.COUNTER, "zward_sender_frames_total",
    "Frames of each sender. Its label is its name in `[listen.names]`, else `unnamed-` and a hash of its address, "
    "which `zward status` shows.",
    sender=(),
)  # fmt: skip
SENDER_LAST = _declare(
    Topic.SENDERS, Kind.GAUGE, "zward_sender_last_frame_timestamp_seconds",
    "When each sender was last heard; of a named one that never was, when zward started.",
    sender=(),
)  # fmt: skip
SENDER_SKEW = _declare(
    Topic.SENDERS, Kind.GAUGE, "zward_sender_skew_seconds",
    "Arrival minus the time in the line, the median of the last lines of the program that is farthest off: a wrong "
    "clock, a wrong zone, or a queue being drained.",
    sender=(),
)  # fmt: skip
SENDER_CORRECTION = _declare(
    Topic.SENDERS, Kind.GAUGE, "zward_sender_correction_seconds",
    "What is added to the times of that program's lines, since they are off by a time zone.",
    sender=(),
)  # fmt: skip

VERDICTS = _declare(
    Topic.JUDGEMENT, Kind.COUNTER, "zward_verdicts_total",
    "Verdicts by detector: watched, would_ban (in mode observe), spared, banned, noticed.",
    detector=(), verdict=(),
)  # fmt: skip
DETECTOR_MODE = _declare(
    Topic.JUDGEMENT, Kind.GAUGE, "zward_detector_mode", "1 for the mode that each detector is in.",
    detector=(), mode=("off", "observe", "enforce"),
)  # fmt: skip
NOTICES = _declare(
    Topic.JUDGEMENT, Kind.COUNTER, "zward_notices_total", "What people are told beside the bans.",
    detector=(), severity=tuple(Severity),
)  # fmt: skip
CONDITION = _declare(
    Topic.JUDGEMENT, Kind.GAUGE, "zward_condition",
    "1 while the site is not as on other days: the login service broken (outage), far more strangers than usual "
    "(campaign), strangers around one account (siege), bans at a rate that no site needs (fuse).",
    condition=CONDITIONS,
)  # fmt: skip
BESIEGED = _declare(Topic.JUDGEMENT, Kind.GAUGE, "zward_accounts_besieged", "Accounts under siege.")
BUDGETS = _declare(
    Topic.JUDGEMENT, Kind.GAUGE, "zward_accounts_by_lockout_budget",
    "Accounts that used up half, four fifths (most), or all (spent) of the failures after which Zimbra locks them, "
    "each in the highest level only; looked up every 10 s among those tried last.",
    level=("half", "most", "spent"),
)  # fmt: skip
STRANGERS = _declare(
    Topic.JUDGEMENT, Kind.GAUGE, "zward_strangers",
    f"Sources that failed in the running {span(HOUR)} and never logged in.",
)  # fmt: skip
STRANGERS_USUAL = _declare(
    Topic.JUDGEMENT, Kind.GAUGE, "zward_strangers_usual",
    "How many of them are still normal at this hour; nothing in the first days.",
)  # fmt: skip
TRACKED = _declare(Topic.JUDGEMENT, Kind.GAUGE, "zward_tracked", "Entries of the judge's tables.", table=())
EVICTIONS = _declare(
    Topic.JUDGEMENT, Kind.COUNTER, "zward_evictions_total", "Entries pushed out of a full table.", table=()
)

BANS = _declare(
    Topic.BANS, Kind.COUNTER, "zward_bans_total", "Bans that the kernel took.",
    detector=(), scope=tuple(BAN_SCOPES), family=FAMILIES, kind=KINDS,
)  # fmt: skip
BANS_ACTIVE = _declare(
    Topic.BANS, Kind.GAUGE, "zward_bans_active", "Bans in force.",
    scope=tuple(BAN_SCOPES), family=FAMILIES, kind=KINDS,
)  # fmt: skip
BAN_STEPS = _declare(
    Topic.BANS, Kind.COUNTER, "zward_ban_steps_total",
    "The same bans by rung of the ladder: 0 is a source's first ban.",
    step=STEPS,
)  # fmt: skip
SPARED = _declare(
    Topic.BANS, Kind.COUNTER, "zward_bans_spared_total",
    "Bans that a detector asked for and something stood against: a list of who is never banned, an office, an outage, "
    "a blown fuse.",
    cause=tuple(Cause),
)  # fmt: skip
REFUSED = _declare(
    Topic.BANS, Kind.COUNTER, "zward_bans_refused_total",
    "Bans that the firewall refused: the last guard behind the judge, which should never have to.",
    reason=("allowed", "own", "special", "other"),
)  # fmt: skip
UNBANS = _declare(
    Topic.BANS, Kind.COUNTER, "zward_unbans_total",
    "Bans lifted before their end: by an operator (was it the wrong victim?), or because a list changed.",
    by=("operator", "lists"),
)  # fmt: skip
LATENCY = _declare(
    Topic.BANS, Kind.HISTOGRAM, "zward_ban_seconds", "From the deciding line's arrival to the kernel's answer.",
    (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
)  # fmt: skip
ASKED_PROOF = _declare(
    Topic.BANS, Kind.COUNTER, "zward_proofs_total",
    "Sources asked for packet proof: seen (a mail host answered them with data), unseen, dropped (too many at once).",
    answer=PROOFS,
)  # fmt: skip

DROPPED_PACKETS = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_dropped_packets_total",
    "Packets of banned sources that the kernel dropped, by the port they were for and the scope of the ban.",
    port=(), scope=tuple(BAN_SCOPES), family=FAMILIES,
)  # fmt: skip
DROPPED_BYTES = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_dropped_bytes_total", "Bytes of the packets dropped.",
    port=(), scope=tuple(BAN_SCOPES), family=FAMILIES,
)  # fmt: skip
FENCED = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_fenced_packets_total",
    "Packets of strangers dropped by the fence around besieged accounts.",
)  # fmt: skip
ENDED = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_sessions_ended_total", "Connections of banned sources that were ended.",
)  # fmt: skip
FIREWALL_FAILURES = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_firewall_failures_total",
    "Firewall operations that failed and are tried again.",
    operation=("ban", "unban", "list", "open", "allow", "favour", "fence", "seen", "health"),
)  # fmt: skip
REPAIRS = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_firewall_repairs_total",
    "Changes of our tables by somebody else that were undone.",
)  # fmt: skip
DIFFERENCES = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_firewall_differences_total",
    "Bans that differed between the kernel and the book when they were compared, and were put right.",
)  # fmt: skip
CROWDED_OUT = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_bans_crowded_out_total",
    "Bans that gave way because their set was full, the soonest to end first.",
)  # fmt: skip
RECONNECTS = _declare(
    Topic.FIREWALL, Kind.COUNTER, "zward_helper_reconnects_total",
    "How often the firewall helper had to be reached anew.",
)  # fmt: skip

STORE_FAILURES = _declare(
    Topic.STORE, Kind.COUNTER, "zward_store_failures_total", "Writes to the store that failed and are tried again.",
)  # fmt: skip
STORE_BYTES = _declare(Topic.STORE, Kind.GAUGE, "zward_store_bytes", "Size of the store on disk.")
EVIDENCE_WAITING = _declare(
    Topic.STORE, Kind.GAUGE, "zward_evidence_waiting", "Evidence lines that wait to be written.",
)  # fmt: skip
EVIDENCE_DROPPED = _declare(
    Topic.STORE, Kind.COUNTER, "zward_evidence_dropped_total",
    "Evidence lines lost because the queue to the disk was full.",
)  # fmt: skip

NOTIFICATIONS = _declare(
    Topic.TELLING, Kind.COUNTER, "zward_notifications_total",
    "What went out: mails, alerts, calls, lines. Failed ones are tried again; dropped ones are lost, because too much "
    "waited.",
    channel=CHANNELS, result=("sent", "failed", "dropped"),
)  # fmt: skip
NOTIFICATIONS_WAITING = _declare(
    Topic.TELLING, Kind.GAUGE, "zward_notifications_waiting", "What waits to go out.", channel=CHANNELS
)
ALERTS_ACTIVE = _declare(
    Topic.TELLING, Kind.GAUGE, "zward_alerts_active",
    "Alerts that zward itself holds up at Alertmanager, because they name addresses or accounts.",
)  # fmt: skip

READY = _declare(
    Topic.SELF, Kind.GAUGE, "zward_ready", "1 while the firewall does what it is asked: what /readyz says."
)
DEGRADED = _declare(
    Topic.SELF, Kind.GAUGE, "zward_degraded",
    "1 while a part does not work, or nothing is enforced although the configuration asks for it (enforce).",
    part=("firewall", "store", "enforce"),
)  # fmt: skip
MODE = _declare(Topic.SELF, Kind.GAUGE, "zward_mode", "1 for the mode in force.", mode=tuple(Mode))
RELOADS = _declare(
    Topic.SELF, Kind.COUNTER, "zward_config_reloads_total", "Reloads of the configuration.",
    result=("success", "failure"),
)  # fmt: skip
RELOAD_OK = _declare(
    Topic.SELF,
    Kind.GAUGE,
    "zward_config_last_reload_successful",
    "1 if the last reload took effect, 0 if it was refused.",
)
RELOADED = _declare(
    Topic.SELF, Kind.GAUGE, "zward_config_last_reload_success_timestamp_seconds",
    "When the configuration in force was taken up.",
)  # fmt: skip
BUILD = _declare(Topic.SELF, Kind.INFO, "zward_build_info", "What is running.", version=(), python=())

DECLARED: tuple[Declared, ...] = tuple(_all)
