"""The report as a person reads it on a terminal: 80 columns, and nothing in it that a terminal acts on."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from appliance.judge.words import visible

WIDTH = 80
MOST = 20
"""Rows of a table that are shown; the rest is in --json and --html."""

Found = Mapping[str, Any]


def text_of(found: Found) -> str:
    """The whole report."""
    parts = (_head, _bans, _collateral, _doubtful, _lockouts, _besieged, _stale, _alerts, _unparsed, _compared, _notes)
    return "\n".join(line for part in parts for line in part(found)) + "\n"


def _head(found: Found) -> Iterator[str]:
    if found["first"] is not None:
        yield from _folded(f"{_moment(found['first'])} to {_moment(found['last'])} ({found['config']['time_zone']})")
    yield from _folded(
        f"{found['lines']} lines, {found['events']} events, {found['attempts']} failed attempts; "
        f"{found['avoided']} of them would have been kept away by {_number(len(found['bans']), 'ban')}"
    )
    yield from _folded(f"{_number(found['refused_logins'], 'login')} from banned sources would have been refused")


def _bans(found: Found) -> Iterator[str]:
    yield from _heading("Bans by detector")
    rows = [
        (row["detector"], str(row["bans"]), str(row["avoided"]), str(row["refused"]), str(row["unproved"]))
        for row in found["bans_by_detector"]
    ]
    yield from _table(("detector", "bans", "attempts avoided", "logins refused", "unproved"), rows)
    for detector, number in found["observed"].items():
        yield from _folded(f"{detector} only observes; it would have asked for {_number(number, 'ban')}")


def _collateral(found: Found) -> Iterator[str]:
    yield from _heading("Collateral: banned sources from which somebody logged in within a day")
    rows = [
        (
            row["source"],
            _moment(row["at"]),
            *(str(row[key]) for key in ("before", "refused", "after")),
            row["account"] or "(not named)",
        )
        for row in found["collateral"]
    ]
    yield from _table(("source", "banned", "before", "refused", "after", "account"), rows)


def _doubtful(found: Found) -> Iterator[str]:
    yield from _heading("The most doubtful bans")
    for number, ban in enumerate(found["doubtful"], 1):
        yield from _folded(f"{number}. {ban['source']}, {_moment(ban['at'])}, {ban['detector']}", "   ")
        yield from _folded(f"   banned for {ban['reason']}", "   ")
        for why in ban["why"]:
            yield from _folded(f"   - {why}", "     ")
    if not found["doubtful"]:
        yield "  none"


def _lockouts(found: Found) -> Iterator[str]:
    yield from _heading("Accounts that Zimbra locked")
    rows = [
        (
            _moment(row["at"]),
            f"{row['reached']} of {row['failures']}",
            "would have been avoided" if row["avoided"] else "would have happened",
            row["account"],
        )
        for row in found["lockouts"]
    ]
    yield from _table(("at", "tries let in", "with zward", "account"), rows)


def _besieged(found: Found) -> Iterator[str]:
    yield from _heading("Accounts besieged")
    rows = [
        (
            _moment(row["from"]),
            _moment(row["to"]) if row["to"] else "the end",
            str(row["strangers"]),
            row["account"],
        )
        for row in found["besieged"]
    ]
    yield from _table(("from", "to", "strangers", "account"), rows)


def _stale(found: Found) -> Iterator[str]:
    yield from _heading("Devices with an old password, by office")
    rows = [
        (
            row["source"],
            str(row["failures"]),
            _moment(row["first"]),
            _moment(row["last"]),
            f"{row['account']} over {', '.join(row['protocols'])}",
        )
        for row in found["stale_devices"]
    ]
    yield from _table(("source", "failures", "first", "last", "account"), rows)


def _alerts(found: Found) -> Iterator[str]:
    yield from _heading(f"Alerts: {len(found['alerts']) + found['alerts_beyond']}")
    counts: dict[tuple[str, str], int] = {}
    for alert in found["alerts"]:
        key = alert["severity"], alert["detector"]
        counts[key] = counts.get(key, 0) + 1
    order = {"critical": 0, "warning": 1, "notice": 2}
    for (severity, detector), number in sorted(counts.items(), key=lambda each: (order[each[0][0]], each[0][1])):
        yield f"  {number:>6}  {severity:<9} {detector}"
    critical = [alert for alert in found["alerts"] if alert["severity"] == "critical"]
    for alert in critical[:MOST]:
        yield from _folded(f"  {_moment(alert['at'])} {alert['detector']}: {alert['reason']}", "    ")


def _unparsed(found: Found) -> Iterator[str]:
    yield from _heading("Lines about logins that no rule knows")
    for program, unknown in found["unparsed"].items():
        yield f"  {visible(program)}: {unknown['lines']}"
        for sample in unknown["samples"]:
            yield from _folded(f"    {sample}", "      ")
    if not found["unparsed"]:
        yield "  none"


def _compared(found: Found) -> Iterator[str]:
    if "compare" not in found:
        return
    compare = found["compare"]
    yield from _heading(f"With {compare['other']} instead")
    this, other = compare["counts"]["this"], compare["counts"]["other"]
    rows = [(key.replace("_", " "), str(this[key]), str(other[key])) for key in this]
    yield from _table(("", "this", "other"), rows)
    for key, words in (("only_this", "Banned by this only"), ("only_other", "Banned by the other only")):
        yield from _heading(words)
        bans = [(row["source"], row["detector"], _moment(row["at"])) for row in compare[key]]
        yield from _table(("source", "detector", "at"), bans)
    for key in ("longer", "shorter", "moved"):
        if compare[key]:
            yield from _heading(f"Banned {'at another time' if key == 'moved' else key} by the other")
            terms = [
                (row["source"], f"{row['seconds']} s", f"{row['other_seconds']} s", _moment(row["other_at"]))
                for row in compare[key]
            ]
            yield from _table(("source", "this", "other", "first ban of the other"), terms)


def _notes(found: Found) -> Iterator[str]:
    if found["warnings"] or found["faults"]:
        yield from _heading("Notes")
    for text in found["warnings"]:
        yield from _folded(f"  {text}", "    ")
    for fault, number in found["faults"].items():
        yield f"  {_FAULTS.get(fault, fault)}: {number}"


_FAULTS = {
    "truncated": "lines cut at 65536 bytes",
    "leap": "lines whose time was not believed: ahead of all around them",
}


def _heading(text: str) -> Iterator[str]:
    yield ""
    yield from _folded(text)
    yield "-" * min(WIDTH, max(len(text), 3))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows whose last column takes what the others leave, and folds."""
    if not rows:
        yield "  none"
        return
    shown = [[visible(cell) for cell in row] for row in rows[:MOST]]
    widths = [max(len(row[place]) for row in [list(headings), *shown]) for place in range(len(headings) - 1)]
    for row in [list(headings), *shown]:
        front = "  " + "".join(f"{cell:<{width}}  " for cell, width in zip(row, widths, strict=False))
        if len(front) > WIDTH - 20:
            yield front.rstrip()
            front = "      "
        yield from textwrap.wrap(
            row[-1], WIDTH, initial_indent=front, subsequent_indent=" " * len(front), break_on_hyphens=False
        ) or [front.rstrip()]
    if len(rows) > MOST:
        yield f"  … and {len(rows) - MOST} more (--json, --html)"


def _folded(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        visible(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False, drop_whitespace=True
    ) or [""]


def _moment(iso: str) -> str:
    """`2024-05-06 10:20:07`; the zone stands at the top of the report."""
    return iso[:19].replace("T", " ")


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
