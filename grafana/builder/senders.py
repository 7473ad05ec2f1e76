"""Senders: which mail hosts send their logs, how fresh, how many, and whether their clocks are right."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders.dashboard import Dashboard

from appliance.metrics import declared as m
from grafana.builder.frame import dashboard, with_rows
from grafana.builder.panels import (
    AREAS,
    BARS,
    FAILURE,
    PLAIN,
    SPARED,
    SUCCESS,
    WARNING,
    Column,
    Panel,
    Series,
    bad_below,
    bad_from,
    figure,
    gauges,
    graph,
    runbook,
    table,
    told,
)
from grafana.builder.queries import SILENT, age, most, of, quantile, rate, recent, rise, total

SKEW = 60
"""Seconds by which a clock may be off before it is worth a look; the widest windows of detectors are hours."""
FRESHNESS = ((None, SUCCESS), (60, WARNING), (SILENT, FAILURE))
CLOCK = ((None, PLAIN), (0, SUCCESS), (SKEW, FAILURE))
CORRECTION = ((None, PLAIN), (0, SUCCESS), (1, WARNING))


def senders() -> Dashboard:
    board = dashboard(
        "zward-senders", "Which mail hosts send their logs, how fresh, and whether their clocks are right.", hours=6
    )
    return with_rows(board, (("Each sender", _each()), ("Over time", _over_time()), ("What arrives", _arrives())))


def _each() -> Sequence[Panel]:
    return (
        figure(
            "Heard",
            told(
                "Mail hosts whose log lines came in the last 5 min.",
                normal="all of your mail hosts.",
                otherwise="see the table for the one that is missing.",
            ),
            Series(total(f"{age(m.SENDER_LAST)} < bool {SILENT}"), "heard"),
            wide=6, steps=bad_below(1),
        ),
        figure(
            "Silent",
            told(
                "Mail hosts that sent nothing for 5 min.",
                normal="0. A small host may be silent at night.",
                otherwise="is rsyslog running there, is the way to port 514 open? docs/senders.md has the steps.",
            ),
            Series(total(f"{age(m.SENDER_LAST)} >= bool {SILENT}"), "silent"),
            wide=6, steps=bad_from(1), links=(runbook("ZwardSenderSilent"),),
        ),
        figure(
            "Open connections",
            told(
                "TCP connections of senders.",
                normal="one for each host that sends by TCP.",
                otherwise="far more than hosts: a sender opens new ones without closing the old.",
            ),
            Series(total(of(m.CONNECTIONS)), "connections"),
            wide=6,
        ),
        figure(
            "Refused or damaged",
            told(
                "Frames in the time shown that were refused, cut or damaged, and datagrams lost for want of room.",
                normal="0. A port scanner on the syslog port shows here too.",
                otherwise="the reasons are below.",
            ),
            Series(f"{total(rise(m.FAULTS))} + {total(rise(m.UDP_LOST))}", "frames"),
            wide=6, decimals=0, steps=bad_from(1, WARNING),
            links=(runbook("ZwardFramesFaulty"), runbook("ZwardUdpLost")),
        ),
        table(
            "Senders",
            told(
                "Each sender as its gateway sees it. Off by: between the time in the line and arrival. Corrected by: "
                "what zward adds because the zone is wrong. `unnamed-…` is a sender without a name in "
                "`[listen.names]`; `zward status` shows its address.",
                normal="last heard seconds ago, off by less than 2 s, corrected by 0.",
                otherwise="set the clock (chrony) or the zone of that host; restart its rsyslog after a change of "
                "zone.",
            ),
            Column("Last heard", most(age(m.SENDER_LAST), "instance", "sender"), "s", FRESHNESS, 0),
            Column("Frames per second", total(rate(m.SENDER_FRAMES), "instance", "sender"), "short", decimals=1),
            Column("Frames in the time shown", total(rise(m.SENDER_FRAMES), "instance", "sender"), "short", decimals=0),
            Column("Off by", most(f"abs({of(m.SENDER_SKEW)})", "instance", "sender"), "s", CLOCK, 1),
            Column("Corrected by", most(f"abs({of(m.SENDER_CORRECTION)})", "instance", "sender"), "s", CORRECTION, 0),
            keys={"sender": "Sender", "instance": "Gateway"}, worst="Last heard", high=8,
            links=(runbook("ZwardSenderSilent"), runbook("ZwardSenderClockSkew")),
        ),
    )  # fmt: skip


def _over_time() -> Sequence[Panel]:
    return (
        graph(
            "Frames per second, by sender",
            told(
                "All frames of each sender, logins or not.",
                normal="the rhythm of your site.",
                otherwise="a line that falls to 0: that host is down, or does not forward any more.",
            ),
            Series(total(rate(m.SENDER_FRAMES), "sender"), "{{sender}}"),
            style=AREAS, links=(runbook("ZwardSenderSilent"), runbook("ZwardNoLines")),
        ),
        graph(
            "Since each was heard",
            told(
                "The age of the last frame of each sender.",
                normal="seconds; at night minutes.",
                otherwise="a line that climbs is a sender that fell silent when it began to.",
            ),
            Series(most(age(m.SENDER_LAST), "sender"), "{{sender}}"),
            unit="s", limits=((None, "transparent"), (SILENT, FAILURE)), links=(runbook("ZwardSenderSilent"),),
        ),
        graph(
            "Clocks: off by",
            told(
                "Arrival minus the time in the line, of the program that is farthest off.",
                normal="within 2 s.",
                otherwise="level and far off: a wrong clock or zone. Falling to 0: a queue that is being sent.",
            ),
            Series(most(of(m.SENDER_SKEW), "sender"), "{{sender}}"),
            unit="s", floor=None, links=(runbook("ZwardSenderClockSkew"),),
        ),
        gauges(
            "Zones: corrected by",
            told(
                "What zward adds to the times of a sender's lines now, since they are off by a time zone.",
                normal="0.",
                otherwise="the host writes local times without a zone: docs/senders.md, and restart its rsyslog.",
            ),
            Series(most(f"abs({of(m.SENDER_CORRECTION)})", "sender"), "{{sender}}"),
            unit="s", steps=CORRECTION, links=(runbook("ZwardSenderClockSkew"),),
        ),
        graph(
            "From the log to zward",
            told(
                "Between the time inside a line and its arrival, over all senders: half (p50), and 99 of 100 (p99).",
                normal="under 2 s.",
                otherwise="a queue on a host, or a wrong clock: see the clocks.",
            ),
            Series(quantile(0.5, m.LAG), "p50"),
            Series(quantile(0.99, m.LAG), "p99"),
            wide=9, unit="s", log=True, colours={"p50": SUCCESS, "p99": WARNING}, none="no lines",
            links=(runbook("ZwardLagHigh"),),
        ),
        graph(
            "Refused or damaged frames per second, by reason",
            told(
                "Frames refused, cut or damaged on the way in, connections closed for it, and datagrams lost.",
                normal="nothing.",
                otherwise="`sender_refused`: not in `[listen]`. `truncated`: longer than the limit. `framing_*`: the "
                "sender mixes two ways to end a message. `udp lost`: send by TCP.",
            ),
            Series(total(rate(m.FAULTS), "reason"), "{{reason}}"),
            Series(total(rate(m.UDP_LOST)), "udp lost"),
            wide=9, style=AREAS, ceiling=1, colours={"udp lost": FAILURE},
            links=(runbook("ZwardFramesFaulty"), runbook("ZwardUdpLost")),
        ),
    )  # fmt: skip


def _arrives() -> Sequence[Panel]:
    return (
        graph(
            "Frames per second: received and read",
            told(
                "All frames by the way they came, and those that hold a word of a rule and were read.",
                normal="read is a small part of what is received.",
                otherwise="received, but nothing read: the hosts forward other logs than those of logins.",
            ),
            Series(total(rate(m.FRAMES_RECEIVED), "transport"), "received by {{transport}}"),
            Series(total(rate(m.FRAMES_PARSED)), "read"),
            colours={"received by tcp": SPARED, "received by udp": "purple", "read": SUCCESS},
            links=(runbook("ZwardNoLines"),),
        ),
        graph(
            "Lines read per second, by program",
            told(
                "Lines that could be about logins, by the program that wrote them.",
                normal="audit.log and mailbox.log of every mailbox host, Postfix of every MTA, nginx of every proxy.",
                otherwise="a program that is missing is not forwarded: docs/senders.md has the rsyslog snippet.",
            ),
            Series(total(rate(m.LINES), "program"), "{{program}}"),
            style=AREAS,
        ),
        graph(
            "Not understood, by program",
            told(
                "Lines of each program that could not be split, and those passed over that hold a word about logins "
                f"(one of {m.SAMPLED:,} is looked at).",
                normal="nothing.",
                otherwise="an upgrade changed a log format. `zward explain` a few lines, then see CONTRIBUTING.md.",
            ),
            Series(total(recent(m.LINES, result="unreadable"), "program"), "{{program}}: unreadable"),
            Series(total(recent(m.LINES_SAMPLED, looks="login"), "program"), "{{program}}: looks like a login"),
            style=BARS, ceiling=5,
            links=(runbook("ZwardLinesUnreadable"), runbook("ZwardUnknownLogins")),
        ),
    )  # fmt: skip
