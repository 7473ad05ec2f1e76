"""`make stories`: zward and fail2ban before the same attackers and the same people. `--json` for programs."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bench.stories import policies, stories
from bench.stories.jails import why_not
from bench.stories.page import Results, Table, compare, markdown, put, tables
from bench.stories.run import Result, run
from bench.stories.script import Script
from bench.stories.zimbra import Lockout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Shown

PAGE = Path(__file__).parents[3] / "docs" / "stories.md"


class Job(NamedTuple):
    """One story under one policy."""

    story: str
    policy: str
    seed: int
    settings: dict[str, float]
    lockout: Lockout


def script_of(job: Job) -> Script:
    """The same for every policy: it depends on story, seed and settings only."""
    return stories.BY_NAME[job.story].write(Random(f"{job.seed} {job.story}"), **job.settings)


def do(job: Job) -> Result:
    with closing(policies.BY_NAME[job.policy].make(job.lockout)) as defence:
        return run(job.story, job.policy, script_of(job), defence, job.lockout)


def jobs_of(asked: argparse.Namespace) -> list[Job]:
    settings: dict[str, dict[str, float]] = {}
    for story, key, value in asked.set:
        settings.setdefault(story, {})[key] = value
    return [
        Job(story, policy, asked.seed, {"hours": asked.hours, **settings.get(story, {})}, asked.lockout)
        for story in asked.story or stories.BY_NAME
        for policy in asked.policy or policies.BY_NAME
    ]


def gather(jobs: Iterable[Job], done: Iterable[Result]) -> Results:
    """In the order of the jobs, whichever was done first."""
    by_key = {(result.story, result.policy): result for result in done}
    found: dict[str, dict[str, Result]] = {}
    for job in jobs:
        found.setdefault(job.story, {})[job.policy] = by_key[job.story, job.policy]
    return found


def main(arguments: list[str] | None = None) -> int:
    asked = _asked(arguments)
    jobs = jobs_of(asked)
    if any(policies.BY_NAME[job.policy].is_jail for job in jobs) and (reason := why_not()):
        print(f"{reason}; the cure: sudo apt-get install --no-install-recommends fail2ban", file=sys.stderr)
        return 1
    results = gather(jobs, _done(jobs, asked.jobs))
    made = tables(results)
    if asked.json:
        print(json.dumps({"stories": _told(results, asked)}, indent=2))
    else:
        _show(made if asked.all else made[:1])
    if asked.write:
        text = markdown(made, f"make stories ARGS='--seed {asked.seed} --write'")
        PAGE.write_text(put(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


def _asked(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make stories ARGS=…", description=__doc__)
    parser.add_argument("--story", action="append", choices=stories.BY_NAME, help="one story; may be given again")
    parser.add_argument("--policy", action="append", choices=policies.BY_NAME, help="one policy; may be given again")
    parser.add_argument("--set", action="append", type=_setting, default=[], metavar="STORY.KEY=NUMBER")
    parser.add_argument("--hours", type=float, default=24.0, help="of every story (default 24)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--lockout",
        type=_lockout,
        default=Lockout(),
        metavar="FAILURES/WITHIN/LASTS",
        help="of Zimbra, in seconds (default 10/1800/3600)",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="stories told at the same time")
    parser.add_argument("--all", action="store_true", help="a table for each figure besides the comparison")
    parser.add_argument("--json", action="store_true", help="every figure of every policy")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    return parser.parse_args(arguments)


def _setting(text: str) -> tuple[str, str, float]:
    """`one-address.every=5`."""
    name, _, value = text.partition("=")
    story, _, key = name.partition(".")
    if story not in stories.BY_NAME:
        raise argparse.ArgumentTypeError(f"no story is called {story!r}")
    known = stories.BY_NAME[story].write.__annotations__
    if known.get(key) not in (int, float):
        numbers = ", ".join(each for each, kind in known.items() if kind in (int, float))
        raise argparse.ArgumentTypeError(f"{story} has no {key!r}; there are {numbers}")
    return story, key, known[key](value)


def _lockout(text: str) -> Lockout:
    failures, within, lasts = text.split("/")
    return Lockout(int(failures), float(within), float(lasts))


def _quiet() -> None:
    """zward's own log is of no interest here."""
    logging.getLogger("appliance").setLevel(logging.CRITICAL)


def _done(jobs: list[Job], workers: int) -> Iterator[Result]:
    console = Console(stderr=True)
    bar = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with (
        Progress(*bar, console=console, transient=True) as shown,
        ProcessPoolExecutor(workers, initializer=_quiet) as pool,
    ):
        task = shown.add_task("stories under policies", total=len(jobs))
        for finished in as_completed([pool.submit(do, job) for job in jobs]):
            shown.advance(task)
            yield finished.result()


def _told(results: Results, asked: argparse.Namespace) -> list[dict[str, Any]]:
    told = []
    for name, each in results.items():
        found = compare(each)
        told.append(
            {
                "story": name,
                "tells": stories.BY_NAME[name].tells,
                "seed": asked.seed,
                "policies": [asdict(result) for result in each.values()],
                "at_least_as_good": found and found.words(each.get("zward-strict")),
            }
        )
    return told


def _show(made: list[Table]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    for table in made:
        shown = Shown(title=table.title, title_justify="left")
        for number, column in enumerate(table.columns):
            is_text = number == 0 or column.startswith("at least")
            shown.add_column(
                column, justify="left" if is_text else "right", ratio=1 if column.startswith("at") else None
            )
        for row in table.rows:
            shown.add_row(*row)
        console.print(shown)


if __name__ == "__main__":
    sys.exit(main())
