"""Lengths of time as an operator writes them: `90s`, `30m`, `2h`, `7d`, `1h30m`."""

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}

_DURATION = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?")
"""Each unit once, the greater first; nine digits hold thirty years in seconds."""


def seconds(text: str) -> float:
    """The seconds that a duration stands for. Raises ValueError where it is none."""
    found = _DURATION.fullmatch(text)
    if not text or not found:
        raise ValueError(f"{text!r} is no duration; write it as 90s, 30m, 2h, 7d or 1h30m")
    numbers = zip(found.groups(), _UNITS.values(), strict=True)
    return float(sum(int(number) * unit for number, unit in numbers if number))


def in_words(length: float) -> str:
    """The shortest duration that stands for so many whole seconds: the inverse of `seconds`."""
    rest = round(length)
    text = ""
    for name, unit in _UNITS.items():
        number, rest = divmod(rest, unit)
        text += f"{number}{name}" if number else ""
    return text or "0s"
