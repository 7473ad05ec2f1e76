"""Is it working: zward, its firewall, and the lines it lives on."""

from collections.abc import Sequence

from appliance.metrics import declared as m
from grafana.builder.panels import (
    AREAS,
    BAN,
    BARS,
    FAILURE,
    POINTS,
    SPARED,
    SUCCESS,
    WARNING,
    Panel,
    Series,
    bad_below,
    bad_from,
    details,
    figure,
    graph,
    runbook,
    told,
    words,
)
from grafana.builder.queries import (
    READY_EVERYWHERE,
    SILENT,
    age,
    least,
    most,
    of,
    quantile,
    rate,
    recent,
    share,
    total,
)


def working() -> Sequence[Panel]:
    return (
        figure(
            "Ready",
            told(
                "Whether the firewall of every chosen gateway does what it is asked, as `/readyz` says. A gateway "
                "that Prometheus read within a day and cannot read now counts as not ready.",
                normal="ready.",
                otherwise="`zward status` on the gateway names what is missing; if that does not answer, `journalctl "
                "-u zward`. Bans in the kernel hold meanwhile.",
            ),
            Series(READY_EVERYWHERE, "ready"),
            filled=True, steps=bad_below(1),
            mappings=words((1, "ready", SUCCESS), (0, "NOT READY", FAILURE)),
            links=(runbook("ZwardNotReady"), runbook("ZwardDown")),
        ),
        figure(
            "Parts",
            told(
                "Parts that do not work. `enforce`: nothing is banned although the configuration asks for it.",
                normal="all ok.",
                otherwise="`zward doctor` says what is wrong with the part and what to do.",
            ),
            Series(most(of(m.DEGRADED), "part"), "{{part}}"),
            wide=6, names=True, steps=bad_from(1), mappings=words((0, "ok", SUCCESS), (1, "BROKEN", FAILURE)),
            links=(runbook("ZwardDegraded"),),
        ),
        figure(
            "Mode",
            told(
                "What becomes of a decision: in `enforce` the kernel is told, in `observe` it is only written down.",
                normal="enforce, once you have looked at a few days of `observe`.",
                otherwise="`mode` in the configuration, then `zward reload`.",
            ),
            Series(least(of(m.MODE, mode="enforce")), "enforce"),
            wide=3, mappings=words((1, "enforce", SUCCESS), (0, "observe", SPARED)),
            links=(runbook("ZwardNotEnforcing"),),
        ),
        figure(
            "Senders heard",
            told(
                "Mail hosts whose log lines came in the last 5 min.",
                normal="all of your mail hosts.",
                otherwise="see the dashboard of the senders.",
            ),
            Series(total(f"{age(m.SENDER_LAST)} < bool {SILENT}"), "heard"),
            wide=3, steps=bad_below(1), links=(details("zward-senders"),),
        ),
        figure(
            "Senders silent",
            told(
                "Mail hosts that sent nothing for 5 min. What is done there goes unseen.",
                normal="0. A small host may be silent at night.",
                otherwise="is rsyslog running there, is the way to port 514 open? `zward doctor` on the gateway.",
            ),
            Series(total(f"{age(m.SENDER_LAST)} >= bool {SILENT}"), "silent"),
            wide=3, steps=bad_from(1), links=(runbook("ZwardSenderSilent"), details("zward-senders")),
        ),
        figure(
            "Last reload",
            told(
                "Whether the configuration was taken up when zward was last told to reload it.",
                normal="ok.",
                otherwise="`zward check` names the file, the line and the key. The old configuration holds meanwhile.",
            ),
            Series(least(of(m.RELOAD_OK)), "reload"),
            wide=5, mappings=words((1, "ok", SUCCESS), (0, "REFUSED", FAILURE)),
            links=(runbook("ZwardReloadFailed"),),
        ),
        graph(
            "Lines per second, by program",
            told(
                "Lines that could be about logins and were read, by the program that wrote them.",
                normal="the rhythm of your site: high by day, low by night, and never nothing.",
                otherwise="a program that vanished is no longer forwarded, or writes elsewhere since an upgrade.",
            ),
            Series(total(rate(m.LINES), "program"), "{{program}}"),
            style=AREAS, links=(runbook("ZwardNoLines"),),
        ),
        graph(
            "Lines that zward does not understand",
            told(
                "Unreadable: the share of lines that could not be split. Looks like a login: the share of other lines "
                f"(one of {m.SAMPLED:,} is looked at) that hold a word about logins and match no rule.",
                normal="both near 0.",
                otherwise="an upgrade changed a log format. `zward explain` a few lines, then see CONTRIBUTING.md.",
            ),
            Series(share(total(rate(m.LINES, result="unreadable")), total(rate(m.LINES))), "unreadable"),
            Series(
                share(total(rate(m.LINES_SAMPLED, looks="login")), total(rate(m.LINES_SAMPLED))), "looks like a login"
            ),
            unit="percentunit", ceiling=0.05, colours={"unreadable": FAILURE, "looks like a login": WARNING},
            none="no lines", links=(runbook("ZwardLinesUnreadable"), runbook("ZwardUnknownLogins")),
        ),
        graph(
            "From the log to zward",
            told(
                "Between the time inside a line and its arrival: half of the lines (p50), and 99 of 100 (p99).",
                normal="under 2 s. Hours for a while, when a host sends what it had kept back.",
                otherwise="a wrong clock, or a queue on a mail host: see the dashboard of the senders.",
            ),
            Series(quantile(0.5, m.LAG), "p50"),
            Series(quantile(0.99, m.LAG), "p99"),
            unit="s", log=True, colours={"p50": SUCCESS, "p99": WARNING}, none="no lines",
            links=(runbook("ZwardLagHigh"), details("zward-senders")),
        ),
        graph(
            "From the line to the ban",
            told(
                "Between the arrival of the deciding line and the kernel's answer.",
                normal="under 50 ms. There is a point only where somebody was banned.",
                otherwise="`zward doctor`: is the machine out of processor, does the firewall helper answer?",
            ),
            Series(quantile(0.5, m.LATENCY), "p50"),
            Series(quantile(0.99, m.LATENCY), "p99"),
            unit="s", colours={"p50": SUCCESS, "p99": WARNING}, style=POINTS, ceiling=0.01, none="no bans",
            links=(runbook("ZwardBanSlow"),),
        ),
        graph(
            "Firewall: what had to be put right",
            told(
                "Changes of zward's tables by somebody else that were undone, bans that differed between kernel and "
                "book, operations that failed and were tried again.",
                normal="nothing.",
                otherwise="another program loads rules on this machine: `zward firewall diff`, `zward doctor`.",
            ),
            Series(total(recent(m.REPAIRS)), "changes undone"),
            Series(total(recent(m.DIFFERENCES)), "differences"),
            Series(total(recent(m.FIREWALL_FAILURES), "operation"), "failed: {{operation}}"),
            style=BARS, ceiling=5, colours={"changes undone": WARNING, "differences": BAN},
            links=(runbook("ZwardFirewallChanged"), runbook("ZwardFirewallDiffers"), runbook("ZwardFirewallFailing")),
        ),
        graph(
            "Lost on the way in",
            told(
                "Frames that were refused, cut or damaged, by reason, and datagrams that the kernel had no room for.",
                normal="nothing. A port scanner on the syslog port shows as `sender_refused`.",
                otherwise="`udp lost`: let the hosts send by TCP. `truncated`, `framing_error`: see docs/senders.md.",
            ),
            Series(total(rate(m.FAULTS), "reason"), "{{reason}}"),
            Series(total(rate(m.UDP_LOST)), "udp lost"),
            style=AREAS, ceiling=1, colours={"udp lost": FAILURE},
            links=(runbook("ZwardFramesFaulty"), runbook("ZwardUdpLost")),
        ),
    )  # fmt: skip
