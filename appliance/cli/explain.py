"""`zward explain`: what one line says, and how zward knows."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from appliance.address import NetSet
from appliance.cli.options import FAILED, config_option, json_option, leave
from appliance.cli.settings import config_of
from appliance.config.rule_files import RuleError, rules_for
from appliance.judge.words import shown, visible
from appliance.model import Result
from appliance.read.origin import Trust
from appliance.read.reader import Fact, Reader

_SHOWN = 1000
"""Characters of a line that a person is shown: enough for a login line, and a flood of garbage stays short."""


@click.command(
    help="Say of received lines, with or without PRI, what zward makes of them. Reads FILE, else standard input."
)
@config_option
@json_option
@click.argument("file", type=click.File("rb"), default="-")
def explain(config: Path | None, as_json: bool, file: BinaryIO) -> None:
    settings = config_of(config)
    try:
        rules = rules_for(settings)
    except RuleError as fault:
        leave(str(fault), FAILED)
    trust = Trust(NetSet(settings.zimbra.hosts), NetSet(settings.zimbra.proxies))
    reader = Reader(rules, trust, settings.zone)
    if file.isatty():
        click.echo("reads lines from this terminal; Ctrl-D ends it", err=True)
    for frame in _frames(file, settings.listen.frame_limit):
        fact = reader.read(frame, "explain", time.time())
        if as_json:
            click.echo(json.dumps(told(fact), ensure_ascii=True))
        else:
            click.echo(_spelt(frame, fact))
        sys.stdout.flush()


def _frames(file: BinaryIO, limit: int) -> Iterator[bytes]:
    """The lines of a file without their ends, cut where a listener cuts them."""
    while line := file.readline(limit + 1):
        yield line.rstrip(b"\r\n\0")[:limit]
        while len(line) > limit and not line.endswith(b"\n"):  # the rest of a line that is cut
            line = file.readline(limit + 1)


def told(fact: Fact) -> dict[str, Any]:
    """One fact as JSON keys that do not change."""
    event, message = fact.event, fact.message
    return {
        "result": fact.result.value,
        "outcome": event.outcome.value if event else None,
        "rule": event.rule if event else None,
        "source": str(event.source) if event and event.source and fact.result is not Result.IGNORED else None,
        "account": fact.account,
        "protocol": fact.protocol.value,
        "evidence": event.evidence.value if event else None,
        "host": message.host,
        "program": message.app,
        "time": event.time if event else None,
        "count": event.count if event else None,
        "why": fact.why,
    }


def _spelt(frame: bytes, fact: Fact) -> str:
    """The same for a person: the line, then what it says. All of it can be client text."""
    facts = told(fact)
    line = frame.decode("utf-8", "backslashreplace")
    result = click.style(facts["result"], bold=True)
    rows = [("result", result + (f" ({facts['outcome']})" if facts["outcome"] else ""))]
    if fact.event:
        account = shown(fact.account) if fact.account else "not named"
        rows.append(("source", visible(f"{facts['source'] or 'none'}: {fact.why}")))
        rows.append(("account", f"{account}, over {facts['protocol']}"))
        rows.append(("rule", f"{facts['rule']}, {facts['evidence']} evidence"))
    else:
        rows.append(("why", visible(fact.why)))
    host, program = (shown(facts[key]) if facts[key] else "not named" for key in ("host", "program"))
    rows.append(("from", f"host {host}, program {program}"))
    cut = f"… ({len(frame)} bytes)" if len(line) > _SHOWN else ""
    return "\n".join([visible(line[:_SHOWN]) + cut, *(f"  {label:<10}{text}" for label, text in rows)])
