r"""What happens, as one line of syslog (RFC 5424) that no client's text can break.

`<85>1 2026-11-22T06:30:00.000000Z gw1 zward 812 BAN [zward@32473 detector="guessing" source="203.0.113.9" …] text`

Fields (SD-PARAMs) hold each fact exactly, in UTF-8 (6.3.3); the text behind them is for people. What does not print is
written `\u{1b}` everywhere. The text is ASCII: text in UTF-8 must begin with a byte order mark (6.4), and rsyslog takes
that mark for part of the text (rsyslog issue 284, still so in 8.2302), so that whoever puts an umlaut into an account
name could have changed how a line begins, which is what a SIEM's rules look at.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from appliance.judge.words import moment, visible
from appliance.model import Act, Banned, Noticed, Severity, Spared, Watched
from appliance.moments import iso
from appliance.notify.channel import Told

APP_NAME = "zward"

LINE_BYTES = 2048
"""What every receiver should take (RFC 5424 6.1), over UDP as well (RFC 5426 3.2)."""

_HOST_BYTES = 255  # RFC 5424 6.2.4
_FIELD_BYTES = 128
"""Of a field that holds a word of ours, an address or a time: far more than any of them has."""
_LONG: Mapping[str, int] = {"accounts": 640, "account": 512, "subject": 512, "reason": 512}
"""Bytes of fields that hold a client's or an operator's text, all of an ordinary account name (254 characters).

The longest line has 330 bytes of header and 1,350 of fields, so that 350 at least are left for the text.
"""

_CRITICAL, _WARNING, _NOTICE, _INFORMATIONAL = 2, 4, 5, 6
"""RFC 5424 6.2.1, table 2. A notice is "normal but significant", informational is what needs nobody."""

_OF_SEVERITY: Mapping[Severity, int] = {
    Severity.CRITICAL: _CRITICAL,
    Severity.WARNING: _WARNING,
    Severity.NOTICE: _NOTICE,
}

_UNSAFE_IN_HOST = re.compile(r"[^!-~]")
_BESIDE_ASCII = re.compile(r"[^ -~]")
_CUT_ESCAPE = re.compile(r"\\{1,2}u\{?[0-9a-f]{0,6}\Z")

_CUT = "…"
_CUT_ASCII = "..."


class Origin(NamedTuple):
    """Who speaks: what all lines of one gateway have in common."""

    host: str
    pid: int
    facility: int
    """RFC 5424 6.2.1, 0 to 23."""
    enterprise: int
    """The number behind the @ of the structured data (RFC 5424 6.3.2)."""


class _Said(NamedTuple):
    msgid: str
    severity: int
    text: str
    fields: tuple[tuple[str, str], ...]
    """In the order in which they are written."""


def line(what: Told, now: float, origin: Origin) -> bytes:
    """One line without an end of line, at most `LINE_BYTES` long; `now` in seconds since the epoch.

    What had to be cut ends in `…` (`...` in the text), and the field `cut` names it.
    """
    said = _said(what)
    cut: list[str] = []
    fields = [_field(name, value, cut) for name, value in said.fields]
    head = f"{_header(said, now, origin)} [zward@{origin.enterprise}{''.join(fields)}"
    text = _text(said.text, LINE_BYTES - len(f'{head} cut="{",".join((*cut, "text"))}"] '.encode()), cut)
    marked = f' cut="{",".join(cut)}"' if cut else ""
    return f"{head}{marked}] {text}".encode()


def _header(said: _Said, now: float, origin: Origin) -> str:
    time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    host = _UNSAFE_IN_HOST.sub("?", origin.host[:_HOST_BYTES]) or "-"
    return f"<{origin.facility * 8 + said.severity}>1 {time} {host} {APP_NAME} {origin.pid} {said.msgid}"


def _said(what: Told) -> _Said:
    match what:
        case Banned():
            return _banned(what)
        case Watched():
            return _would_ban(what)
        case Spared(source, detector, reason, cause):
            text = f"{source} spared ({cause}): {reason}"
            return _Said("SPARED", _INFORMATIONAL, text, _fields(detector=detector, source=source, cause=cause))
        case Noticed():
            return _noticed(what)
        case Act(_, who, act, subject, reason):
            # An operator's act is as it should be, and an auditor's first question: normal but significant.
            fields = _fields(who=who, what=act, subject=subject, reason=reason)
            return _Said("ACT", _NOTICE, f"{who}: {act} {subject}: {reason}", fields)


def _banned(what: Banned) -> _Said:
    ban = what.ban
    fields = _fields(
        detector=ban.detector,
        source=ban.net,
        scope=ban.scope,
        until=iso(ban.until),
        step=ban.step,
        accounts=_joined(what.accounts, _LONG["accounts"]) or None,
    )
    # A ban is zward at its work: normal but significant. What needs a person comes as a notice with a severity.
    text = f"{ban.net} banned ({ban.scope}) until {moment(ban.until)}: {ban.reason}"
    return _Said("BAN", _NOTICE, text, fields)


def _would_ban(what: Watched) -> _Said:
    text = f"{what.source or 'a source'} would be banned: {what.reason}"
    # As severe as a ban, so that what a SIEM makes of bans can be tried in mode `observe`.
    return _Said("WOULD_BAN", _NOTICE, text, _fields(detector=what.detector, source=what.source))


def _noticed(what: Noticed) -> _Said:
    fields = _fields(
        detector=what.detector,
        severity=what.severity,
        subject=what.subject,
        source=what.source,
        account=what.account,
    )
    if what.over:  # that something has ended wakes nobody, however bad it was
        return _Said("OVER", _NOTICE, what.reason, fields)
    return _Said("NOTICE", _OF_SEVERITY[what.severity], what.reason, fields)


def _fields(**values: object) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in values.items() if value is not None)


def _joined(names: Sequence[str], limit: int) -> str:
    """`a,b`, a comma in a name written as an escape; of more than `limit` characters enough that it is too long."""
    joined: list[str] = []
    room = limit + 1
    for name in names:
        shown = visible(name[:room]).replace(",", "\\u{2c}")
        joined.append(shown)
        room -= len(shown) + 1
        if room <= 0:
            break
    return ",".join(joined)


def _field(name: str, value: str, cut: list[str]) -> str:
    """` name="value"`; a value that is too long is cut, and its name added to `cut`."""
    limit = _LONG.get(name, _FIELD_BYTES)
    escaped = _value(value[: limit + 1])
    if len(escaped.encode()) > limit:
        escaped = _shortened(escaped, limit - len(_CUT.encode()))
        if (len(escaped) - len(escaped.rstrip("\\"))) % 2:
            escaped = escaped[:-1]  # half of an escape
        escaped += _CUT
        cut.append(name)
    return f' {name}="{escaped}"'


def _text(text: str, limit: int, cut: list[str]) -> str:
    escaped = _ascii(text[: limit + 1])
    if len(escaped) > limit:
        escaped = _shortened(escaped, limit - len(_CUT_ASCII)) + _CUT_ASCII
        cut.append("text")
    return escaped


def _value(text: str) -> str:
    """RFC 5424 6.3.3: a backslash before a backslash, `"` and `]`."""
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _ascii(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _BESIDE_ASCII.sub(_code, text.replace(_CUT, _CUT_ASCII))


def _code(found: re.Match[str]) -> str:
    return f"\\u{{{ord(found[0]):x}}}"


def _shortened(escaped: str, limit: int) -> str:
    """At most `limit` bytes of it, and no part of a letter or of its code."""
    return _CUT_ESCAPE.sub("", escaped.encode()[:limit].decode(errors="ignore"))
