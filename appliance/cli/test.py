"""`zward test`: does each way of telling people work? Sends one test message by each and says what came of it."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from appliance.cli.options import FAILED, NOT_FOUND, config_option, json_option, leave, print_json
from appliance.cli.settings import config_of
from appliance.judge.words import visible
from appliance.metrics.declared import CHANNELS
from appliance.notify.channel import Channel, ChannelError, Count
from appliance.notify.channels import channels_of, host_of
from appliance.notify.mail.digest import Day


@click.command(help="Send one test message by each channel below [notify], or by those named, and say what came of it.")
@config_option
@json_option
@click.argument("channels", nargs=-1, type=click.Choice(CHANNELS), metavar="[CHANNEL]...")
def test(config: Path | None, as_json: bool, channels: tuple[str, ...]) -> None:
    settings = config_of(config)
    built = channels_of(settings, host_of(settings), _no_day, _no_count, time.time)
    asked = [channel for channel in built if not channels or channel.name in channels]
    missing = [name for name in dict.fromkeys(channels) if name not in {channel.name for channel in asked}]
    if not asked and not missing:
        leave("no channel is configured: there is no table below [notify]", NOT_FOUND)
    told = asyncio.run(_checked(asked)) + [
        {"channel": name, "works": None, "says": f"not configured: there is no table [notify.{name}]"}
        for name in missing
    ]
    if as_json:
        print_json(told)
    else:
        for each in told:
            click.echo(visible(f"{each['channel']}: {each['says']}"), err=not each["works"])
    if any(each["works"] is False for each in told):
        raise SystemExit(FAILED)
    if missing:
        raise SystemExit(NOT_FOUND)


async def _checked(channels: Sequence[Channel]) -> list[dict[str, Any]]:
    """What came of each, all at a time: one that does not answer holds the others up no longer than it has to."""
    return list(await asyncio.gather(*map(_check, channels)))


async def _check(channel: Channel) -> dict[str, Any]:
    try:
        return {"channel": channel.name, "works": True, "says": await channel.check()}
    except ChannelError as fault:
        return {"channel": channel.name, "works": False, "says": str(fault)}


def _no_count(_channel: str) -> Count:
    """Nobody counts what a test sends."""
    return lambda _result, _number: None


async def _no_day() -> Day:
    """A test sends no digest."""
    return Day(0.0, 0.0)
