"""The report as one page that can be mailed, printed and read anywhere: no script, nothing that is loaded."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from appliance.replay.elements import Child, element, page
from appliance.replay.plots import stacked

MOST = 1000
"""Rows of a table; a browser shows no more in one go, and --json has them all."""

DETECTORS = 8
"""Detectors that have a colour of their own in the plot of bans; the rarer ones share the last."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5d6875; --paper: #ffffff; --line: #d9dee4;
  --c0: #b3473d; --c1: #e3aca6; --c2: #3d7a5c; --c3: #e0a526; --c4: #4a6fa5; --c5: #8a5a9e;
  --c6: #7a7f3a; --c7: #777; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --dim: #98a3b0; --paper: #14181d; --line: #333b45;
  --c0: #e0695d; --c1: #7d423c; --c2: #5fb08a; --c3: #e8bb55; --c4: #7fa3d8; --c5: #b98ccc;
  --c6: #b0b56a; --c7: #999; } }
@media print { :root { --ink: #000; --dim: #444; --paper: #fff; --line: #bbb; } figure, tr { break-inside: avoid; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 1000px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
.sum { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: 1rem 0; padding: 0; list-style: none; }
.sum b { display: block; font-size: 1.5rem; font-weight: 600; }
.sum, td, .legend { font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--dim); font-weight: 500; overflow-wrap: normal; } code { font-size: .85rem; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; } td.t { white-space: nowrap; }
figure { margin: 1.5rem 0; } figcaption, .none, .legend { color: var(--dim); } svg { width: 100%; height: auto; }
svg text { fill: var(--dim); font-size: 11px; } .grid { stroke: var(--line); }
.s0 { fill: var(--c0); } .s1 { fill: var(--c1); } .s2 { fill: var(--c2); } .s3 { fill: var(--c3); }
.s4 { fill: var(--c4); } .s5 { fill: var(--c5); } .s6 { fill: var(--c6); } .s7 { fill: var(--c7); }
.key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; }
.b0 { background: var(--c0); } .b1 { background: var(--c1); } .b2 { background: var(--c2); }
.b3 { background: var(--c3); }
.b4 { background: var(--c4); } .b5 { background: var(--c5); } .b6 { background: var(--c6); }
.b7 { background: var(--c7); }
"""

Found = Mapping[str, Any]


def html_of(found: Found) -> str:
    """The whole page."""
    return page(
        "zward replay",
        STYLE,
        element("h1", "What zward would have done"),
        _span(found),
        _sum(found),
        *_plots(found),
        *_bans_by_detector(found),
        *_doubtful(found),
        *_section("Collateral: banned sources from which somebody logged in within a day", found["collateral"],
                  ("source", "at", "detector", "account", "before", "refused", "after", "first", "last")),
        *_section("Accounts that Zimbra locked", found["lockouts"],
                  ("at", "account", "failures", "reached", "avoided")),
        *_section("Accounts besieged", found["besieged"], ("from", "to", "account", "strangers")),
        *_section("Devices with an old password, by office", found["stale_devices"],
                  ("source", "account", "protocols", "failures", "first", "last")),
        *_section("Alerts", found["alerts"], ("at", "severity", "detector", "subject", "reason")),
        *_section("Bans", found["bans"],
                  ("at", "source", "detector", "scope", "seconds", "avoided", "refused", "proved", "reason")),
        *_unparsed(found),
        *_compared(found),
        *_notes(found),
    )  # fmt: skip


def _span(found: Found) -> Element | None:
    if found["first"] is None:
        return None
    zone = found["config"]["time_zone"]
    return element("p", f"{_cell('first', found['first'])} to {_cell('last', found['last'])}, {zone}")


def _sum(found: Found) -> Element:
    numbers = [
        ("lines", found["lines"]),
        ("failed attempts", found["attempts"]),
        ("of them avoided", found["avoided"]),
        ("bans", len(found["bans"])),
        ("logins refused", found["refused_logins"]),
        ("lockouts avoided", sum(each["avoided"] for each in found["lockouts"])),
        ("alerts", len(found["alerts"]) + found["alerts_beyond"]),
    ]
    return element("ul", *(element("li", element("b", f"{value:,}"), name) for name, value in numbers), class_="sum")


def _plots(found: Found) -> list[Element]:
    hours = found["hours"]
    if not hours:
        return []
    moments = [datetime.fromisoformat(each["at"]) for each in hours]
    bans = [datetime.fromisoformat(each["at"]) for each in found["bans"]]
    first, last = min(*moments, *bans, moments[0]), max(*moments, *bans, moments[-1])
    first = first.replace(minute=0, second=0, microsecond=0)
    counted = {
        "failures that reached Zimbra": [each["failures"] - each["avoided"] for each in hours],
        "failures avoided": [each["avoided"] for each in hours],
        "logins": [each["successes"] - each["refused"] for each in hours],
        "logins refused": [each["refused"] for each in hours],
    }
    plots = [stacked("Failures and logins per hour", moments, counted, first, last)]
    if bans:
        rows = [row["detector"] for row in found["bans_by_detector"]]
        named = rows[:DETECTORS] if len(rows) <= DETECTORS else [*rows[: DETECTORS - 1], "others"]
        kinds = [ban["detector"] if ban["detector"] in named else "others" for ban in found["bans"]]
        each_ban = {name: [int(kind == name) for kind in kinds] for name in named}
        plots.append(stacked("Bans by detector", bans, each_ban, first, last))
    return plots


def _bans_by_detector(found: Found) -> Iterable[Element]:
    keys = ("detector", "bans", "avoided", "refused", "unproved")
    return _section("Bans by detector", found["bans_by_detector"], keys)


def _doubtful(found: Found) -> Iterable[Element]:
    rows = [{**each, "why": "; ".join(each["why"])} for each in found["doubtful"]]
    return _section("The most doubtful bans", rows, ("at", "source", "detector", "reason", "why"))


def _unparsed(found: Found) -> Iterable[Element]:
    yield element("h2", "Lines about logins that no rule knows")
    if not found["unparsed"]:
        yield element("p", "none", class_="none")
    for program, unknown in found["unparsed"].items():
        yield element("p", f"{program}: {unknown['lines']}")
        yield element("ul", *(element("li", element("code", sample)) for sample in unknown["samples"]))


def _compared(found: Found) -> Iterable[Element]:
    if "compare" not in found:
        return
    compare = found["compare"]
    this, other = compare["counts"]["this"], compare["counts"]["other"]
    yield element("h2", f"With {compare['other']} instead")
    yield _table([{"count": key, "this": this[key], "other": other[key]} for key in this], ("count", "this", "other"))
    for key, title in (("only_this", "Banned by this only"), ("only_other", "Banned by the other only")):
        yield from _section(title, compare[key], ("source", "detector", "at", "reason"))
    for key, title in (("longer", "Banned longer by the other"), ("shorter", "Banned shorter by the other")):
        yield from _section(title, compare[key], ("source", "at", "seconds", "other_at", "other_seconds"))


def _notes(found: Found) -> Iterable[Element]:
    notes = [*found["warnings"], *(f"{fault}: {number}" for fault, number in found["faults"].items())]
    if notes:
        yield element("h2", "Notes")
        yield element("ul", *(element("li", note) for note in notes))


def _section(title: str, rows: Sequence[Found], keys: Sequence[str]) -> Iterable[Element]:
    yield element("h2", title)
    yield _table(rows, keys) if rows else element("p", "none", class_="none")
    if len(rows) > MOST:
        yield element("p", f"and {len(rows) - MOST} more, which --json prints", class_="none")


def _table(rows: Sequence[Found], keys: Sequence[str]) -> Element:
    head = element("tr", *(element("th", key.replace("_", " "), class_=_class(key, rows[0][key])) for key in keys))
    body = (
        element("tr", *(element("td", _cell(key, row[key]), class_=_class(key, row[key])) for key in keys))
        for row in rows[:MOST]
    )
    return element("div", element("table", element("thead", head), element("tbody", *body)), class_="wide")


_MOMENTS = frozenset({"at", "from", "to", "first", "last", "other_at"})


def _class(key: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return "n"
    return "t" if key in _MOMENTS else ""


def _cell(key: str, value: object) -> Child:
    if key in _MOMENTS:
        return str(value)[:19].replace("T", " ") if value else "the end"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "(not named)" if value is None else str(value)
