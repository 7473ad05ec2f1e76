"""`zward metrics`: what each number in /metrics means."""

from collections.abc import Iterable, Iterator
from typing import Any

import click

from appliance.cli.options import NOT_FOUND, json_option, print_json
from appliance.cli.tables import print_fact
from appliance.metrics.declared import DECLARED, Declared, Topic

PREFACE = """\
# What the numbers mean

`http://127.0.0.1:9514/metrics`, in Prometheus' format; `zward metrics` prints this page in a terminal. No label holds
an address, an account, or any other text of a client. A label whose values are known stands at 0 from the start. The
funnel runs from the wire to the packet: received, parsed, event, attempt, verdict, ban, dropped packet.

What the kernel counts is read every second and a scrape shows what was read last, so a scrape never waits for the
firewall and lists no set; with 100,000 bans it takes as long as with none. `zward_firewall_repairs_total`,
`zward_bans_crowded_out_total` and `zward_sessions_ended_total` are the helper's own counts, and the drop counters are
its table's: they begin at 0 again with it, as `rate()` and `increase()` expect of counters.

`/healthz` answers while the daemon lives, `/readyz` when the firewall does what it is asked; else it says what is
missing. Memory, processor time and open files are there by their usual names, `process_…`. What to look at first is on
the [dashboards](dashboards.md); what is worth waking somebody is in [alerting.md](alerting.md).

This page is made from the declarations: it is what `zward metrics --markdown` prints.
"""


@click.command(
    short_help="What each number in /metrics means.",
    help="What each number in /metrics means: all of them, or those whose name or explanation holds WORD. Exit code 3 "
    "if there is none.",
)
@click.argument("word", required=False, default="")
@click.option("--markdown", is_flag=True, help="Print docs/metrics.md.")
@json_option
def metrics(word: str, markdown: bool, as_json: bool) -> None:
    found = [each for each in DECLARED if word.lower() in f"{each.name} {each.says} {' '.join(each.labels)}".lower()]
    if as_json:
        print_json([_told(each) for each in found])
    elif markdown:
        click.echo("\n".join(_page(found)).rstrip())
    else:
        for topic, declared in _by_topic(found):
            click.secho(topic, bold=True)
            for each in declared:
                click.echo(f"  {each.name}{_labels(each)}")
                print_fact("", each.says)
    if not found:
        raise SystemExit(NOT_FOUND)


def _by_topic(found: Iterable[Declared]) -> Iterator[tuple[Topic, list[Declared]]]:
    listed = list(found)
    for topic in Topic:
        if declared := [each for each in listed if each.topic is topic]:
            yield topic, declared


def _told(declared: Declared) -> dict[str, Any]:
    return {
        "name": declared.name,
        "kind": declared.kind,
        "topic": declared.topic,
        "says": declared.says,
        "labels": {label: list(values) for label, values in declared.labels.items()},
        "buckets": list(declared.buckets),
    }


def _labels(declared: Declared) -> str:
    return f"{{{', '.join(declared.labels)}}}" if declared.labels else ""


def _page(found: Iterable[Declared]) -> Iterator[str]:
    yield PREFACE
    for topic, declared in _by_topic(found):
        yield f"## {topic}\n"
        yield "| metric | kind | labels | what it says |"
        yield "|---|---|---|---|"
        for each in declared:
            yield f"| `{each.name}` | {each.kind} | {'; '.join(map(_label, each.labels.items()))} | {each.says} |"
        yield ""


def _label(label: tuple[str, tuple[str, ...]]) -> str:
    name, values = label
    return f"{name}: {', '.join(values)}" if values else name
