"""The commands that ask the running daemon: status, bans, ban, unban, why, reload."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from appliance.cli.asking import ask
from appliance.cli.options import NOT_FOUND, config_option, json_option, print_json
from appliance.cli.tables import in_words, print_table
from appliance.config.durations import seconds as seconds_of
from appliance.judge.words import shown


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return seconds_of(str(value))
        except ValueError as fault:
            self.fail(str(fault), param, ctx)


@click.command(help="How the daemon is: mode, what comes in, who is out, what does not work.")
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    told = ask(config, "GET", "/status")
    if as_json:
        print_json(told)
        return
    click.secho(f"zward {told['version']}, mode {told['mode']}, up {in_words(told['uptime'])}", bold=True)
    for fault in told["faults"]:
        click.secho(f"  degraded   {fault}", fg="red")
    click.echo(f"  listening  {', '.join(told['listening'])}")
    frames = told["frames"]
    click.echo(f"  frames     {frames['received']} received, {frames['parsed']} read, {frames['events']} events")
    click.echo(f"  bans       {told['bans']} in force, {told['dropped_packets']} packets dropped")
    for sender in told["senders"]:
        click.echo(
            f"  sender     {sender['address']}: {sender['frames']} frames, last {in_words(sender['silent'])} ago"
        )
    for doubt in told["doubts"]:
        click.echo(f"  doubtful   {doubt}")


@click.command(help="Who is banned, until when and why; of one ADDRESS only the bans that cover it.")
@config_option
@json_option
@click.argument("address", required=False)
def bans(config: Path | None, as_json: bool, address: str | None) -> None:
    found = ask(config, "GET", "/bans", query={"address": address} if address else None)
    if as_json:
        print_json(found)
    elif found:
        rows = [[ban["address"], in_words(ban["remaining"]), ban["detector"], ban["reason"]] for ban in found]
        print_table(["address", "for another", "detector", "reason"], rows)
    else:
        click.echo("nobody is banned" if address is None else f"{address} is not banned")
    if address is not None and not found:
        raise SystemExit(NOT_FOUND)


@click.command(help="Ban ADDRESS (or a /24, /64, /48) on every exposed port.")
@config_option
@json_option
@click.argument("address")
@click.option("--for", "seconds", type=_Duration(), required=True, help="How long: 90s, 30m, 2h, 7d.")
@click.option("--reason", required=True, help="For whoever finds the ban later.")
def ban(config: Path | None, as_json: bool, address: str, seconds: float, reason: str) -> None:
    told = ask(config, "POST", "/bans", {"address": address, "seconds": seconds, "reason": reason})
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['address']} is banned until {_moment(told['until'])}")
    if told["mode"] == "observe":
        click.secho("the mode is observe: it is written down and nothing is blocked", fg="yellow")


@click.command(help="Lift every ban that covers ADDRESS, at once.")
@config_option
@json_option
@click.argument("address")
@click.option("--reason", default="", help="For the record.")
def unban(config: Path | None, as_json: bool, address: str, reason: str) -> None:
    lifted = ask(config, "DELETE", "/bans", {"address": address, "reason": reason})
    if as_json:
        print_json(lifted)
        return
    for each in lifted:
        click.echo(f"lifted {each['address']}: {each['reason']}")


@click.command(help="Everything known of ADDRESS: bans, accounts, protocols, times, the lines.")
@config_option
@json_option
@click.argument("address")
def why(config: Path | None, as_json: bool, address: str) -> None:
    told = ask(config, "GET", "/why", query={"address": address})
    if as_json:
        print_json(told)
        return
    _print_why(told)


def _print_why(told: dict[str, Any]) -> None:
    standing = told["banned"]
    if standing:
        left = f"until {_moment(standing['until'])} (another {in_words(standing['remaining'])})"
        click.secho(f"{told['address']}  BANNED {left}", bold=True)
        click.echo(f"  why      {standing['reason']} ({standing['detector']}, step {standing['step'] + 1})")
    else:
        click.secho(f"{told['address']}  not banned", bold=True)
    if observed := told["would_be_banned"]:
        click.echo(f"  observed it would be banned until {_moment(observed['until'])}: {observed['reason']}")
    if told["never_banned"]:
        click.echo(f"  never    {told['never_banned']}")
    for count in told["counts"]:
        account = shown(count["account"]) if count["account"] else "(no account named)"
        number = count["number"]
        click.echo(
            f"  did      {number} × {count['outcome']} over {count['protocol']} on {account}, "
            f"{_moment(count['first'])} to {_moment(count['last'])}"
        )
    for past in told["bans"]:
        if not standing or past["since"] != standing["since"]:
            end = f"lifted by {past['lifted_by']}" if past["lifted_by"] else f"until {_moment(past['until'])}"
            click.echo(f"  before   {_moment(past['since'])} {end}: {past['reason']}")
    for line in told["lines"]:
        host = shown(line["host"] or line["sender"])
        click.echo(f"  line     {_moment(line['time'])} {host}: {_printable(line['line'])}")
    if standing:
        click.echo(f"  lift     zward unban {told['address']}")


@click.command(help="Let the daemon take up a changed configuration: all of it, or, with a fault, nothing.")
@config_option
@json_option
def reload(config: Path | None, as_json: bool) -> None:
    told = ask(config, "POST", "/reload")
    if as_json:
        print_json(told)
        return
    click.echo("reloaded")
    for net in told["lifted"]:
        click.echo(f"lifted {net}: it may no longer be banned")
    for key in told["needs_restart"]:
        click.secho(f"{key} takes effect at the next start", fg="yellow")


def _moment(iso: str) -> str:
    """A time of an answer, in this terminal's zone."""
    return datetime.fromisoformat(iso).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
