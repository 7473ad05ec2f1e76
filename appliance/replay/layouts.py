"""What kind of line a file holds at some place: with a syslog header, or bare as the program wrote it.

A bare line is given the header that a forwarding host would have put before it, so that one reader reads both.
Whoever can write whole lines into mailbox.log or nginx.log could write some with a header, and pass for audit.log.
So a file whose name or whose first line says that it is bare stays bare: a header in it is client text.
"""

import re
from collections.abc import Iterable
from datetime import tzinfo
from typing import NamedTuple

from appliance.read.stamps import ISO, YEARLESS
from appliance.read.times import epoch

HEADED = re.compile(
    rb"(?:<[0-9]{1,3}>(?:1 )?)?(" + YEARLESS + rb"|" + ISO + rb") ([^\0- ]{1,255}) ([^\0- :\[\]]{1,128})"
    rb"(?:\[[^\0- \[\]]{1,128}\])?:? ?"
)
"""Time, host and tag of a line with a header; what follows is the text, or for RFC 5424 what stands before it."""

_DATED = re.compile(rb"([0-9]{4}([-/])[0-9]{2}[-/][0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})(?:[,.]([0-9]{3}))?([ :])")
_ACCESS = re.compile(
    rb"[0-9A-Fa-f:.\[\]]{2,60}:[0-9]{1,5} - .{1,1024}? "
    rb"\[([0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4})\] "
)
_STAMP_BEGINS = frozenset(bytes((byte,)) for byte in b"0123456789abcdefABCDEF:.[")
"""What a date or an address begins with."""
_LOG4J = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8},[0-9]{3} [A-Z]{4,5} {1,2}\[")
_SECURITY = re.compile(rb"[;\[]\] (?:[A-Za-z0-9_$]{1,64}\.)*security - ")

AUDIT, MAILBOX, NGINX, ACCESS, OUT = (
    "zimbra-audit",
    "zimbra-mailbox",
    "zimbra-nginx",
    "zimbra-nginx-access",
    "zimbra-out",
)

_NAMED = (
    (re.compile(r"(?<![a-z])audit(?![a-z])"), AUDIT),
    (re.compile(r"(?<![a-z])mailbox(?![a-z])"), MAILBOX),
    (re.compile(r"nginx[._-]access"), ACCESS),
    (re.compile(r"(?<![a-z])nginx(?![a-z])"), NGINX),
    (re.compile(r"zmmailboxd"), OUT),
)
"""What a file's name says of the program that wrote it; the first that fits."""


class Stamp(NamedTuple):
    """The time that a program wrote into its own line."""

    time: float | None
    kind: str
    """The program of a bare line that begins so; of log4j's layout any of the two."""


def program_by_name(stem: str) -> str | None:
    return next((program for pattern, program in _NAMED if pattern.search(stem)), None)


def own_stamp(line: bytes, start: int, zone: tzinfo) -> Stamp | None:
    """The time with which the text at `start` begins, in the layout of one of Zimbra's logs; None if in no such."""
    if line[start : start + 1] not in _STAMP_BEGINS:  # most lines that are asked about: a tenth of the time
        return None
    if found := _DATED.match(line, start):
        stamp, dash, millis, behind = found.groups()
        layout = "%Y-%m-%d %H:%M:%S" if dash == b"-" else "%Y/%m/%d %H:%M:%S"
        seconds = epoch(stamp, layout, zone)
        time = None if seconds is None else seconds + int(millis or b"0") / 1000
        return Stamp(time, NGINX if dash == b"/" else OUT if behind == b":" else MAILBOX)
    if found := _ACCESS.match(line, start):
        return Stamp(epoch(found[1], "%d/%b/%Y:%H:%M:%S %z", zone), ACCESS)
    return None


def log4j_program(lines: Iterable[bytes]) -> str:
    """Whose log it is that begins so: audit.log holds lines of the logger `security` only."""
    dated = [line for line in lines if _LOG4J.match(line)]
    return AUDIT if dated and all(_SECURITY.search(line) for line in dated) else MAILBOX


def header(host: str, program: str) -> bytes:
    """An RFC 5424 header without a time: the line has its own."""
    return f"<134>1 - {host} {program} - - - ".encode()
