"""Answers that are written beforehand: a TOML file with the questions' keys, for a setup that nobody watches."""

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from appliance.setup.questions import QUESTIONS, Wrong

KEYS = tuple(question.key for question in QUESTIONS)


def texts(content: str) -> dict[str, str]:
    """Key → what would be typed. Raises Wrong.

    A list is what would be typed with spaces between, a table what would be typed as `name=value`.
    """
    try:
        tables = tomllib.loads(content)
    except (ValueError, RecursionError) as fault:
        raise Wrong(f"not TOML: {fault}") from None
    for key in tables:
        if key not in KEYS:
            near = get_close_matches(key[:64], KEYS, n=1)
            raise Wrong(f"{key[:64]}: unknown key; {f'did you mean {near[0]}?' if near else ', '.join(KEYS)}")
    return {key: _text(key, found) for key, found in tables.items()}


def _text(key: str, found: object) -> str:
    match found:
        case str():
            return found
        case list() if all(isinstance(each, str) for each in found):
            return _joined(found)
        case Mapping() if all(isinstance(each, str) for each in found.values()):
            return _joined(f"{name}={each}" for name, each in found.items())
    raise Wrong(f"{key}: expected a string, a list of strings, or a table of strings")


def _joined(parts: Iterable[str]) -> str:
    return " ".join(parts) or "none"
