"""`make demo`: a real zward under attack, with Prometheus, Alertmanager and mail, on this one machine.

python -m image.demo            three minutes, then its pages stay open until Ctrl-C
python -m image.demo --fast     the same without pauses
"""

import argparse
import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from image.demo.pages import Door, Mailbox, Page, listener_at
from image.demo.site import ALERTMANAGER, METRICS, PROMETHEUS, ZWARD, Site, SiteError
from image.demo.stage import WIDTH, Stage, UntrueError
from image.demo.story import Story
from image.demo.wires import WiresError, World

NEEDED = {
    "ip": "iproute2",
    "nft": "nftables",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
}
"""Programs, and the Debian packages that have them."""
DOORS = {
    PROMETHEUS: (19090, "Prometheus", "figures, and the rules that are pending"),
    ALERTMANAGER: (19093, "Alertmanager", "what is up now"),
    METRICS: (19514, "zward", "what it exports, at /metrics"),
}
MAILS = 18025
INTERRUPTED = 130
"""128 and SIGINT, as a shell has it."""


def missing() -> str | None:
    """What this machine lacks, with the command that cures it; None if nothing."""
    if os.geteuid() != 0:
        return "the demo makes network namespaces, which needs root\nthe cure: sudo make demo"
    packages = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    try:
        ctypes.CDLL("libnftables.so.1")
    except OSError:
        packages.append("libnftables1")
    if packages:
        names = " ".join(sorted(packages))
        return f"not installed: {names}\nthe cure: apt-get install --no-install-recommends {names}"
    return None


async def play(options: argparse.Namespace, console: Console) -> None:
    """Build it, tell the story, keep the pages open, and take everything away, whatever happens."""
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(console.print, "\nEverything is taken away again.")
        directory = tempfile.mkdtemp(prefix="zward-demo-")
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        os.chmod(directory, 0o755)  # noqa: S103 - zward's receiver is no root where it need not be
        box = Mailbox()
        console.print("Four network namespaces, zward, Prometheus, Alertmanager: a few seconds …")
        world = await stack.enter_async_context(World())
        pages, urls = [], {}
        for port, (wish, name, shows) in DOORS.items():
            door = Door(world.gateway, port)
            urls[port] = _url(options.listen, await door.open(options.listen, wish))
            stack.push_async_callback(door.close)
            pages.append((urls[port], name, shows))
        listener = listener_at(options.listen, MAILS)
        page = Page(box)
        await page.open(listener)
        stack.push_async_callback(page.close)
        pages.append((_url(options.listen, listener.getsockname()[1]), "mails", "what the postmaster got"))
        site = await stack.enter_async_context(Site(world, Path(directory), box, urls))
        for url, name, shows in pages:
            console.print(Text(f"  {url:<24} {name}: {shows}"), soft_wrap=True)
        if options.wait:
            command = f"ip netns exec {world.gateway.name} {ZWARD} status --config {site.config}"
            console.print(Text(f"  {command}"), soft_wrap=True)
        story = Story(world, site, Stage(world, site, box, console), fast=options.fast)
        await _tell(story, console, stays=options.wait)


async def _tell(story: Story, console: Console, *, stays: bool) -> None:
    life = asyncio.create_task(story.life())
    try:
        await story.told()
        if stays:
            console.print("\nThe pages above stay open, and people go on to log in, until Ctrl-C.")
            with contextlib.suppress(asyncio.CancelledError):  # that is how it is meant to end
                await life
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)


def _url(address: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)  # noqa: S104
    return f"http://{host}:{port}"


async def _until_ended(options: argparse.Namespace, console: Console) -> int:
    playing = asyncio.create_task(play(options, console))
    asked_to_end: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        if not asked_to_end:  # once: the cleaning up that follows is not to be cut short
            playing.cancel()
        asked_to_end.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end, number)
    try:
        await playing
    except asyncio.CancelledError:
        return INTERRUPTED
    except (UntrueError, SiteError, WiresError, OSError) as fault:
        console.print(Text(f"\nThe demo failed: {fault}", "bold red"), soft_wrap=True)
        return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description="zward under attack, on this one machine")
    parser.add_argument("--fast", action="store_true", help="without pauses, within a minute")
    parser.add_argument("--no-wait", dest="wait", action="store_false", help="end after the story")
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDR", help="where the pages are (%(default)s)")
    options = parser.parse_args()
    if reason := missing():
        print(reason, file=sys.stderr)  # noqa: T201
        return 1
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
    return asyncio.run(_until_ended(options, console))


if __name__ == "__main__":
    sys.exit(main())
