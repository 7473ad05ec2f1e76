"""The receiver's life in `zward run`: it starts, says its first lines, keeps whoever started it informed, and ends."""

import asyncio
import gc
import shutil
import sys
from pathlib import Path

import click

from appliance.cli.options import FAILED, leave
from appliance.config.default import BUILT_IN
from appliance.config.schema import Config
from appliance.daemon import Daemon, StartError
from appliance.judge.words import visible
from appliance.model import Mode
from appliance.systemd import notify, watchdog_pause
from appliance.version import VERSION

EXAMPLE = (
    "$(date -u '+%F %T'),000 WARN  [ImapServer-1] [ip=198.51.100.7;cid=1;] security - "
    "cmd=Auth; account=ana@example.com; protocol=imap; "
    "error=authentication failed for [ana@example.com], invalid password;"
)
"""A failed login from a documentation address (RFC 5737), to try zward with; in UTC, the built-in time zone."""


GC_THRESHOLDS = (50_000, 20, 100)
"""Objects between two collections. What a line makes has no cycles and goes by itself (measured: a tenth less time)."""

LOOKS, LOOK_EVERY = 200, 0.1
"""How often to look whether something is missing, and the seconds between. After these 20 s it is said to be up all
the same: systemd would end it and start it again for ever, and a zward that counts and tells is better than none."""


def receive(settings: Config, path: Path | None) -> None:
    """Receive, judge and ban, until SIGTERM or SIGINT."""
    try:
        asyncio.run(_serve(settings, path))
    except StartError as fault:
        leave(f"zward does not start: {fault}", FAILED)


async def _serve(settings: Config, path: Path | None) -> None:
    daemon = Daemon(settings, path)
    await daemon.start()
    gc.collect()
    gc.freeze()  # what is there now lives as long as the daemon: no collection needs to look at it again
    gc.set_threshold(*GC_THRESHOLDS)
    click.echo("\n".join(_greeting(daemon)))
    sys.stdout.flush()
    informing = asyncio.create_task(_inform(daemon))
    try:
        await daemon.run()
    finally:
        informing.cancel()


async def _inform(daemon: Daemon) -> None:
    """Tell systemd, or the supervisor, that zward is up once `/readyz` says so; then, that this loop turns."""
    for _ in range(LOOKS):
        if not daemon.overview.what_is_missing():
            break
        await asyncio.sleep(LOOK_EVERY)
    notify(f"READY=1\nSTATUS={visible(daemon.overview.what_is_missing()) or 'up'}")
    if pause := watchdog_pause():
        while True:
            notify("WATCHDOG=1")
            await asyncio.sleep(pause)


def _greeting(daemon: Daemon) -> list[str]:
    settings, mode, me = daemon.config, daemon.mode_in_force(), _me()
    where = daemon.path or f"{BUILT_IN}, since there is no /etc/zward/zward.toml"
    lines = [f"zward {VERSION}, mode {mode} ({where})"]
    if daemon.not_enforced:
        lines.append(f"OBSERVING ONLY, nothing is blocked: {daemon.not_enforced}")
    elif mode is Mode.OBSERVE:
        lines.append('observing: it says what it would ban; mode = "enforce" makes it ban')
    lines += [f"listening {listener}" for listener in daemon.overview.listening()]
    senders = ", ".join(str(net) for net in settings.listen.senders)
    lines.append(f"takes lines from {senders}")
    lines.append("send it your mail hosts' logs: zward setup rsyslog prints what they need in /etc/rsyslog.d/")
    udp = next((endpoint for endpoint in settings.listen.udp if ":" not in endpoint.host), None)
    if udp and daemon.path is None:
        lines.append(f"to try it, say this six times, and then: {me} why 198.51.100.7; {me} bans")
        lines.append(f'  logger -n 127.0.0.1 -P {udp.port} -d --rfc3164 -t zimbra-audit "{EXAMPLE}"')
    lines.append(f"metrics http://{settings.http.listen}/metrics; ask it: {me} status; {me} doctor")
    return lines


def _me() -> str:
    """What a person types to run this command: its name where the shell finds it, else its path."""
    return "zward" if shutil.which("zward") else sys.argv[0]
