"""A few keys change; everything else stays as it was written."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.setup import edit
from appliance.setup.edit import Change, changed, edited

INSTALLED = (Path(__file__).parents[2] / "image/zward.toml").read_text()

TEXT = """\
# The top.

mode = "observe"      # a word # and another
[listen]
udp = [ # why "#" is here
    "0.0.0.0:514",    # ] a bracket
]
senders = ["192.0.2.1"]

# About Zimbra.
[zimbra]
hosts = []

[[gateway.publish]]
scope = "web"
[[gateway.publish]]
scope = "login"
"""


def test_without_a_change_not_one_byte_changes():
    for text in (TEXT, INSTALLED, TEXT.rstrip("\n"), ""):
        assert edited(text, [])[0].rstrip("\n") == text.rstrip("\n")
    assert edited(TEXT, [Change(("mode",), "observe"), Change(("zimbra", "hosts"), [])]) == (TEXT, True)


def test_a_key_changes_in_its_place_and_keeps_the_comment_behind_it():
    result, keeps = edited(TEXT, [Change(("mode",), "enforce"), Change(("listen", "udp"), ["[::]:514"])])

    assert keeps
    assert 'mode = "enforce"                  # a word # and another\n[listen]\n' in result
    assert 'udp = ["[::]:514"]                # why "#" is here\nsenders = ["192.0.2.1"]\n' in result


def test_a_comment_that_no_longer_fits_stands_above():
    result, _ = edited(f"x = 1 # {'word ' * 10}\n", [Change(("x",), "y" * 70)])

    assert result == f'# {("word " * 10).rstrip()}\nx = "{"y" * 70}"\n'


def test_a_new_key_stands_behind_the_last_one_of_its_table():
    result, _ = edited(TEXT, [Change(("listen", "tcp"), ["[::]:514"]), Change(("time_zone",), "UTC")])

    assert 'senders = ["192.0.2.1"]\ntcp = ["[::]:514"]\n\n# About Zimbra.\n[zimbra]\n' in result
    assert 'mode = "observe"      # a word # and another\ntime_zone = "UTC"\n[listen]\n' in result


def test_a_new_table_stands_at_the_end():
    assert (
        edited(TEXT, [Change(("allow", "networks"), ["192.0.2.9"])])[0]
        == f'{TEXT}\n[allow]\nnetworks = ["192.0.2.9"]\n'
    )


def test_a_table_goes_with_its_own_comments():
    result, keeps = edited(TEXT, [Change(("zimbra",), None), Change(("gateway",), None)])

    assert keeps
    assert result == TEXT.partition("# About Zimbra.")[0]


def test_tables_of_an_array_are_replaced_as_a_whole():
    result, keeps = edited(TEXT, [Change(("gateway", "publish"), [{"scope": "smtp-in", "to": ["192.0.2.1"]}])])

    assert keeps
    assert result.endswith('hosts = []\n\n\n[[gateway.publish]]\nscope = "smtp-in"\nto = ["192.0.2.1"]\n')
    assert result.count("[[gateway.publish]]") == 1


def test_a_table_too_long_for_a_line_has_a_header_and_is_short_again_where_it_fits():
    long = {f"mailbox-server-{number}": "192.0.2.1" for number in range(4)}

    result, keeps = edited(TEXT, [Change(("listen", "names"), long)])
    again, _ = edited(result, [Change(("listen", "names"), {"a": "192.0.2.1"})])

    assert keeps
    assert '\n\n[listen.names]\nmailbox-server-0 = "192.0.2.1"\n' in result
    assert 'senders = ["192.0.2.1"]\nnames = { a = "192.0.2.1" }\n' in again
    assert "[listen.names]" not in again


@pytest.mark.parametrize(
    "text",
    [
        "zimbra.hosts = []\n",
        'zimbra = { hosts = [], proxies = ["192.0.2.1"] }\n',
        '[zimbra]\nlockout.max_failures = 3\nhosts = """\n"""\n',
        "[zimbra.lockout]\nmax_failures = 3\n",
        '["zimbra"]\n"hosts" = []\n',
        "[ zimbra ]\r\nhosts = [\r\n]\r\n",
    ],
)
def test_however_a_table_is_written_the_outcome_means_what_was_asked(text):
    change = Change(("zimbra", "hosts"), ["192.0.2.7"])

    result, _ = edited(text, [change])

    assert tomllib.loads(result) == changed(tomllib.loads(text), [change])
    assert tomllib.loads(result)["zimbra"]["hosts"] == ["192.0.2.7"]


def test_what_cannot_be_edited_is_written_anew_and_said():
    assert edited("zimbra.hosts = [] # mine\n", [Change(("zimbra", "proxies"), [])]) == (
        "[zimbra]\nhosts = []\nproxies = []\n",
        False,
    )


def test_a_list_that_does_not_seem_to_end_is_not_read_for_ever(monkeypatch):
    monkeypatch.setattr(edit, "PARTS", 10)
    text = "x = [\n" + "1, # ]\n" * 50 + "]\n"

    result, keeps = edited(text, [Change(("y",), 1)])

    assert not keeps
    assert tomllib.loads(result) == {"x": [1] * 50, "y": 1}


def test_what_is_no_toml_and_what_cannot_be_a_table_is_refused():
    with pytest.raises(ValueError):
        edited("x = ", [])
    with pytest.raises(ValueError, match="listen is no table"):
        edited("listen = 1", [Change(("listen", "udp"), [])])


LINES = st.sampled_from(
    [
        *(
            "",
            "# a word",
            "  # [listen]",
            'mode = "enforce" # x',
            'time_zone = "UTC"',
            "[listen]",
            "[zimbra]",
            "[gateway]",
        ),
        *(
            "udp = [ # ]",
            '"192.0.2.1:1", # "',
            "]",
            'senders = ["::1"]',
            'x = """',
            '[zimbra]"""',
            "[[gateway.publish]]",
        ),
        *('scope = "web"', "[gateway.limits]", "y = { a = [1] }", "a.b = 1", "listen.tcp = []", "[a]\r", '"a b" = 1'),
    ]
)
KEYS = st.sampled_from(
    [("mode",), ("listen",), ("listen", "udp"), ("gateway",), ("gateway", "mode"), ("gateway", "publish"), ("a", "b")]
)


@given(st.lists(LINES, max_size=14), st.lists(st.builds(Change, KEYS, st.sampled_from([None, "x", ["y"]])), max_size=4))
def test_any_change_of_any_text_means_just_what_was_asked(lines, changes):
    text = "\n".join(lines)
    try:
        wanted = changed(tomllib.loads(text), changes)
    except ValueError:
        return

    assert tomllib.loads(edited(text, changes)[0]) == wanted
