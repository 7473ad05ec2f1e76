"""Decisions: who is shut out, for what, and who was spared."""

from collections.abc import Sequence

from appliance.metrics import declared as m
from grafana.builder.panels import (
    BAN,
    BARS,
    FAILURE,
    PLAIN,
    SPARED,
    STEPPED_AREAS,
    SUCCESS,
    WARNING,
    Panel,
    Series,
    bad_from,
    gauges,
    graph,
    runbook,
    told,
)
from grafana.builder.queries import of, per_hour, per_minute, recent, rise, total


def decisions() -> Sequence[Panel]:
    return (
        graph(
            "Bans in force, by scope and kind",
            told(
                "What is shut out now. Scope: the ports that are closed. Kind: one address (IPv6: one /64), or a "
                "network.",
                normal="a steady number, hundreds to thousands.",
                otherwise="a sharp rise is an attack or a mistake: `zward bans` lists the reasons.",
            ),
            Series(total(of(m.BANS_ACTIVE), "scope", "kind"), "{{scope}}, {{kind}}"),
            style=STEPPED_AREAS,
        ),
        graph(
            "Bans per hour, by detector",
            told(
                "How fast bans are made, taken over 5 min, and for what.",
                normal="your site's usual mix.",
                otherwise="a burst is marked in all graphs. Over 100 in 5 min blow the fuse: whoever ever logged in "
                "is not banned then.",
            ),
            Series(total(per_hour(m.BANS), "detector"), "{{detector}}"),
            style=BARS, links=(runbook("ZwardBanRate"), runbook("ZwardFuseBlown")),
        ),
        graph(
            "Would be banned per hour (observe)",
            told(
                "Bans that were not made because zward or the detector is in mode `observe`.",
                normal="nothing in mode `enforce`.",
                otherwise="`zward bans --observed` lists them; if they are right, switch to `enforce`.",
            ),
            Series(total(per_hour(m.VERDICTS, verdict="would_ban"), "detector"), "{{detector}}"),
            style=BARS, ceiling=1,
        ),
        gauges(
            "Bans by step of the ladder",
            told(
                "Bans in the time shown, by how often the source had been banned before.",
                normal="most at 0; the rest are those who come back.",
                otherwise="many at 5+: the same machines go on for weeks. Report them to their network.",
            ),
            Series(total(rise(m.BAN_STEPS), "step"), "step {{step}}"),
            decimals=0, steps=((None, BAN),),
        ),
        gauges(
            "Spared, by cause",
            told(
                "Bans that something stood against in the time shown. listed: on a list of who is never banned. "
                "office: many of your people log in from there. outage, fuse: see the conditions.",
                normal="few.",
                otherwise="`office` again and again: somebody there guesses or has a stale device; call them.",
            ),
            Series(total(rise(m.SPARED), "cause"), "{{cause}}"),
            decimals=0, steps=((None, SPARED),),
        ),
        gauges(
            "Refused by the firewall, by reason",
            told(
                "Bans that the firewall's own last guard refused in the time shown.",
                normal="0: the judge should not even ask.",
                otherwise="`own`, `allowed`: lists of judge and firewall differ, `zward firewall load`. Else report "
                "it.",
            ),
            Series(total(rise(m.REFUSED), "reason"), "{{reason}}"),
            decimals=0, steps=bad_from(1), links=(runbook("ZwardBansRefused"),),
        ),
        gauges(
            "Unbanned early, by whom",
            told(
                "Bans lifted before their end in the time shown. Each unban by an operator may have been a wrong "
                "victim.",
                normal="few a week by operators; `lists` after an allowlist changed.",
                otherwise="`zward why ADDRESS` says why it was banned. The same place again: put it on the allowlist.",
            ),
            Series(total(rise(m.UNBANS), "by"), "{{by}}"),
            decimals=0, colours={"lists": SPARED}, steps=((None, SUCCESS), (1, WARNING), (5, FAILURE)),
            links=(runbook("ZwardOperatorUnbans"),),
        ),
        graph(
            "Verdicts per minute",
            told(
                "All that the detectors said: watched (not enough yet), banned, spared, noticed, would_ban.",
                normal="mostly watched.",
                otherwise="spared above banned: too much stands on your lists, or an office is attacked from inside.",
            ),
            Series(total(per_minute(m.VERDICTS), "verdict"), "{{verdict}}"),
            colours={"watched": PLAIN, "banned": BAN, "spared": SPARED, "noticed": WARNING, "would_ban": "purple"},
        ),
        graph(
            "Packet proof",
            told(
                "Sources about which the kernel was asked whether they were really here: seen, unseen, dropped (too "
                "many questions at once). Forgeable lines count in full only for whoever was seen.",
                normal="mostly seen.",
                otherwise="unseen prevails: somebody forges log lines, or the mail traffic does not pass this gateway.",
            ),
            Series(total(recent(m.ASKED_PROOF), "answer"), "{{answer}}"),
            style=BARS, ceiling=5,
            colours={"seen": SUCCESS, "unseen": WARNING, "dropped": FAILURE},
        ),
        graph(
            "Sessions ended per minute",
            told(
                "Connections that a source had open when it was banned, and that were ended. Bans crowded out: an old "
                "ban gave way because its set was full.",
                normal="a few with each ban; none crowded out.",
                otherwise="crowded out: the sets in the kernel are full; `zward bans` says of what.",
            ),
            Series(total(per_minute(m.ENDED)), "sessions ended"),
            Series(total(per_minute(m.CROWDED_OUT)), "bans crowded out"),
            ceiling=1, colours={"sessions ended": BAN, "bans crowded out": FAILURE},
            links=(runbook("ZwardBansCrowdedOut"),),
        ),
    )  # fmt: skip
