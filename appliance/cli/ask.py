"""The commands that ask the running daemon: status, health, bans, ban, unban, why, reload."""

from pathlib import Path
from typing import Any

import click

from appliance.cli.asking import ask
from appliance.cli.options import FAILED, NOT_FOUND, Duration, config_option, json_option, print_json
from appliance.cli.tables import LABEL, in_words, moment, print_fact, print_table, stretch
from appliance.firewall.backend import CLOSED_PORTS
from appliance.judge.words import kind, shown, visible
from appliance.model import BAN_SCOPES, Outcome, Scope

OBSERVING = "the mode is observe: it is written down and nothing is blocked"


def _ports(scope: Scope) -> str:
    """`smtp-in: 25`."""
    return f"{scope.value}: {', '.join(map(str, sorted(CLOSED_PORTS[scope])))}"


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
        print_fact("degraded", fault, "red")
    for name, words in told["conditions"].items():
        print_fact(name, words, "yellow")
    for alert in told["alerts"]:
        print_fact(
            alert["severity"], f"{alert['at']} {alert['detector']}: {alert['reason']}", _COLOURS[alert["severity"]]
        )
    print_fact("listening", ", ".join(told["listening"]) or "nowhere")
    frames = told["frames"]
    print_fact("frames", f"{frames['received']} received, {frames['parsed']} read, {frames['events']} events")
    print_fact("bans", f"{told['bans']} in force, {told['dropped_packets']} packets dropped")
    for sender in told["senders"]:
        last = in_words(sender["silent"])
        print_fact("sender", f"{sender['name']} ({sender['address']}): {sender['frames']} frames, the last {last} ago")
    if not told["senders"]:
        print_fact("sender", "no host has sent a line yet")
    for doubt in told["doubts"]:
        print_fact("doubtful", doubt)


@click.command(help="Whether zward does what it is asked: exit code 0, else what is missing. For health checks.")
@config_option
@json_option
def health(config: Path | None, as_json: bool) -> None:
    missing = ask(config, "GET", "/status")["missing"]
    if as_json:
        print_json({"ready": not missing, "missing": missing})
    else:
        click.echo(visible(missing) or "ready")
    if missing:
        raise SystemExit(FAILED)


_COLOURS = {"critical": "red", "warning": "yellow"}


@click.command(help="Who is banned, until when and why; of one ADDRESS or network only the bans that touch it.")
@config_option
@json_option
@click.argument("address", required=False)
@click.option("--observed", is_flag=True, help="Whom the mode observe would have banned.")
def bans(config: Path | None, as_json: bool, address: str | None, observed: bool) -> None:
    query = ({} if address is None else {"address": address}) | ({"observed": "1"} if observed else {})
    found = ask(config, "GET", "/bans", query=query)
    if as_json:
        print_json(found)
    elif observed:
        _print_observed(found)
    else:
        _print_bans(found, address, ask(config, "GET", "/status")["mode"] == "observe")
    if address is not None and not found:
        raise SystemExit(NOT_FOUND)


def _print_observed(found: list[dict[str, Any]]) -> None:
    if found:
        _print_table(found)
        click.secho("these would be banned; nobody is, by the mode observe", fg="yellow", err=True)
    else:
        click.echo("nobody would be banned")


def _print_table(found: list[dict[str, Any]]) -> None:
    narrow = ["scope"] if any(each["scope"] != Scope.ALL for each in found) else []  # else the reason has the room
    rows = [
        [each["address"], in_words(each["remaining"]), *(each[key] for key in narrow), each["detector"], each["reason"]]
        for each in found
    ]
    print_table(["address", "for another", *narrow, "detector", "reason"], rows)


def _only(told: dict[str, Any]) -> str:
    """` in scope login`, where a ban does not close every port."""
    scope = told.get("scope", Scope.ALL)  # of a ban that stood in the kernel alone nothing more is known
    return "" if scope == Scope.ALL else f" in scope {scope}"


def _print_bans(found: list[dict[str, Any]], address: str | None, observing: bool) -> None:
    if found:
        _print_table(found)
        if observing:
            click.secho(OBSERVING, fg="yellow", err=True)
    elif address is not None:
        click.echo(f"{visible(address)} is not banned")
    elif observing:
        click.echo("nobody is banned, since the mode is observe; zward bans --observed says who would be")
    else:
        click.echo("nobody is banned")


@click.command(help="Ban ADDRESS (or a /24, /64, /48) on every exposed port, or on those of one scope.")
@config_option
@json_option
@click.argument("address")
@click.option("--for", "seconds", type=Duration(), required=True, help="How long: 90s, 30m, 2h, 7d.")
@click.option("--reason", required=True, help="For whoever finds the ban later.")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in BAN_SCOPES]),
    default=Scope.ALL.value,
    show_default=True,
    help=f"Which ports. {_ports(Scope.LOGIN)}; {_ports(Scope.SMTP_IN)}.",
)
def ban(config: Path | None, as_json: bool, address: str, seconds: float, reason: str, scope: str) -> None:
    wish = {"address": address, "seconds": seconds, "reason": reason, "scope": scope}
    told = ask(config, "POST", "/bans", wish)
    if as_json:
        print_json(told)
        return
    click.echo(f"{told['address']} is banned until {moment(told['until'])}{_only(told)}")
    if told["mode"] == "observe":
        click.secho(OBSERVING, fg="yellow")
    if told["fault"]:
        click.secho(visible(told["fault"]), fg="yellow")


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
        click.echo(f"lifted {each['address']}{_only(each)}: {visible(each['reason'])}")
    for fault in {each["fault"] for each in lifted} - {""}:
        click.secho(visible(fault), err=True, fg="yellow")


@click.command(help="Everything known of ADDRESS: bans, accounts, protocols, times, the lines.")
@config_option
@json_option
@click.argument("address")
@click.option("--lines", type=click.IntRange(0), default=5, show_default=True, help="How many, the newest first.")
def why(config: Path | None, as_json: bool, address: str, lines: int) -> None:
    told = ask(config, "GET", "/why", query={"address": address})
    if as_json:
        print_json(told)
        return
    _print_standing(told)
    _print_logins(told)
    for count in told["counts"]:
        _print_count(count)
    if told["beyond"]:
        print_fact("did", f"{told['beyond']} more, of which only the number was kept")
    if told["is_partial"]:
        print_fact("", "there is more on disk than one answer reads: these numbers are too low")
    _print_past(told)
    _print_lines(told["lines"], lines)
    if told["banned"]:
        print_fact("lift", f"zward unban {told['address']}")


def _print_standing(told: dict[str, Any]) -> None:
    if standing := told["banned"]:
        left = f"until {moment(standing['until'])} (another {in_words(standing['remaining'])})"
        click.secho(f"{told['address']}  BANNED {left}", bold=True)
        step = "" if standing["by_hand"] else f", step {standing['step'] + 1}"
        print_fact("why", f"{standing['reason']} ({standing['detector']}{step})")
        if standing["scope"] != Scope.ALL:
            others = "others are closed as well, see below" if told["beside"] else "the others are open to it"
            print_fact("ports", f"{_ports(Scope(standing['scope']))}; {others}")
        if told["mode"] == "observe":
            print_fact("but", OBSERVING, "yellow")
    else:
        click.secho(f"{told['address']}  not banned", bold=True)
    if observed := told["would_be_banned"]:
        print_fact("observed", f"would be banned until {moment(observed['until'])}: {observed['reason']}")
    if told["never_banned"]:
        print_fact("never", f"is never banned: {told['never_banned']}")


def _print_logins(told: dict[str, Any]) -> None:
    """Who logs in from there: whether a caller's device, or a stranger."""
    for login in told["logins"][:5]:
        when = f"first {moment(login['first'])}, last {moment(login['last'])}"
        print_fact("logs in", f"{shown(login['account'])}, {when}")
    if len(told["logins"]) > 5:
        print_fact("", f"and {len(told['logins']) - 5} more accounts: zward familiar list {told['address']}")
    if told["is_office"]:
        print_fact("office", "several people log in from there, so it is told of rather than banned")
    elif told["counts"] and not told["logins"]:
        print_fact("logs in", "nobody: in 30 days no login came from there")
    if told["doubt"]:
        print_fact("in doubt", told["doubt"], "yellow")
    if told["probation"]:
        print_fact("probation", f"one more failed login may ban it again, until {moment(told['probation'])}")


def _print_count(count: dict[str, Any]) -> None:
    account = shown(count["account"]) if count["account"] else "(no account named)"
    happened = kind(Outcome(count["outcome"]), count["number"])
    when = stretch(count["first"], count["last"])
    print_fact("did", f"{count['number']} {happened} over {count['protocol']} on {account}, {when}")


def _print_past(told: dict[str, Any]) -> None:
    """The other bans that touch the address: of networks around it and inside it, and those that are over."""
    standing = told["banned"]
    for past in told["bans"]:
        if standing and all(past[key] == standing[key] for key in ("address", "since", "scope")):
            continue
        if past["lifted"]:
            end = f"lifted {moment(past['lifted'])} by {past['lifted_by']}"
            end += f" ({past['lifted_for']})" if past["lifted_for"] else ""
        else:
            end = f"until {moment(past['until'])}"
        whom = "" if past["address"] == told["address"] else f"{past['address']} "
        label = "before" if past["lifted"] or past["until"] <= told["asked"] else "also"
        print_fact(label, f"{whom}banned{_only(past)} {moment(past['since'])}, {end}: {past['reason']}")


def _print_lines(found: list[dict[str, Any]], most: int) -> None:
    """A log line is never folded, so that it can be copied whole."""
    for line in found[:most]:
        host = shown(line["host"] or line["sender"])
        click.echo(f"{'  line':<{LABEL}}{moment(line['time'])} {host}: {visible(line['line'])}")
    if len(found) > most:
        print_fact("", f"{len(found) - most} more with --lines {len(found)}")


@click.command(help="Let the daemon take up a changed configuration: all of it, or, with a fault, nothing.")
@config_option
@json_option
def reload(config: Path | None, as_json: bool) -> None:
    told = ask(config, "POST", "/reload")
    if as_json:
        print_json(told)
    else:
        print_reloaded(told)


def print_reloaded(told: dict[str, Any]) -> None:
    """What a reload did, and what is left to do."""
    click.echo("reloaded")
    for net in told["lifted"]:
        click.echo(f"lifted {net}: it may no longer be banned")
    for key in told["needs_restart"]:
        click.secho(f"{key} takes effect at the next start", fg="yellow")
    if told["needs_load"]:
        keys = ", ".join(told["needs_load"])
        click.secho(f"the firewall takes up {keys} with: sudo zward firewall load", fg="yellow")
