"""Scrapes as Prometheus takes them up long after: OpenMetrics, with the moment of each sample."""

import re
from collections.abc import Iterable

LABELS = 'job="zward",instance="gw1.example.com:9514"'
"""What Prometheus adds to each sample."""

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")


def open_metrics(scrapes: Iterable[tuple[float, str]], started: float) -> str:
    """One family after the other, as OpenMetrics wants it, with the labels that Prometheus would add."""
    kinds: dict[str, str] = {}
    samples: dict[str, list[str]] = {}
    for at, text in scrapes:
        family = ""
        for line in [*text.splitlines(), "# TYPE up gauge", "up 1"]:
            if line.startswith("# TYPE "):
                _, _, family, kind = line.split()
                family = family.removesuffix("_total") if kind == "counter" else family
                kinds.setdefault(family, kind)
            elif found := _SAMPLE.fullmatch(line):
                name, labels, value = found.groups()
                value = f"{started}" if name == "process_start_time_seconds" else value
                samples.setdefault(family, []).append(
                    f"{name}{{{','.join(filter(None, (labels, LABELS)))}}} {value} {int(at)}"
                )
    parts = []
    for family, lines in samples.items():
        lines.sort(key=lambda line: line.rpartition(" ")[0].rpartition(" ")[0].replace("_total", ""))
        parts += [f"# TYPE {family} {kinds[family]}", *lines]
    return "\n".join([*parts, "# EOF", ""])
