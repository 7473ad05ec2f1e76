"""TOML text is read back as what was written, whatever that is."""

import math
import tomllib
from datetime import date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.setup.toml import document, dotted, statement, string, value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
PLAIN = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.dates()
    | st.times()
    | st.datetimes()
)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
TABLES = st.dictionaries(TEXTS, VALUES | st.lists(st.dictionaries(TEXTS, PLAIN, min_size=1), max_size=3), max_size=5)


@given(VALUES)
def test_a_value_is_read_back_as_it_was(found):
    assert tomllib.loads(f"x = {value(found)}") == {"x": found}


@given(TABLES)
def test_a_document_is_read_back_as_it_was(tables):
    assert tomllib.loads(document(tables)) == tables


@given(TEXTS, TEXTS)
def test_a_string_is_one_line_of_printable_ascii(name, text):
    line = statement(name, text)

    assert line.isascii()
    assert line.isprintable()


@pytest.mark.parametrize(
    "hostile", ['"', "\\", '"]\nmode = "enforce"\n', "'''", '"""', "\r\n[gateway]", "\x00", "\u2028"]
)
def test_no_text_breaks_out_of_its_string(hostile):
    assert tomllib.loads(f"x = {string(hostile)}\ny = 1") == {"x": hostile, "y": 1}


def test_what_is_no_value_is_refused():
    with pytest.raises(ValueError, match="no value of TOML"):
        value(object())
    with pytest.raises(ValueError):
        string("\ud800")


def test_a_long_list_has_lines_of_its_own():
    line = statement("hosts", [f"192.0.2.{number}" for number in range(9)] + ["x" * 100])

    assert line.splitlines() == [
        "hosts = [",
        '    "192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4",',
        '    "192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8",',
        f'    "{"x" * 100}",',
        "]",
    ]
    assert statement("hosts", ["192.0.2.1"]) == 'hosts = ["192.0.2.1"]'


def test_numbers_dates_and_keys_are_written_as_toml_has_them():
    assert value([True, 1.5, math.inf, date(2026, 1, 2)]) == "[true, 1.5, inf, 2026-01-02]"
    assert value({"a b": time(7, 30), "c": datetime(2026, 1, 2, 3)}) == '{ "a b" = 07:30:00, c = 2026-01-02T03:00:00 }'
    assert dotted(("detect", "slow-guessing", "a.b")) == 'detect.slow-guessing."a.b"'
