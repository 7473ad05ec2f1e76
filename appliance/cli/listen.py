"""`zward listen`: show what senders send, message by message, and judge nothing.

For setting up a mail host: it tells whether its log arrives, and how its headers are read.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import click

from appliance.address import Net, NetSet, parse_network
from appliance.config.values import Endpoint, endpoint, network
from appliance.judge.words import visible
from appliance.listen.listeners import open_listeners
from appliance.model import Message
from appliance.read.frames import Block
from appliance.read.syslog import content_faults, parse

_T = TypeVar("_T")
_EVERYBODY = (parse_network("0.0.0.0/0"), parse_network("::/0"))


def _endpoints(ctx: click.Context, param: click.Parameter, found: tuple[str, ...]) -> tuple[Endpoint, ...]:
    return tuple(_read(endpoint, text, ctx, param) for text in found)


def _networks(ctx: click.Context, param: click.Parameter, found: tuple[str, ...]) -> tuple[Net, ...]:
    return tuple(_read(network, text, ctx, param) for text in found)


def _read(reader: Callable[[str], _T], text: str, ctx: click.Context, param: click.Parameter) -> _T:
    try:
        return reader(text)
    except ValueError as error:
        raise click.BadParameter(f"found {text!r}, expected {error}", ctx, param) from None


@click.command()
@click.option(
    "--udp",
    multiple=True,
    callback=_endpoints,
    metavar="ADDR:PORT",
    help="Listen for datagrams; port 0: any.",
)
@click.option(
    "--tcp",
    multiple=True,
    callback=_endpoints,
    metavar="ADDR:PORT",
    help="Listen for connections; port 0: any.",
)
@click.option("--senders", multiple=True, callback=_networks, metavar="NET", help="Who may send (default: everybody).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message, also on a terminal.")
def listen(udp: tuple[Endpoint, ...], tcp: tuple[Endpoint, ...], senders: tuple[Net, ...], *, as_json: bool) -> None:
    """Show the syslog messages that arrive, until interrupted.

    When it ends it prints what it counted on the way.
    """
    if not udp and not tcp:
        raise click.UsageError("nothing to listen on: give --udp or --tcp")
    try:
        asyncio.run(_listen(udp, tcp, NetSet(senders or _EVERYBODY), as_json or not sys.stdout.isatty()))
    except OSError as error:
        raise click.ClickException(error.strerror or str(error)) from error


async def _listen(udp: tuple[Endpoint, ...], tcp: tuple[Endpoint, ...], senders: NetSet, as_json: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    show = _Show(as_json, stop)
    listeners = await open_listeners(udp, tcp, senders, show.receive, show.count)
    for listener in listeners.opened:
        click.echo(f"listening {listener.transport} {listener.endpoint}", err=True)
    await stop.wait()
    await listeners.close()
    show.count("dropped", listeners.dropped)
    click.echo(f"counters {json.dumps(show.counted, sort_keys=True)}", err=True)


class _Show:
    """Prints messages, a block at a time, and counts."""

    def __init__(self, as_json: bool, stop: asyncio.Event) -> None:
        self.counted: Counter[str] = Counter(frames=0)
        self._line = as_line if not as_json else as_object
        self._stop = stop
        self._readable = True

    def count(self, reason: str, number: int) -> None:
        self.counted[reason] += number

    def receive(self, block: Block, sender: str, transport: str) -> None:
        now = time.time()
        lines = []
        for frame in block:
            message = parse(frame.data, now)
            faults = message.faults + content_faults(frame.data)
            self.counted.update(faults)
            lines.append(self._line(message, faults, frame.truncated, sender, transport))
        self.count("frames", len(lines))
        self._write("".join(f"{line}\n" for line in lines).encode())

    def _write(self, text: bytes) -> None:
        if not self._readable:
            return
        try:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # who read us has gone: `zward listen | head`
            self._readable = False
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the last flush fails again
            self._stop.set()


def as_object(message: Message, faults: tuple[str, ...], truncated: bool, sender: str, transport: str) -> str:
    """One JSON object; ASCII only, so that no byte of a message can act on a terminal."""
    return json.dumps(
        {
            "sender": sender,
            "transport": transport,
            "facility": message.facility,
            "severity": message.severity,
            "timestamp": _moment(message.time),
            "host": message.host,
            "app": message.app,
            "pid": message.pid,
            "msgid": message.msgid,
            "sd": message.structured_data,
            "text": message.text.decode("utf-8", "backslashreplace"),
            "repeat": message.repeat,
            "truncated": truncated,
            "faults": faults,
        }
    )


def as_line(message: Message, faults: tuple[str, ...], truncated: bool, sender: str, transport: str) -> str:
    """One line for a reader; what a terminal would act on is escaped."""
    program = (message.app or "-") + (f"[{message.pid}]" if message.pid else "")
    text = message.text.decode("utf-8", "backslashreplace")
    remarks = [*faults, *(["truncated"] if truncated else [])]
    if message.repeat > 1:
        remarks.append(f"stands for {message.repeat}")
    line = f"{_moment(message.time) or '-'} {sender} {transport} {message.host or '-'} {program}: {text}"
    return visible(line + (f"  ({', '.join(remarks)})" if remarks else ""))


def _moment(time: float | None) -> str | None:
    if time is None:
        return None
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
