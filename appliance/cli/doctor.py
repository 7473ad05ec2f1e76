"""`zward doctor`: what is missing or odd, and what cures it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from appliance.cli.asking import Unreachable, findings
from appliance.cli.options import FAILED, config_option, json_option, print_json
from appliance.cli.settings import config_of
from appliance.cli.tables import print_fact
from appliance.doctor import of_machine


@click.command(help="What is missing or odd on this machine, in the configuration, and in what arrives.")
@config_option
@json_option
def doctor(config: Path | None, as_json: bool) -> None:
    settings = config_of(config)
    found: list[dict[str, Any]] = [asdict(finding) for finding in of_machine(settings)]
    try:
        found += findings(settings.admin.socket)
    except Unreachable as fault:
        found.append({"topic": "daemon", "is_fine": False, "says": str(fault), "cure": ""})
    if as_json:
        print_json(found)
    else:
        for finding in found:
            _print(finding)
    if not all(finding["is_fine"] for finding in found):
        raise SystemExit(FAILED)


def _print(finding: dict[str, Any]) -> None:
    text = f"{finding['topic']}: {finding['says']}"
    if finding["is_fine"]:
        print_fact("fine", text)
    else:
        print_fact("look", text, "yellow")
    if finding["cure"]:
        print_fact("", f"→ {finding['cure']}")
