"""zward itself: memory, tables, disk, messages, versions."""

from collections.abc import Sequence

from appliance.metrics import declared as m
from grafana.builder.panels import (
    AREAS,
    BAN,
    BARS,
    FAILURE,
    PLAIN,
    SPARED,
    STEPS,
    SUCCESS,
    WARNING,
    Column,
    Panel,
    Series,
    bad_below,
    bad_from,
    gauges,
    graph,
    runbook,
    table,
    told,
    words,
)
from grafana.builder.queries import age, most, of, or_down, ours, per_minute, rate, recent, rise, total


def itself() -> Sequence[Panel]:
    return (
        table(
            "Gateways",
            told(
                "What runs where. Up for: since the last start. Since reload: since the last one that was taken up.",
                normal="the same version everywhere.",
                otherwise="a start that nobody made: `journalctl -u zward`.",
            ),
            Column("Ready", most(or_down(of(m.READY)), "instance"), "bool_yes_no", bad_below(1)),
            Column("Up for", f"time() - {most(ours(of('process_start_time_seconds')), 'instance')}", "s", decimals=1),
            Column("Since reload", most(age(m.RELOADED), "instance"), "s", decimals=1),
            Column("Bans in force", total(of(m.BANS_ACTIVE), "instance")),
            Column("Senders", most(of(m.SENDERS), "instance")),
            Column("Connections", most(of(m.CONNECTIONS), "instance")),
            Column("", most(of(m.BUILD), "instance", "version", "python")),
            keys={"instance": "Gateway", "version": "Version", "python": "Python"},
            high=6, links=(runbook("ZwardRestarting"),),
        ),
        graph(
            "Memory",
            told(
                "Resident memory of the receiver.",
                normal="100 to 500 MB, level after a day; a million sources under watch take 310 MB.",
                otherwise="a line that climbs for days is a leak: report it, and restart; counts and bans outlive "
                "that.",
            ),
            Series(ours(of("process_resident_memory_bytes")), "{{instance}}"),
            unit="bytes", wide=6, links=(runbook("ZwardMemoryHigh"),),
        ),
        graph(
            "Processor",
            told(
                "Share of one core.",
                normal="under 20 %.",
                otherwise="near 100 %: lines wait and bans come late. Which program writes so much? See lines per "
                "second.",
            ),
            Series(ours(rate("process_cpu_seconds_total")), "{{instance}}"),
            unit="percentunit", wide=6, ceiling=1,
        ),
        graph(
            "What is remembered",
            told(
                "Entries of the judge's tables.",
                normal="`familiar` grows with your users, `sources` with the attack.",
                otherwise="a table at its bound forgets the oldest: see the next graph.",
            ),
            Series(most(of(m.TRACKED), "table"), "{{table}}"),
            wide=6, colours={"sources": FAILURE, "accounts": WARNING, "familiar": SUCCESS, "bans": BAN},
        ),
        graph(
            "Forgotten because a table was full",
            told(
                "Entries pushed out of a full table, by table.",
                normal="nothing. `repeats` and `bursts` only bound one attempt's lines.",
                otherwise="`sources_close_to_a_ban`, `accounts_under_attack`: attackers get away; docs/detectors.md "
                "has the bounds.",
            ),
            Series(total(per_minute(m.EVICTIONS), "table"), "{{table}}"),
            wide=6, style=AREAS, ceiling=1, links=(runbook("ZwardEvictions"),),
        ),
        graph(
            "Store",
            told(
                "Size of the database on disk.",
                normal="level after some weeks: the oldest lines go when it is full.",
                otherwise="is the disk filling up? `store.evidence_bytes` is where it stops to grow.",
            ),
            Series(of(m.STORE_BYTES), "{{instance}}"),
            unit="bytes", wide=6,
        ),
        graph(
            "Store: waiting and lost",
            told(
                "Evidence lines that wait for the disk, those lost because too many waited, and writes that failed.",
                normal="waiting under 100, and none lost.",
                otherwise="a slow or full disk. Bans are not affected; what led to them is missing from `zward why`.",
            ),
            Series(total(of(m.EVIDENCE_WAITING)), "waiting"),
            Series(total(per_minute(m.EVIDENCE_DROPPED)), "lost per minute"),
            Series(total(per_minute(m.STORE_FAILURES)), "failed writes per minute"),
            wide=6, ceiling=1, colours={"waiting": PLAIN, "lost per minute": FAILURE, "failed writes per minute": BAN},
            links=(runbook("ZwardStoreFailing"), runbook("ZwardEvidenceDropped")),
        ),
        graph(
            "Messages sent",
            told(
                "Mails, alerts, calls and lines that went out, and the failed ones, which are tried again.",
                normal="sent now and then; nothing failed, nothing dropped.",
                otherwise="`journalctl -u zward` names the server and its answer; `zward test` tries it.",
            ),
            Series(total(recent(m.NOTIFICATIONS), "channel", "result"), "{{channel}} {{result}}"),
            wide=6, style=BARS, ceiling=1,
            colours={f"{channel} {result}": colour for channel in m.CHANNELS
                     for result, colour in (("failed", FAILURE), ("dropped", "dark-red"))},
            links=(runbook("ZwardNotificationsFailing"), runbook("ZwardNotificationsDropped")),
        ),
        graph(
            "Messages waiting",
            told(
                "What waits to go out, by channel, and alerts that zward itself holds up at Alertmanager.",
                normal="near 0.",
                otherwise="the other side does not take them: see the messages that failed.",
            ),
            Series(total(of(m.NOTIFICATIONS_WAITING), "channel"), "{{channel}}"),
            Series(total(of(m.ALERTS_ACTIVE)), "alerts held up"),
            wide=6, style=STEPS, ceiling=1, colours={"alerts held up": WARNING},
            links=(runbook("ZwardNotificationsFailing"),),
        ),
        table(
            "Detectors",
            told(
                "What each detector may do, and what it did in the time shown.",
                normal="all in `enforce`; those that only tell never ban.",
                otherwise="a detector in `observe` or `off` was set so in the configuration.",
            ),
            Column(
                "Mode",
                most(f"{of(m.DETECTOR_MODE, mode='observe')} or 2 * {of(m.DETECTOR_MODE, mode='enforce')}", "detector"),
                mappings=words((0, "off", PLAIN), (1, "observe", SPARED), (2, "enforce", SUCCESS)),
            ),
            Column("Bans", total(rise(m.VERDICTS, verdict="banned"), "detector"), "none", decimals=0),
            Column("Would ban", total(rise(m.VERDICTS, verdict="would_ban"), "detector"), "none", decimals=0),
            Column("Spared", total(rise(m.VERDICTS, verdict="spared"), "detector"), "none", decimals=0),
            Column("Notices", total(rise(m.VERDICTS, verdict="noticed"), "detector"), "none", decimals=0),
            keys={"detector": "Detector"}, worst="Bans", wide=18, high=10,
        ),
        gauges(
            "Helper and reloads",
            told(
                "How often the helper had to be reached anew in the time shown, and reloads that took effect or not.",
                normal="no reconnects.",
                otherwise="reconnects: the helper dies or is restarted; `journalctl -u zward-firewall`.",
            ),
            Series(total(rise(m.RECONNECTS)), "reconnects"),
            Series(total(rise(m.RELOADS), "result"), "reload: {{result}}"),
            wide=6, high=10, decimals=0, steps=bad_from(1, WARNING), colours={"reload: success": SUCCESS},
        ),
    )  # fmt: skip
