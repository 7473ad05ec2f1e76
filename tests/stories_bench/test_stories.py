"""Every story under zward, shortened; and the page, which shows what the command prints."""

import json
import logging
from collections.abc import Iterator

import pytest
from bench.stories.__main__ import PAGE, Job, _asked, do, gather, jobs_of, main, script_of
from bench.stories.jails import why_not
from bench.stories.page import cells, put, tables
from bench.stories.policies import COLUMNS
from bench.stories.run import address_of
from bench.stories.script import Who
from bench.stories.stories import BY_NAME
from bench.stories.zimbra import Lockout

pytestmark = pytest.mark.slow

QUICK = ("one-address", "traveller", "compromised-account")
"""Stories that take a second under all policies."""

SPARED = ("office-stale-phone", "password-changed", "migration-day", "outage", "drained-queue", "log-injection")
STOPPED = ("one-address", "spray-from-one", "skewed-clocks")

needs_fail2ban = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    log = logging.getLogger("appliance")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(level)


def job(story: str, policy: str = "zward", **settings: float) -> Job:
    return Job(story, policy, 1, settings, Lockout())


@pytest.mark.parametrize("name", BY_NAME)
def test_a_story_is_the_same_whenever_it_is_told(name: str) -> None:
    script = script_of(job(name, hours=1))
    assert script == script_of(job(name, hours=1))
    assert script.tries
    assert all(attempt.at < 8 * 3600 and address_of(attempt) for attempt in script.tries)
    assert Who.PERSON in {attempt.who for attempt in script.tries}


@pytest.mark.parametrize("name", BY_NAME)
def test_every_story_can_be_told_to_zward(name: str) -> None:
    """Two hours of it."""
    result = do(job(name, hours=2))
    assert result.people > 0
    if name in SPARED:
        assert result.refused == 0, "people who share an address with no attacker are never refused"
    if name in STOPPED:
        assert result.guesses < 10, "a guesser that stays is stopped"
        assert result.lockouts == 0, "before Zimbra locks anybody"


def test_parameters_are_set_by_name() -> None:
    asked = _asked(["--set", "one-address.every=100", "--hours", "1", "--story", "one-address", "--policy", "zward"])
    [only] = jobs_of(asked)
    guesses = [attempt for attempt in script_of(only).tries if attempt.who is Who.ATTACKER]
    assert 35 <= len(guesses) <= 36


@pytest.mark.parametrize("text", ["nobody.every=1", "one-address.colour=1"])
def test_unknown_parameters_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _asked(["--set", text])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "no story is called 'nobody'" in told or "there are hours, every" in told


def test_every_figure_is_there_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--story", "traveller", "--policy", "zward", "--json", "--jobs", "1"]) == 0
    [story] = json.loads(capsys.readouterr().out)["stories"]
    [policy] = story["policies"]
    assert {"guesses", "got_in", "lockouts", "refused", "locked_out", "seconds_to_ban", "bans", "alerts"} <= set(policy)


def test_the_page_has_every_story_and_every_column() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for column in COLUMNS:
        assert f" {column.heading.replace(chr(10), ' ')} |" in page
    for name in BY_NAME:
        assert len(cells(page, name)) == 6, (
            f"{name} does not stand in all tables of {PAGE.name}: make stories ARGS=--write"
        )


@needs_fail2ban
@pytest.mark.parametrize("name", QUICK)
def test_the_page_shows_what_the_command_prints(name: str) -> None:
    jobs = [job(name, column.name, hours=24.0) for column in COLUMNS]
    made = tables(gather(jobs, map(do, jobs)))
    told = [list(row) for table in made for row in table.rows]
    shown = [list(row) for row in cells(PAGE.read_text(encoding="utf-8"), name)]
    assert shown == told, "the page is old: make stories ARGS=--write"


def test_a_page_without_markers_is_not_written_to() -> None:
    with pytest.raises(ValueError, match="the page has no"):
        put("# Stories", "| a |")
