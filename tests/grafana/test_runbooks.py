"""A page for each alert, with commands that exist, and links that lead somewhere."""

import re
import shlex

import click
import pytest
from grafana.rule_exprs import RUNBOOKS, alerts

from appliance.cli.main import COMMANDS, group
from appliance.notify.advice import ADVICE, alertname

A_FILE = "lines.txt"
"""Stands on the pages for one that the reader has made."""
BASE = "https://zward.example/docs/runbooks"
HEADINGS = [
    "What it means", "How bad is it", "First look", "What to do", "When it is a false alarm", "How it ends",
]  # fmt: skip
FEWEST_WORDS = 80
WIDTH = 120

OWN = {alertname(detector) for detector in (*ADVICE, "test")}
OF_RULES = {alert.name: alert for alert in alerts()}
PAGES = {path.stem: path.read_text() for path in sorted(RUNBOOKS.glob("*.md")) if path.stem != "README"}
INDEX = (RUNBOOKS / "README.md").read_text()
EACH = pytest.mark.parametrize("name", PAGES)

ROOT = click.Context(group, **group.context_settings)
"""What every command inherits: `-h` among others, which click remembers from the first context that it sees."""


def commands(text: str) -> list[str]:
    """Command lines of zward, in boxes and in the text."""
    boxes = [line for box in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) for line in box.splitlines()]
    piped = [part.strip() for line in boxes for part in line.split("|")]
    inline = re.findall(r"`([^`\n]+(?:\n\s*[^`\n]+)?)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [
        re.sub(r"\s+", " ", line).removeprefix("sudo ")
        for line in (*piped, *inline)
        if re.match(r"(sudo )?zward [a-z]", line) and "…" not in line
    ]


def fault(line: str) -> str:
    """What is wrong with a command line of zward, as its own parser sees it; "" if nothing is."""
    command: click.Command = group
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group) and words:
        inner = command.get_command(ROOT, words[0])
        if inner is None:
            return f"there is no command {words[0]}"
        command, words = inner, words[1:]
    if not words:
        return ""
    try:
        command.make_context(line, [word for word in words if word != A_FILE], parent=ROOT).close()
    except click.UsageError as wrong:
        return wrong.format_message()
    return ""


def test_every_alert_has_a_page_and_every_page_an_alert():
    assert set(PAGES) == OWN | set(OF_RULES)


@pytest.mark.parametrize("name", OF_RULES)
def test_a_rule_names_its_page(name):
    assert OF_RULES[name].annotations["runbook_url"] == f"{BASE}/{name}.md"


@EACH
def test_a_page_has_every_part_and_something_in_it(name):
    text = PAGES[name]
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    assert all(part.strip() for part in parts)
    assert len(text.split()) >= FEWEST_WORDS


@EACH
def test_a_first_look_is_something_to_type(name):
    look = PAGES[name].partition("## First look")[2].partition("## What to do")[0]
    assert re.search(r"```sh\n\S", look)


@EACH
def test_what_to_do_is_numbered_or_stands_on_another_page(name):
    steps = PAGES[name].partition("## What to do")[2].partition("## When")[0]
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", steps, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers or re.search(r"\[Zward\w+]\(Zward\w+\.md#what-to-do\)", steps)


@EACH
def test_a_page_says_how_urgent_it_is_as_its_rule_does(name):
    told = re.search(r"^\*\*(critical|warning|info)\*\*", PAGES[name], re.MULTILINE)
    assert told
    if name in OF_RULES:
        assert told[1] == OF_RULES[name].labels["severity"]


@EACH
def test_commands_of_zward_exist_with_their_options(name):
    assert {line: wrong for line in commands(PAGES[name]) if (wrong := fault(line))} == {}


@pytest.mark.parametrize("name", OF_RULES)
def test_commands_of_zward_in_what_to_do_exist(name):
    called = re.findall(
        r"(?:[Tt]ype|[Rr]ead|with|then|and|to|gateway) zward ([a-z]+)", OF_RULES[name].annotations["to_do"]
    )
    assert set(called) <= set(COMMANDS)


def test_a_wrong_command_is_seen():
    assert commands("`zward bann`\n```sh\nsudo zward firewall diff | head\n```") == [
        "zward firewall diff",
        "zward bann",
    ]
    assert fault("zward bann") == "there is no command bann"
    assert fault("zward firewall lod") == "there is no command lod"
    assert "--seconds" in fault("zward ban 203.0.113.9 --seconds 5")
    assert fault("zward status") == ""


@pytest.mark.parametrize("text", [INDEX, *PAGES.values()], ids=["README", *PAGES])
def test_links_lead_to_pages_and_headings(text):
    for page, anchor in re.findall(r"\]\(([\w./-]+\.md)(?:#([\w-]+))?\)", text):
        target = (RUNBOOKS / page).resolve()
        assert target.is_file(), page
        headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, f"{page}#{anchor}"


@pytest.mark.parametrize("text", PAGES.values(), ids=PAGES)
def test_lines_fit_a_terminal(text):
    assert max(map(len, text.splitlines())) <= WIDTH


def test_the_index_names_every_page_once_with_its_severity():
    rows = dict(re.findall(r"^\| \[(\w+)]\(\w+\.md\) \| (\w+) \| .+\. \|$", INDEX, re.MULTILINE))
    assert set(rows) == set(PAGES)
    assert INDEX.count("\n| [") == len(PAGES)
    for name, alert in OF_RULES.items():
        assert rows[name] == alert.labels["severity"]
