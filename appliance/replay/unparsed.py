"""Lines that look like logins and that no rule knows: what a site writes that zward has not seen yet."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from appliance.judge.words import visible
from appliance.read.reader import Fact

SAMPLES = 5
"""Lines of different shape that are shown of each program."""

SHOWN = 200
"""Characters that are shown of a line."""

PROGRAMS = 200
"""Programs that are told apart; a tag is the sender's to choose."""

OTHERS = "others"

_MESSAGE = re.compile(rb"\] [A-Za-z0-9_.$]{1,64} - ")
_QUOTED = re.compile(rb"\[[^\[\]]*\]|<[^<>]*>|\"[^\"]*\"")
_WORD = re.compile(rb"[^ ;,=()]+")
_OF_A_VALUE = re.compile(rb"[@0-9]")


def shape_of(text: bytes) -> bytes:
    """A line's words without its values, so that lines of one kind are alike."""
    text = text[:1024]
    found = _MESSAGE.search(text)
    words = _WORD.sub(_without_value, _QUOTED.sub(b"[]", text[found.end() if found else 0 :]))
    return words[:SHOWN].strip()


def _without_value(found: re.Match[bytes]) -> bytes:
    word, start = found[0], found.start()
    is_value = _OF_A_VALUE.search(word) or (start and found.string[start - 1 : start] == b"=")
    return b"*" if is_value else word


@dataclass(slots=True)
class Unknown:
    """The unknown lines of one program."""

    lines: int = 0
    samples: dict[bytes, str] = field(default_factory=dict)
    """Shape → the first line of it, as it may be shown."""


class Unparsed:
    """Counts them by program."""

    def __init__(self, ignored: Iterable[bytes]) -> None:
        """`ignored` are the shapes of lines that rules say they leave alone."""
        self.programs: dict[str, Unknown] = {}
        self._ignored = frozenset(ignored)

    def add(self, fact: Fact) -> None:
        """A line that holds a word about logins, and is no event."""
        if not fact.is_readable and not fact.why.startswith("truncated"):
            return  # a stack trace's: no line of its own
        shape = shape_of(fact.message.text)
        if shape in self._ignored:
            return
        program = visible(fact.message.app or "(none named)")[:64]
        if program not in self.programs and len(self.programs) >= PROGRAMS:
            program = OTHERS
        unknown = self.programs.setdefault(program, Unknown())
        unknown.lines += 1
        if shape not in unknown.samples and len(unknown.samples) < SAMPLES:
            unknown.samples[shape] = visible(fact.message.text[: 2 * SHOWN].decode("utf-8", "replace"))[:SHOWN]
