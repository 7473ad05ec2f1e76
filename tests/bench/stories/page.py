"""Results as tables: a list of rows, shown by rich in a terminal and as Markdown on the page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.stories.policies import COLUMNS
from bench.stories.run import Result
from bench.stories.stories import BY_NAME

BEGIN, END = "<!-- made by `make stories ARGS=--write` -->", "<!-- end of what is made -->"

Results = Mapping[str, Mapping[str, Result]]
"""Story → policy → what came of it."""


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        rules = ("---", *("---:" for _ in self.columns[1:]))
        heads = tuple(column.replace("\n", " ") for column in self.columns)
        return "\n".join("| " + " | ".join(row) + " |" for row in (heads, rules, *self.rows))


@dataclass(frozen=True, slots=True)
class Comparison:
    """zward against the jail that lets the fewest guesses through, and the one that refuses the fewest people."""

    ours: Result
    best: Result | None
    gentlest: Result | None

    @property
    def stops_as_many(self) -> bool:
        return self.best is None or self.ours.guesses <= self.best.guesses

    @property
    def is_as_gentle(self) -> bool:
        return self.gentlest is None or self.ours.refused <= self.gentlest.refused

    def words(self, strict: Result | None = None) -> str:
        """`yes`, or what it is short of, whether the preset `strict` is not, and why."""
        if self.best is None:
            return "no jail was asked"
        if self.stops_as_many and self.is_as_gentle:
            return "yes"
        short = [] if self.stops_as_many else ["guesses"]
        short += [] if self.is_as_gentle else ["refused"]
        told = f"no, {' and '.join(short)}"
        if strict and Comparison(strict, self.best, self.gentlest).words() == "yes":
            told += " (`strict`: yes)"
        why = BY_NAME[self.ours.story].limit
        return f"{told}: {why}" if why else told


def compare(results: Mapping[str, Result], ours: str = "zward") -> Comparison | None:
    """None where zward did not run."""
    if ours not in results:
        return None
    jails = [results[column.name] for column in COLUMNS if column.is_jail and column.name in results]
    best = min(jails, key=lambda each: (each.guesses, each.refused), default=None)
    gentlest = min(jails, key=lambda each: (each.refused, each.guesses), default=None)
    return Comparison(results[ours], best, gentlest)


def tables(results: Results) -> list[Table]:
    """The comparison, then one table for each figure."""
    policies = {policy for each in results.values() for policy in each}
    names = [column.name for column in COLUMNS if column.name in policies]
    figures: tuple[tuple[str, Callable[[Result], str]], ...] = (
        ("Guesses that reached Zimbra", lambda each: f"{each.guesses:,}"),
        ("Connections of people that a ban refused", lambda each: f"{each.refused:,}"),
        ("Accounts locked by Zimbra's own lockout", lambda each: f"{each.lockouts:,}"),
        ("From an attacker's first try to the first ban of one", lambda each: span(each.seconds_to_ban)),
        ("What people are told (zward: critical/warning/notice; jails: mails)", told),
    )
    made = [_compared(results)]
    headings = [column.heading for column in COLUMNS if column.name in names]
    for title, cell in figures:
        rows = [
            (story, *(cell(each[name]) if name in each else "" for name in names)) for story, each in results.items()
        ]
        made.append(Table(title, ("story", *headings), rows))
    return made


def _compared(results: Results) -> Table:
    title = "zward against the best of the jails: guesses that reached Zimbra, people's connections refused, lockouts"
    columns = ("story", "guesses\nzward", "fewest\nof a jail", "refused\nzward", "fewest\nof a jail", "lockouts\nzward")
    rows = []
    for story, each in results.items():
        found = compare(each)
        if found is None:
            continue
        ours, best, gentlest = found.ours, found.best, found.gentlest
        figures = f"{ours.guesses:,}", f"{best.guesses:,}" if best else "", f"{ours.refused:,}"
        rows.append(
            (
                story,
                *figures,
                f"{gentlest.refused:,}" if gentlest else "",
                f"{ours.lockouts:,}",
                found.words(each.get("zward-strict")),
            )
        )
    return Table(title, (*columns, "at least as good in both"), rows)


def told(result: Result) -> str:
    if result.policy.startswith("zward"):
        return "/".join(str(result.alerts.get(severity, 0)) for severity in ("critical", "warning", "notice"))
    return f"{result.alerts.get('mail', 0):,}"


def span(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def markdown(made: Iterable[Table], command: str) -> str:
    parts = [f"Made by `{command}`."]
    parts += [f"**{table.title}**\n\n{table.markdown()}" for table in made]
    return "\n\n".join(parts)


def put(page: str, made: str) -> str:
    """The page with what is made between its two markers. Raises ValueError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN!r} with {END!r} behind it")
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def cells(page: str, story: str) -> list[Sequence[str]]:
    """The rows about a story that stand on a page, in the order of its tables."""
    rows = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("|"))
    return [row for row in rows if row[0].strip() == story]
