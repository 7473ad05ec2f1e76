"""The package's manual pages and completions, from the commands themselves: `python -m image.deb.pages SHARE`.

Writes below SHARE what belongs into /usr/share. SOURCE_DATE_EPOCH dates the pages.
"""

import inspect
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from appliance.cli.main import COMMANDS, group
from appliance.version import VERSION
from image.deb import roff

PURPOSE = "tells who is guessing passwords at Zimbra, and bans them"

FILES = (
    ("/etc/zward/zward.toml", "the configuration: zward.toml(5)"),
    ("/var/lib/zward/", "bans, evidence and who logs in from where"),
    ("/run/zward/zward.sock", "where the commands ask the daemon"),
    ("/usr/share/doc/zward/", "the documentation, examples for rsyslog, Prometheus and Grafana"),
)

COMPLETIONS = (
    (BashComplete, "bash-completion/completions/zward"),
    (ZshComplete, "zsh/vendor-completions/_zward"),
    (FishComplete, "fish/vendor_completions.d/zward.fish"),
)


def main(share: Path, docs: Path) -> None:
    for name, page in _pages(docs):
        path = share / "man" / f"man{name[-1]}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    for shell, place in COMPLETIONS:
        path = share / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shell(group, {}, "zward", "_ZWARD_COMPLETE").source(), encoding="utf-8")


def _pages(docs: Path) -> Iterator[tuple[str, str]]:
    """Each page's file name and text."""
    context = click.Context(group, info_name="zward", help_option_names=["-h", "--help"])
    yield "zward.1", _overview(context)
    for name in COMMANDS:
        yield f"zward-{name}.1", _page_of(name, context)
    yield "zward.toml.5", _configuration(docs / "configuration.md")


def _title(name: str, section: int) -> str:
    date = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC).date().isoformat()
    return roff.title(name, section, VERSION, date)


def _overview(context: click.Context) -> str:
    return (
        _title("zward", 1)
        + roff.section("Name")
        + rf"zward \- {roff.text(PURPOSE)}"
        + "\n"
        + _usage(group, context)
        + roff.section("Commands")
        + roff.listed((f"zward-{name}(1)", says) for name, (_, says) in COMMANDS.items())
        + roff.section("Files")
        + roff.listed(FILES)
        + roff.section("See also")
        + roff.paragraph("zward.toml(5), nft(8), rsyslogd(8)")
    )


def _page_of(name: str, parent: click.Context) -> str:
    command = group.get_command(parent, name)
    assert command
    context = click.Context(command, info_name=name, parent=parent)
    page = (
        _title(f"zward-{name}", 1)
        + roff.section("Name")
        + rf"zward\-{roff.text(name)} \- {roff.text(COMMANDS[name][1].rstrip('.'))}"
        + "\n"
        + _usage(command, context)
    )
    if isinstance(command, click.Group):
        page += roff.section("Commands")
        for word in command.list_commands(context):
            child = command.get_command(context, word)
            assert child
            below = click.Context(child, info_name=word, parent=context)
            page += roff.subsection(_call(child, below)) + _description(child) + _options(child, below)
    return page + roff.section("See also") + roff.paragraph("zward(1), zward.toml(5)")


def _usage(command: click.Command, context: click.Context) -> str:
    return (
        roff.section("Synopsis")
        + roff.paragraph(_call(command, context))
        + roff.section("Description")
        + _description(command)
        + roff.section("Options")
        + _options(command, context)
    )


def _call(command: click.Command, context: click.Context) -> str:
    """`zward firewall load [OPTIONS]`."""
    return " ".join((context.command_path, *command.collect_usage_pieces(context)))


def _description(command: click.Command) -> str:
    said = inspect.cleandoc(command.help or command.short_help or "")
    return "".join(roff.paragraph(part) for part in said.split("\n\n"))


def _options(command: click.Command, context: click.Context) -> str:
    records = (option.get_help_record(context) for option in command.get_params(context))
    return roff.listed(record for record in records if record)


def _configuration(page: Path) -> str:
    return (
        _title("zward.toml", 5)
        + roff.section("Name")
        + r"zward.toml \- the configuration of zward"
        + "\n"
        + roff.section("Description")
        + roff.markdown(page.read_text(encoding="utf-8"))
        + roff.section("See also")
        + roff.paragraph("zward(1), zward-check(1)")
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path("docs"))
