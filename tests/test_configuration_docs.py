"""docs/configuration.md and the installed example say what the program does."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config.checks import warnings
from appliance.config.load import load, parse
from appliance.config.lockout import acts
from appliance.config.schema import Config, keys

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "image" / "zward.toml"

ROWS = re.findall(r"^\| `([a-z_.-]+)` \| `(.+?)` \| (.+) \|$", PAGE, re.MULTILINE)
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_explains_every_key_once_in_the_order_of_the_schema() -> None:
    assert [key for key, _, _ in ROWS] == [".".join(key) for key in keys()]


def test_the_defaults_on_the_page_are_those_of_the_schema() -> None:
    named = [
        (key, default)
        for key, default, _ in ROWS
        if not key.startswith("gateway.") and default != "none" and not _is_channel(key)
    ]
    text = "\n".join(f"{key} = {default}" for key, default in named)

    assert parse(text, "docs/configuration.md") == Config()


def _is_channel(key: str) -> bool:
    return key.startswith("notify.") and key.count(".") == 2


@pytest.mark.parametrize("channel", ["email", "alertmanager", "webhook", "zmauditswatch", "siem"])
def test_the_defaults_of_a_channel_are_those_of_the_schema(channel: str) -> None:
    table = f"notify.{channel}."
    shown = {key.removeprefix(table): default for key, default, _ in ROWS if key.startswith(table)}
    needed = {
        "to": '["postmaster@example.com"]',
        "urls": '["http://127.0.0.1:9093"]',
        "server": '"192.0.2.80:514"',
    }
    least = [f"{key} = {needed[key]}" for key, default in shown.items() if default == "required"]
    whole = [f"{key} = {default}" for key, default in shown.items() if default not in ("none", "required")]

    def parsed(lines: list[str]) -> Config:
        return parse("\n".join([f"[notify.{channel}]", *lines]), "docs/configuration.md")

    assert parsed([*least, *whole]) == parsed(least)


def test_the_defaults_of_the_gateway_are_those_of_the_schema() -> None:
    shown = {key.removeprefix("gateway."): default for key, default, _ in ROWS if key.startswith("gateway.")}
    least = '[gateway]\nmode = "host"\n[[gateway.publish]]\nscope = "web"\n'
    tables = {"": [], "publish": [], "limits": []}
    for key, default in shown.items():
        table, _, name = key.rpartition(".")
        tables[table].append(
            {"mode": 'mode = "host"', "publish.scope": 'scope = "web"'}.get(key, f"{name} = {default}")
        )
    whole = "\n".join(
        ["[gateway]", *tables[""], "[[gateway.publish]]", *tables["publish"], "[gateway.limits]", *tables["limits"]]
    )

    assert [key for key, default in shown.items() if default == "required"] == ["mode", "publish.scope"]
    assert parse(re.sub(r"^.* = none\n", "", whole, flags=re.MULTILINE), "docs") == parse(least, "least")


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_on_the_page_load(text: str) -> None:
    assert parse(text, "docs/configuration.md") != Config()


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize("column", [1, 2, 3])
def test_the_table_of_presets_says_what_they_change(column: int) -> None:
    table = re.findall(r"(?:^\|.+\|\n)+", PAGE[PAGE.index("### Presets") :], re.MULTILINE)[0]
    header, _, *rows = [[cell.strip().strip("`") for cell in row.split("|")[1:-1]] for row in table.splitlines()]
    written = "\n".join(line for row in rows for line in _assignments(row[0], row[column]))

    preset = parse(f'preset = "{header[column]}"', "docs")
    assert parse(written, "docs").model_copy(update={"preset": preset.preset}) == preset


def _assignments(table: str, cell: str) -> Iterator[str]:
    """A cell of the table of presets, `points 10, within 30m` or `off`, as TOML."""
    for said in filter(None, cell.split(", ")):
        name, *values = said.split()
        shown = [value if value.isdigit() else f'"{value}"' for value in values]
        if not values:
            yield f'{table}.mode = "{name}"'
        else:
            yield f"{table}.{name} = " + (f"[{', '.join(shown)}]" if name == "steps" else shown[0])


def test_the_line_of_zward_check_on_the_page_is_what_it_says() -> None:
    line = acts(parse('mode = "enforce"', "docs"))

    assert f"\n{line}\n" in PAGE


def test_the_installed_example_loads_without_a_warning_and_changes_no_limit() -> None:
    config, default = load(EXAMPLE), Config()

    assert warnings(config) == []
    assert (config.mode, config.preset, config.sshd) == (default.mode, default.preset, default.sshd)
    assert (config.zimbra.lockout, config.zimbra.dosfilter) == (default.zimbra.lockout, default.zimbra.dosfilter)
    assert (config.detect, config.ladder, config.store) == (default.detect, default.ladder, default.store)
