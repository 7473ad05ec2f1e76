"""What another configuration would change: the same lines, judged twice."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from appliance.replay.findings import findings, iso
from appliance.replay.run import Run, reason_of
from appliance.replay.standing import Kept
from appliance.replay.stream import Tally


def compared(one: Run, other: Run, tally: Tally, name: str) -> dict[str, Any]:
    """The differences, from the first configuration to the other, whose file is `name`."""
    ours, theirs = _by_source(one.kept), _by_source(other.kept)
    zone = one.config.zone
    changed: list[dict[str, Any]] = []
    for source in sorted(ours.keys() & theirs.keys()):
        before, after = ours[source], theirs[source]
        if _span(before) != _span(after) or before[0].ban.since != after[0].ban.since:
            changed.append(
                {
                    "source": source,
                    "at": iso(before[0].ban.since, zone),
                    "seconds": _span(before),
                    "other_at": iso(after[0].ban.since, zone),
                    "other_seconds": _span(after),
                }
            )
    found = {"this": findings(one, tally, ()), "other": findings(other, tally, ())}
    return {
        "other": name,
        "only_this": [_told(ours[source][0], one) for source in sorted(ours.keys() - theirs.keys())],
        "only_other": [_told(theirs[source][0], other) for source in sorted(theirs.keys() - ours.keys())],
        "longer": [each for each in changed if each["other_seconds"] > each["seconds"]],
        "shorter": [each for each in changed if each["other_seconds"] < each["seconds"]],
        "moved": [each for each in changed if each["other_seconds"] == each["seconds"]],
        "counts": {side: _counts(table) for side, table in found.items()},
    }


def _counts(found: Mapping[str, Any]) -> dict[str, int]:
    return {
        **{key: found[key] for key in ("attempts", "avoided", "refused_logins")},
        **{key: len(found[key]) for key in ("bans", "alerts", "collateral", "besieged")},
        "lockouts_avoided": sum(each["avoided"] for each in found["lockouts"]),
    }


def _by_source(bans: Iterable[Kept]) -> dict[str, list[Kept]]:
    found: dict[str, list[Kept]] = defaultdict(list)
    for kept in bans:
        found[str(kept.ban.net)].append(kept)
    return found


def _span(bans: Iterable[Kept]) -> int:
    """Seconds for which a network is banned in all."""
    return sum(math.ceil(kept.ban.until - kept.ban.since) for kept in bans)


def _told(kept: Kept, run: Run) -> dict[str, Any]:
    ban = kept.ban
    return {
        "source": str(ban.net),
        "detector": ban.detector,
        "at": iso(ban.since, run.config.zone),
        "reason": reason_of(ban),
    }
