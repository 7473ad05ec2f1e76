"""`zward account`: what a help desk needs while the account's owner is on the phone."""

from pathlib import Path
from typing import Any

import click

from appliance.cli.asking import ask
from appliance.cli.options import Duration, config_option, json_option, print_json
from appliance.cli.tables import in_words, moment, print_fact, stretch
from appliance.judge.words import kind, shown, span, together, visible
from appliance.model import Outcome


@click.command(help="What happens at account NAME: who fails there, how near a lockout is, where its owner logs in.")
@config_option
@json_option
@click.argument("name")
@click.option("--since", "seconds", type=Duration(), default="24h", show_default=True, help="How far back: 2h, 7d.")
@click.option("--sources", "most", type=click.IntRange(0), default=10, show_default=True, help="How many that fail.")
def account(config: Path | None, as_json: bool, name: str, seconds: float, most: int) -> None:
    told = ask(config, "GET", "/account", query={"name": name, "seconds": str(seconds)})
    if as_json:
        print_json(told)
        return
    _print_state(told)
    for login in told["logins"]:
        _print_login(login, told["mode"])
    if not told["logins"]:
        print_fact("logs in", "from nowhere that is known: no login in 30 days")
    _print_failing(told, most, span(seconds))


def _print_state(told: dict[str, Any]) -> None:
    name = shown(told["account"])
    if since := told["besieged_since"]:
        click.secho(f"{name}  UNDER SIEGE since {moment(since)}", bold=True)
        print_fact("so", "many strangers try it; where its owner logged in before, its owner gets in")
    else:
        click.secho(f"{name}  not under siege", bold=True)
    if budget := told["budget"]:
        print_fact("lockout", budget["words"])
        if 0 < budget["of"] <= budget["used"]:
            print_fact(
                "but", "Zimbra has locked it by now, if zimbra.lockout in the configuration is Zimbra's limit", "yellow"
            )


def _print_login(login: dict[str, Any], mode: str) -> None:
    office = ", an office" if login["is_office"] else ""
    when = f"first {moment(login['first'])}, last {moment(login['last'])}"
    print_fact("logs in", f"{login['address']}{office}: {when}")
    _print_ban(login, mode)


def _print_failing(told: dict[str, Any], most: int, ago: str) -> None:
    if not told["sources"]:
        print_fact("failed", f"nobody in {ago}")
        return
    for source in told["sources"][:most]:
        kinds = ", ".join(_kind(each, told["account"]) for each in source["kinds"])
        when = stretch(source["first"], source["last"])
        print_fact("failed", f"{source['address']}, {_who(source)}: {kinds}, {when}")
        _print_ban(source, told["mode"])
    more = len(told["sources"][most:]) + told["beyond"]
    if more:
        print_fact("", f"and {more} more sources; zward account --sources {most + more} shows them")
    if told["is_partial"]:
        print_fact("", "there is more on disk than one answer reads: these numbers are too low")


def _who(source: dict[str, Any]) -> str:
    """Whose place it is, as far as logins tell."""
    if source["is_familiar"]:
        return "where its owner logs in"
    if source["is_office"]:
        return "an office where it never logged in"
    return "a stranger" if source["is_stranger"] else "where others log in"


def _kind(each: dict[str, Any], account: str) -> str:
    happened = kind(Outcome(each["outcome"]), each["number"])
    named = f" as {shown(each['account'])}" if each["account"].lower() != account else ""
    return f"{each['number']} {happened} over {each['protocol']}{named}"


def _print_ban(source: dict[str, Any], mode: str) -> None:
    """What keeps it out, and how to let it in."""
    if not (ban := source["banned"]):
        return
    observed = " (not in force: the mode is observe)" if mode == "observe" else ""
    left = f"another {in_words(ban['remaining'])}, scope {ban['scope']}{observed}"
    print_fact("", f"BANNED for {left}: {visible(ban['reason'])}", "red")
    whom = [source["address"]] + [ban["address"]] * (ban["address"] != source["address"])
    if len(whom) > 1:
        print_fact("", f"the ban is of {together(whom[1:])}")
    print_fact("let in", f"zward unban {source['address']}")
