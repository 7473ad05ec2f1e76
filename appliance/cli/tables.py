"""Answers as a person reads them: tables, facts, moments and spans of time."""

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from appliance.judge.words import visible

UNFOLDED = 100_000
"""Columns where the output is no terminal: a row stays one line, for grep and for mail."""

LABEL = 12
"""Columns before a fact's text: two blanks, the label, a blank."""


def width() -> int:
    """Columns of the terminal, or what $COLUMNS says; without either nothing is folded."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return UNFOLDED


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose last column takes what the others leave, and folds. Any text may stand in it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings[:-1]:
        table.add_column(heading, no_wrap=True)
    table.add_column(headings[-1], overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    screen = Console(width=width(), markup=False, emoji=False, highlight=False)
    with screen.capture() as captured:
        screen.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_fact(label: str, text: str, color: str | None = None) -> None:
    """Print one fact under its label, folded under itself. Any text may stand in it."""
    head = f"  {label}".ljust(LABEL)
    lines = textwrap.wrap(
        visible(text),
        max(width(), 2 * LABEL),
        initial_indent=head,
        subsequent_indent=" " * LABEL,
        break_on_hyphens=False,
    )
    click.secho("\n".join(lines or [head.rstrip()]), fg=color)


def moment(iso: str) -> str:
    """A time of an answer, in this terminal's zone: `2026-11-21 20:49:00`."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def stretch(first: str, last: str) -> str:
    """From one time of an answer to another, with nothing said twice."""
    begin, end = moment(first), moment(last)
    if begin == end:
        return begin
    return f"{begin} to {end[11:] if begin[:10] == end[:10] else end}"


def in_words(seconds: float) -> str:
    """`1 h 47 min`, `12 s`, `3 d 2 h`: the two largest units."""
    left = int(seconds)
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"
