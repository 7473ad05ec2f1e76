"""`zward firewall`: the rules in the kernel. What root loads, what is loaded, in what that differs, taking it away."""

import contextlib
import os
import select
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

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
from appliance.cli.settings import config_of
from appliance.config.durations import seconds as seconds_of
from appliance.config.faults import ConfigError
from appliance.config.kept import bare
from appliance.config.load import load as load_config
from appliance.config.places import find
from appliance.config.schema import Config
from appliance.firewall.backend import BackendError
from appliance.firewall.policy.libnftables import NftError
from appliance.firewall.policy.scratch import ScratchError
from appliance.judge.words import visible
from appliance.restoring import restore as restore_bans
from appliance.root import rollback
from appliance.root.files import LoadError, Refusal, require_root
from appliance.root.loading import Loaded, confirmed, load_last_good
from appliance.root.loading import clear as clear_all
from appliance.root.loading import load as load_all
from appliance.root.rulesets import POLICY, differences, rendered
from appliance.store.store import StoreError

SHORTEST, LONGEST = 1.0, 3600.0
"""Seconds within which a policy may have to be confirmed."""


class _Within(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            found = seconds_of(str(value))
        except ValueError as fault:
            self.fail(str(fault), param, ctx)
        if not SHORTEST <= found <= LONGEST:
            self.fail(f"{value}: from {SHORTEST:g} s to {LONGEST / 3600:g} h", param, ctx)
        return found


@click.group(help="The rules in the kernel: tables inet zward (the bans) and inet zward_policy (the gateway's policy).")
def firewall() -> None:
    """Holds load, confirm, show, diff, clear and restore."""


@contextlib.contextmanager
def _faults_told() -> Iterator[None]:
    """Every fault that these acts foresee ends the command with its message and its exit code."""
    try:
        yield
    except Refusal as fault:
        leave(str(fault), REFUSED)
    except (LoadError, ScratchError, StoreError, BackendError, NftError, OSError) as fault:
        leave(str(fault), FAILED)


@firewall.command(
    short_help="Load what root's configuration says.",
    help="Write what the firewall helper has to keep to, and put the policy of [gateway] in force, in one "
    "transaction; without [gateway] a policy that stands is removed. Bans stay. Only root can do this, from a "
    "configuration that only root can write. A policy that would cut the ssh connection you work over is refused "
    "(exit code 6).",
)
@config_option
@json_option
@click.option("--force", is_flag=True, help="Load it even if it cuts your own connection.")
@click.option(
    "--confirm",
    "within",
    type=_Within(),
    help="Take everything back after this time (60s, 5m) unless you type yes (with --json nobody asks), or run zward "
    "firewall confirm over a new connection.",
)
@click.option(
    "--last-good",
    "kept",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep there what is loaded; where the configuration cannot be loaded, load what was kept, and say so. For a "
    "boot, which must not leave the network without a policy.",
)
def load(config: Path | None, as_json: bool, force: bool, within: float | None, kept: Path | None) -> None:
    path = find(config)
    with _faults_told():
        require_root("zward firewall load")
        if kept:
            loaded = _loaded_or_last_good(path, force, within, kept)
        else:
            loaded = load_all(config_of(config), path, force=force, confirm=within)
        if as_json:
            when = loaded.last_good.isoformat() if loaded.last_good else None
            print_json(asdict(loaded) | {"directory": str(loaded.directory), "last_good": when})
            return
        _print_loaded(loaded)
        if within is not None and (connection := rollback.waiting(loaded.directory)):
            with connection:
                connection.send(rollback.WAIT)
                _ask_for_yes(connection, within, loaded.directory)


def _loaded_or_last_good(path: Path | None, force: bool, within: float | None, kept: Path) -> Loaded:
    """Load the configuration, or else what was loaded last."""
    try:
        return load_all(load_config(path), path, force=force, confirm=within, keep=kept)
    except (ConfigError, LoadError, Refusal) as fault:
        try:
            loaded = load_last_good(kept)
        except (LoadError, Refusal) as other:
            code = CONFIG_INVALID if isinstance(fault, ConfigError) else FAILED
            leave(f"{fault}\nand there is nothing to load instead: {other}", code)
        for line in ("THE CONFIGURATION IS NOT IN FORCE:", *str(fault).split("\n")):
            click.secho(visible(line), fg="red", err=True)
        when = f"{loaded.last_good:%Y-%m-%d %H:%M:%S} UTC"
        click.secho(
            f"what was loaded at {when} is in force instead. Look with zward check, or zward rollback", err=True
        )
        return loaded


def _print_loaded(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        click.secho(f"warning: {warning}", fg="yellow", err=True)
    if loaded.mode:
        click.echo(f"loaded: table inet {POLICY}, mode {loaded.mode}")
    elif loaded.removed_policy:
        click.echo(f"removed: table inet {POLICY}, since the configuration has no [gateway]")
    else:
        click.echo("no policy to load, since the configuration has no [gateway]")
    for name, value in loaded.switches.items():
        click.echo(f"set: {name} = {value}")
    click.echo(f"orders for the helper: {loaded.directory}/orders; networks never banned: {loaded.never_ban}")


def _ask_for_yes(waiter: socket.socket, within: float, directory: Path) -> None:
    """Wait for a word here, or for whatever else decides. Ends the command if the policy was taken back."""
    click.echo(
        f"it is taken back in {within:g} s. Open a NEW connection to this host; if that works, type yes here, "
        "or run there: zward firewall confirm"
    )
    typed = b""
    while waiter not in select.select([waiter, sys.stdin], [], [])[0]:
        part = os.read(sys.stdin.fileno(), 1024)  # not readline, which would keep a second line from `select`
        if not part:
            click.echo("nobody can answer here: zward firewall confirm")
            return
        *lines, typed = (typed + part)[-1024:].split(b"\n")
        if word := next(filter(None, map(_decision, lines)), None):
            waiter.send(word)
            break
        if lines:
            click.echo("yes keeps it, no takes it back at once")
    _end_with(rollback.answer(waiter), directory)


def _decision(line: bytes) -> bytes | None:
    return {b"yes": rollback.CONFIRM, b"no": rollback.UNDO}.get(line.strip())


def _end_with(said: str | None, directory: Path) -> None:
    """Tell what was decided; ends the command with a failure unless the policy stays."""
    if said != rollback.CONFIRMED:
        leave(said or "whoever would take it back is gone: the policy stays, and nobody has confirmed it", FAILED)
    confirmed(directory)
    click.echo(said)


@firewall.command(
    short_help="Keep a policy that was loaded with --confirm.",
    help="Keep the policy that was loaded with --confirm and waits for this. Run it over a new connection: that proves "
    "that you can still get in. Exit code 3 if none waits.",
)
@config_option
@json_option
def confirm(config: Path | None, as_json: bool) -> None:
    with _faults_told():
        require_root("zward firewall confirm")
        directory = config_of(config).firewall_directory
        said = rollback.ask(directory, rollback.CONFIRM)
        if said is None:
            leave("no policy waits to be confirmed: it was confirmed or taken back already", NOT_FOUND)
        if as_json and said == rollback.CONFIRMED:
            confirmed(directory)
            print_json({"confirmed": True})
        else:
            _end_with(said, directory)


@firewall.command(
    short_help="Print what the configuration loads.",
    help="Print both tables as the configuration asks for them. It asks the kernel nothing but this host's addresses "
    "and needs no privilege.",
)
@config_option
@json_option
def show(config: Path | None, as_json: bool) -> None:
    texts = rendered(config_of(config))
    if as_json:
        print_json(texts)
        return
    click.echo("\n".join(text for text in texts.values() if text).rstrip("\n"))
    if texts[POLICY] is None:
        click.echo(f"\n# no table inet {POLICY}: the configuration has no [gateway]")


@firewall.command(
    short_help="In what the kernel differs from the configuration.",
    help="Compare both tables with the kernel's: - is what the configuration asks for, + what the kernel has. Bans and "
    "other elements that come and go are left out. Needs root. Exit code 0 if they are the same, 1 if they differ.",
)
@config_option
@json_option
def diff(config: Path | None, as_json: bool) -> None:
    with _faults_told():
        require_root("zward firewall diff")
        found = differences(config_of(config))
    if as_json:
        print_json({name: lines for name, lines in found.items() if lines})
    elif any(found.values()):
        click.echo("\n".join(line for lines in found.values() for line in lines))
    else:
        click.echo("the kernel has what the configuration asks for")
    if any(found.values()):
        raise SystemExit(FAILED)


@firewall.command(
    short_help="Remove everything of ours from the kernel.",
    help="Remove both tables with all bans, put the kernel's switches back to what they were, and remove what was "
    "written for the helper. zward must not be running.",
)
@config_option
@json_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(config: Path | None, as_json: bool, yes: bool) -> None:
    with _faults_told():
        require_root("zward firewall clear")
        settings = config_of(config)
        if not yes and not sys.stdin.isatty():
            leave("nobody can be asked here whether all bans and the policy may go: --yes says so", REFUSED)
        if not yes and not click.confirm("Remove all bans and the policy? Nothing is kept out then"):
            leave("nothing was removed", REFUSED)
        cleared = clear_all(settings)
    if as_json:
        print_json(asdict(cleared))
        return
    for name in cleared.tables:
        click.echo(f"removed: table inet {name}")
    for name, value in cleared.switches.items():
        click.echo(f"set back: {name} = {value}")
    if not cleared.tables and not cleared.switches:
        click.echo("there was nothing of ours")


@firewall.command(
    short_help="Send the stored bans to the firewall helper.",
    help="Send the bans that the store holds to the firewall helper, for a start before the network is up. Run it as "
    "the user that zward runs as, not as root.",
)
@config_option
@json_option
@click.option("--despite-faults", is_flag=True, help="With a faulty configuration, go by where it says the store is.")
def restore(config: Path | None, as_json: bool, despite_faults: bool) -> None:
    with _faults_told():
        restored = restore_bans(_places_at_least(find(config)) if despite_faults else config_of(config))
    refused = {str(net): reason for net, reason in restored.refused}
    if as_json:
        print_json({"has_store": restored.has_store, "sent": restored.sent, "refused": refused})
        return
    for net, reason in refused.items():
        click.echo(f"{net} was not banned again: {reason}", err=True)
    click.echo(f"bans in force: {restored.sent}" if restored.has_store else "there is no store yet: no ban to restore")


def _places_at_least(path: Path | None) -> Config:
    """The configuration; where it has faults, nothing of it but where store and helper are."""
    try:
        return load_config(path)
    except ConfigError as fault:
        for line in (*str(fault).split("\n"), "the bans of its store are restored all the same"):
            click.secho(visible(line), fg="red", err=True)
        return bare(path)
