"""Every key that tomllib knows has its line, whatever the text looks like."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.positions import Path, locate

NASTY = '''# [comment]
plain = 1
"quoted.key" . 'second part'.third = 2

[ table . "sub\\u0021" ]   # ] = [
string = "a ] } # \\" = ["
literal = 'a ] } # \\'
many = """
[no.table]
no_key = 1 \\""" ""\\"
"""""
single = \'\'\'
[no.table]\'\'\'\'\'
dates = [1979-05-27 07:32:00, 1979-05-27T00:32:00-07:00]
nested = [
    # a comment ]
    [1, 2], [
        3,
    ],
    { inner = { deep.er = [ "x,y" ] }, last = 'z' },
]
empty = [ ]
nothing = {}
[[list]]
name = 1
[list.below]
key = 2
[[list]]
name = 3
[[list.twice]]
x = 4
[[list.twice]]
x = 5\r
[ last ]
no_newline = +inf'''

EXPECTED: dict[Path, int] = {
    ("plain",): 2,
    ("quoted.key", "second part", "third"): 3,
    ("table", "sub!"): 5,
    ("table", "sub!", "string"): 6,
    ("table", "sub!", "literal"): 7,
    ("table", "sub!", "many"): 8,
    ("table", "sub!", "single"): 12,
    ("table", "sub!", "dates", 1): 14,
    ("table", "sub!", "nested", 0): 17,
    ("table", "sub!", "nested", 1, 0): 18,
    ("table", "sub!", "nested", 2, "inner", "deep", "er", 0): 20,
    ("table", "sub!", "nested", 2, "last"): 20,
    ("table", "sub!", "nothing"): 23,
    ("list", 0, "below", "key"): 27,
    ("list", 1): 28,
    ("list", 1, "name"): 29,
    ("list", 1, "twice", 0, "x"): 31,
    ("list", 1, "twice", 1, "x"): 33,
    ("last", "no_newline"): 35,
}


def paths(value: Any, here: Path = ()) -> Iterator[Path]:
    """Every key and every element that tomllib found."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in pairs:
        yield (*here, step)
        yield from paths(inner, (*here, step))


def test_a_nasty_text_has_every_key_on_its_line() -> None:
    lines = locate(NASTY)

    assert {path: lines.get(path) for path in EXPECTED} == EXPECTED
    assert set(lines) == set(paths(tomllib.loads(NASTY)))


# Texts whose every key has a name of its own, so that its line is where that name is first found.

scalars = st.sampled_from(
    [
        "1",
        "-2.5e3",
        "true",
        "1979-05-27 07:32:00",
        '"# ] } = \\" ["',
        "'# ] } = ['",
        '"""\n[x]\n""""',
        "'''\n] '''",
        '""',
    ]
)
spaces = st.sampled_from(["", " ", "\t"])
gaps = st.sampled_from(["", " ", "\n", " # ] }, [\n", "\r\n\t"])


@st.composite
def values(draw: st.DrawFn, names: Iterator[int], depth: int = 3) -> str:
    kind = draw(st.sampled_from(["scalar", "array", "table"])) if depth else "scalar"
    if kind == "scalar":
        return draw(scalars)
    count = draw(st.integers(0, 3))
    if kind == "array":
        parts = [draw(gaps) + draw(values(names, depth - 1)) + draw(gaps) for _ in range(count)]
        return "[" + ",".join(parts) + (draw(st.sampled_from(["", ","])) if parts else draw(gaps)) + "]"
    return "{" + ", ".join(draw(pairs(names, depth - 1)) for _ in range(count)) + "}"


@st.composite
def keys(draw: st.DrawFn, names: Iterator[int]) -> str:
    parts = [
        draw(st.sampled_from(["k{}q", '"k{}q"', "'k{}q'"])).format(next(names)) for _ in range(draw(st.integers(1, 3)))
    ]
    return (draw(spaces) + "." + draw(spaces)).join(parts)


@st.composite
def pairs(draw: st.DrawFn, names: Iterator[int], depth: int = 3) -> str:
    return f"{draw(keys(names))}{draw(spaces)}={draw(spaces)}{draw(values(names, depth))}{draw(spaces)}"


@st.composite
def texts(draw: st.DrawFn) -> str:
    names = iter(range(10_000))
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 6))):
        match draw(st.sampled_from(["pair", "pair", "table", "tables", "comment"])):
            case "pair":
                lines.append(draw(spaces) + draw(pairs(names)))
            case "table":
                lines.append(f"[{draw(spaces)}{draw(keys(names))}{draw(spaces)}] # ]")
            case "tables":
                key = draw(keys(names))
                lines += [f"[[ {key} ]]", draw(pairs(names)), f"[[{key}]]", f"[{key}.{draw(keys(names))}]"]
            case "comment":
                lines.append("# [k] = 1")
    return draw(st.sampled_from(["\n", "\r\n", "\n\n"])).join(lines)


@settings(deadline=None)
@given(texts())
def test_every_key_that_tomllib_knows_is_on_the_line_that_names_it(text: str) -> None:
    lines = locate(text)

    assert set(lines) == set(paths(tomllib.loads(text)))
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert line == text.count("\n", 0, text.index(path[-1])) + 1


@settings(deadline=None)
@given(st.text(alphabet="[]{}=.,#'\"\\ \nab1"))
def test_no_text_keeps_the_scanner_from_coming_to_an_end(text: str) -> None:
    try:
        known = set(paths(tomllib.loads(text)))
    except tomllib.TOMLDecodeError:
        known = set()

    assert known <= set(locate(text))


@pytest.mark.parametrize(
    "text", ['"\\1"', "[" * 300 + "a", "a = " + "[" * 200, 'a = """', "'", "= 1", "a.b.", "[[a]", "a = {b = 1"]
)
def test_what_is_no_toml_has_lines_all_the_same(text: str) -> None:
    assert set(locate(text).values()) <= {1}
