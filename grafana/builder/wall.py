"""Wall: one screen, 1920x1080 without Grafana's frame (`?kiosk`), to be read from five metres."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders.dashboard import Dashboard

from appliance.metrics import declared as m
from grafana.builder.frame import dashboard
from grafana.builder.panels import (
    BAN,
    FAILURE,
    PLAIN,
    SUCCESS,
    THICK,
    WARNING,
    Panel,
    Series,
    bad_below,
    bad_from,
    details,
    figure,
    graph,
    told,
    words,
)
from grafana.builder.queries import (
    SILENT,
    SUCCEEDED,
    age,
    least,
    most,
    of,
    or_down,
    per_hour,
    per_minute,
    rate,
    rise,
    total,
)

GRAVEST = ("siege", "campaign", "outage", "fuse")
"""Conditions from the least grave to the gravest; the wall has room for one."""


def wall() -> Dashboard:
    board = dashboard("zward-wall", "Is zward well, and is there an attack? For a screen on the wall.", hours=3)
    for panel in (*_answers(), *_figures(), *_graphs()):
        board.with_panel(panel)
    return board


def _answers() -> Sequence[Panel]:
    return (
        figure(
            "Is zward well?",
            told(
                "Green while every gateway is ready and no part of it is broken.",
                normal="WELL.",
                otherwise="the operator's dashboard names the part; `zward doctor` on the gateway says what to do.",
            ),
            Series(_well(), "well"),
            wide=6, high=8, filled=True, steps=bad_below(1),
            mappings=words((1, "WELL", SUCCESS), (0, "NOT WELL", FAILURE)), links=(details("zward-operator"),),
        ),
        figure(
            "Is there an attack?",
            told(
                "The gravest condition that holds: an account under siege, a campaign of strangers, a login service "
                "that is broken, a blown fuse.",
                normal="NO ATTACK. Single guessers are banned without being an attack.",
                otherwise="the operator's dashboard, row Attack.",
            ),
            Series(_gravest(), "condition"),
            wide=8, high=8, filled=True, steps=((None, PLAIN),),
            mappings=words(
                (-1, "UNKNOWN", PLAIN), (0, "NO ATTACK", SUCCESS),
                (1, "ATTACK: SIEGE", BAN), (2, "ATTACK: CAMPAIGN", BAN),
                (3, "LOGINS BROKEN", FAILURE), (4, "FUSE BLOWN", FAILURE),
            ),
            links=(details("zward-operator"),),
        ),
        figure(
            "Banned now",
            told("Bans in force.", normal="a steady number.", otherwise="a sharp rise is an attack or a mistake."),
            Series(total(of(m.BANS_ACTIVE)), "bans"),
            wide=5, high=8, trend=True, steps=((None, BAN),),
        ),
        figure(
            "Banned in the last hour",
            told(
                "Bans made within an hour.",
                normal="your site's usual number.",
                otherwise="the operator's dashboard, row Decisions, says by which detector.",
            ),
            Series(total(rise(m.BANS, over="1h")), "bans"),
            wide=5, high=8, trend=True, decimals=0, steps=((None, BAN),),
        ),
    )  # fmt: skip


def _figures() -> Sequence[Panel]:
    return (
        figure(
            "Failed logins / min",
            told("Failed attempts a minute.", normal="far fewer than logins.", otherwise="somebody guesses."),
            Series(total(per_minute(m.ATTEMPTS)), "failed"),
            high=6, trend=True, decimals=0, steps=((None, FAILURE),),
        ),
        figure(
            "Logins / min",
            told(
                "Lines about successful logins a minute.",
                normal="the rhythm of your site.",
                otherwise="none by day: can people log in?",
            ),
            Series(total(per_minute(m.EVENTS, outcome=SUCCEEDED)), "logins"),
            high=6, trend=True, decimals=0, steps=((None, SUCCESS),),
        ),
        figure(
            "Packets dropped / s",
            told("Packets of banned sources that the kernel dropped.", normal="any.", otherwise="nothing to do."),
            Series(total(rate(m.DROPPED_PACKETS)), "packets"),
            high=6, trend=True, decimals=0, steps=((None, PLAIN),),
        ),
        figure(
            "Accounts besieged",
            told(
                "Accounts that many strangers try at once.",
                normal="0.",
                otherwise="`zward account NAME` says who is behind it; tell the owner.",
            ),
            Series(total(of(m.BESIEGED)), "accounts"),
            high=6, steps=bad_from(1, BAN),
        ),
        figure(
            "Accounts locked out",
            told(
                "Accounts whose failures reached Zimbra's limit: their owners cannot log in.",
                normal="0.",
                otherwise="`zward account NAME` says who spent the tries and how to let the owner in.",
            ),
            Series(total(of(m.BUDGETS, level="spent")), "accounts"),
            high=6, steps=bad_from(1),
        ),
        figure(
            "Senders silent",
            told(
                "Mail hosts that sent no line for 5 min.",
                normal="0.",
                otherwise="the dashboard of the senders says which.",
            ),
            Series(total(f"{age(m.SENDER_LAST)} >= bool {SILENT}"), "senders"),
            high=6, steps=bad_from(1), links=(details("zward-senders"),),
        ),
    )  # fmt: skip


def _graphs() -> Sequence[Panel]:
    return (
        graph(
            "Failed attempts and logins per minute",
            told(
                "Each failed login once, beside the lines of successful logins.",
                normal="green far above red.",
                otherwise="red rises alone: guessing. Green falls to nothing: the login service is broken.",
            ),
            Series(total(per_minute(m.ATTEMPTS)), "failed attempts"),
            Series(total(per_minute(m.EVENTS, outcome=SUCCEEDED)), "logins"),
            wide=12, high=12, style=THICK, colours={"failed attempts": FAILURE, "logins": SUCCESS},
        ),
        graph(
            "Bans per hour, and strangers",
            told(
                "How fast bans are made, and how many sources failed within the hour that never logged in.",
                normal="both level.",
                otherwise="both rise: a campaign. Only bans rise: look at the reasons with `zward bans`.",
            ),
            Series(total(per_hour(m.BANS)), "bans per hour"),
            Series(total(of(m.STRANGERS)), "strangers"),
            Series(total(of(m.STRANGERS_USUAL)), "usual strangers"),
            wide=12, high=12, style=THICK,
            colours={"bans per hour": BAN, "strangers": WARNING, "usual strangers": PLAIN},
            dashed=("usual strangers",),
        ),
    )  # fmt: skip


def _well() -> str:
    """1 if every gateway is ready with no part broken; 0 also where Prometheus cannot read one, or knows none."""
    whole = f"{of(m.READY)} and on (job, instance) ({most(of(m.DEGRADED), 'job', 'instance')} == 0)"
    return f"{least(or_down(whole))} or vector(0)"


def _gravest() -> str:
    """The place of a condition in `GRAVEST`; 0 if none holds, -1 if nobody knows."""
    ranked = (f"{rank} * {of(m.CONDITION, condition=name)}" for rank, name in enumerate(GRAVEST, start=1))
    return f"{most(' or '.join(ranked))} or vector(-1)"
