"""The command `zward`: which sub-commands there are. Each loads only what it needs, so that asking is quick."""

import importlib
from pathlib import Path

import click

COMMANDS = {
    "setup": ("setup", "The first configuration, and what the Zimbra hosts need."),
    "run": ("run", "Receive, judge and ban: the daemon."),
    "check": ("check", "Check the configuration and let every rule prove itself."),
    "explain": ("explain", "Say of received lines what zward makes of them."),
    "listen": ("listen", "Receive log lines and print them; judge nothing."),
    "replay": ("replay", "Try the configuration on old logs, before anybody is banned."),
    "reload": ("ask", "Let the daemon take up a changed configuration."),
    "rollback": ("rollback", "Go back to a configuration that worked."),
    "status": ("ask", "How the daemon is."),
    "health": ("ask", "Whether the daemon does what it is asked, for health checks."),
    "bans": ("ask", "Who is banned, until when and why."),
    "ban": ("ask", "Ban an address or network by hand."),
    "unban": ("ask", "Lift every ban that covers an address."),
    "why": ("ask", "Everything known of an address."),
    "account": ("account", "What happens at an account, and how to let its owner in."),
    "familiar": ("familiar", "Who logs in from where: list, export, forget."),
    "allow": ("allow", "Addresses that are never banned: add, remove, list."),
    "firewall": ("firewall", "The rules in the kernel: load, show, compare, remove."),
    "drops": ("drops", "Samples of the packets that were dropped last."),
    "metrics": ("metrics", "What each number in /metrics means."),
    "test": ("test", "Send a test message to everybody who is to be told."),
    "doctor": ("doctor", "What is missing or odd on this machine and in what arrives."),
}
"""Command → its module in `appliance.cli`, and what the help says of it."""


class _Commands(click.Group):
    """Loads a command's module when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"appliance.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, says) for name, (_, says) in COMMANDS.items()])


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", type=click.Path(path_type=Path), help="The configuration; each command takes it too.")
@click.version_option(package_name="zward", prog_name="zward")
@click.pass_context
def group(ctx: click.Context, config: Path | None) -> None:
    """zward stands in front of Zimbra: it reads the mail hosts' logs, tells who is guessing passwords, and bans
    them in the kernel.

    Exit codes: 0 done, 1 failed, 2 usage, 3 nothing found, 4 daemon not reachable, 5 config invalid, 6 refused
    for safety.
    """
    ctx.obj = config


def main() -> None:
    """Entry point of the console script. click ends it quietly where the reader has gone (`zward bans | head`)."""
    group(prog_name="zward")
