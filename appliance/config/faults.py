"""What is wrong with a configuration, said so that it can be put right: file, line, key, found, expected."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from pydantic_core import ErrorDetails

from appliance.config.positions import Path as KeyPath
from appliance.config.schema import described, keys, names

SHOWN = 80
"""Characters of a found value that a message shows: enough to find it, and one line stays one line."""

RENAMED: dict[str, str] = {}
"""What a key of an earlier version is called today, both dotted. Whoever renames one writes it here, so that an old
configuration is refused with the name to write; none was renamed so far."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    file: str
    line: int | None
    """Counted from 1; None where the fault has no place, such as a file that cannot be read."""
    key: str | None
    """Dotted, as in `detect.guessing.points`; None where the fault is not about a key."""
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(Exception):
    """The configuration cannot be used. Its text is every fault, one a line, in the order of the file."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line or 0))
        super().__init__("\n".join(map(str, self.faults)))


def fault(file: str, lines: Mapping[KeyPath, int], error: ErrorDetails) -> Fault:
    """Put one error of the schema into an operator's words."""
    path: KeyPath = error["loc"]
    context = error.get("ctx", {})
    if "key" in context:  # a check of a whole table blames one of its keys
        blamed = context["key"]
        path = (*path, *(blamed if isinstance(blamed, tuple) else [blamed]))
    return Fault(file, _line(lines, path), _dotted(path), _explained(path, error))


def _explained(path: KeyPath, error: ErrorDetails) -> str:
    found = show(error["input"])
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key; {_meant(path)}"
        case "value_error":
            return f"found {found}, expected {error['ctx']['error']}"
        case "enum" | "literal_error":
            choices = error["ctx"]["expected"].replace("'", '"')
            return f"found {found}, expected {choices}"
        case "missing":
            return f"found nothing, expected {described(_names(path))}"
        case "bool_type":
            return f"found {found}, expected true or false"
        case "model_type":
            return f"found {found}, expected a table"
        case "tuple_type" if isinstance(error["input"], dict):
            return f"found a table, expected tables that each begin with [[{_dotted(path)}]]"
        case "tuple_type":
            return f"found {found}, expected a list in [brackets]"
        case _:
            return error["msg"]


def _meant(path: KeyPath) -> str:
    """What the writer of an unknown key may have had in mind."""
    if today := RENAMED.get(_dotted(path)):
        return f"it is called {today} today"
    key = str(path[-1])
    known = names(_names(path[:-1]))
    if near := get_close_matches(key[:64], known, n=1):
        return f"did you mean {near[0]}?"
    if moved := [place for place in keys() if place[-1] == key]:
        return f"did you mean {_dotted(moved[0])}?"
    return f"known here: {', '.join(known)}"


def _line(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """The line of the key itself, or of the nearest thing around it that the file names."""
    ways = (path[:length] for length in range(len(path), 0, -1))
    return next((lines[way] for way in ways if way in lines), None)


def _dotted(path: KeyPath) -> str:
    """The key as an operator would write it; the number of an element is left to the line."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else show(part) for part in _names(path))


def _names(path: KeyPath) -> tuple[str, ...]:
    """Without the numbers of elements."""
    return tuple(part for part in path if isinstance(part, str))


def show(value: object) -> str:
    """A found value on one line of plain ASCII, whatever it holds."""
    match value:
        case str() | Path():
            return json.dumps(_clipped(str(value)))
        case bool():
            return str(value).lower()
        case int() if abs(value) >= 1 << 63:  # TOML's own limit; Python refuses to print far longer ones
            return "a number beyond 64 bits"
        case dict():
            return "a table"
        case list():
            shown = ("a list" if isinstance(element, list) else show(element) for element in value[:SHOWN])
            return _clipped(f"[{', '.join(shown)}]")
        case _:
            return str(value)


def _clipped(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
