"""What a real Prometheus answers to every query of a dashboard, over what was recorded."""

import contextlib
import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.previews.recording import SCRAPED
from running import free_port

Document = dict[str, Any]

ROUND = (30, 60, 120, 300, 600, 900, 1800, 3600)
"""Seconds between two points: what Grafana rounds to, from the interval of scrapes on."""
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Span(NamedTuple):
    """Seconds since the epoch."""

    start: int
    end: int


class Prometheus:
    """Asks one."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._address}/-/ready", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def ask(self, path: str, **question: object) -> list[Document]:
        """Raises OSError with what Prometheus says of the query."""
        data = urllib.parse.urlencode(question).encode()
        try:
            with urllib.request.urlopen(f"{self._address}/api/v1/{path}", data, timeout=30) as answer:
                return list(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as fault:
            raise OSError(f"{question['query']}: {fault.read().decode()}") from fault


@contextlib.contextmanager
def prometheus(scrapes: Path, directory: Path) -> Iterator[Prometheus]:
    """A real one on loopback that holds these scrapes."""
    blocks, port = directory / "tsdb", free_port()
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(scrapes), str(blocks)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    config = directory / "prometheus.yml"
    config.write_text("global: {}\n")
    process = subprocess.Popen(
        [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={blocks}", "--log.level=error",
            f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y",
        ]
    )  # fmt: skip
    try:
        asked = Prometheus(port)
        deadline = time.monotonic() + 30
        while not asked.is_ready():
            if time.monotonic() > deadline or process.poll() is not None:
                raise OSError("Prometheus does not start")
            time.sleep(0.1)
        yield asked
    finally:
        process.terminate()
        process.wait(10)


def told(dashboard: Document, end: int, asked: Prometheus) -> Document:
    """Everything that the page draws."""
    span = Span(end - seconds(dashboard["time"]["from"].removeprefix("now-")), end)
    panels = [inner for panel in dashboard["panels"] for inner in (panel, *panel.get("panels", ()))]
    return {
        "dashboard": dashboard,
        "range": {"from": span.start, "to": span.end},
        "variables": _variables(dashboard, span, asked),
        "answers": {panel["id"]: _answers(panel, span, asked) for panel in panels if panel["type"] != "row"},
        "annotations": [mark for each in dashboard["annotations"]["list"] for mark in _marks(each, span, asked)],
    }


def seconds(text: str) -> int:
    """`6h`."""
    return int(text[:-1]) * UNITS[text[-1]]


def substituted(expr: str, step: int, span: Span) -> str:
    """With the variables as they stand when the dashboard is opened: every job and gateway."""
    values = {
        "__rate_interval": f"{max(step + SCRAPED, 4 * SCRAPED)}s",
        "__interval": f"{step}s",
        "__range": f"{span.end - span.start}s",
        "job": ".+",
        "instance": ".+",
        "sender": ".+",
    }
    for name in sorted(values, key=len, reverse=True):
        expr = expr.replace(f"${{{name}}}", values[name]).replace(f"${name}", values[name])
    return expr


def _step(panel: Mapping[str, Any], span: Span) -> int:
    points = panel.get("maxDataPoints") or panel["gridPos"]["w"] * 62  # Grafana asks for one a pixel
    least = seconds(panel["interval"]) if panel.get("interval") else SCRAPED
    wanted = max((span.end - span.start) / points, least)
    return next(each for each in (*sorted({least, *ROUND}), int(wanted)) if each >= wanted)


def _answers(panel: Document, span: Span, asked: Prometheus) -> list[Document]:
    found = []
    step = _step(panel, span)
    for target in panel.get("targets", ()):
        query = substituted(target["expr"], step, span)
        if target.get("instant") and not target.get("range"):
            result = asked.ask("query", query=query, time=span.end)
        else:
            result = asked.ask("query_range", query=query, step=step,
                               start=span.start // step * step, end=span.end // step * step)  # fmt: skip
        kept = ("refId", "legendFormat", "format", "instant", "hide")
        found.append({"step": step, "result": result} | {key: target[key] for key in kept if key in target})
    return found


def _variables(dashboard: Document, span: Span, asked: Prometheus) -> list[Document]:
    shown = [each for each in dashboard["templating"]["list"] if not each.get("hide")]
    values = {"datasource": "Prometheus"}
    return [{"label": each.get("label") or each["name"], "value": values.get(each["type"], "All")} for each in shown]


def _marks(annotation: Document, span: Span, asked: Prometheus) -> Iterator[Document]:
    """Moments, and spans where one point follows the other."""
    if not annotation.get("expr") or not annotation.get("enable", True):
        return
    step = seconds(annotation.get("step") or "60s")
    query = substituted(annotation["expr"], step, span)
    colour = annotation.get("iconColor", "blue")
    for series in asked.ask("query_range", query=query, step=step, start=span.start, end=span.end):
        mark: Document = {}
        for at, value in series["values"]:
            if float(value) == 0:
                continue
            if mark and at - mark["until"] <= step:
                mark["until"] = at
                continue
            if mark:
                yield mark
            mark = {"time": at, "until": at, "color": colour, "only": annotation.get("filter")}
        if mark:
            yield mark
