"""The dashboards as they are committed, and every PromQL expression in them as Prometheus would be asked."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

DASHBOARDS = Path(__file__).parents[2] / "grafana" / "dashboards"
VARIABLES = {
    "__rate_interval": "1m",
    "__interval": "15s",
    "__range": "6h",
    "datasource": "prometheus",
    "job": ".+",
    "instance": ".+",
}
_VARIABLE = re.compile(r"\$\{(\w+)}|\$(\w+)")


class Asked(NamedTuple):
    """One expression; `panel` is its title, or `annotation: …`, or `variable: …`."""

    dashboard: str
    panel: str
    expr: str


@cache
def dashboards() -> dict[str, dict[str, Any]]:
    """File name without suffix → content."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    """All but the rows, also those inside of collapsed rows."""
    inside = [panel for row in dashboard["panels"] for panel in row.get("panels", ())]
    return [panel for panel in (*dashboard["panels"], *inside) if panel["type"] != "row"]


def with_variables(expr: str, keep: tuple[str, ...] = ()) -> str:
    """With what Grafana puts in their place when all of each is chosen; raises KeyError for an unknown one."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return found[0] if name in keep else VARIABLES[name]

    return _VARIABLE.sub(value, expr)


def expressions_as_written() -> Iterator[Asked]:
    """Those of panels and annotations, and the selectors of variables."""
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield Asked(name, panel["title"], target["expr"])
        for annotation in dashboard["annotations"]["list"]:
            yield Asked(name, f"annotation: {annotation['name']}", annotation["expr"])
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                selector = variable["query"].removeprefix("label_values(").rpartition(",")[0]
                yield Asked(name, f"variable: {variable['name']}", selector)


def expressions_of_dashboards() -> list[Asked]:
    """The same, as a Prometheus is asked."""
    return [Asked(name, panel, with_variables(expr)) for name, panel, expr in expressions_as_written()]
