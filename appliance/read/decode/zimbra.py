"""mailbox.log and audit.log: `date time,ms LEVEL [thread] [context] logger - message`.

The layout is the same in every version (zm-mailbox store-conf/conf/log4j.properties.production); over
zimbraLogToSyslog the date is missing. Three parts can hold client text:

* the context's values (`ua=`, `via=`, `oip=`, `soapId=`): semicolons in them are doubled, brackets are not
  (common ZimbraLog.encodeArg), so a context ends only at a `]` behind an odd run of semicolons;
* the thread of a web request: it holds the request URL, and X-Forwarded-Proto is copied into it as the scheme;
* the message.

A line that may have been cut lost its true end to client text that is long enough; then a forged context may be the
only one left. So on a web request's line of such a length no address is believed either.

A thread that is a URL must end in a token without spaces that holds `://`. Where more than one place of a
line could be that end, the client may have written one of them, and no address on the line is believed.
"""

import re
from datetime import tzinfo
from functools import lru_cache

from appliance.model import Message, Protocol
from appliance.read.decode.paths import protocol_of
from appliance.read.decode.reading import Decoded, Reading, unreadable
from appliance.read.origin import Origin, Trust
from appliance.read.times import epoch

_HEAD = re.compile(rb"(?:(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) )?(TRACE|DEBUG|INFO|WARN|ERROR|FATAL) {1,2}\[")
_PLAIN = re.compile(
    rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),(\d{3}) (TRACE|DEBUG|INFO|WARN|ERROR|FATAL) {1,2}"
    rb"\[([^\[\] ]*+)\] \[([^\[\]]*+)(?<=;)\] ([A-Za-z0-9_.$]{1,64}) - "
)
"""A line whose thread and context hold no bracket: nothing in them can be taken for the end of either."""
_CONTEXT_END = re.compile(rb"(?<!;)(;++)\] ([A-Za-z0-9_.$]{1,64}) - ")
_EMPTY_CONTEXT = re.compile(rb"\[()\] ([A-Za-z0-9_.$]{1,64}) - ")
_URL_TAIL = re.compile(rb"://[^ ]*\Z")
_AUTHORITY = re.compile(rb"//([^/\s]*)(/[^?\s]*)?")
_PORT = re.compile(rb":(\d{1,5})\Z")

_STAMP = "%Y-%m-%d %H:%M:%S"
_SEMICOLON = b";"[0]
_PAIR = b"\0\1\1\0"
"""Stands for a doubled semicolon while a context is split. A client that writes it gains a semicolon in a value."""

_SEAM_LIMIT = 64
"""Brackets that could begin a context and are looked at. A web line with more is made by hand: nobody is blamed."""

_READINGS = 4
"""Readings that are made of a line: two are enough to believe no address on it."""

_URLS = 4096
"""Request URLs whose protocol is remembered. An attacker can fill it, and gains 2 µs a line by that."""

_BY_PORT = {b"7073": Protocol.SMTP, b"7072": Protocol.UNKNOWN, b"7071": Protocol.ADMIN, b"9071": Protocol.ADMIN}
_BY_THREAD = ((b"Imap", Protocol.IMAP), (b"Pop3", Protocol.POP3), (b"Lmtp", Protocol.UNKNOWN))


def decode(message: Message, trust: Trust, zone: tzinfo) -> Decoded:
    """Split the line by structure, and find its client."""
    return _decode_plain(message, trust, zone) or _decode_carefully(message, trust, zone)


def _decode_plain(message: Message, trust: Trust, zone: tzinfo) -> Decoded | None:
    """What `_decode_carefully` says of a line that is beyond doubt, in a third of the time; None for any other.

    That is a line which is whole, with one place where a thread can end, and whose context doubles no semicolon.
    """
    text = message.text
    found = _PLAIN.match(text)
    if found is None or message.may_be_cut or text.find(b"] [", found.end()) >= 0:
        return None
    stamp, millis, level, thread, context, logger = found.groups()
    if b";;" in context:
        return None
    fields = b";" + context
    protocol, origin = _origin(thread, _value(fields, b";ip="), _value(fields, b";oip="), trust)
    seconds = epoch(stamp, _STAMP, zone)
    time = None if seconds is None else seconds + int(millis) / 1000
    if b"." in logger:
        logger = logger.rpartition(b".")[2]
    account = _value(fields, b";name=")
    return Decoded((Reading(text[found.end() :].rstrip(), logger, level, origin, account, protocol, time),))


def _value(fields: bytes, key: bytes) -> bytes | None:
    """What stands behind the first `;key=`, up to the next semicolon."""
    start = fields.find(key)
    if start < 0:
        return None
    start += len(key)
    return fields[start : fields.index(b";", start)]


def _decode_carefully(message: Message, trust: Trust, zone: tzinfo) -> Decoded:
    text = message.text
    head = _HEAD.match(text)
    if head is None:
        return unreadable("not a line of this log: no level and thread (a stack trace, or cut off)")
    start = head.end()
    seams = _seams(text, start)
    time = _time(head, zone)
    ends, is_certain = _thread_ends(text, start, seams, message.may_be_cut)
    readings = tuple(
        _reading(text[start:seam], text[seam + 3 : end.start(2) - 2], end, head[3], time, trust)
        for seam in ends[:_READINGS]
        if (end := _context_end(text, seam + 2))
    )
    if not readings:
        return unreadable(_why_unreadable(text, seams))
    if len(readings) > 1 or not is_certain:
        return Decoded(readings, "client text may imitate the line's structure: no address on it is believed", False)
    return Decoded(readings)


def _seams(text: bytes, start: int) -> list[int]:
    """Where `] [` stands, up to the limit."""
    seams: list[int] = []
    seam = text.find(b"] [", start)
    while seam >= 0 and len(seams) < _SEAM_LIMIT:
        seams.append(seam)
        seam = text.find(b"] [", seam + 1)
    return seams


def _context_end(text: bytes, bracket: int) -> re.Match[bytes] | None:
    """The end of the context that opens at `bracket`: `]` behind an odd run of semicolons, then a logger."""
    if empty := _EMPTY_CONTEXT.match(text, bracket):
        return empty
    first = text.find(b";] ", bracket)  # nearly always the end, and found 20 times as fast
    if first >= 0 and text[first - 1] != _SEMICOLON and (end := _CONTEXT_END.match(text, first)):
        return end
    return next((end for end in _CONTEXT_END.finditer(text, bracket) if len(end[1]) % 2), None)


def _thread_ends(text: bytes, start: int, seams: list[int], may_be_cut: bool) -> tuple[list[int], bool]:
    """Where the thread can end, and whether client text had no hand in it: only a web request's thread holds any."""
    if not seams:
        return [], True
    first = text[start : seams[0]]
    if not first.startswith(b"qtp") or b":" not in first:
        return seams[:1], True
    possible = [seam for seam in seams if _URL_TAIL.search(text, max(start, text.rfind(b" ", start, seam)), seam)]
    return possible or seams[:1], len(seams) < _SEAM_LIMIT and not may_be_cut


def _why_unreadable(text: bytes, seams: list[int]) -> str:
    if seams and text.find(b";", seams[0]) >= 0:
        return "truncated: the context is there, the message behind it is not"
    return "no context: cut off, or not a line of this log"


def _reading(
    thread: bytes, context: bytes, end: re.Match[bytes], level: bytes, time: float | None, trust: Trust
) -> Reading:
    fields = _fields(context)
    ip, oip = fields.get(b"ip"), fields.get(b"oip")
    protocol, origin = _origin(thread, ip, oip, trust)
    return Reading(
        text=end.string[end.end() :].rstrip(),
        logger=end[2].rpartition(b".")[2],
        level=level,
        origin=origin,
        account=fields.get(b"name"),
        protocol=protocol,
        time=time,
    )


def _fields(context: bytes) -> dict[bytes, bytes]:
    """`key=value;` pairs; a doubled semicolon is a literal one; the first occurrence of a key wins."""
    if b";;" in context:  # pairs are taken from the left: of `;;;` the last one ends the field
        parts = [part.replace(_PAIR, b";") for part in context.replace(b";;", _PAIR).split(b";")]
    else:
        parts = context.split(b";")
    fields: dict[bytes, bytes] = {}
    for part in parts:
        key, equals, value = part.partition(b"=")
        if equals:
            fields.setdefault(key, value)
    return fields


def _origin(thread: bytes, ip: bytes | None, oip: bytes | None, trust: Trust) -> tuple[Protocol, Origin]:
    if thread.startswith(b"qtp"):
        return _web_protocol(thread.partition(b":")[2]), trust.of_request(ip, oip)
    for prefix, protocol in _BY_THREAD:
        if thread.startswith(prefix):
            return protocol, trust.of_connection(ip, oip)
    return Protocol.UNKNOWN, trust.of_connection(ip, oip)


@lru_cache(maxsize=_URLS)
def _web_protocol(request: bytes) -> Protocol:
    """By port first: an SMTP password check is a request to the admin path on port 7073."""
    url = _AUTHORITY.search(request)
    if url is None:
        return Protocol.UNKNOWN
    if (port := _PORT.search(url[1])) and (protocol := _BY_PORT.get(port[1])):
        return protocol
    return protocol_of(url[2] or b"")


def _time(head: re.Match[bytes], zone: tzinfo) -> float | None:
    if head[1] is None:
        return None
    seconds = epoch(head[1], _STAMP, zone)
    return None if seconds is None else seconds + int(head[2]) / 1000
