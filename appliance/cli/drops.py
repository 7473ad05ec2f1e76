"""`zward drops`: samples of the packets that the kernel dropped last."""

from pathlib import Path

import click

from appliance.cli.asking import ask
from appliance.cli.options import NOT_FOUND, config_option, json_option, print_json
from appliance.cli.tables import moment, print_table

HEADINGS = ["time", "source", "port", "family", "flags", "device"]


@click.command(
    short_help="Samples of the packets that were dropped last.",
    help="Samples of the packets from banned sources that the kernel dropped last, the newest first: five a second at "
    "the most, where [firewall] drop_samples is true. How many were dropped in all is in /metrics. Exit code 3 if "
    "there is none.",
)
@config_option
@json_option
def drops(config: Path | None, as_json: bool) -> None:
    found = ask(config, "GET", "/drops")
    if as_json:
        print_json(found)
    elif found:
        rows = [[moment(each["time"]), *(str(each[key]) for key in HEADINGS[1:])] for each in found]
        print_table(HEADINGS, rows)
    else:
        click.echo("no dropped packet was seen lately")
    if not found:
        raise SystemExit(NOT_FOUND)
