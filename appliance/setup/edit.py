"""Changes a few keys of a TOML text and leaves everything else, comments too, as it stands.

Works on whole lines: what a piece of text means is asked of `tomllib`, and so is whether the outcome means just what
was wanted. Where it does not (a table written as dotted keys, say), the text is written anew from its values.
"""

import copy
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.setup.toml import WIDTH, Key, Value, document, dotted, statement

PARTS = 2000
"""How often `tomllib` is asked for the end of one value. Each time costs as much as the value is long; a list of the
most networks there may be, with a bracket in every comment, is the worst that a person could have written."""

LONGEST = 120
"""Columns of a value with its comment; beyond, the comment stands above it."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
"""TOML's lines; `splitlines` cuts at more than their ends."""


class Unreadable(Exception):
    """The lines cannot be told apart; the text may still be good TOML."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key that gets a value, or that goes where there is none. A value may be a list of tables, or a table."""

    key: Key
    value: Value | None


@dataclass(slots=True)
class _Section:
    """A table's header and what follows it, up to the next header."""

    path: Key = ()
    is_array: bool = False
    parts: list[tuple[str | None, str]] = field(default_factory=list)
    """The key that a piece of text sets, if it sets just one, and the piece: whole lines."""

    def put(self, name: str, text: str | None) -> None:
        """Put these lines in the place of a key's, behind the last key if it is new, or take the key away."""
        places = [number for number, (found, _) in enumerate(self.parts) if found == name]
        if places and text is None:
            del self.parts[places[0]]
        elif places and text is not None:
            self.parts[places[0]] = (name, text)
        elif text is not None:
            last = max((number for number, (found, _) in enumerate(self.parts) if found), default=None)
            self.parts.insert(self._head() if last is None else last + 1, (name, text))

    def _head(self) -> int:
        """Behind the header, or behind the words at the top of the file."""
        return 1 if self.path else len(self.parts)


def edited(text: str, changes: Sequence[Change]) -> tuple[str, bool]:
    """The text with these changes, and whether its comments are still there.

    Raises ValueError if it is no TOML, or a value cannot be written.
    """
    wanted = changed(tomllib.loads(text), changes)
    try:
        result = _by_lines(text, changes)
        if tomllib.loads(result) == wanted:
            return result, True
    except (Unreadable, tomllib.TOMLDecodeError):
        pass
    return document(wanted), False


def changed(tables: Mapping[str, Any], changes: Iterable[Change]) -> dict[str, Any]:
    """The values as they are after the changes. Raises ValueError where a table would have to be inside a value."""
    result: dict[str, Any] = copy.deepcopy(dict(tables))
    for change in changes:
        table = result
        for name in change.key[:-1]:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ValueError(f"{dotted(change.key[:-1])} is no table")
        if change.value is None:
            table.pop(change.key[-1], None)
        else:
            table[change.key[-1]] = change.value
    return result


def _by_lines(text: str, changes: Sequence[Change]) -> str:
    sections, tables = _sections(text), tomllib.loads(text)
    for change in changes:
        before, tables = tables, changed(tables, [change])
        if tables != before:
            _apply(sections, change)
    pieces = [piece for section in sections for _, piece in section.parts]
    return "".join(piece if piece.endswith("\n") else f"{piece}\n" for piece in pieces)


def _apply(sections: list[_Section], change: Change) -> None:
    path, name, found = change.key[:-1], change.key[-1], change.value
    sections[:] = [each for each in sections if not each.path or each.path[: len(change.key)] != change.key]
    if isinstance(found, list) and _is_tables(found):
        sections.extend(_section(change.key, table, is_array=True) for table in found)
        return
    section = next((each for each in sections if each.path == path and not each.is_array), None)
    if section is None and found is not None:
        section = _section(path, {}, is_array=False)
        sections.append(section)
    if section is None:
        return
    is_long = isinstance(found, Mapping) and len(statement(name, found)) > WIDTH
    if is_long and isinstance(found, Mapping):  # an inline table may not be broken into lines
        sections.insert(sections.index(section) + 1, _section(change.key, found, is_array=False))
    section.put(name, None if found is None or is_long else _line(section, name, found))


def _is_tables(found: Value) -> bool:
    return isinstance(found, list) and bool(found) and isinstance(found[0], Mapping)


def _section(path: Key, table: Mapping[str, Value], *, is_array: bool) -> _Section:
    header = f"\n[[{dotted(path)}]]\n" if is_array else f"\n[{dotted(path)}]\n"
    lines: list[tuple[str | None, str]] = [(name, statement(name, found) + "\n") for name, found in table.items()]
    return _Section(path, is_array, [(None, header), *lines])


def _line(section: _Section, name: str, found: Value) -> str:
    """The key's new lines, with the comment that stood behind it."""
    text = statement(name, found)
    comment = next((_comment(piece) for key, piece in section.parts if key == name), "")
    first, newline, rest = text.partition("\n")
    line = f"{first:<33} {comment}" if comment else first
    if len(line) > LONGEST:
        return f"{comment}\n{text}\n"
    return f"{line}{newline}{rest}\n"


def _comment(piece: str) -> str:
    """What stands behind a `#` of the first line that is no part of the value."""
    first, newline, rest = piece.partition("\n")
    meant = tomllib.loads(piece)
    at = first.find("#")
    while at >= 0:
        try:
            if tomllib.loads(first[:at] + newline + rest) == meant:
                return first[at:].rstrip()
        except tomllib.TOMLDecodeError:
            pass  # this one stands within a string
        at = first.find("#", at + 1)
    return ""


def _sections(text: str) -> list[_Section]:
    """The text in pieces: joined they are the text again. Raises Unreadable."""
    lines = _LINE.findall(text)
    sections, at = [_Section()], 0
    while at < len(lines):
        bare = lines[at].strip()
        if not bare or bare.startswith("#"):
            sections[-1].parts.append((None, lines[at]))
            at += 1
        elif bare.startswith("["):
            comments = _own_comments(sections[-1])
            sections.append(_headed(lines[at], comments))
            at += 1
        else:
            end, name = _end(lines, at)
            sections[-1].parts.append((name, "".join(lines[at:end])))
            at = end
    return sections


def _own_comments(section: _Section) -> str:
    """Comments right above a header are that table's: taken away from the section before."""
    taken: list[str] = []
    while section.parts and section.parts[-1][1].lstrip().startswith("#") and section.parts[-1][0] is None:
        taken.insert(0, section.parts.pop()[1])
    if section.path == () and not section.parts:  # the words at the top of the file
        section.parts = [(None, line) for line in taken]
        return ""
    return "".join(taken)


def _headed(line: str, comments: str) -> _Section:
    found: Any = tomllib.loads(line)
    path: list[str] = []
    while isinstance(found, dict) and found:
        [(name, found)] = found.items()
        path.append(name)
    return _Section(tuple(path), isinstance(found, list), [(None, comments + line)])


def _end(lines: Sequence[str], start: int) -> tuple[int, str | None]:
    """Behind which line the statement that begins here ends, and the one key that it sets."""
    tries = 0
    for end in range(start + 1, len(lines) + 1):
        if end > start + 1 and not any(sign in lines[end - 1] for sign in ("]", "}", '"""', "'''")):
            continue  # no value of several lines ends here
        tries += 1
        if tries > PARTS:
            break
        try:
            table = tomllib.loads("".join(lines[start:end]))
        except tomllib.TOMLDecodeError:
            continue
        return end, next(iter(table)) if len(table) == 1 else None
    raise Unreadable
