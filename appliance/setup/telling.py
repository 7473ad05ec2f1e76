"""What the wizard says before it writes and after: lines for a console of 80 columns, plain ASCII of ours."""

import difflib
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.config.checks import warnings
from appliance.config.places import INSTALLED
from appliance.config.schema import Config
from appliance.model import Mode
from appliance.root.lockout_guard import Connection, objection
from appliance.setup.answers import Host
from appliance.setup.compose import Composed

WIDTH = 78
SHOWN = 6
"""Hosts that are named one by one."""

UNITS = "zward-firewall zward"
RELOAD = f"systemctl reload-or-restart {UNITS}"
"""The helper first: it reads root's part of the configuration, and refuses what would lock root out."""


def wrapped(text: str, indent: str = "  ") -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def numbered(hosts: Sequence[Host]) -> Iterator[str]:
    """The hosts with their addresses, to be called by their numbers."""
    for number, host in enumerate(hosts, start=1):
        yield wrapped(f"{number}  {f'{host.name}: ' if host.name else ''}{', '.join(map(str, host.nets))}")


def summary(path: Path, before: str | None, composed: Composed) -> Iterator[str]:
    """The whole file, or in what it differs from the one that is there."""
    if before is None:
        yield f"This goes into {path}:"
        yield ""
        yield from (f"  {line}".rstrip() for line in composed.text.splitlines())
        return
    yield f"This changes in {path} (- goes, + comes):"
    yield ""
    lines = difflib.unified_diff(before.splitlines(), composed.text.splitlines(), lineterm="", n=1)
    for line in list(lines)[3:]:  # behind the names of the files and the first place
        yield "  ..." if line.startswith("@@") else f"  {line}".rstrip()
    if not composed.keeps_comments:
        yield ""
        yield wrapped("The file is written anew, and its comments go: they stay in the copy that is kept.", "")


def doubts(before: Config | None, config: Config, connection: Connection | None) -> Iterator[str]:
    """What should be thought about before it is written."""
    if before and before.mode is not Mode.OBSERVE:
        yield (
            'mode: goes back from "enforce" to "observe", since what is new is to be looked at first: no new ban is '
            "in force until you put it back"
        )
    if config.gateway and (reason := objection(config.gateway, connection)):
        yield reason
    yield from warnings(config)


def next_steps(path: Path, hosts: Sequence[Host], *, is_loaded: bool) -> Iterator[str]:
    """What is left to do, in its order."""
    named = "" if path == INSTALLED else f" --config {shlex.quote(str(path))}"
    yield "Next:"
    yield "1. Each Zimbra host has to send its logs here. Put what this prints into"
    yield "   /etc/rsyslog.d/60-zward.conf over there, and restart rsyslog:"
    yield from (f"     zward setup rsyslog{named} --for {host.label}" for host in hosts[:SHOWN])
    if len(hosts) > SHOWN:
        yield f"     ... and so on for {len(hosts) - SHOWN} more"
    reload = f" && {RELOAD}" if path == INSTALLED else ""
    yield f"2. zward check{named}" if is_loaded else f"2. zward check{named}{reload}"
    yield f"3. zward status{named}"
    yield "   names the hosts whose lines arrive. `zward doctor` says what is missing."
    yield ""
    yield 'Nobody is banned yet: mode = "observe". When `zward bans --observed` has shown'
    yield 'for some days whom it would ban, put mode = "enforce" there, and: zward reload'
