"""The command line as a whole."""

import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest
from invoking import answering, invoke
from running import COMMAND

from appliance.cli.main import COMMANDS, group

ALL = [(name,) for name in COMMANDS] + [("allow", name) for name in ("add", "remove", "list")]
ALL += [("familiar", name) for name in ("list", "export", "forget")]
ALL += [("setup", name) for name in ("wizard", "rsyslog")]
ALL += [("firewall", name) for name in ("load", "confirm", "show", "diff", "clear", "restore")]
ROOT = Path(__file__).parent.parent.parent


def found(words: tuple[str, ...]) -> click.Command:
    command: click.Command = group
    for word in words:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), word)
        assert inner is not None
        command = inner
    return command


@pytest.mark.parametrize("words", [(), *ALL], ids=" ".join)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_short_and_fits(words, option):
    answer = invoke(*words, option, columns=80)

    lines = answer.stdout.splitlines()
    assert answer.exit_code == 0
    assert lines[0].startswith(" ".join(["Usage: zward", *words]))
    assert len(lines) <= 40
    assert all(len(line) <= 80 for line in lines)
    assert not any(line.endswith("...") for line in lines[1:]), "a summary is cut off"


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_explains_every_option(words):
    for parameter in found(words).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize(
    "words",
    [
        words
        for words in ALL
        if words not in {("run",), ("allow",), ("familiar",), ("firewall",), ("listen",), ("setup",)}
    ],
    ids=" ".join,
)
def test_every_command_that_answers_has_json_and_config(words):
    options = {option for parameter in found(words).params for option in parameter.opts}

    assert "--json" in options
    assert "--config" in options or words == ("metrics",), "what the numbers mean is the same everywhere"


def test_help_names_every_command_and_every_exit_code():
    page = " ".join(invoke("--help", columns=80).stdout.split())

    assert all(re.search(rf"\b{name}  ?\w", page) for name in COMMANDS)
    for code in ("0 done", "1 failed", "2 usage", "3 nothing found", "4 daemon not", "5 config invalid", "6 refused"):
        assert code in page


def test_the_version_is_the_packages():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert invoke("--version").stdout == f"zward, version {version}\n"


@pytest.mark.parametrize(
    "words", [("bnas",), ("bans", "--jsno"), ("why",), ("ban", "203.0.113.7", "--for", "1h"), ("allow", "ad", "x")]
)
def test_a_slip_is_a_usage_error(words):
    answer = invoke(*words)

    assert answer.exit_code == 2
    assert "Error: " in answer.stderr
    assert answer.stdout == ""


def test_a_reader_that_has_gone_ends_a_command_quietly(tmp_path):
    ban = {"address": "203.0.113.7", "remaining": 60, "scope": "all", "detector": "operator", "reason": "x"}
    (tmp_path / "zward.toml").write_text(f'[admin]\nsocket = "{tmp_path}/zward.sock"\n')
    command = [COMMAND, "bans", "--config", str(tmp_path / "zward.toml")]

    with (
        answering(tmp_path / "zward.sock", {"/bans": [ban] * 5000, "/status": {"mode": "enforce"}}),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as bans,
    ):
        assert bans.stdout is not None
        assert bans.stderr is not None
        assert bans.stdout.readline().startswith(b"address")
        bans.stdout.close()  # far more than a pipe holds is still to come
        said = bans.stderr.read()

    assert said == b""
    assert bans.returncode in {0, 1}  # no traceback, no signal
