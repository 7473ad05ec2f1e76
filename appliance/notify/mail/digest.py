"""The daily digest: what happened in a day, and what somebody should look at, in a mail that one reads over coffee.

Sections without content are left out, so that a quiet day is a short mail.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo

from appliance.judge.words import listed, shown, visible
from appliance.notify.mail.mail import WIDTH, Letter, Place, heading, wrapped

DIGEST = "digest"
"""What the X-Zward-Detector of a digest says."""

ROWS = 10
"""Accounts, devices, bans, senders in one section: as many as a person looks at."""

MINUTES, HOURS, DAYS = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Attacked:
    """An account at which strangers failed."""

    account: str
    failures: int
    strangers: int
    """Sources that failed there and never logged in anywhere."""
    budget: str
    """How near Zimbra is to locking it, in words; "" where it is not near."""
    is_besieged: bool = False


@dataclass(frozen=True, slots=True)
class Stale:
    """A device with an old password, at a place where its owner logs in."""

    source: str
    account: str
    protocols: tuple[str, ...]
    failures: int
    since: float
    last: float
    people: int
    """How many accounts log in from there."""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A ban that may have hit the wrong one."""

    source: str
    detector: str
    since: float
    until: float
    why: tuple[str, ...]
    lifted: float | None = None
    """When an operator lifted it."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """A sender that is not heard."""

    sender: str
    last: float | None
    """When it was heard last; None if never since zward started."""


@dataclass(frozen=True, slots=True)
class Day:
    """What the digest tells of. Times are seconds since the epoch."""

    begins: float
    ends: float
    is_observing: bool = False
    bans: Mapping[str, int] = field(default_factory=dict)
    """By detector; in mode `observe` those that there would have been."""
    in_force: int = 0
    """Bans in force at the end."""
    dropped: int | None = None
    """Packets of banned sources; None where nobody counts."""
    lifted: int = 0
    """How often operators lifted bans."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """What is not as on other days at the end, by detector."""
    attacked: tuple[Attacked, ...] = ()
    """The most tried first."""
    attacked_in_all: int = 0
    stale: tuple[Stale, ...] = ()
    doubtful: tuple[Doubtful, ...] = ()
    doubtful_in_all: int = 0
    quiet: tuple[Quiet, ...] = ()
    lines: int | None = None
    """Lines received; None where nobody counts."""
    read: int = 0
    """Of those, lines that may be about logins."""
    unknown: int = 0
    """Of those, lines that no rule knows."""
    is_partial: bool = False
    """Whether there is more evidence than was read, so that failures are too low."""
    faults: tuple[str, ...] = ()
    """What could not be found out, and why."""


def digest(day: Day, place: Place) -> Letter:
    """The day as a mail."""
    sections: list[str] = []
    for title, rows in (
        ("Not as on other days", _conditions(day)),
        ("Senders that are quiet", _quiet(day, place)),
        ("Accounts attacked most", _attacked(day)),
        ("Devices with an old password, not banned: call their owners", _stale(day, place)),
        ("Bans that may have hit the wrong one", _doubtful(day, place)),
        ("Could not be found out", [line for each in day.faults for line in wrapped(each, "  ", "    ")]),
    ):
        if rows:
            sections += ["", *heading(title), *rows]
    lines = [*_totals(day, place, is_quiet=not sections), *sections]
    return Letter(f"Daily digest: {_in_short(day)}", tuple(lines), (DIGEST,))


def _in_short(day: Day) -> str:
    """What the subject says: how many bans, and how much there is to look at."""
    number = sum(day.bans.values())
    said = [f"{_several(number, 'would-be ban' if day.is_observing else 'ban')}"]
    said += [_several(len(day.quiet), "quiet sender")] if day.quiet else []
    said += [_several(day.attacked_in_all, "account") + " attacked"] if day.attacked else []
    said += [_several(len(day.stale), "old password")] if day.stale else []
    said += [_several(day.doubtful_in_all, "doubtful ban")] if day.doubtful else []
    return ", ".join(said) if len(said) > 1 or number else "a quiet day"


def _totals(day: Day, place: Place, *, is_quiet: bool) -> list[str]:
    needs = "; nothing needs you" if is_quiet else ""
    lines = wrapped(f"The day until {place.moment(day.ends)} on gateway {place.host}{needs}.")
    facts = [("Observed" if day.is_observing else "Banned", _bans(day))]
    if day.dropped is not None and not day.is_observing:
        facts.append(("Dropped", f"{_several(day.dropped, 'packet')} of banned sources"))
    if day.lines is not None:
        facts.append(("Read", _read(day)))
    return [*lines, "", *(line for label, text in facts for line in wrapped(text, f"  {label:<10}", " " * 12))]


def _bans(day: Day) -> str:
    number = sum(day.bans.values())
    ranked = sorted(day.bans.items(), key=lambda each: (-each[1], each[0]))
    by = f" ({', '.join(f'{visible(detector)} {count:,}' for detector, count in ranked)})" if number else ""
    if day.is_observing:
        return f"{_several(number, 'source')} would have been banned{by}; nobody was"
    lifted = f"; people lifted bans {_times(day.lifted)}" if day.lifted else ""
    return (
        f"{_several(number, 'source')}{by}; {day.in_force:,} {'is' if day.in_force == 1 else 'are'} banned now{lifted}"
    )


def _read(day: Day) -> str:
    came = _several(day.lines or 0, "line")
    if not day.read:
        return f"{came}, none about logins"
    share = f"{100 * (day.read - day.unknown) / day.read:.1f} %" if day.unknown else "all"
    return f"{came}, {day.read:,} perhaps about logins, {share} recognised"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"


def _conditions(day: Day) -> list[str]:
    return [line for name, words in day.conditions.items() for line in wrapped(f"{name}: {words}", "  ", "    ")]


def _quiet(day: Day, place: Place) -> list[str]:
    lines: list[str] = []
    for each in day.quiet[:ROWS]:
        last = (
            "not heard since zward started"
            if each.last is None
            else f"last heard {place.short(each.last)}, {_ago(day.ends - each.last)} ago"
        )
        lines += wrapped(f"{each.sender}: {last}", "  ", "    ")
    return [*lines, *_beyond(len(day.quiet))]


def _attacked(day: Day) -> list[str]:
    most = day.attacked[:ROWS]
    width = min(40, max((len(shown(each.account)) for each in most), default=0))
    lines: list[str] = []
    for each in most:
        tries = f"{_several(each.failures, 'failure')} by {_several(each.strangers, 'stranger')}"
        siege = ", besieged" if each.is_besieged else ""
        lines += _row(f"{shown(each.account):<{width}}", f"{tries}{siege}")
        if each.budget:
            lines += wrapped(f"lockout budget used: {each.budget}", "    ", "      ")
    partial = wrapped("There were more: the newest lines are counted.", "  ") if day.is_partial else []
    return [*lines, *_beyond(day.attacked_in_all), *partial]


def _stale(day: Day, place: Place) -> list[str]:
    """By place, the place with most failures first: whoever goes there finds several."""
    places: dict[str, list[Stale]] = {}
    for each in day.stale[:ROWS]:
        places.setdefault(each.source, []).append(each)
    lines: list[str] = []
    for source, devices in places.items():
        people = devices[0].people
        who = f"{_several(people, 'account')} log{'s' * (people == 1)} in there"
        lines += wrapped(f"{source} ({who})", "  ", "    ")
        for each in devices:
            last = f", last {place.short(each.last)}" if day.ends - each.last > HOURS else ""
            since = f"{_several(each.failures, 'failure')} since {_weekday(each.since, place)}{last}"
            lines += _row(f"  {shown(each.account)} over {listed(each.protocols)}", since)
    return [*lines, *_beyond(len(day.stale))]


def _doubtful(day: Day, place: Place) -> list[str]:
    lines: list[str] = []
    for each in day.doubtful[:ROWS]:
        if each.lifted is not None:
            state = f"lifted {place.short(each.lifted)}"
        else:
            state = f"{'until' if each.until > day.ends else 'ended'} {place.short(each.until)}"
        lines += _row(each.source, f"{visible(each.detector)}, {place.short(each.since)}, {state}")
        for why in each.why:
            lines += wrapped(why, "    - ", "      ")
    open_still = [each.source for each in day.doubtful[:ROWS] if each.lifted is None and each.until > day.ends]
    ask = ["  Let one in:", f"    zward unban {open_still[0]}"] if open_still else []
    return [*lines, *_beyond(day.doubtful_in_all), *ask]


def _row(head: str, rest: str) -> list[str]:
    """Two parts in one line, or the second below the first."""
    line = f"  {head}  {rest}"
    return [line] if len(line) <= WIDTH else [f"  {head.rstrip()}", *wrapped(rest, "      ", "      ")]


def _beyond(number: int) -> list[str]:
    return [f"  and {number - ROWS:,} more"] if number > ROWS else []


def _several(number: int, one: str) -> str:
    return f"{number:,} {one}{'s' * (number != 1)}"


def _weekday(time: float, place: Place) -> str:
    """`Tue 17 Nov 14:02`."""
    return f"{place.weekday(time)} {place.short(time)}"


def _ago(seconds: float) -> str:
    """`3 d`, `9 h`, `12 min`."""
    for size, unit in ((DAYS, "d"), (HOURS, "h")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds) / MINUTES:.0f} min"


def next_digest(at: str, zone: tzinfo, now: float) -> float:
    """When `at`, such as `07:30`, comes next in a zone; once a day, also where the clocks are changed.

    A time that a day skips is taken an hour later, of one that a day has twice the first counts (PEP 495, fold=0).
    """
    hour, minute = map(int, at.split(":"))
    today = datetime.fromtimestamp(now, zone).replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    days = (today + timedelta(days=ahead) for ahead in range(-1, 3))  # by the calendar, not by 24 h
    return next(time for time in (day.timestamp() for day in days) if time > now)
