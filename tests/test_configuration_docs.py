"""docs/configuration.md and the installed example say what the program does."""

import re
from pathlib import Path

import pytest

from appliance.config.checks import warnings
from appliance.config.load import load, parse
from appliance.config.schema import Config, keys

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "image" / "zward.toml"

ROWS = re.findall(r"^\| `([a-z_.-]+)` \| `(.+?)` \| (.+) \|$", PAGE, re.MULTILINE)
EXAMPLES = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_explains_every_key_once_in_the_order_of_the_schema() -> None:
    assert [key for key, _, _ in ROWS] == [".".join(key) for key in keys()]


def test_the_defaults_on_the_page_are_those_of_the_schema() -> None:
    named = [(key, default) for key, default, _ in ROWS if not key.startswith("gateway.") and default != "none"]
    text = "\n".join(f"{key} = {default}" for key, default in named)

    assert parse(text, "docs/configuration.md") == Config()


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


def test_the_installed_example_loads_without_a_warning_and_changes_no_limit() -> None:
    config, default = load(EXAMPLE), Config()

    assert warnings(config) == []
    assert config.mode == default.mode
    assert (config.detect, config.ladder, config.store) == (default.detect, default.ladder, default.store)
