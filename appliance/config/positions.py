"""On which line each key of a TOML text stands: `tomllib` reads the values and forgets the places.

The scanner follows the grammar of TOML 1.0 only as far as it must to find keys, and is meant for texts that
`tomllib` has accepted. Whatever it is given, it moves forward with each step, and it does not judge.
"""

import re
import tomllib
from bisect import bisect_left

Path = tuple[str | int, ...]
"""The names of tables and keys from the outside in; whole numbers count elements of arrays from 0."""

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)+")
_BLANK = re.compile(r"[ \t]+")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'''
      """(?:[^\\]|\\.)*?"""(?:"{0,2})         # one or two quotes may touch the closing ones
    | \'\'\'.*?\'\'\'(?:'{0,2})
    | "(?:[^"\\\n]|\\.)*"
    | '[^'\n]*'
    ''',
    re.DOTALL | re.VERBOSE,
)
_BARE = re.compile(r"[^,\]}#\n]+")


def locate(text: str) -> dict[Path, int]:
    """The line, counted from 1, where each table, key and element of an array is first named."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.lines


class _Scanner:
    """One pass over one text."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._newlines = [place for place, letter in enumerate(text) if letter == "\n"]
        self._tables: dict[Path, int] = {}
        """How many elements each array of tables has so far."""

    def document(self) -> None:
        table: Path = ()
        while self._skip(_SPACE):
            if self._take("[["):
                table = self._header(appends=True)
            elif self._take("["):
                table = self._header(appends=False)
            else:
                start = self._at
                self._pair(table)
                self._leave(start)

    def _header(self, appends: bool) -> Path:
        """Read `a.b]` or `a.b]]`; a name of an array of tables means the array's last element."""
        start = self._at
        parts = self._key()
        path: Path = ()
        for depth, part in enumerate(parts, start=1):
            path = (*path, part)
            self._note(path, start)
            if appends and depth == len(parts):
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
                self._note(path, start)
        self._take("]]" if appends else "]")
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path, start)
        self._skip(_BLANK)
        self._take("=")
        self._skip(_BLANK)
        self._value(path)

    def _key(self) -> list[str]:
        parts = []
        self._skip(_BLANK)
        while found := _PART.match(self._text, self._at):
            self._at = found.end()
            parts.append(_name(found[0]))
            self._skip(_BLANK)
            if not self._take("."):
                break
            self._skip(_BLANK)
        return parts

    def _value(self, path: Path) -> None:
        if self._take("["):
            self._array(path)
        elif self._take("{"):
            self._inline_table(path)
        elif found := _STRING.match(self._text, self._at) or _BARE.match(self._text, self._at):
            self._at = found.end()

    def _array(self, path: Path) -> None:
        index = 0
        while self._skip(_SPACE) and not self._take("]"):
            start = self._at
            self._note((*path, index), start)
            self._value((*path, index))
            self._skip(_SPACE)
            self._take(",")
            self._leave(start)
            index += 1

    def _inline_table(self, path: Path) -> None:
        while self._skip(_SPACE) and not self._take("}"):
            start = self._at
            self._pair(path)
            self._skip(_SPACE)
            self._take(",")
            self._leave(start)

    def _leave(self, start: int) -> None:
        """Move on even where nothing that TOML knows stands at `start`."""
        if self._at == start:
            self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Step over what the pattern matches here; whether any text is left."""
        if found := pattern.match(self._text, self._at):
            self._at = found.end()
        return self._at < len(self._text)

    def _take(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _note(self, path: Path, place: int) -> None:
        self.lines.setdefault(path, bisect_left(self._newlines, place) + 1)


def _name(part: str) -> str:
    """A part of a key without its quotes."""
    if part[0] == "'":
        return part[1:-1]
    if part[0] == '"':
        try:
            return str(tomllib.loads(f"name = {part}")["name"])
        except tomllib.TOMLDecodeError:  # an escape that is none: then the whole text is no TOML
            return part[1:-1]
    return part
