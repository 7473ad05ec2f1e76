"""`zward familiar`: who logs in from where, which spares an owner's phone; to see it, take it out, forget it."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from appliance.cli.asking import ask
from appliance.cli.options import REFUSED, config_option, json_option, leave, print_json
from appliance.cli.tables import moment, print_table
from appliance.judge.words import visible

COLUMNS = ("account", "address", "first", "last")


@click.group(help="Who logged in from where in the last 30 days: what spares an owner's own devices.")
def familiar() -> None:
    """Holds list, export and forget."""


@familiar.command(
    "list",
    short_help="Who logs in from where.",
    help="Who logs in from where: of an account, of an address or network, or all.",
)
@config_option
@json_option
@click.argument("whom", metavar="[ACCOUNT|ADDRESS]", required=False)
@click.option("--most", type=click.IntRange(1), default=1000, show_default=True, help="How many.")
def list_(config: Path | None, as_json: bool, whom: str | None, most: int) -> None:
    answer = _page(config, whom)
    found = answer["logins"][:most]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("nobody has logged in yet")
        return
    print_table(
        ["address", "first", "last", "account"],
        [[each["address"], moment(each["first"]), moment(each["last"]), each["account"]] for each in found],
    )
    if answer["number"] > len(found):
        click.echo(f"{answer['number'] - len(found)} more; zward familiar export has them all", err=True)


@familiar.command(
    short_help="All of it, as JSON or CSV.",
    help="Print who logs in from where, all of it or of one account or network: a JSON list, or CSV.",
)
@config_option
@json_option
@click.argument("whom", metavar="[ACCOUNT|ADDRESS]", required=False)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with a line of headings.")
def export(config: Path | None, as_json: bool, whom: str | None, as_csv: bool) -> None:
    if as_csv and as_json:
        raise click.UsageError("--csv and --json; choose one")
    rows = _all(config, whom)
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([visible(row[column]) for column in COLUMNS] for row in rows)
        return
    separator = "["
    for row in rows:
        click.echo(separator + json.dumps(row, ensure_ascii=True), nl=False)
        separator = ",\n"
    click.echo("[]" if separator == "[" else "]")


@familiar.command(
    short_help="Forget an account, an address or a network.",
    help="Forget who logs in from where, of ACCOUNT, ADDRESS or network: they are strangers from now on.",
)
@config_option
@json_option
@click.argument("whom", metavar="ACCOUNT|ADDRESS")
@click.option("--yes", is_flag=True, help="Do it; else it is only said what would go.")
@click.option("--reason", default="", help="For the record.")
def forget(config: Path | None, as_json: bool, whom: str, yes: bool, reason: str) -> None:
    if not yes:
        number = _page(config, whom)["number"]
        leave(f"{_logins(number)} of {whom} would be forgotten; with --yes they are", REFUSED)
    told = ask(config, "DELETE", "/familiar", {"whom": whom, "reason": reason})
    if as_json:
        print_json(told)
        return
    gone = told["forgotten"]
    for each in gone[:20]:
        click.echo(f"forgotten: {visible(each['account'])} at {each['address']}")
    if len(gone) > 20:
        click.echo(f"and {len(gone) - 20} more")


def _logins(number: int) -> str:
    return f"{number} place{'s' * (number != 1)}"


def _page(config: Path | None, whom: str | None, after: dict[str, Any] | None = None) -> Any:
    query = {} if whom is None else {"whom": whom}
    if after is not None:
        query |= {"after_account": after["account"], "after_address": after["address"]}
    return ask(config, "GET", "/familiar", query=query)


def _all(config: Path | None, whom: str | None) -> Iterator[dict[str, Any]]:
    """Everything, page by page: the daemon goes on judging between two of them."""
    page = _page(config, whom)["logins"]
    while page:
        yield from page
        page = _page(config, whom, page[-1])["logins"]
