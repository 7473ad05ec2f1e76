"""`zward explain`: what one line says, and how zward knows."""

import json
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

import click

from appliance.address import NetSet
from appliance.cli.options import FAILED, config_of, config_option, json_option, leave
from appliance.config.rule_files import RuleError, load_rules
from appliance.judge.words import shown
from appliance.read.origin import Trust
from appliance.read.reader import Fact, Reader

_LINE_BYTES = 1 << 20
"""Longest line read from a file: a frame has 64 KiB at the most."""


@click.command(help="Say of received frames, one a line, with or without PRI, what zward makes of them.")
@config_option
@json_option
@click.argument("file", type=click.File("rb"), default="-")
def explain(config: Path | None, as_json: bool, file: BinaryIO) -> None:
    settings = config_of(config)
    try:
        rules = load_rules().rules
    except RuleError as fault:
        leave(str(fault), FAILED)
    trust = Trust(NetSet(settings.zimbra.hosts), NetSet(settings.zimbra.proxies))
    reader = Reader(rules, trust, settings.zone)
    while line := file.readline(_LINE_BYTES):
        frame = line.rstrip(b"\r\n\0")
        fact = reader.read(frame, "explain", time.time())
        if as_json:
            click.echo(json.dumps(told(fact), ensure_ascii=True))
        else:
            click.echo(_spelt(frame, fact))
        sys.stdout.flush()


def told(fact: Fact) -> dict[str, Any]:
    """One fact as JSON keys that do not change."""
    event, message = fact.event, fact.message
    return {
        "result": fact.result.value,
        "outcome": event.outcome.value if event else None,
        "rule": event.rule if event else None,
        "source": str(event.source) if event and event.source else None,
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
    """The same for a person: the line, then what it says."""
    facts = told(fact)
    head = shown(frame.decode("utf-8", "replace"))
    result = click.style(facts["result"], bold=True)
    lines = [f"{head}", f"  {'result':<9}{result}" + (f" ({facts['outcome']})" if facts["outcome"] else "")]
    if fact.event:
        lines.append(f"  {'source':<9}{facts['source'] or 'none'}: {fact.why}")
        account = shown(fact.account) if fact.account else "not named"
        lines.append(f"  {'account':<9}{account}, over {facts['protocol']}")
        lines.append(f"  {'rule':<9}{facts['rule']}, {facts['evidence']} evidence")
    else:
        lines.append(f"  {'why':<9}{fact.why}")
    host, program = facts["host"] or "not named", facts["program"] or "not named"
    lines.append(f"  {'from':<9}host {shown(host)}, program {shown(program)}")
    return "\n".join(lines)
