"""`make bench`: what zward costs and how fast it is, on this machine, in one run. `--json` for programs."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from bench.bans import BanCost
from bench.bans import measure as measure_bans
from bench.latency import Latency
from bench.latency import measure as measure_latency
from bench.machine import facts
from bench.memory import GOAL, Kept, TableCost
from bench.memory import measure as measure_memory
from bench.packets import PacketCost
from bench.packets import measure as measure_packets
from bench.restart import Restart
from bench.restart import measure as measure_restart
from bench.scrape import Scrape
from bench.scrape import measure as measure_scrape
from bench.throughput import Throughput
from bench.throughput import measure as measure_throughput
from e2e.wire import World
from namespaces import why_not
from rich.console import Console
from rich.table import Table

PARTS = ("throughput", "latency", "restart", "bans", "packets", "memory", "scrape")


def main() -> int:
    asked = _asked()
    if reason := why_not():
        print(f"{reason}; the cure: sudo make bench", file=sys.stderr)
        return 1
    console = Console(stderr=asked.json, width=None if sys.stdout.isatty() else 110)
    found: dict[str, Any] = {"machine": facts()}
    console.print(" · ".join(f"{name} {value}" for name, value in found["machine"].items()))
    for part in asked.only or asked.parts or PARTS:
        with console.status(f"measuring {part}"), World() as world:
            table, figures = _measure(part, world, asked)
        console.print(table)
        found[part] = [asdict(figure) for figure in figures]
    if asked.json:
        print(json.dumps(found, indent=2))
    return 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", action="store_true", help="figures on stdout, tables on stderr")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be given again")
    parser.add_argument("--rounds", type=int, default=3, help="of throughput; the median counts (default 3)")
    parser.add_argument("--bans", type=int, default=50, help="that latency is measured over (default 50)")
    return parser.parse_args()


def _part(name: str) -> str:
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"{name}: expected {', '.join(PARTS)}")
    return name


def _measure(
    part: str, world: World, asked: argparse.Namespace
) -> tuple[Table, Sequence[Throughput | Latency | Restart | BanCost | PacketCost | Kept | TableCost | Scrape]]:
    match part:
        case "throughput":
            lines = list(measure_throughput(world, asked.rounds))
            return _throughput(lines, asked.rounds), lines
        case "latency":
            latency = measure_latency(world, asked.bans)
            return _latency(latency), [latency]
        case "bans":
            costs = measure_bans()
            return _bans(costs), costs
        case "packets":
            packets = list(measure_packets(asked.rounds))
            return _packets(packets, asked.rounds), packets
        case "memory":
            kept = measure_memory()
            return _memory(kept), kept
        case "scrape":
            scrapes = list(measure_scrape(world))
            return _scrape(scrapes), scrapes
        case _:
            restart = measure_restart(world)
            return _restart(restart), [restart]


def _throughput(rows: Iterable[Throughput], rounds: int) -> Table:
    title = f"Log lines by TCP, read and judged (observing), and fail2ban's on the same lines (median of {rounds})"
    columns = ("failures", "framing", "lines", "lines/CPU-s", "fail2ban", "ratio", "lines/s", "failures seen", "MB")
    table = _table(title, *columns)
    for row in rows:
        table.add_row(
            *(f"{row.failures:.0%}", row.framing, f"{row.lines:,}", f"{row.per_cpu_second:,.0f}"),
            *(f"{row.fail2ban:,.0f}" if row.fail2ban else "-", f"{row.ratio:.1f}" if row.ratio else "-"),
            *(f"{row.per_second:,.0f}", f"{row.seen:.1%}", f"{row.megabytes:.0f}"),
        )
    return table


def _latency(row: Latency) -> Table:
    title = f"Deciding line sent → attacker's first dropped SYN ({row.rounds} bans)"
    table = _table(title, "p50", "p99", "slowest", "between two SYNs (resolution)")
    table.add_row(*(f"{seconds * 1e3:.2f} ms" for seconds in (row.p50, row.p99, row.slowest, row.gap_p50)))
    return table


def _scrape(rows: Iterable[Scrape]) -> Table:
    table = _table("A scrape of /metrics", "bans in force", "series", "kB", "p50", "p99", "slowest")
    for row in rows:
        times = (f"{seconds * 1e3:.1f} ms" for seconds in (row.p50, row.p99, row.slowest))
        table.add_row(f"{row.bans:,}", f"{row.series:,}", f"{row.kilobytes:.0f}", *times)
    return table


def _restart(row: Restart) -> Table:
    table = _table(f"{row.bans:,} bans", "", "")
    table.add_row("first line → last ban in the kernel", f"{row.decided:.1f} s")
    table.add_row("after kill -9, in the kernel", f"{row.in_kernel_while_down:,}")
    table.add_row("exec → /readyz", f"{row.ready:.2f} s")
    table.add_row("exec → `zward status` has counted them", f"{row.answered:.2f} s")
    table.add_row("after the restart, in the kernel", f"{row.in_kernel_after:,}")
    table.add_row("a banned attacker's SYNs meanwhile: sent, let through", f"{row.knocks}, {row.let_through}")
    table.add_row("memory of zward", f"{row.megabytes:.0f} MB")
    return table


def _bans(rows: Iterable[BanCost]) -> Table:
    title = "Bans in the kernel (µs for one, p50 / p99; s for all)"
    table = _table(
        title, "present", "one more", "asked by the receiver", "all loaded", "all listed", "counters", "B each"
    )
    for row in rows:
        table.add_row(
            *(f"{row.present:,}", f"{row.one_p50:.0f} / {row.one_p99:.0f}"),
            *(f"{row.helper_p50:.0f} / {row.helper_p99:.0f}", f"{row.loaded:.2f}", f"{row.listed:.2f}"),
            *(f"{row.counters:.0f} µs", f"{row.bytes_each:.0f}" if row.bytes_each else "-"),
        )
    return table


def _packets(rows: Sequence[PacketCost], rounds: int) -> Table:
    title = f"CPU of one packet through the gateway, 65,536 sources, caches cold (best of {rounds})"
    table = _table(title, "bans", "accepted", "against no rules", "with the sending", "dropped", "against no rules")
    bare = rows[0]
    for row in rows:
        whole = (row.accepted + row.sending) / (bare.accepted + bare.sending)
        table.add_row(
            *(row.table, f"{row.accepted:.0f} ns", f"{row.accepted / bare.accepted:.2f}", f"{whole:.2f}"),
            *(
                f"{row.dropped:.0f} ns" if row.dropped else "-",
                f"{row.dropped / bare.accepted:.2f}" if row.dropped else "-",
            ),
        )
    return table


def _memory(rows: Sequence[Kept | TableCost]) -> Table:
    table = _table("What the judge remembers", "", "", "")
    for row in rows:
        match row:
            case TableCost(name, keys, each):
                table.add_row(f"one key of {name}", f"{each:,.0f} B", f"of {keys:,}")
            case Kept():
                what = f"{row.sources:,} sources, {row.accounts:,} accounts"
                table.add_section()
                table.add_row(what, f"{row.megabytes:.0f} MB", f"goal {GOAL:.0f}; {row.idle:.0f} before the first line")
                table.add_row("written to disk", f"{row.written:.2f} s", f"{row.file:.0f} MB; all else waits")
                table.add_row("memory meanwhile, at the most", f"{row.while_written:.0f} MB", "")
                table.add_row("read at a start", f"{row.taken_up:.2f} s", "")
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=any(columns))
    for column in columns:
        table.add_column(column, justify="left" if column in ("", "framing") else "right")
    return table


if __name__ == "__main__":
    sys.exit(main())
