"""`zward run`: the daemon. As root it supervises a helper and a receiver, as anybody else it is the receiver."""

import logging
import os
import signal
import sys
from pathlib import Path

import click

from appliance.cli.options import CONFIG_INVALID, FAILED, config_option, leave
from appliance.config.durations import in_words, seconds
from appliance.config.faults import ConfigError
from appliance.config.kept import last_good
from appliance.config.load import load
from appliance.config.places import find
from appliance.config.schema import Config
from appliance.root.privilege import CAP_NET_ADMIN, held


def _duration(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return in_words(seconds(value)) if value is not None else None
    except ValueError as fault:
        raise click.BadParameter(str(fault)) from None


@click.command(
    help="Receive, judge and ban, until SIGTERM or SIGINT. SIGHUP reloads. As root it loads the firewall first, and "
    "then runs the firewall helper and the receiver, each with what it needs and no more, and so does another user who "
    "has CAP_NET_ADMIN; as anybody else it is the receiver alone, and bans where the helper runs already."
)
@config_option
@click.option("--force", is_flag=True, help="Load a gateway policy even if it cuts off your own connection.")
@click.option(
    "--confirm",
    metavar="DURATION",
    callback=_duration,
    help="Take the gateway policy back after this time (60s) unless you confirm it.",
)
@click.option("--supervised", is_flag=True, hidden=True, help="Be the receiver, whoever you are.")
def run(config: Path | None, force: bool, confirm: str | None, supervised: bool) -> None:
    if os.getpid() == 1:  # the first process of a container is sent no signal that it has not asked for
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    supervises = not supervised and (os.geteuid() == 0 or CAP_NET_ADMIN in held().permitted)
    if (force or confirm) and not supervises:
        raise click.UsageError("--force and --confirm are about loading the gateway's policy, which needs root")
    path = find(config)
    path = path.absolute() if path else None
    try:
        settings = load(path)
    except ConfigError as fault:
        leave(f"{fault}{_cure(path)}", CONFIG_INVALID)
    if supervises:
        options = [*(["--force"] if force else []), *(["--confirm", confirm] if confirm else [])]
        _supervise(settings, path, options)
    else:
        from appliance.cli.receiver import receive  # here: root's supervisor needs none of what the receiver loads

        receive(settings, path)


def _cure(path: Path | None) -> str:
    """The configuration that worked last, where one is kept."""
    good = last_good(path)
    if good is None:
        return ""
    return f"\nthe configuration of {good.time:%Y-%m-%d %H:%M:%S} UTC worked ({good.path}): zward rollback puts it back"


def _supervise(settings: Config, path: Path | None, options: list[str]) -> None:
    from appliance.root.supervisor import Commands, Supervisor, SupervisorError  # here: the receiver needs none of it

    zward = (sys.executable, "-I", os.path.abspath(sys.argv[0]))
    named = ("--config", str(path)) if path else ()
    commands = Commands(loader=(*zward, "firewall", "load", *named), receiver=(*zward, "run", "--supervised", *named))
    try:
        code = Supervisor(settings, path, commands).run(options)
    except SupervisorError as fault:
        leave(f"zward does not start: {fault}", FAILED)
    sys.exit(code)
