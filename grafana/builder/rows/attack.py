"""Attack: who tries what, and is it more than on other days?"""

from collections.abc import Sequence

from appliance.metrics import declared as m
from grafana.builder.panels import (
    AREAS,
    FAILURE,
    PLAIN,
    STEPS,
    SUCCESS,
    Panel,
    Series,
    graph,
    runbook,
    timeline,
    told,
    words,
)
from grafana.builder.queries import FAILED, FAILED_OR_ABUSED, SUCCEEDED, most, of, per_minute, rate, total


def attack() -> Sequence[Panel]:
    return (
        graph(
            "Failed attempts and logins per minute",
            told(
                "Each failed login once, however many lines told of it, beside the lines of successful logins.",
                normal="far more logins than failures on a working day.",
                otherwise="failures rise and logins do not: guessing. Logins vanish: the login service is broken.",
            ),
            Series(total(per_minute(m.ATTEMPTS)), "failed attempts"),
            Series(total(per_minute(m.EVENTS, outcome=SUCCEEDED)), "logins"),
            wide=12, colours={"failed attempts": FAILURE, "logins": SUCCESS},
        ),
        timeline(
            "Conditions",
            told(
                "While the site is not as on other days. outage: the login service is broken, so nobody who ever "
                "logged in is banned. campaign: far more strangers than usual, so they have fewer tries. siege: "
                "strangers around one account. fuse: bans at a rate that no site needs, so nobody who ever logged in "
                "is banned.",
                normal="quiet.",
                otherwise="the runbook of the condition.",
            ),
            Series(most(of(m.CONDITION), "condition"), "{{condition}}"),
            mappings=words((0, "quiet", "semi-dark-green"), (1, "RUNNING", FAILURE)),
            links=(
                runbook("ZwardOutageRunning"), runbook("ZwardCampaignRunning"),
                runbook("ZwardSiegeRunning"), runbook("ZwardFuseBlown"),
            ),
        ),
        graph(
            "Failed login lines per minute, by protocol",
            told(
                "Lines about failed logins. One attempt writes up to five lines.",
                normal="a little everywhere: people mistype, phones keep old passwords.",
                otherwise="one protocol stands out: that is where they guess. Do your users need it from everywhere?",
            ),
            Series(total(per_minute(m.EVENTS, outcome=FAILED), "protocol"), "{{protocol}}"),
            style=AREAS,
        ),
        graph(
            "Login lines per minute, by protocol",
            told(
                "Lines about successful logins.",
                normal="the rhythm of your site.",
                otherwise="a protocol without any: its service is down, or its lines are not forwarded.",
            ),
            Series(total(per_minute(m.EVENTS, outcome=SUCCEEDED), "protocol"), "{{protocol}}"),
            style=AREAS,
        ),
        graph(
            "Failures and abuse per minute, by outcome",
            told(
                "What the logs say about what failed.",
                normal="mostly `bad_password`.",
                otherwise="`unknown_account`: names are being tried. `account_locked`: people are locked out. "
                "`recipient_unknown`: addresses are being harvested. `relay_denied`, `protocol_abuse`: spammers.",
            ),
            Series(total(per_minute(m.EVENTS, outcome=FAILED_OR_ABUSED), "outcome"), "{{outcome}}"),
            style=AREAS, colours={"bad_password": FAILURE, "account_locked": "dark-red"},
        ),
        graph(
            "Strangers",
            told(
                "Sources that failed within the hour and never logged in, and how many are still normal at this hour.",
                normal="below the dashed line. It is missing in the first days, while zward learns.",
                otherwise="a campaign: strangers then have 3 tries. Nothing to do, but watch the accounts.",
            ),
            Series(total(of(m.STRANGERS)), "strangers"),
            Series(total(of(m.STRANGERS_USUAL)), "still usual"),
            wide=6, colours={"strangers": FAILURE, "still usual": PLAIN}, dashed=("still usual",),
            links=(runbook("ZwardCampaignRunning"),),
        ),
        graph(
            "Accounts under siege",
            told(
                "Accounts that many strangers try at once.",
                normal="0.",
                otherwise="`zward account NAME` says who is behind it. Tell the owner; the password may be known.",
            ),
            Series(total(of(m.BESIEGED)), "accounts"),
            wide=6, style=STEPS, ceiling=1, colours={"accounts": FAILURE}, links=(runbook("ZwardSiegeRunning"),),
        ),
        graph(
            "Packets dropped per second, by port",
            told(
                "Packets of banned sources that the kernel dropped, by the port they were for.",
                normal="as much as the banned go on trying. It says nothing about load: dropping is cheap.",
                otherwise="nothing dropped although there are bans: does the traffic pass this gateway at all?",
            ),
            Series(total(rate(m.DROPPED_PACKETS), "port"), "{{port}}"),
            wide=6, unit="pps", style=AREAS,
        ),
        graph(
            "Packets dropped per second, by scope",
            told(
                "The same by the scope of the ban, and packets of strangers that the fence around besieged accounts "
                "dropped, where `detect.siege.fence` is switched on.",
                normal="most in `all`; `login` while an account is besieged; the fence then only.",
                otherwise="people cannot log in while the fence stands: put their networks into "
                "`detect.siege.fence.networks`.",
            ),
            Series(total(rate(m.DROPPED_PACKETS), "scope"), "{{scope}}"),
            Series(total(rate(m.FENCED)), "fence"),
            wide=6, unit="pps", style=AREAS, colours={"fence": FAILURE},
        ),
    )  # fmt: skip
