"""`zward replay`: old logs through the same gate, before anybody is banned."""

import contextlib
import logging
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from appliance.cli.options import FAILED, NOT_FOUND, USAGE, config_option, json_option, leave, print_json
from appliance.cli.settings import config_of
from appliance.config.places import find
from appliance.config.rule_files import RuleError, load_rules
from appliance.config.schema import Config
from appliance.judge.words import visible
from appliance.replay.files import STDIN, Unusable, find_logs
from appliance.replay.html import html_of
from appliance.replay.replay import Replay
from appliance.replay.text import text_of

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it (128 + SIGINT)."""


@click.command(
    help="Try this configuration on old logs: who would have been banned, and who of them wrongly. FILE is a log, "
    "rotated or packed, a directory of such, or - for standard input. Nothing is banned, nothing is kept."
)
@config_option
@json_option
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write the report as a page.")
@click.option("--compare", type=click.Path(path_type=Path), help="Say what this other configuration would change.")
@click.option("--year", type=click.IntRange(1990, 9998), help="Of a file's first line without one; else its mtime's.")
@click.option("--program", help="Whose lines without a header are, whatever the file's name: zimbra-audit, …")
@click.option("--since", help="Leave out what is older: 2024-05-06, 2024-05-06T10:20.")
@click.option("--until", help="Leave out what is as late as this, or later.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
def replay(
    config: Path | None,
    as_json: bool,
    page: Path | None,
    compare: Path | None,
    year: int | None,
    program: str | None,
    since: str | None,
    until: str | None,
    files: tuple[str, ...],
) -> None:
    configs = [config_of(config), *([config_of(compare)] if compare else [])]
    _say_what_is_left_out(configs[0], find(config))
    try:
        rules = load_rules()
    except RuleError as fault:
        leave(str(fault), FAILED)
    if program is not None and rules.rules.course_of(program) is None:
        known = sorted(tag for each in rules.rules.programs for tag in each.senders_evidence)
        leave(f"--program: no rules for {program}; known are {', '.join(known)}", USAGE)
    span = {
        name: _moment(text, configs[0], f"--{name}")
        for name, text in (("since", since), ("until", until))
        if text is not None
    }
    try:
        logs = find_logs(files, time.time())
        if STDIN in files and year is None:
            _tell(
                "standard input: lines that name no year are taken for the last twelve months'; --year says otherwise"
            )
        replayed = Replay(logs, rules, configs, year=year, program=program, **span)
        with _quiet(), _watched(replayed, sum(log.size for log in logs)) as watch:
            replayed.go(watch)
    except Unusable as fault:
        leave(str(fault), FAILED)
    except KeyboardInterrupt:
        read = f"{replayed.tally.lines} lines" if "replayed" in locals() else "nothing"
        leave(f"interrupted after {read}: no report, since it would be of a part only", INTERRUPTED)
    if not replayed.tally.programs:
        leave(f"{replayed.tally.lines} lines, and none of a program that zward knows (--program names it)", NOT_FOUND)
    _report(replayed.findings(None if compare is None else str(compare)), page, as_json=as_json)


def _report(found: dict[str, Any], page: Path | None, *, as_json: bool) -> None:
    for warning in found["warnings"]:
        _tell(f"warning: {warning}")
    if page is not None:
        try:
            page.write_text(html_of(found), encoding="utf-8")
        except OSError as fault:
            leave(f"{page}: cannot be written: {fault.strerror}", FAILED)
        _tell(f"the report is in {page}")
    if as_json:
        print_json(found)
    elif page is None:
        click.echo(text_of(found), nl=False)


def _tell(text: str) -> None:
    click.echo(visible(text), err=True)


def _say_what_is_left_out(config: Config, path: Path | None) -> None:
    if path is None:
        _tell("no configuration file: the built-in one is used, which knows no proxies and no time zone of yours")
    if config.allow.names:
        _tell(f"[allow] names are not looked up in a replay: {', '.join(config.allow.names)}")


def _moment(text: str, config: Config, option: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        leave(f"{option}: {text} is no time; expected 2024-05-06 or 2024-05-06T10:20", USAGE)
    return (moment if moment.tzinfo else moment.replace(tzinfo=config.zone)).timestamp()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The gate tells the journal of each ban; here the report does."""
    log = logging.getLogger("appliance")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


@contextlib.contextmanager
def _watched(replayed: Replay, size: int) -> Iterator[Any]:
    """A bar with bytes, lines a second and the time left, where somebody can see it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    bar = Progress(
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]} lines/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    begun = time.monotonic()
    with bar:
        task = bar.add_task("", total=size or None, rate="…")

        def watch() -> None:
            spent = time.monotonic() - begun
            rate = f"{replayed.tally.lines / spent:,.0f}" if spent > 0.5 else "…"
            bar.update(task, completed=replayed.read, rate=rate)

        yield watch
