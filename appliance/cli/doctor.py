"""`zward doctor`: what is missing or odd, and what cures it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from appliance.cli.asking import ask
from appliance.cli.options import FAILED, config_of, config_option, json_option, print_json
from appliance.doctor import of_machine


@click.command(help="What is missing or odd on this machine, in the configuration, and in what arrives.")
@config_option
@json_option
def doctor(config: Path | None, as_json: bool) -> None:
    settings = config_of(config)
    found: list[dict[str, Any]] = [asdict(finding) for finding in of_machine(settings)]
    if settings.admin.socket.exists():
        found += ask(config, "GET", "/doctor")
    else:
        says = f"{settings.admin.socket} does not exist: no zward is running"
        found.append({"topic": "daemon", "is_fine": False, "says": says, "cure": "zward run, or name its --config"})
    if as_json:
        print_json(found)
    else:
        for finding in found:
            _print(finding)
    if not all(finding["is_fine"] for finding in found):
        raise SystemExit(FAILED)


def _print(finding: dict[str, Any]) -> None:
    mark = click.style("fine", fg="green") if finding["is_fine"] else click.style("look", fg="yellow", bold=True)
    click.echo(f"{mark}  {finding['topic']:<12} {finding['says']}")
    if finding["cure"]:
        click.echo(f"      {'':<12} → {finding['cure']}")
