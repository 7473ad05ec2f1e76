"""What root loaded last, kept where it outlives a reboot: it is in force again where the configuration has faults.

Not the configuration is kept but what came of it, since a newer zward may refuse the whole of an older
configuration. Root alone writes it, from root's own configuration, into a directory of root's.
"""

import contextlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.config.schema import FIREWALL_DIRECTORY
from appliance.config.writing import replace
from appliance.firewall.orders import Orders, OrdersError, parse, told
from appliance.root.files import LoadError, prepare, read

DIRECTORY = Path("/var/lib/zward-firewall")
"""Where the unit keeps it. A load by hand keeps it there too, once the unit has made the directory."""

NAME, WAITING = "last-good.json", "waiting.json"
"""What is in force; what is in force until somebody confirms it, or nobody does."""

VERSION = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a configuration asks for."""

    directory: Path
    orders: Orders
    policy: str | None
    mode: str | None
    switches: dict[str, str]


def place_of(directory: Path) -> Path | None:
    """Where a load by hand keeps what it loaded, by the helper's directory; None where nothing is kept."""
    return DIRECTORY if directory == FIREWALL_DIRECTORY and DIRECTORY.is_dir() else None


def keep(place: Path, plan: Plan, now: float, *, waits: bool) -> None:
    """Keep what was loaded; where it `waits` to be confirmed, what was kept before stays. Raises Refusal or OSError."""
    prepare(place)
    if place.stat().st_uid not in (0, os.geteuid()):
        raise LoadError(f"{place} belongs to uid {place.stat().st_uid}: chown root {place}")
    content = {
        "version": VERSION,
        "time": now,
        "directory": str(plan.directory),
        "orders": told(plan.orders),
        "policy": plan.policy,
        "mode": plan.mode,
        "switches": plan.switches,
    }
    replace(place / (WAITING if waits else NAME), json.dumps(content).encode("ascii"), mode=0o600)
    if not waits:
        (place / WAITING).unlink(missing_ok=True)


def settle(place: Path) -> None:
    """What waited was confirmed. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        (place / WAITING).replace(place / NAME)


def forget(place: Path) -> None:
    """Nothing of ours is to come back. Raises OSError."""
    for name in (NAME, WAITING):
        (place / name).unlink(missing_ok=True)


def kept(place: Path) -> tuple[Plan, datetime]:
    """What was loaded last, and when. Raises LoadError where nothing is kept, Refusal, OSError."""
    path = place / NAME
    text = read(path)
    if text is None:
        raise LoadError(f"nothing was ever loaded that is kept in {place}")
    try:
        found = json.loads(text)
        if found["version"] != VERSION:
            raise LoadError(f"{path}: of version {found['version']!r}; this zward knows version {VERSION}")
        plan = Plan(
            Path(_text(found["directory"])),
            parse(path, _text(found["orders"]).encode().split(b"\n")),
            None if found["policy"] is None else _text(found["policy"]),
            None if found["mode"] is None else _text(found["mode"]),
            {_text(name): _text(value) for name, value in found["switches"].items()},
        )
        return plan, datetime.fromtimestamp(float(found["time"]), UTC)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError, OrdersError) as fault:
        raise LoadError(f"{path}: damaged: {fault}") from None


def _text(found: object) -> str:
    if not isinstance(found, str):
        raise TypeError(f"found {found!r:.80}, expected text")
    return found
