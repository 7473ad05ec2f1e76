"""The times that syslog headers carry, as seconds since the epoch.

RFC 3164 writes `Nov 21 19:00:00`, without year or zone; Cisco puts a year before the time; RFC 5424 and
RSYSLOG_ForwardFormat write RFC 3339.
"""

import re
from calendar import isleap
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

YEARLESS = rb"[A-Z][a-z]{2} (?: ?[0-9]|[0-9]{2})(?: [0-9]{4})? [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
ISO = rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})?"

_DAY = 86400.0
FUTURE_LIMIT = _DAY
"""Seconds. No mistake about a time zone puts a line further ahead than a day."""
PAST_LIMIT = 366 * _DAY
"""Seconds. A queue may be drained long after an outage; older than a year is a clock that was never set."""

_CALENDAR_END = 253402300800.0  # 10000-01-01: nobody could write such a time back as a date

_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_FORWARDED_LENGTH = 32
_FORWARDED_TAIL = re.compile(rb"\.[0-9]{6}[+-][0-9]{2}:[0-9]{2}\Z")
"""How RSYSLOG_ForwardFormat ends a stamp: microseconds, which no two lines share, and a zone. Without the
microseconds a stamp is remembered for a second's worth of lines: 0.6 µs instead of 1.5."""
_YEARLESS = re.compile(
    rb"([A-Z][a-z]{2}) +([0-9]{1,2})(?: ([0-9]{4}))? ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
)
_ISO = re.compile(ISO)
_ZONED = re.compile(ISO[:-1])


def seconds(stamp: bytes, now: float, zone: tzinfo) -> float | None:
    """Read a stamp of either layout; None where it is none, or names no moment (`hour 25`).

    `zone` says what a stamp without a zone means. A stamp without a year is of the last year that does
    not put it more than two days ahead: a line of the past is an old line, and not one of next summer.
    """
    if len(stamp) == _FORWARDED_LENGTH and _FORWARDED_TAIL.match(stamp, 19):
        whole = _seconds(stamp[:19] + stamp[26:], 0, zone)
        return None if whole is None else (int(whole) * 1_000_000 + int(stamp[20:26])) / 1_000_000
    return _seconds(stamp, int(now // _DAY), zone)


def zoned_seconds(stamp: bytes) -> float | None:
    """Read RFC 3339 with its zone, as RFC 5424 demands it; None for anything else."""
    return _seconds(stamp, 0, UTC) if _ZONED.fullmatch(stamp) else None


def is_skewed(time: float | None, now: float) -> bool:
    """Whether a header's time cannot be believed."""
    return time is not None and not now - PAST_LIMIT < time < now + FUTURE_LIMIT


@lru_cache(maxsize=4096)  # traditional stamps are the same for a second's worth of lines
def _seconds(stamp: bytes, today: int, zone: tzinfo) -> float | None:
    try:
        if _ISO.fullmatch(stamp):
            moment = datetime.fromisoformat(stamp.decode("ascii"))
            time: float | None = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
        else:
            found = _YEARLESS.fullmatch(stamp)
            time = _latest(found, today, zone) if found else None
    except (ValueError, OverflowError):  # hour 25, February 30; the first and last days of the calendar
        return None
    return time if time is not None and 0 <= time < _CALENDAR_END else None


def _latest(found: re.Match[bytes], today: int, zone: tzinfo) -> float | None:
    month, day, year, hour, minute, second, fraction = found.groups(b"")
    if month not in _MONTHS:
        return None
    latest = (today + 2.5) * _DAY  # zones and a wrong clock put a line of now at most so far ahead
    micros = int(fraction[:6].ljust(6, b"0")) if fraction else 0
    this_year = datetime.fromtimestamp(latest, UTC).year
    moments: list[float] = []
    for candidate in [int(year)] if year else (this_year - 1, this_year):
        if month != b"Feb" or day != b"29" or isleap(candidate):
            moment = datetime(candidate, _MONTHS[month], int(day), int(hour), int(minute), int(second), micros, zone)
            moments.append(moment.timestamp())
    if year:
        return moments[0] if moments else None
    return max((moment for moment in moments if moment <= latest), default=None)
