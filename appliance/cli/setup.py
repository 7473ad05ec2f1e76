"""`zward setup`: the first configuration by questions, and what each Zimbra host needs to send its logs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from appliance.address import Net, parse_address
from appliance.cli.options import (
    CONFIG_INVALID,
    FAILED,
    NOT_FOUND,
    USAGE,
    config_option,
    json_option,
    leave,
    print_json,
)
from appliance.cli.settings import config_of
from appliance.config import writing
from appliance.config.faults import ConfigError
from appliance.config.load import parse
from appliance.config.places import FILE_BYTES, INSTALLED, find
from appliance.config.schema import Config
from appliance.root.lockout_guard import own_connection
from appliance.setup import given, machine, present, reading, telling
from appliance.setup.answers import Answers, Host, Scene
from appliance.setup.compose import Composed, compose
from appliance.setup.console import Console, Left
from appliance.setup.questions import QUESTIONS, Wrong, walk
from appliance.setup.rsyslog import Nowhere, Target, Transport, port_of, snippet, target

SYSTEMD = Path("/run/systemd/system")
"""Is there where systemd runs (sd_booted(3))."""

RELOAD_SECONDS = 120.0
"""A start loads the rules and restores the bans: seconds, and minutes on a slow machine with many."""


@click.group(help="The first configuration, and what the Zimbra hosts need.")
def setup() -> None:
    pass


def _question_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for question in reversed(QUESTIONS):
        option = f"--{question.key.replace('_', '-')}"
        command = click.option(option, question.key, metavar="TEXT", help=f"{question.asks}.")(command)
    return command


@setup.command(
    short_help="Ask the few things zward must know, and write the configuration.",
    help="Ask the few things zward must know, and write its configuration. What is given by an option is not asked. "
    "Nothing is written before you agree; the file before is kept beside the new one. The mode is observe: nobody is "
    "banned yet.",
)
@_question_options
@click.option("--answers", "file", type=click.Path(path_type=Path), help="Answers as TOML; ask nothing.")
@click.option("--yes", is_flag=True, help="Ask nothing: take what is found here.")
@click.option("--dry-run", is_flag=True, help="Show it and write nothing.")
@click.option("--reload/--no-reload", default=None, help="Let zward take it up at once; else it is asked.")
@config_option
@json_option
def wizard(
    file: Path | None,
    yes: bool,
    dry_run: bool,
    reload: bool | None,
    config: Path | None,
    as_json: bool,
    **typed: str | None,
) -> None:
    path = Path(os.path.realpath(find(config) or INSTALLED))  # the file itself is replaced, not a link to it
    if not dry_run and (reason := writing.why_not(path)):
        leave(reason, FAILED)
    before, loaded = _present(path)
    scene = Scene(machine.found(os.environ), loaded, machine.resolve)
    told = _given(file) | {key: text for key, text in typed.items() if text is not None}
    console = None if yes or file or as_json else Console(sys.stdin.buffer, _say)
    try:
        answers, composed = _answered(path, before, scene, told, console)
        wanted = console is None or dry_run or composed.text == before or console.agrees("Write it?")
    except (KeyboardInterrupt, Left):
        leave("\nnothing was written", FAILED)
    if not wanted:
        leave("nothing was written", FAILED)
    changes = composed.text != before and not dry_run
    kept = _write(path, composed.text) if changes else None
    if as_json:
        _print_outcome(path, composed, loaded, changes=changes, kept=kept)
        _reload(reload, None)
        return
    if console is None:
        _show(path, before, composed, loaded, _echo)
    if changes:
        click.echo(f"\nwritten: {path}" + (f"\nthe one before: {kept}" if kept else ""))
    if not dry_run:
        is_loaded = _reload(reload, console if path == INSTALLED else None)
        click.echo("\n" + "\n".join(telling.next_steps(path, answers.hosts, is_loaded=is_loaded)))


def _say(text: str, ends: bool) -> None:
    click.echo(text, nl=ends)


def _echo(text: str = "") -> None:
    _say(text, True)


def _present(path: Path) -> tuple[str | None, Config | None]:
    """The configuration that is there, as text and as what it means."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES + 1).decode("utf-8")
        return text, parse(text, str(path))
    except FileNotFoundError:
        return None, None
    except OSError as fault:
        leave(f"{path}: {fault.strerror}", FAILED)
    except UnicodeDecodeError:
        leave(f"{path}: not UTF-8; put it right, or move it away and begin anew", CONFIG_INVALID)
    except ConfigError as fault:
        leave(f"{fault}\nput it right, or move the file away and begin anew", CONFIG_INVALID)


def _given(file: Path | None) -> dict[str, str]:
    """What the file of answers says."""
    if file is None:
        return {}
    try:
        with file.open("rb") as opened:
            return given.texts(opened.read(FILE_BYTES).decode("utf-8"))
    except OSError as fault:
        leave(f"{file}: {fault.strerror}", FAILED)
    except UnicodeDecodeError:
        leave(f"{file}: not UTF-8", CONFIG_INVALID)
    except Wrong as fault:
        leave(f"{file}: {fault}", CONFIG_INVALID)


def _answered(
    path: Path, before: str | None, scene: Scene, told: dict[str, str], console: Console | None
) -> tuple[Answers, Composed]:
    """All answers, and the configuration that they make, which zward's own loader has taken."""
    if console:
        console.say("A few questions; nothing is written before you agree at the end. An empty")
        console.say("line takes what stands in [brackets], ? explains, Ctrl-C leaves.")
    try:
        answers = walk(scene, told, console.ask if console else None)
        composed = compose(before, answers, scene, str(path))
    except Wrong as fault:
        leave(str(fault), USAGE)
    except ConfigError as fault:
        leave(f"these answers contradict each other, and nothing was written:\n{fault}", CONFIG_INVALID)
    if console:
        _show(path, before, composed, scene.present, console.say)
    return answers, composed


def _show(
    path: Path, before: str | None, composed: Composed, loaded: Config | None, say: Callable[[str], None]
) -> None:
    if composed.text == before:
        say(f"\n{path} says all this already.")
        return
    say("\n" + "\n".join(telling.summary(path, before, composed)))
    if doubts := list(telling.doubts(loaded, composed.config, own_connection())):
        say("")
        for doubt in doubts:
            say(telling.wrapped(f"warning: {doubt}", ""))


def _write(path: Path, text: str) -> Path | None:
    try:
        return writing.write(path, text, time.time())
    except OSError as fault:
        leave(f"{path}: not written: {fault.strerror}", FAILED)


def _print_outcome(path: Path, composed: Composed, before: Config | None, *, changes: bool, kept: Path | None) -> None:
    told: dict[str, Any] = {
        "config": str(path),
        "written": changes,
        "kept": str(kept) if kept else None,
        "warnings": list(telling.doubts(before, composed.config, own_connection())),
        "text": composed.text,
    }
    print_json(told)


def _reload(wish: bool | None, console: Console | None) -> bool:
    """Let the running zward take it up, if that is wanted; whether it has."""
    if wish is None and (console is None or not SYSTEMD.exists()):
        return False
    if wish is None and console:
        try:
            wish = console.agrees("Let zward take it up now?")
        except (KeyboardInterrupt, Left):
            leave("\nwritten, and not taken up yet", FAILED)
    if not wish:
        return False
    try:
        done = subprocess.run(telling.RELOAD.split(), timeout=RELOAD_SECONDS, check=False)  # noqa: S603 - words of ours
    except FileNotFoundError:
        leave("written, and not taken up: no systemctl here; restart zward yourself", FAILED)
    except subprocess.TimeoutExpired:
        leave(f"written, and not taken up within {RELOAD_SECONDS:g} s: systemctl status {telling.UNITS}", FAILED)
    if done.returncode:
        leave(f"written, and not taken up: systemctl status {telling.UNITS} says why", FAILED)
    return True


class _Address(click.ParamType[Net]):
    """One address."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Net:
        found = parse_address(str(value).encode("utf-8", "replace"))
        return found or self.fail(f'{value!r:.80} is no address such as "192.0.2.1"', param, ctx)


@setup.command(
    short_help="Print what a Zimbra host needs in /etc/rsyslog.d.",
    help="Print what a Zimbra host needs in /etc/rsyslog.d/60-zward.conf to send its logs here. Address and port are "
    "those of this machine, as the configuration and the routes say.",
)
@click.option("--for", "host", metavar="HOST", help="The Zimbra host, by name or address; else any of them.")
@click.option("--gateway", type=_Address(), help="Where it sends to: this machine's address.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port; else what the configuration says.")
@click.option(
    "--transport",
    type=click.Choice([each.value for each in Transport]),
    default="tcp",
    show_default=True,
    help="How it sends.",
)
@click.option("--output", type=click.Path(path_type=Path), help="Write it to this file.")
@config_option
@json_option
def rsyslog(
    host: str | None,
    gateway: Net | None,
    port: int | None,
    transport: str,
    output: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    settings, way = config_of(config), Transport(transport)
    try:
        place = Target(gateway, port or port_of(settings, way, gateway)) if gateway else _place(settings, way, host)
    except Nowhere as fault:
        leave(str(fault), FAILED)
    place = place._replace(port=port or place.port)
    text = snippet(place, way)
    if output:
        try:
            writing.replace(output, text.encode("utf-8"))
        except OSError as fault:
            leave(f"{output}: not written: {fault.strerror}", FAILED)
    if as_json:
        print_json({"gateway": str(place.gateway), "port": place.port, "transport": way.value, "text": text})
    elif output:
        click.echo(f"written: {output} (to {place.gateway}, port {place.port}, {way})")
    else:
        click.echo(text, nl=False)


def _place(settings: Config, way: Transport, named: str | None) -> Target:
    """Where that host sends to; without a name where all of them do. Raises Nowhere."""
    hosts = present.hosts(settings)
    if named is not None:
        return _place_for(settings, way, _host(settings, hosts, named))
    if not hosts:
        leave("zimbra.hosts names no host: zward setup wizard, or --gateway with this machine's address", NOT_FOUND)
    places = {host: _place_for(settings, way, host) for host in hosts}
    if len(set(places.values())) > 1:
        told = ", ".join(f"{host.label} to {place.gateway}" for host, place in places.items())
        raise Nowhere(f"they do not all send to one address ({told}): say --for HOST")
    return places[hosts[0]]


def _host(settings: Config, hosts: tuple[Host, ...], named: str) -> Host:
    try:
        return reading.one_of(named, hosts)
    except ValueError as fault:
        address = parse_address(named.encode("utf-8", "replace"))
        if address is None or not any(net.covers(address) for net in settings.listen.senders):
            leave(f"--for: {fault}; nobody else is in listen.senders", NOT_FOUND)
        return Host(None, (address,))


def _place_for(settings: Config, way: Transport, host: Host) -> Target:
    """By the first of its addresses that leads somewhere. Raises Nowhere."""
    faults = []
    for net in host.addresses or host.nets:
        try:
            return target(settings, way, net, machine.way_to)
        except Nowhere as fault:
            faults.append(fault)
    raise faults[0]
