"""Plots as inline SVG: bars by time, stacked. Colours are the page's, so that print and dark mode have their own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from xml.etree.ElementTree import Element

from appliance.replay.elements import element

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 900.0, 220.0, 56.0, 28.0, 12.0
BARS = 240
"""Bars at most; of longer logs several hours make one."""
TICKS = 6


def stacked(
    title: str, hours: Sequence[datetime], series: Mapping[str, Sequence[int]], first: datetime, last: datetime
) -> Element:
    """Bars of several counts upon each other. `hours` are the hours that the counts belong to; a class each series."""
    span = max(1, int((last - first).total_seconds() // 3600) + 1)
    each = -(-span // BARS)
    bars: dict[int, dict[str, int]] = {}
    for place, hour in enumerate(hours):
        bar = bars.setdefault(int((hour - first).total_seconds() // 3600) // each, dict.fromkeys(series, 0))
        for name, counts in series.items():
            bar[name] += counts[place]
    top = max((sum(bar.values()) for bar in bars.values()), default=0) or 1
    count = -(-span // each)
    wide = (WIDTH - LEFT) / count
    svg = element("svg", viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img", aria_label=title)
    svg.append(element("title", title))
    svg.extend(_axes(top, first, each * count))
    for number, bar in sorted(bars.items()):
        base = HEIGHT - BOTTOM
        for kind, (name, value) in enumerate(bar.items()):
            if value:
                tall = (HEIGHT - BOTTOM - TOP) * value / top
                base -= tall
                rect = element(
                    "rect",
                    element("title", f"{name}: {value}"),
                    class_=f"s{kind % 8}",
                    x=round(LEFT + number * wide, 2),
                    y=round(base, 2),
                    width=round(max(wide * 0.9, 1.0), 2),
                    height=round(tall, 2),
                )
                svg.append(rect)
    legend = [
        part
        for kind, name in enumerate(series)
        for part in (element("span", class_=f"key b{kind % 8}"), f" {name} ({sum(series[name])})  ")
    ]
    return element("figure", element("figcaption", title), svg, element("p", *legend, class_="legend"))


def _axes(top: int, first: datetime, hours: int) -> list[Element]:
    parts = []
    for share in (0, 0.5, 1):
        y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share
        parts.append(element("line", class_="grid", x1=LEFT, x2=WIDTH, y1=y, y2=y))
        parts.append(element("text", f"{top * share:g}", x=LEFT - 6, y=y + 4, text_anchor="end"))
    for tick in range(TICKS + 1):
        moment = datetime.fromtimestamp(first.timestamp() + hours * 3600 * tick / TICKS, first.tzinfo)
        x = LEFT + (WIDTH - LEFT) * tick / TICKS
        anchor = "start" if not tick else "end" if tick == TICKS else "middle"
        parts.append(element("text", f"{moment:%d %b %H:%M}", x=x, y=HEIGHT - 8, text_anchor=anchor))
    return parts
