"""`zward allow`: addresses and networks that are never banned, at once and without a restart."""

from pathlib import Path

import click

from appliance.cli.asking import ask
from appliance.cli.options import config_option, json_option, print_json
from appliance.cli.tables import moment, print_table


@click.group(help="Addresses and networks that are never banned, at once and without a restart.")
def allow() -> None:
    """Holds add, remove and list."""


@allow.command(
    short_help="Never ban a network from now on.",
    help="Never ban NETWORK from now on; a ban that stands against it is lifted.",
)
@config_option
@json_option
@click.argument("network")
@click.option("--comment", default="", help="Whose it is.")
def add(config: Path | None, as_json: bool, network: str, comment: str) -> None:
    told = ask(config, "POST", "/allow", {"network": network, "comment": comment})
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['network']} is never banned")
    for net in told["lifted"]:
        click.echo(f"lifted {net}")


@allow.command(help="Take NETWORK off this list.")
@config_option
@json_option
@click.argument("network")
def remove(config: Path | None, as_json: bool, network: str) -> None:
    told = ask(config, "DELETE", "/allow", {"network": network})
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['network']} may be banned again")


@allow.command(
    "list",
    short_help="What is on this list.",
    help="What is on this list; [allow] of the configuration comes beside it.",
)
@config_option
@json_option
def list_(config: Path | None, as_json: bool) -> None:
    told = ask(config, "GET", "/allow")
    if as_json:
        print_json(told)
    elif told:
        rows = [[each["network"], moment(each["added"]), each["by"], each["comment"]] for each in told]
        print_table(["network", "added", "by", "comment"], rows)
    else:
        click.echo("the list is empty")
