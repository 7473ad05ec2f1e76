"""docs/detectors.md names every detector, and quotes what zward really says."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from story import ENFORCE, line

from appliance.config.load import parse
from appliance.config.schema import names
from appliance.judge.detect.trap import Trap
from appliance.judge.judge import Judge
from appliance.model import AuthEvent, Banned, Noticed, Outcome, Protocol

PAGE = (Path(__file__).parent.parent / "docs" / "detectors.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"^```text\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL)
DAY = 86400

WITH_A_TRAP = replace(
    ENFORCE,
    detectors=tuple(
        Trap(accounts=("guest@example.com",)) if each.name == "trap" else each for each in ENFORCE.detectors
    ),
)


def success(at: float, account: str) -> AuthEvent:
    return line(at, rule="audit-success", outcome=Outcome.SUCCESS, account=account)


STORIES = {
    "guessing": [line(number * 20) for number in range(6)],
    "slow-guessing": [line(number * 7200) for number in range(10)],
    "spraying": [line(at, account=f"{name}@example.com") for at, name in ((0, "ana"), (60, "bob"), (120, "eve"))],
    "trap": [line(0, account="guest@example.com")],
    "siege": [
        line(number * 60, source=f"203.0.{number}.9", account="info@example.com") for number in (1, 2, 3, 4, 5, 6, 7)
    ],
    "neighbourhood": [
        line(host * 200 + number, source=f"203.0.113.{host}", account=f"u{host}@example.com")
        for host in (1, 2, 3, 4)
        for number in range(6)
    ],
    "harvesting": [
        line(
            number * 10,
            rule="postfix-recipient-unknown",
            outcome=Outcome.RECIPIENT_UNKNOWN,
            account=f"u{number}@example.com",
            protocol=Protocol.SMTP,
        )
        for number in range(15)
    ],
    "break-in": [*(line(number * 60) for number in range(5)), success(400, "ana@example.com")],
    "stale-device": [success(0, "ana@example.com"), *(line(DAY + number * 60) for number in range(31))],
    "office": [
        *(success(number, f"p{number}@example.com") for number in range(4)),
        *(line(DAY + number * 20, account=f"u{number}@example.com") for number in range(6)),
    ],
}


def said(events: list[AuthEvent]) -> set[str]:
    """The reasons of all that a story leads to, a hundred quiet seconds after it included."""
    judge = Judge(WITH_A_TRAP, b"a seed for tests")
    told = [verdict for event in events for verdict in judge.judge(event, event.time)]
    told += judge.tick(events[-1].time + 100)
    return {verdict.reason for verdict in told if isinstance(verdict, Banned | Noticed)}


@pytest.mark.parametrize("quote", QUOTES)
def test_what_the_page_quotes_is_what_zward_says(quote: str) -> None:
    assert quote in set().union(*map(said, STORIES.values()))


@pytest.mark.parametrize("story", STORIES)
def test_each_story_is_quoted_on_the_page(story: str) -> None:
    assert said(STORIES[story]).intersection(QUOTES)


@pytest.mark.parametrize("name", [name for name, table in names(("detect",)).items() if table])
def test_the_page_explains_every_detector(name: str) -> None:
    assert f"**{name}**" in PAGE or PAGE.count(f": {name}\n") == 1


def test_the_table_of_presets_names_them_all() -> None:
    presets = re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE, re.MULTILINE)

    assert [parse(f'preset = "{preset}"', "docs").preset for preset in presets] == [
        "gentle",
        "balanced",
        "strict",
        "fail2ban-classic",
    ]
