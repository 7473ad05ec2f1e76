"""Whether we act before Zimbra does: before it locks an account, and before it turns a source away from HTTP.

Counted in raw failures of one stranger at one account. A wrong password at an account that exists is one point, so
`guessing.points` failures ban; failures at names that do not exist lock nothing. A campaign can only lower that number.
"""

from collections.abc import Iterator
from math import ceil

from appliance.config.durations import in_words
from appliance.config.schema import Config
from appliance.judge.detector import DetectorMode
from appliance.model import Mode

MAX_FAILURES = "zimbra.lockout.max_failures"
TENTHS = 7
"""How many tenths of the lockout's limit a stranger stays below; the rest is for the owner's own typing errors."""


def warnings(config: Config) -> Iterator[str]:
    """What lets Zimbra act first, each with the number to change, and to what."""
    guesses, besieges = (each.mode is not DetectorMode.OFF for each in (config.detect.guessing, config.detect.siege))
    if guesses:
        yield from _filters(config)
    if not config.zimbra.lockout.max_failures:
        return
    if guesses:
        yield from _guessing(config)
    if besieges:
        yield from _siege(config)
    elif guesses:
        yield (
            'detect.siege.mode: "off": many strangers with a try each can make Zimbra lock an account, and no number '
            'of guessing\'s changes that; set it to "enforce"'
        )


def acts(config: Config) -> str:
    """One line for `zward check`: at how many failures we act, and which of Zimbra's own limits come after that."""
    guessing = config.detect.guessing
    limits = [*_limits(config)]
    if guessing.mode is not DetectorMode.ENFORCE:
        limits = [(name, False) for name, _ in limits]
        text = f"does not act on guessing, which is in mode {guessing.mode}"
    elif config.mode is Mode.OBSERVE:
        text = f'would act, with mode = "enforce", at {guessing.points} failures of one stranger'
    else:
        text = f"acts at {guessing.points} failures of one stranger"
    told = [
        f"{word} Zimbra's {' and '.join(names)}"
        for word, sure in (("before", True), ("not surely before", False))
        if (names := [name for name, is_sure in limits if is_sure is sure])
    ]
    return f"{text}: {', '.join(told) or 'Zimbra itself locks no account and turns nobody away'}"


def _limits(config: Config) -> Iterator[tuple[str, bool]]:
    """Zimbra's own limits, and whether guessing surely bans a stranger before each."""
    lockout, filtered = config.zimbra.lockout, config.zimbra.dosfilter
    if lockout.max_failures:
        yield f"lockout ({lockout.max_failures} in {in_words(lockout.within)})", not any(_guessing(config))
    if most := filtered.max_failed_logins:
        yield f"invalid-login filter ({most})", config.detect.guessing.points <= most


def _guessing(config: Config) -> Iterator[str]:
    points, within = config.detect.guessing.points, config.detect.guessing.within
    lockout = config.zimbra.lockout
    if is_late := 10 * points >= TENTHS * lockout.max_failures:
        yield (
            f"detect.guessing.points: {points} is not less than 0.{TENTHS} × {MAX_FAILURES} ({lockout.max_failures}): "
            "Zimbra may lock an account before the source that tries it is banned; "
            + _advice((TENTHS * lockout.max_failures - 1) // 10, MAX_FAILURES, 10 * points // TENTHS + 1)
        )
    if within < lockout.within / 2:
        yield _short_window("guessing", within, lockout.within)
    elif not is_late and (patient := _patient(config)) >= lockout.max_failures:
        yield (
            f"detect.guessing.within: {in_words(within)}: who fails {points - 1} times, waits that long and goes on "
            f"makes up to {patient} failures in zimbra.lockout.within ({in_words(lockout.within)}) unbanned, and "
            f"{lockout.max_failures} lock an account; set it to {in_words(ceil(lockout.within))} at least"
        )


def _patient(config: Config) -> int:
    """The most failures in the lockout's window of a stranger who always stops one short of a ban, and waits."""
    guessing, slow = config.detect.guessing, config.detect.slow_guessing
    counts = [(guessing.points, guessing.within)]
    if slow.mode is not DetectorMode.OFF:
        counts.append((slow.points, slow.within))
    return min((points - 1) * ceil(config.zimbra.lockout.within / within) for points, within in counts)


def _siege(config: Config) -> Iterator[str]:
    """A siege begins when half of the lockout's budget is used at the latest; the rest has to be enough for it."""
    siege, lockout, points = config.detect.siege, config.zimbra.lockout, config.detect.guessing.points
    left = lockout.max_failures // 2
    if siege.tries >= left:
        yield (
            f"detect.siege.tries: {siege.tries}: a siege may begin with {left} of {MAX_FAILURES} "
            f"({lockout.max_failures}) left, and one more stranger could use them up; "
            + _advice(left - 1, MAX_FAILURES, 2 * siege.tries + 2)
        )
    elif config.detect.guessing.mode is not DetectorMode.OFF and siege.tries >= points > 1:
        yield (
            f"detect.siege.tries: {siege.tries} is not less than detect.guessing.points ({points}): a siege would let "
            f"a stranger try as often as without it; set it to {points - 1} at most"
        )
    if siege.within < lockout.within / 2:
        yield _short_window("siege", siege.within, lockout.within)


def _short_window(detector: str, within: float, lockout: float) -> str:
    return (
        f"detect.{detector}.within: {in_words(within)} is less than half of zimbra.lockout.within "
        f"({in_words(lockout)}): who waits a little can make Zimbra lock an account unbanned; "
        f"set it to {in_words(ceil(lockout / 2))} at least"
    )


def _filters(config: Config) -> Iterator[str]:
    points, filtered = config.detect.guessing.points, config.zimbra.dosfilter
    if (most := filtered.max_failed_logins) and points > most:
        yield (
            f"detect.guessing.points: {points} is more than zimbra.dosfilter.max_failed_logins ({most}): Zimbra's "
            "invalid-login filter turns the source away from the web first; "
            + _advice(most, "zimbra.dosfilter.max_failed_logins", points)
        )
    if (most := filtered.requests_per_second) and points > most:
        yield (
            f"detect.guessing.points: {points} is more than zimbra.dosfilter.requests_per_second ({most}): Zimbra's "
            "DoSFilter slows the source down first; " + _advice(most, "zimbra.dosfilter.requests_per_second", points)
        )


def _advice(most: int, key: str, least: int) -> str:
    """Which number to change, and to what; Zimbra's is set in Zimbra, and told here."""
    zimbra = f"{key}, here and in Zimbra, to {least} at least"
    return f"set it to {most} at most, or {zimbra}" if most else f"set {zimbra}"
