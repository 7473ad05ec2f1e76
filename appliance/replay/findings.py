"""What a replay found, as the one JSON object that every report is made from. Its keys do not change."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from appliance.judge.words import shown
from appliance.replay.logins import Cost
from appliance.replay.run import Run, reason_of
from appliance.replay.standing import Kept
from appliance.replay.stream import Tally

DOUBTFUL = 10
"""Bans that are told as doubtful: as many as a person looks at."""

FEW = 3
"""Failures of a banned source after its ban; an attacker goes on for longer."""

Table = dict[str, Any]


def findings(run: Run, tally: Tally, warnings: Sequence[str]) -> Table:
    """Everything that one run over the logs found."""
    zone = run.config.zone
    costs = sorted(run.logins.costs.values(), key=lambda cost: (cost.kept.number, str(cost.source), cost.account))
    return {
        "config": {"mode": run.config.mode.value, "time_zone": run.config.time_zone},
        "first": None if run.first is None else iso(run.first, zone),
        "last": None if run.now is None else iso(run.now, zone),
        "lines": tally.lines,
        "events": run.events,
        "attempts": run.attempts,
        "avoided": run.avoided,
        "avoided_lines": run.avoided_lines,
        "refused_logins": run.refused,
        "bans": [_ban(kept, zone) for kept in run.kept],
        "bans_by_detector": _by_detector(run.kept),
        "observed": dict(sorted(run.observed.items())),
        "alerts": _alerts(run),
        "alerts_beyond": run.alerts_beyond,
        "collateral": [_cost(cost, zone) for cost in costs],
        "doubtful": _doubtful(run, costs),
        "lockouts": [
            {
                "account": each.account,
                "at": iso(each.time, zone),
                "failures": each.failures,
                "reached": each.reached,
                "avoided": each.avoided,
            }
            for each in run.lockouts.found
        ],
        "besieged": [
            {
                "account": siege.account,
                "from": iso(siege.begun, zone),
                "to": None if siege.ended is None else iso(siege.ended, zone),
                "strangers": siege.strangers,
            }
            for siege in run.sieges.found
        ],
        "stale_devices": _stale(run),
        "unparsed": {
            program: {"lines": unknown.lines, "samples": list(unknown.samples.values())}
            for program, unknown in sorted(run.unparsed.programs.items())
        },
        "hours": _hours(run),
        "faults": dict(sorted(tally.faults.items())),
        "warnings": [*warnings, *_offsets(run), *_forgotten(run)],
    }


def iso(time: float, zone: tzinfo) -> str:
    """`2024-05-06T10:20:07.479+00:00`."""
    return datetime.fromtimestamp(round(time, 3), zone).isoformat(timespec="milliseconds")


def _ban(kept: Kept, zone: tzinfo) -> Table:
    ban = kept.ban
    return {
        "source": str(ban.net),
        "detector": ban.detector,
        "at": iso(ban.since, zone),
        "seconds": math.ceil(ban.until - ban.since),
        "reason": reason_of(ban),
        "accounts": list(kept.accounts),
        "scope": ban.scope.value,
        "step": ban.step,
        "proved": kept.proved,
        "avoided": kept.avoided,
        "refused": kept.refused,
    }


def _by_detector(bans: Iterable[Kept]) -> list[Table]:
    rows: dict[str, Table] = {}
    for kept in bans:
        row = rows.setdefault(
            kept.ban.detector, {"detector": kept.ban.detector, "bans": 0, "avoided": 0, "refused": 0, "unproved": 0}
        )
        row["bans"] += 1
        row["avoided"] += kept.avoided
        row["refused"] += kept.refused
        row["unproved"] += not kept.proved
    return sorted(rows.values(), key=lambda row: (-row["bans"], row["detector"]))


def _alerts(run: Run) -> list[Table]:
    """Silence that nothing followed is the end of a file, and no news."""
    return [
        {
            "detector": alert.detector,
            "at": iso(alert.at, run.config.zone),
            "source": None if alert.source is None else str(alert.source),
            "account": alert.account,
            "reason": alert.reason,
            "severity": alert.severity.value,
            "subject": alert.subject,
        }
        for alert in run.alerts
        if alert.detector != "silence" or run.heard.get(alert.subject.partition(" ")[0], alert.at) > alert.at
    ]


def _cost(cost: Cost, zone: tzinfo) -> Table:
    return {
        "source": str(cost.source),
        "ban": str(cost.kept.ban.net),
        "detector": cost.kept.ban.detector,
        "at": iso(cost.kept.ban.since, zone),
        "account": cost.account or None,
        "before": cost.before,
        "refused": cost.refused,
        "after": cost.after,
        "first": iso(cost.first, zone),
        "last": iso(cost.last, zone),
    }


def _doubtful(run: Run, costs: Iterable[Cost]) -> list[Table]:
    """The bans that most likely hit the wrong one: a person who logs in there, a neighbour of one, thin evidence."""
    around: dict[int, list[Cost]] = {}
    for cost in costs:
        around.setdefault(cost.kept.number, []).append(cost)
    ranked = []
    for kept in run.kept:
        own = around.get(kept.number, [])
        neighbours = run.logins.neighbours(kept.ban.net)
        why = _why(kept, own, neighbours)
        if why:
            rank = (
                -sum(cost.refused for cost in own),
                -sum(cost.total for cost in own),
                not neighbours,
                kept.proved,
                kept.avoided > FEW,
                len(kept.accounts) != 1,
                kept.number,
            )
            ranked.append((rank, kept, why))
    ranked.sort(key=lambda each: each[0])
    zone = run.config.zone
    return [{**_ban(kept, zone), "why": why} for _, kept, why in ranked[:DOUBTFUL]]


def _why(kept: Kept, costs: Sequence[Cost], neighbours: int) -> list[str]:
    why = []
    if refused := sum(cost.refused for cost in costs):
        why.append(f"{_times(refused)} somebody logged in from there while it would have stood ({_accounts(costs)})")
    if outside := sum(cost.before + cost.after for cost in costs):
        why.append(f"{_times(outside)} somebody logged in from there within a day around it ({_accounts(costs)})")
    if neighbours and not costs:
        width = 24 if kept.ban.net.family == 4 else 48
        why.append(f"in its /{width} there are sources from which people log in: {neighbours}")
    if not kept.proved:
        why.append("decided by lines that a client can write, and the address is not proved")
    if why and kept.avoided <= FEW:
        why.append(f"{_times(kept.avoided)} it failed after the ban: an attacker goes on for longer")
    if why and len(kept.accounts) == 1:
        why.append(f"it tried one account only: {shown(kept.accounts[0])}")
    return why


def _times(number: int) -> str:
    return "once" if number == 1 else "never" if number == 0 else f"{number} times"


def _accounts(costs: Iterable[Cost]) -> str:
    names = sorted({cost.account or "account not named" for cost in costs})
    told = ", ".join(shown(name) for name in names[:3])
    return told if len(names) <= 3 else f"{told} and {len(names) - 3} more"


def _stale(run: Run) -> list[Table]:
    least = run.config.detect.stale_device.failures
    zone = run.config.zone
    stale = run.logins.stale(least)
    devices = Counter(source for source, _, _ in stale)
    stale.sort(key=lambda each: (-devices[each[0]], str(each[0]), -each[2].failures, each[1]))
    return [
        {
            "source": str(source),
            "account": account,
            "protocols": sorted(device.protocols),
            "failures": device.failures,
            "first": iso(device.first, zone),
            "last": iso(device.last, zone),
        }
        for source, account, device in stale
    ]


def _hours(run: Run) -> list[Table]:
    return [
        {
            "at": iso(hour * 3600.0, run.config.zone),
            "failures": each.failures,
            "avoided": each.avoided,
            "successes": each.successes,
            "refused": each.refused,
        }
        for hour, each in sorted(run.hours.items())
    ]


def _offsets(run: Run) -> list[str]:
    """Senders whose lines are of another zone than `time_zone`; the gate corrects them."""
    return [
        f"{shown(sender)}: the lines of {shown(program)} are {stream.offset / 3600:g} h off: their zone is another"
        for (sender, program), stream in sorted(run.gate.clocks.streams.items())
        if stream.offset
    ]


def _forgotten(run: Run) -> list[str]:
    evicted: Mapping[str, int] = run.gate.judge.evicted
    lost = {table: number for table, number in evicted.items() if number}
    if run.logins.forgotten:
        lost["logins of the report"] = run.logins.forgotten
    return [f"{table}: {number} gave way, since more came than are kept" for table, number in sorted(lost.items())]
