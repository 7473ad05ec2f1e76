"""People: whose account suffers, and of what somebody was told."""

from collections.abc import Sequence

from appliance.metrics import declared as m
from grafana.builder.panels import (
    BAN,
    BARS,
    FAILURE,
    SPARED,
    STEPPED_AREAS,
    SUCCESS,
    WARNING,
    Panel,
    Series,
    gauges,
    graph,
    runbook,
    told,
)
from grafana.builder.queries import of, recent, rise, total


def people() -> Sequence[Panel]:
    return (
        graph(
            "Accounts by used-up lockout budget",
            told(
                "Zimbra locks an account after so many failures. Accounts that used up half of them, four fifths "
                "(most), or all (spent: the owner cannot log in).",
                normal="a few at half; none spent.",
                otherwise="`zward account NAME` says who spent it and how to let the owner in.",
            ),
            Series(total(of(m.BUDGETS, level="half")), "half"),
            Series(total(of(m.BUDGETS, level="most")), "most"),
            Series(total(of(m.BUDGETS, level="spent")), "spent"),
            style=STEPPED_AREAS, ceiling=5, colours={"half": WARNING, "most": BAN, "spent": FAILURE},
            links=(runbook("ZwardAccountsLocked"),),
        ),
        gauges(
            "What people were told of",
            told(
                "Notices in the time shown. break-in: a login right after guessing. outbound: an account sends far "
                "more than usual. stale-device: a phone or program keeps an old password. many-places: one account "
                "from networks that do not go together.",
                normal="stale devices, now and then many-places. Never a break-in.",
                otherwise="break-in, outbound: lock the account now (`zmprov ma NAME zimbraAccountStatus locked`), "
                "then look. stale-device: call the owner.",
            ),
            *(
                Series(total(rise(m.NOTICES, detector=detector)), detector)
                for detector in ("break-in", "outbound", "many-places", "stale-device")
            ),
            wide=8, decimals=0, none="none", steps=((None, SUCCESS), (1, FAILURE)),
            colours={"stale-device": SPARED, "many-places": WARNING},
            links=tuple(runbook(f"Zward{alert}") for alert in ("BreakIn", "Outbound", "ManyPlaces", "StaleDevice")),
        ),
        graph(
            "Notices, by detector",
            told(
                "When people were told of something beside the bans.",
                normal="a few a day.",
                otherwise="the mails, `zward status` and the runbook of the detector have the names.",
            ),
            Series(total(recent(m.NOTICES), "detector"), "{{detector}}"),
            style=BARS, ceiling=1,
            colours={"break-in": FAILURE, "stale-device": SPARED, "siege": BAN, "campaign": "purple"},
            links=(runbook("ZwardBreakInSuspected"),),
        ),
    )  # fmt: skip
