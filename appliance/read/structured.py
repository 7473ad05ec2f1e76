"""STRUCTURED-DATA of RFC 5424 (6.3): `[exampleSDID@32473 iut="3" eventSource="App"]`."""

import re
from collections.abc import Mapping

PARAMETER_LIMIT = 256
"""Parameters of one message. Real senders write a dozen; a frame of 64 KiB could hold 13,000."""

_VALUE = rb'"((?:[^"\\]|\\.)*)"'  # `\"` does not end it; every alternative begins differently: linear time
_NAME = rb"[!#-<>-\\^-~]{1,255}"  # RFC 5424 allows 32; few senders keep to it and little harm is done
_PARAMETER = re.compile(rb" (%s)=%s" % (_NAME, _VALUE), re.DOTALL)
_ELEMENT_BEGUN = re.compile(rb"\[(%s)" % _NAME)
_ESCAPED = re.compile(rb'\\(["\\\]])')

StructuredData = Mapping[str, Mapping[str, list[str]]]
_NONE: StructuredData = {}


def read_structured(frame: bytes, at: int) -> tuple[StructuredData, int] | None:
    """Read the structured data that begins at `at`, and where it ends; None if it is malformed.

    `-` is none. An identifier that comes twice, which RFC 5424 6.3.2 forbids its senders, adds to the first.
    A value in quotes ends at its quote: an unescaped `]` in it is taken as it stands.
    """
    if frame.startswith(b"-", at):
        return _NONE, at + 1
    elements: dict[str, dict[str, list[str]]] = {}
    seen = 0
    begin = at
    while begun := _ELEMENT_BEGUN.match(frame, begin):
        element = elements.setdefault(begun[1].decode("ascii"), {})
        begin = begun.end()
        while found := _PARAMETER.match(frame, begin):
            seen += 1
            if seen > PARAMETER_LIMIT:
                return None
            element.setdefault(found[1].decode("ascii"), []).append(_unescaped(found[2]))
            begin = found.end()
        if not frame.startswith(b"]", begin):
            return None
        begin += 1
    return (elements, begin) if elements else None


def _unescaped(value: bytes) -> str:
    r"""RFC 5424 6.3.3: `\"`, `\\` and `\]` stand for themselves; any other backslash is a backslash."""
    return (_ESCAPED.sub(rb"\1", value) if b"\\" in value else value).decode("utf-8", "backslashreplace")
