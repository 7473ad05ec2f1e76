"""What the commands share: --config, --json, exit codes, how a fault ends a command, and what a terminal may see."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from appliance.config.durations import seconds as seconds_of
from appliance.judge.words import visible

FAILED, USAGE, NOT_FOUND, UNREACHABLE, CONFIG_INVALID, REFUSED = 1, 2, 3, 4, 5, 6
"""Exit codes."""

Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """Seconds, written `90s`, `30m`, `2h`, `7d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return seconds_of(str(value))
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


def config_option(command: Command) -> Command:
    """--config FILE, here or before the command's name."""

    def chosen(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
        root = ctx.find_root().obj
        return value or (root if isinstance(root, Path) else None)

    return click.option(
        "--config",
        type=click.Path(path_type=Path),
        callback=chosen,
        help="Configuration file; else $ZWARD_CONFIG, else /etc/zward/zward.toml, else built in.",
    )(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=True, indent=2 if sys.stdout.isatty() else None))


def leave(message: str, code: int) -> NoReturn:
    """Say what is wrong on stderr and end. Any text may stand in the message; its lines stay lines."""
    for line in message.split("\n"):
        click.echo(visible(line), err=True)
    sys.exit(code)
