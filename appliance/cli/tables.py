"""Answers as a person reads them: tables, spans of time, and client text that cannot move the cursor."""

import shutil
from collections.abc import Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 200
"""Columns where the output is no terminal: wide enough that no reason is folded."""


def console() -> Console:
    """Writes to stdout, as wide as the terminal; no markup is read, since log text may look like it."""
    width = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns
    return Console(width=width, markup=False, emoji=False, highlight=False, soft_wrap=False)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, wide: int = -1) -> None:
    """Print a table whose column `wide` takes what the others leave and folds."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    last = len(headings) - 1 if wide < 0 else wide
    for number, heading in enumerate(headings):
        table.add_column(heading, no_wrap=number != last, overflow="fold", ratio=1 if number == last else None)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    screen = console()
    with screen.capture() as captured:
        screen.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


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
