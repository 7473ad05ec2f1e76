"""What README.md and docs/ tell people to type can be typed, and what they show is what zward says."""

import re
import shlex
import textwrap
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import pytest

from appliance.cli import options
from appliance.cli.main import COMMANDS, group
from appliance.cli.tables import print_table
from appliance.config.load import parse
from appliance.config.schema import Config

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0].read_text(encoding="utf-8")

FENCE = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`(zward [a-z][^`]*)`")


def blocks(*languages: str) -> list[tuple[str, str]]:
    """(page, text) of the code blocks in these languages."""
    return [
        (page.name, textwrap.dedent(text))
        for page in PAGES
        for _, language, text in FENCE.findall(page.read_text(encoding="utf-8"))
        if language in languages
    ]


def typed() -> list[str]:
    """Every zward command that a reader may type."""
    lines = [line.removeprefix("$ ") for _, text in blocks("sh", "console") for line in text.splitlines()]
    spans = [span for page in PAGES for span in SPAN.findall(page.read_text(encoding="utf-8"))]
    return sorted({line for line in (*lines, *spans) if re.match(r"zward [a-z]", line)})


def parsed(words: list[str]) -> click.Context:
    """Let click read a command as it would, up to the point where it would run. Raises UsageError."""
    command, context = group, click.Context(group, **group.context_settings)
    while isinstance(command, click.Group) and words:
        inner = command.get_command(context, words[0])
        if inner is None:
            raise click.UsageError(f"no command {words[0]}")
        command, words = inner, words[1:]
        context = click.Context(command, parent=context)
    if isinstance(command, click.Group) and not words:
        return context
    return command.make_context("zward", words, parent=context.parent)


def test_there_is_something_to_check():
    assert {line.split()[1] for line in typed()} >= {"bans", "why", "unban", "ban", "allow", "check", "run", "reload"}
    assert len(blocks("toml")) >= 3


@pytest.mark.parametrize("line", typed())
def test_a_command_in_the_docs_is_one_that_zward_takes(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    words = shlex.split(line, comments=True)[1:]

    try:
        parsed(words)
    except click.MissingParameter:
        assert len(words) <= 1, f"{line}: only a bare name may leave out what the command needs"


@pytest.mark.parametrize("line", ["zward bnas", "zward bans --jsno", "zward allow ad 192.0.2.1", "zward bans a b"])
def test_the_check_finds_a_slip(line):
    with pytest.raises(click.UsageError):
        parsed(line.split()[1:])


@pytest.mark.parametrize(("page", "text"), blocks("toml"))
def test_every_configuration_in_the_docs_loads(page, text):
    try:
        ZoneInfo("Europe/Rome")
    except ZoneInfoNotFoundError:  # a machine without tzdata
        text = text.replace("Europe/Rome", "UTC")

    assert parse(text, page) != Config()


def test_the_table_in_the_readme_is_what_zward_prints(capsys, monkeypatch):
    (shown,) = [text for _, text in blocks("console") if "zward bans\n" in text]
    rows = shown.partition("zward bans\n")[2].partition("$ ")[0]
    monkeypatch.setenv("COLUMNS", str(max(map(len, rows.splitlines()))))
    reason = "6 points in 30 min (limit 6): 6 bad passwords on ana@example.com over imap"

    print_table(["address", "for another", "detector", "reason"], [["203.0.113.7", "1 h 47 min", "guessing", reason]])

    assert capsys.readouterr().out == rows


def test_the_exit_codes_in_the_readme_are_those_of_the_commands():
    codes = dict(
        re.findall(
            r"(\d) (failed|usage|nothing found|daemon not reachable|config invalid|refused)", " ".join(README.split())
        )
    )

    assert codes == {
        str(options.FAILED): "failed",
        str(options.USAGE): "usage",
        str(options.NOT_FOUND): "nothing found",
        str(options.UNREACHABLE): "daemon not reachable",
        str(options.CONFIG_INVALID): "config invalid",
        str(options.REFUSED): "refused",
    }


def test_the_architecture_names_every_command():
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^  cli/ +(.*)$", page, re.MULTILINE)

    assert sorted(line.removeprefix("zward ").split(" · ")) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
