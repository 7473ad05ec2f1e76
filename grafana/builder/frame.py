"""What all dashboards share: variables, links to each other, marks in time, and how they are written down."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from appliance.metrics.declared import BANS, BUILD, CONDITION, RELOADED
from grafana.builder.panels import BAN, DATASOURCE, RUNBOOKS, SPARED, Panel
from grafana.builder.queries import most, of, rise, total

Document = dict[str, Any]
Row = tuple[str, Sequence[Panel]]
"""A heading, and the panels under it from left to right."""

UIDS = {"zward-operator": "Operator", "zward-wall": "Wall", "zward-senders": "Senders"}
ADDRESS_OF_RUNBOOKS = "https://zward.example/docs/runbooks"
"""The same as the default of `[notify] runbooks`."""
BURST = 50
"""Bans in 5 min that are marked as a burst: half of what blows the fuse."""


def dashboard(uid: str, says: str, hours: int) -> build.Dashboard:
    """An empty one, in the house style."""
    board = (
        build.Dashboard(f"zward / {UIDS[uid]}")
        .uid(uid)
        .description(says)
        .tags(["zward", "zimbra"])
        .readonly()
        .refresh("30s")
        .time(f"now-{hours}h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(_choice("job", f"label_values({BUILD.name}, job)"))
        .with_variable(_choice("instance", f'label_values({BUILD.name}{{job=~"$job"}}, instance)'))
        .with_variable(build.ConstantVariable(RUNBOOKS).label("Runbooks").value(ADDRESS_OF_RUNBOOKS))
    )
    for other, title in UIDS.items():
        if other != uid:
            board.link(
                build.DashboardLink(title)
                .type(model.DashboardLinkType.LINK)
                .url(f"/d/{other}")
                .keep_time(True)
                .include_vars(True)
            )
    return board


def with_rows(board: build.Dashboard, rows: Sequence[Row]) -> build.Dashboard:
    for title, panels in rows:
        board.with_row(build.Row(title))
        for panel in panels:
            board.with_panel(panel)
    return board


def written(board: Callable[[], build.Dashboard]) -> str:
    """The dashboard as the file holds it."""
    document: Document = json.loads(JSONEncoder(sort_keys=True).encode(board().build()))
    for number, panel in enumerate(document["panels"], start=1):
        panel["id"] = number
    for variable in document["templating"]["list"]:
        for only_of_intervals in ("auto", "auto_min", "auto_count"):
            variable.pop(only_of_intervals, None)
        if variable["name"] == RUNBOOKS:
            variable |= {"hide": int(model.VariableHide.HIDE_VARIABLE), "skipUrlSync": True}
    document["annotations"] = {"list": _marks(document["uid"])}
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _choice(label: str, query: str) -> build.QueryVariable:
    return (
        build.QueryVariable(label)
        .label(label.title())
        .datasource(DATASOURCE)
        .query(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _marks(uid: str) -> list[Document]:
    """Asked in steps of a minute: looking back two minutes sees each change, once or twice.

    Of conditions only the beginning, or hours would be shaded; they say nothing about senders, and are off there.
    """
    earlier = f"{most(f'{of(CONDITION)} offset 2m', 'instance', 'condition')} == 1"
    begun = f"({most(of(CONDITION), 'instance', 'condition')} == 1) unless ({earlier})"
    return [
        _mark("Burst of bans", BAN, f"{total(rise(BANS, over='5m'), 'instance')} > {BURST}", "{{instance}}"),
        _mark("Conditions", "purple", begun, "{{condition}} {{instance}}", uid != "zward-senders"),
        _mark("Reloads", SPARED, f"{most(f'changes({of(RELOADED)}[2m])', 'instance')} > 0", "{{instance}}"),
    ]


def _mark(name: str, colour: str, expr: str, text: str, enabled: bool = True) -> Document:
    return {
        "name": name,
        "enable": enabled,
        "hide": False,
        "iconColor": colour,
        "datasource": {"type": DATASOURCE.type_val, "uid": DATASOURCE.uid},
        "expr": expr,
        "step": "60s",
        "titleFormat": name,
        "textFormat": text,
        "tagKeys": "",
        "useValueForTime": False,
    }
