"""`zward rollback`: back to a configuration that worked."""

import difflib
import sys
import time
from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import print_reloaded
from appliance.cli.asking import Unreachable, reloaded
from appliance.cli.options import (
    CONFIG_INVALID,
    FAILED,
    NOT_FOUND,
    REFUSED,
    config_option,
    json_option,
    leave,
    print_json,
)
from appliance.config.kept import (
    Kept,
    KeptError,
    digest_of,
    directory_of,
    fault_of,
    listed,
    store_named_in,
    text_of,
)
from appliance.config.places import FILE_BYTES, INSTALLED, find
from appliance.config.writing import write
from appliance.judge.words import visible


@click.command(
    short_help="Go back to a configuration that worked.",
    help="Put back a configuration that the daemon took up before: the last one that is another than the file's and "
    "has no fault. It shows what changes and asks, keeps the present file beside it, and lets the daemon reload. "
    "Run it as root. Exit code 3 if none is kept, 5 if the chosen one has faults, 6 if nobody can be asked.",
)
@config_option
@json_option
@click.option("--list", "list_only", is_flag=True, help="Print what is kept, the newest first, and change nothing.")
@click.option("--to", "number", type=click.IntRange(min=1), help="Which one, by its number in --list.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rollback(config: Path | None, as_json: bool, list_only: bool, number: int | None, yes: bool) -> None:
    path = find(config) or INSTALLED
    present = _present(path)
    directory = directory_of(store_named_in(path))
    try:
        kept = listed(directory)
    except OSError as fault:
        leave(f"{directory}: {fault.strerror}; ask as root: sudo zward rollback", FAILED)
    if list_only:
        _print_list(kept, present, as_json)
        return
    chosen, text = _chosen(kept, present, number, directory)
    if not as_json:
        _print_changes(path, present, chosen, text)
    _ask(path, chosen, yes)
    try:
        replaced = write(path.resolve(), text, time.time())
    except OSError as fault:
        leave(f"{path}: {fault.strerror}; nothing was changed. As root: sudo zward rollback", FAILED)
    if not as_json:
        click.echo(f"{path}: the configuration of {_moment(chosen)}")
        click.echo(f"the one before it is kept as {replaced}" if replaced else "there was none before it")
    _reload(path, chosen, replaced, as_json)


def _present(path: Path) -> str | None:
    """What the file says now, whatever it is; None where there is none."""
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES + 1).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as fault:
        leave(f"{path}: {fault.strerror}; ask as root: sudo zward rollback", FAILED)


def _chosen(kept: list[Kept], present: str | None, number: int | None, directory: Path) -> tuple[Kept, str]:
    """What to go back to. Ends the command where there is nothing."""
    if number is not None:
        if number > len(kept):
            leave(
                f"there is no number {number}: {len(kept)} are kept in {directory}; see zward rollback --list",
                NOT_FOUND,
            )
        wanted = kept[number - 1 : number]
    else:
        wanted = [each for each in kept if not _is(each, present)]
    faults = []
    for each in wanted:
        try:
            return each, text_of(each)
        except KeptError as fault:
            faults.append(str(fault))
    if faults:
        leave("\n".join(faults), CONFIG_INVALID)
    same = " but the one in use" if kept else ""
    return leave(f"no configuration is kept in {directory}{same}: zward keeps each that it takes up", NOT_FOUND)


def _is(kept: Kept, present: str | None) -> bool:
    return present is not None and digest_of(present) == kept.digest


def _print_list(kept: list[Kept], present: str | None, as_json: bool) -> None:
    rows = [
        {
            "number": number,
            "time": f"{each.time:%Y-%m-%dT%H:%M:%SZ}",
            "digest": each.digest,
            "path": str(each.path),
            "in_use": _is(each, present),
            "fault": fault_of(each),
        }
        for number, each in enumerate(kept, start=1)
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("no configuration is kept yet: zward keeps each that it takes up")
    for row, each in zip(rows, kept, strict=True) if not as_json else ():
        said = "what the file says now" if row["in_use"] else ""
        if row["fault"]:
            said = "cannot be put back: " + str(row["fault"]).partition("\n")[0]
        click.echo(f"{row['number']:>3}  {_moment(each)}  {each.digest}  {visible(said)}".rstrip())


def _print_changes(path: Path, present: str | None, chosen: Kept, text: str) -> None:
    names = str(path), f"the configuration of {_moment(chosen)}"
    for line in difflib.unified_diff((present or "").splitlines(), text.splitlines(), *names, lineterm="", n=1):
        click.secho(visible(line), fg={"+": "green", "-": "red"}.get(line[:1]))


def _ask(path: Path, chosen: Kept, yes: bool) -> None:
    """Ends the command unless somebody wants it."""
    if yes:
        return
    if not sys.stdin.isatty():
        leave(f"nobody can be asked here whether {path} may be replaced: --yes says so", REFUSED)
    if not click.confirm(f"Go back to the configuration of {_moment(chosen)}?", err=True):
        leave("nothing was changed", REFUSED)


def _reload(path: Path, chosen: Kept, replaced: Path | None, as_json: bool) -> None:
    told: dict[str, Any] | None = None
    why = ""
    try:
        told = reloaded(path)
    except Unreachable as fault:
        why = str(fault)
    if as_json:
        print_json(
            {
                "config": str(path),
                "restored": str(chosen.path),
                "replaced": str(replaced) if replaced else None,
                "reloaded": told,
            }
        )
    elif told is not None:
        print_reloaded(told)
    else:
        click.echo(f"not reloaded: {why}; under systemd: systemctl start zward")


def _moment(kept: Kept) -> str:
    return f"{kept.time:%Y-%m-%d %H:%M:%S} UTC"
