"""Values as TOML 1.0 text. Whatever a string holds, it stays one string on one line of plain ASCII."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time

Value = object
"""What `tomllib` makes: a string, number, truth value, date, list or table."""
Key = tuple[str, ...]
"""The names of tables and a key from the outside in."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
WIDTH = 78
"""Columns of a line, so that a console of 80 shows it with a sign before it."""


def key(name: str) -> str:
    """A key, quoted where it must be."""
    return name if _BARE.fullmatch(name) else string(name)


def string(text: str) -> str:
    r"""A basic string; what is no printable ASCII is written as `\u….` or `\U….`. Raises ValueError for a surrogate.

    A lone surrogate is no character and cannot be written in TOML at all.
    """
    text.encode("utf-8")
    return '"' + "".join(map(_letter, text)) + '"'


def _letter(letter: str) -> str:
    if letter in '"\\':
        return f"\\{letter}"
    if " " <= letter <= "~":
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def value(found: Value) -> str:
    """Any value on one line. Raises ValueError for what TOML does not know."""
    match found:
        case str():
            return string(found)
        case bool():
            return str(found).lower()
        case int() | float():
            return repr(found)  # `inf` and `nan` are TOML's words as well
        case datetime() | date() | time():
            return found.isoformat()
        case list():
            return f"[{', '.join(map(value, found))}]"
        case Mapping():
            inside = ", ".join(f"{key(name)} = {value(each)}" for name, each in found.items())
            return f"{{ {inside} }}" if inside else "{}"
    raise ValueError(f"no value of TOML: {found!r:.40}")


def statement(name: str, found: Value) -> str:
    """`key = value`; a list too long for a line has lines of its own."""
    line = f"{key(name)} = {value(found)}"
    if len(line) <= WIDTH or not isinstance(found, list):
        return line
    return "\n".join([f"{key(name)} = [", *_rows(f"{value(each)}," for each in found), "]"])


def _rows(pieces: Iterable[str]) -> Iterator[str]:
    """As many pieces as fit on each line; a longer one has its own."""
    row = ""
    for piece in pieces:
        if row and len(row) + len(piece) >= WIDTH:
            yield row
            row = ""
        row = f"{row} {piece}" if row else f"    {piece}"
    if row:
        yield row


def document(tables: Mapping[str, Value]) -> str:
    """A whole text, without any comment."""
    return "\n".join(_table((), tables)).strip("\n") + "\n"


def _table(path: Key, table: Mapping[str, Value]) -> Iterator[str]:
    """First the values, then the tables inside: they end what belongs to this one."""
    inner = {name: found for name, found in table.items() if isinstance(found, Mapping) or _is_tables(found)}
    if path and (len(inner) < len(table) or not table):
        yield f"\n[{dotted(path)}]"
    yield from (statement(name, found) for name, found in table.items() if name not in inner)
    for name, found in inner.items():
        if isinstance(found, Mapping):
            yield from _table((*path, name), found)
        elif isinstance(found, list):
            for each in found:
                yield f"\n[[{dotted((*path, name))}]]"
                yield from (statement(part, one) for part, one in each.items())


def _is_tables(found: Value) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(each, Mapping) for each in found)


def dotted(path: Key) -> str:
    return ".".join(map(key, path))
