"""A file of answers says what would be typed, or is told what is wrong with it."""

import re

import pytest

from appliance.setup.given import KEYS, texts
from appliance.setup.questions import Wrong


def test_lists_and_tables_are_what_would_be_typed():
    content = (
        'hosts = ["mbox1.example.org", "10.0.0.11"]\nproxies = []\n'
        'to = { web = "mbox1", smtp-in = "2" }\nadmin = "10.0.0.0/8"\n'
    )

    assert texts(content) == {
        "hosts": "mbox1.example.org 10.0.0.11",
        "proxies": "none",
        "to": "web=mbox1 smtp-in=2",
        "admin": "10.0.0.0/8",
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("hosts", "not TOML: "),
        ("x = " + "[" * 5000, "not TOML: "),
        ("hosst = 1", "hosst: unknown key; did you mean hosts?"),
        ("mode = 1", f"mode: unknown key; {', '.join(KEYS)}"),
        ("hosts = 1", "hosts: expected a string, a list of strings, or a table of strings"),
        ("hosts = [1]", "hosts: expected a string"),
        ("to = { web = 1 }", "to: expected a string"),
    ],
)
def test_what_is_wrong_is_said(content, says):
    with pytest.raises(Wrong, match="^" + re.escape(says)):
        texts(content)
