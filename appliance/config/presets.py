"""`preset`: other defaults for detectors and ladder, by one word.

A preset is a set of tables, written as in the file, that lies under the file's own: what the file says, wins, key by
key. `balanced` changes nothing: it is the schema's defaults.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

OFF = {"mode": "off"}
OBSERVE = {"mode": "observe"}


class Preset(StrEnum):
    """How strict zward is where the file does not say otherwise."""

    GENTLE = "gentle"
    BALANCED = "balanced"
    STRICT = "strict"
    FAIL2BAN_CLASSIC = "fail2ban-classic"


PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    Preset.GENTLE: {
        "detect": {
            "guessing": {"points": 10, "within": "30m"},
            "slow-guessing": {"points": 20, "within": "24h"},
            "siege": {"strangers": 8, "tries": 3},
            "spraying": {"accounts": 8, "strangers": 5},
            "neighbourhood": OBSERVE,
            "probing": {"points": 20},
        },
        "ladder": {"steps": ["10m", "30m", "2h", "12h", "48h"]},
    },
    Preset.BALANCED: {},
    Preset.STRICT: {
        "detect": {
            "guessing": {"points": 3, "within": "30m"},
            "slow-guessing": {"points": 5},
            "siege": {"strangers": 3},
            "spraying": {"accounts": 3, "strangers": 2},
            "campaign": {"points": 2},
            "probing": {"points": 5},
            "harvesting": {"points": 8},
        },
        "ladder": {"steps": ["27h", "54h", "7d", "14d", "27d"]},
    },
    # maxretry 5, findtime 600, bantime 600, and no other reason for a ban. What only tells stays on; outage and fuse
    # tell and hold no ban back, since fail2ban would not either.
    Preset.FAIL2BAN_CLASSIC: {
        "detect": {
            "guessing": {"points": 5, "within": "10m"},
            **dict.fromkeys(
                (
                    "slow-guessing",
                    "siege",
                    "spraying",
                    "campaign",
                    "neighbourhood",
                    "admin-door",
                    "trap",
                    "probing",
                    "harvesting",
                ),
                OFF,
            ),
            "outage": OBSERVE,
            "fuse": OBSERVE,
        },
        "ladder": {"steps": ["10m"], "jitter": 0, "probation": "0s"},
    },
}


def with_preset(tables: object) -> object:
    """What a file says, upon what the preset that it names says. A preset that there is not is left to the schema."""
    if isinstance(tables, dict) and tables.get("preset") in list(Preset):
        return _upon(PRESETS[Preset(tables["preset"])], tables)
    return tables


def _upon(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables as one. Where both have a key, `upper` wins, unless the key is a table in both."""
    merged = dict(lower)
    for key, value in upper.items():
        below = lower.get(key)
        merged[key] = _upon(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged
