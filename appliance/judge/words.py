"""How verdicts speak: short, exact, and safe to show whatever a client typed."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from appliance.model import Outcome

SHOWN = 64
"""Characters of client text in one place: a whole mail address nearly always, and still one line."""

_PLURAL = re.compile(r"s\b")
_UNITS = ((172800, 86400, "d"), (3600, 3600, "h"), (120, 60, "min"))
"""From how many seconds a unit is used, and how many it has: one day is 24 h, one minute is 60 s."""

_SAID: dict[Outcome, tuple[str, str]] = {
    Outcome.BAD_PASSWORD: ("bad password", "bad passwords"),
    Outcome.UNKNOWN_ACCOUNT: ("unknown account", "unknown accounts"),
    Outcome.ADMIN_BAD_PASSWORD: ("bad admin password", "bad admin passwords"),
    Outcome.ACCOUNT_LOCKED: ("try at a locked account", "tries at locked accounts"),
    Outcome.ACCOUNT_INACTIVE: ("try at an inactive account", "tries at inactive accounts"),
    Outcome.SECOND_FACTOR_FAILED: ("wrong second factor", "wrong second factors"),
    Outcome.AUTH_INCOMPLETE: ("dropped login", "dropped logins"),
    Outcome.PROTOCOL_ABUSE: ("protocol abuse", "protocol abuses"),
    Outcome.RECIPIENT_UNKNOWN: ("unknown recipient", "unknown recipients"),
    Outcome.RELAY_DENIED: ("refused relay", "refused relays"),
}


def shown(text: str) -> str:
    """Client text for a reason: at most `SHOWN` characters, what does not print written as an escape."""
    return visible(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def visible(text: str) -> str:
    r"""Text that cannot act on a terminal: what does not print is written as `\u{1b}`.

    Direction marks and other invisible characters do not print either (Unicode categories Cc, Cf, Zs …).
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else f"\\u{{{ord(letter):x}}}" for letter in text)


@lru_cache(maxsize=256)
def span(seconds: float) -> str:
    """`60 s`, `30 min`, `24 h`, `7 d`: the largest unit that divides it."""
    for least, size, unit in _UNITS:
        if seconds >= least and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


@lru_cache(maxsize=4096)  # of a standing ban it is said with each line that still comes
def moment(time: float) -> str:
    """`2026-11-21 20:49 UTC`."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")


def together(parts: Sequence[str]) -> str:
    """`imap`, `imap and smtp`, `imap, pop3 and smtp`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def listed(parts: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 4 more`, each as it may be shown."""
    told = ", ".join(shown(part) for part in parts[:most])
    return told if len(parts) <= most else f"{told} and {len(parts) - most} more"


def outcomes(happened: Iterable[Outcome]) -> str:
    """`4 bad passwords, 1 unknown account`, in the order in which each kind came first."""
    counts: dict[Outcome, int] = {}
    for outcome in happened:
        counts[outcome] = counts.get(outcome, 0) + 1
    return ", ".join(f"{count} {kind(outcome, count)}" for outcome, count in counts.items())


def kind(outcome: Outcome, count: int = 1) -> str:
    """`bad password`, `bad passwords`; an outcome without words of its own is said by its name."""
    one, many = _SAID.get(outcome, (outcome.value.replace("_", " "), outcome.value.replace("_", " ")))
    return one if count == 1 else many


def several(number: int, unit: str) -> str:
    """`2 failures at a besieged account`, `1 failure at a besieged account`: units are words in the plural."""
    return f"{number} {_PLURAL.sub('', unit, count=1) if number == 1 else unit}"


@lru_cache(maxsize=4096)
def progress(score: int, limit: int, unit: str, within: float) -> str:
    """`2 of 6 points in 30 min`: what nearly every verdict says, so it is built once."""
    return f"{score} of {limit} {unit} in {span(within)}"
