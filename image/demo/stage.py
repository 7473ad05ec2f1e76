"""What the story is told with: looks at kernel, figures, alerts and mails, and lines on a terminal."""

import asyncio
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from appliance.judge.words import span, visible
from image.demo.pages import Mail, Mailbox
from image.demo.site import Ban, Site
from image.demo.wires import PUBLIC, Host, World

IMAPS = 993
LIMIT = 25.0
"""Seconds in which something told must come true. The slowest, a mail of a rule's alert, takes five."""
LOOK = 0.3
WIDTH = 80
INDENT = 10
"""Columns before what a command printed."""
COLOURS = {
    "log": "cyan",
    "zward": "bold green",
    "kernel": "magenta",
    "figure": "blue",
    "alert": "red",
    "mail": "yellow",
}

T = TypeVar("T")


class UntrueError(Exception):
    """Something that the story tells did not happen; the message says what."""


class Stage:
    """Each `until` waits for something and each `must` demands it now; all of them raise UntrueError."""

    def __init__(self, world: World, site: Site, box: Mailbox, console: Console) -> None:
        self._world, self._site, self._box, self._console = world, site, box, console
        self._began = time.monotonic()
        self._mark = 0
        """The newest mail when the act began."""
        self._told = {"Watchdog"}
        """Names of alerts that were told of. That one is always up."""
        box.heard = self._mail_came

    # Looks

    async def until(self, what: str, look: Callable[[], Awaitable[T]]) -> T:
        """The first true answer of `look`. Raises UntrueError where none comes in time."""
        deadline = time.monotonic() + LIMIT
        while not (answer := await look()):
            self._site.check()
            if time.monotonic() > deadline:
                raise UntrueError(f"{LIMIT:g} s were not enough until this was true: {what}")
            await asyncio.sleep(LOOK)
        return answer

    def must(self, is_true: bool, what: str) -> None:
        if not is_true:
            raise UntrueError(f"this is not true: {what}")

    async def must_open(self, host: Host, source: str, words: str) -> None:
        self.must(await host.knock(source, PUBLIC, IMAPS), f"a connection from {source} opens")
        self.say("kernel", f"{words}: port {IMAPS} opens.")

    async def must_be_dropped(self, source: str) -> None:
        self.must(not await self._world.attackers.knock(source, PUBLIC, IMAPS), f"a SYN of {source} is dropped")
        self.say("kernel", f"The next SYN of {source} is dropped: nothing is answered.")

    async def until_banned(self, sources: Iterable[str]) -> None:
        wanted = set(sources)

        async def banned() -> list[Ban]:
            found = await self._site.bans()
            return [found[each] for each in sorted(wanted)] if wanted <= found.keys() else []

        bans = await self.until(f"{', '.join(sorted(wanted))} banned", banned)
        whom = bans[0]["address"] if len(bans) == 1 else f"all {len(bans)}"
        self.say("zward", f"Banned {whom} for {span(60 * round(bans[0]['remaining'] / 60))}: {bans[0]['reason']}")

    async def until_figure(self, expr: str, least: float, words: str) -> None:
        async def figure() -> float:
            value = await self._site.figure(expr)
            return value if value >= least else 0

        value = await self.until(f"Prometheus has {expr} >= {least:g}", figure)
        self.say("figure", f"{words.format(value)} ({expr})")

    async def until_alert(self, name: str) -> None:
        async def is_up() -> bool:
            return name in self._told

        await self.until(f"the alert {name} is up at Alertmanager", is_up)

    async def until_mail(self, *words: str, is_ours: bool = True) -> None:
        """A mail of this act, from zward itself or from Alertmanager. It was told of as it came."""

        async def has_come() -> bool:
            return any(
                each.number > self._mark and each.is_ours == is_ours and each.has(*words) for each in self._box.mails
            )

        await self.until(f"a mail with {' and '.join(words)} from {'zward' if is_ours else 'Alertmanager'}", has_come)

    # What comes by itself

    async def watch(self) -> None:
        """Tell of each alert once, when Alertmanager has it and does not hold it back because another says it better.

        For good, so cancel it. It is told at the second look: the better one may come a moment later.
        """
        before: set[str] = set()
        while True:
            found = [each for each in await self._site.alerts() if each["status"]["state"] == "active"]
            active = {each["labels"]["alertname"]: each for each in found}
            for name in sorted(active.keys() & before - self._told):
                self._told.add(name)
                severity = active[name]["labels"].get("severity", "")
                words = active[name]["annotations"].get("summary", "")
                self.say("alert", visible(f"{name} is up at Alertmanager ({severity}): {words}"))
            before = set(active)
            await asyncio.sleep(LOOK)

    def _mail_came(self, mail: Mail) -> None:
        self.say("mail", f"{mail.subject} (from {'zward' if mail.is_ours else 'Alertmanager'})")

    # How it is told

    def headline(self, words: str) -> None:
        """An act begins: times and mails count from now on."""
        self._console.print()
        self._console.rule(Text(words, "bold"), align="left", characters="─")
        self._began, self._mark = time.monotonic(), self._box.last

    def say(self, who: str, words: str) -> None:
        """A line of somebody in `COLOURS`, with the seconds since the act began."""
        seconds = time.monotonic() - self._began
        head = f"{seconds:+6.1f} s  {who:<7} "
        lines = textwrap.wrap(
            words, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
        )
        for line in lines:
            told = Text(line)
            told.stylize("dim", 0, 8)
            told.stylize(COLOURS[who], 8, len(head))
            self._console.print(told, soft_wrap=True)

    def quote(self, said: str, *words: str) -> None:
        """What a command printed, cut to the width; with `words` the lines alone that hold one of them."""
        for line in said.splitlines():
            if not words or any(word in line for word in words):
                self._console.print(Text(f"{'':{INDENT}}{line}"[:WIDTH].rstrip(), "dim"), soft_wrap=True)
