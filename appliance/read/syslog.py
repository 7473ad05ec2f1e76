"""A frame becomes a message: the headers that syslog senders write.

RFC 5424; RFC 3164 with all that passes under its name (RSYSLOG_TraditionalForwardFormat without a year,
RSYSLOG_ForwardFormat with an RFC 3339 time, Cisco, busybox without a host, a tag without a colon); no header
at all. Nothing here raises for any bytes, and every pattern is linear: its parts cannot match the same bytes
in two ways.
"""

import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from functools import lru_cache

from appliance.model import NO_DATA, Message
from appliance.read.stamps import ISO, YEARLESS, is_skewed, seconds, zoned_seconds
from appliance.read.structured import read_structured

REPEAT_LIMIT = 1000
"""How many events one line may stand for: rsyslog counts what really came, a forger counts as he likes."""

_USER_NOTICE = (1, 5)
"""PRI 13, of a message whose own PRI is missing or impossible (RFC 3164 4.3.3)."""
_PRI: Mapping[bytes, tuple[int, int]] = {b"%d" % pri: (pri >> 3, pri & 7) for pri in range(192)}

_TAG = rb"([^\0- :\[\]]{1,128})(?:\[([^\0- \[\]]{1,128})\])?"

_USUAL = re.compile(
    rb"<([0-9]{1,3})>"
    rb"([A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}|" + ISO + rb") "
    rb"(?!last message repeated |Message forwarded from )"
    rb"([^\0- :\[\]]{1,255}) "
    rb"(?!last message repeated )" + _TAG + rb"(?:: ?| )"
)
"""PRI, time, host, tag: what rsyslog forwards."""

_PRI_BEGUN = re.compile(rb"<([0-9]{1,3})>")
_VERSIONED = re.compile(rb"([1-9][0-9]{0,2}) (?:- |[0-9]{4}-)")
_RFC5424 = re.compile(rb"1 ([!-~]{1,64}) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) ")
_STAMP = re.compile(rb" ?(?:[0-9]{1,10}: )?[*.]?(%s|%s)(:?)(?: |\Z)" % (YEARLESS, ISO))
_TAG_ALONE = re.compile(_TAG + rb"(?:: |:?\Z|(?<=\]):? ?)")
_HOST_AND_TAG = re.compile(
    rb"(?:Message forwarded from ([^\0- :]{1,255}):|\[([0-9A-Fa-f:.]{2,45})\]|([^\0- ]{1,255})) (?:: )?"
    rb"(?:(?=last message repeated )|" + _TAG + rb"(?:: ?| |\Z))"
)
_HOST_ALONE = re.compile(rb"([^\0- :]{1,255}) ")
_REPEATED = re.compile(rb"message repeated ([1-9][0-9]{0,8}) times: \[ ?(.*)\]\Z", re.DOTALL)
_BOM = b"\xef\xbb\xbf"
_UNUSUAL_TEXT = (b"message repeated ", _BOM)

_CONTROL = re.compile(rb"[\0-\x08\x0b-\x1f\x7f]")


def parse(frame: bytes, now: float, zone: tzinfo = UTC) -> Message:
    """Read one frame. Never raises; what is wrong with it stands in `faults`.

    `now` is when it was received, in seconds since the epoch; `zone` is what a time without a zone means.
    """
    found = _USUAL.match(frame)
    if found is None:
        return _parse_unusual(frame, now, zone)
    pri, stamp, host, tag, pid = found.groups()
    priority = _PRI.get(pri)
    if priority is None:
        return Message(*_USER_NOTICE, None, None, None, None, frame, faults=("bad_pri",))
    time = seconds(stamp, now, zone)
    faults = _time_faults(time, now)
    text = frame[found.end() :]
    if text.startswith(_UNUSUAL_TEXT):
        return _message(priority, time, host, tag, pid, text, faults)
    facility, severity = priority
    process = None if pid is None else pid.decode("utf-8", "backslashreplace")
    return Message(facility, severity, time, _name(host), _name(tag), process, text, None, NO_DATA, faults)


def content_faults(frame: bytes) -> tuple[str, ...]:
    """What is odd about the bytes themselves: control characters (C0 without TAB and LF, DEL), not UTF-8."""
    faults: tuple[str, ...] = ("control_chars",) if _CONTROL.search(frame) else ()
    try:
        frame.decode("utf-8")
    except UnicodeDecodeError:
        faults += ("not_utf8",)
    return faults


def _parse_unusual(frame: bytes, now: float, zone: tzinfo) -> Message:
    begun = _PRI_BEGUN.match(frame)
    priority = _PRI.get(begun[1]) if begun else None
    if begun is None or priority is None:
        if frame.startswith(b"<"):
            return Message(*_USER_NOTICE, None, None, None, None, frame, faults=("bad_pri",))
        return _parse_3164(_USER_NOTICE, frame, now, zone, ("no_pri",))
    rest = frame[begun.end() :]
    version = _VERSIONED.match(rest)
    if version is None:
        return _parse_3164(priority, rest, now, zone, ())
    if version[1] != b"1":
        return Message(*priority, None, None, None, None, rest, faults=("unknown_version",))
    return _parse_5424(priority, rest, now)


def _parse_5424(priority: tuple[int, int], rest: bytes, now: float) -> Message:
    found = _RFC5424.match(rest)
    if found is None:
        return Message(*priority, None, None, None, None, rest, faults=("bad_header",))
    stamp, host, app, pid, msgid = (None if field == b"-" else field for field in found.groups())
    time = zoned_seconds(stamp) if stamp else None
    faults = _time_faults(time, now) if stamp else ()
    structured = read_structured(rest, found.end())
    elements, end = structured or ({}, found.end())
    if structured is None or rest[end : end + 1] not in (b"", b" "):
        elements, end, faults = {}, found.end() - 1, (*faults, "bad_sd")
    return _message(priority, time, host, app, pid, rest[end + 1 :], faults, _text(msgid), elements)


def _parse_3164(priority: tuple[int, int], rest: bytes, now: float, zone: tzinfo, faults: tuple[str, ...]) -> Message:
    stamped = _STAMP.match(rest)
    if stamped is None:
        return _message(priority, None, None, None, None, rest, faults or ("bad_header",))
    time = seconds(stamped[1], now, zone)
    faults += _time_faults(time, now)
    at = stamped.end()
    if found := _TAG_ALONE.match(rest, at):
        return _message(priority, time, None, found[1], found[2], rest[found.end() :], faults)
    if rest.startswith(b"last message repeated ", at) or at == len(rest):
        return _message(priority, time, None, None, None, rest[at:], faults)
    if stamped[2]:  # Cisco: a colon behind the time, and no host
        return _message(priority, time, None, None, None, rest[at:], (*faults, "bad_header"))
    if found := _HOST_AND_TAG.match(rest, at):
        host = found[1] or found[2] or found[3]
        return _message(priority, time, host, found[4], found[5], rest[found.end() :], faults)
    found = _HOST_ALONE.match(rest, at)
    host, text = (found[1], rest[found.end() :]) if found else (None, rest[at:])
    return _message(priority, time, host, None, None, text, (*faults, "bad_header"))


def _message(
    priority: tuple[int, int],
    time: float | None,
    host: bytes | None,
    app: bytes | None,
    pid: bytes | None,
    text: bytes,
    faults: tuple[str, ...],
    msgid: str | None = None,
    structured: Mapping[str, Mapping[str, list[str]]] | None = None,
) -> Message:
    if text.startswith(_BOM):
        text = text[3:]
    repeat = 1
    if text.startswith(b"message repeated ") and (repeated := _REPEATED.match(text)):
        repeat, text = min(int(repeated[1]), REPEAT_LIMIT), repeated[2]
    names = _text(host), _text(app), _text(pid)
    return Message(*priority, time, *names, text, msgid, structured or NO_DATA, faults, repeat)


def _time_faults(time: float | None, now: float) -> tuple[str, ...]:
    if time is None:
        return ("bad_timestamp",)
    return ("clock_skew",) if is_skewed(time, now) else ()


def _text(field: bytes | None) -> str | None:
    return None if field is None else field.decode("utf-8", "backslashreplace")


@lru_cache(maxsize=4096)  # hosts and tags: a handful, unless a sender makes them up
def _name(field: bytes) -> str:
    return field.decode("utf-8", "backslashreplace")
