"""A bad morning in seven acts. Whatever it tells has been looked up: an act ends once it has come true, or fails."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator

from image.demo.site import Site
from image.demo.stage import IMAPS, Stage
from image.demo.wires import OFFICE, PHONE, PUBLIC, World

ANA, BOB, CARLA, INFO = (f"{name}@example.com" for name in ("ana", "bob", "carla", "info"))
PEOPLE = ((OFFICE, ANA), (OFFICE, BOB), (OFFICE, CARLA), (PHONE, INFO))
LIFE = 1.0
"""Seconds between two people's logins. Rules run 60 times faster here: a quiet half minute would be an alert."""


class Story:
    """`told` plays it from beginning to end."""

    def __init__(self, world: World, site: Site, stage: Stage, *, fast: bool) -> None:
        self._world, self._site, self._stage = world, site, stage
        self._pace = 0.0 if fast else 1.0
        self._attackers = itertools.count(11)
        self._guesser = ""

    async def told(self) -> None:
        """Raises UntrueError, or SiteError where a program fails."""
        watching = asyncio.create_task(self._stage.watch())
        try:
            for number, (title, act) in enumerate(self._acts(), 1):
                self._stage.headline(f"Act {number}. {title}")
                await act()
                await self._pause(15)
            self._stage.headline("The end")
            await self._ending()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    def _acts(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        yield "A quiet morning", self._quiet
        yield "Somebody guesses a password", self._guessing
        yield "A telephone in a drawer has an old password", self._stale
        yield "A botnet besieges one mailbox", self._siege
        yield "A stranger gets in", self._break_in
        yield "Somebody flushes the firewall", self._flush
        yield "The telephone rings at the help desk", self._help_desk

    # The acts

    async def _quiet(self) -> None:
        for source, account in PEOPLE:
            self._site.log.login(source, account)
        self._stage.say("log", f"Three people log in from the office ({OFFICE}), one from her phone ({PHONE}).")
        await self._stage.until_figure("zward_events_total", len(PEOPLE), "logins read: {:.0f}")
        await self._stage.must_open(self._world.people, OFFICE, "The office gets in")
        self._stage.must(not await self._site.bans(), "nobody is banned")
        self._stage.say("zward", "Nobody is banned. It now knows who lives where.")

    async def _guessing(self) -> None:
        self._guesser = guesser = self._new_attacker()
        await self._stage.must_open(self._world.attackers, guesser, f"{guesser} comes, whom nobody has seen before")
        for _ in range(6):
            self._site.log.failure(guesser, ANA)
            await self._pause(0.5)
        self._stage.say("log", f"Six wrong passwords for {ANA} from {guesser}.")
        await self._stage.until_banned([guesser])
        await self._stage.must_be_dropped(guesser)
        await self._stage.must_open(self._world.people, OFFICE, "The office does not notice")
        await self._stage.until_figure("sum(zward_bans_total)", 1, "bans: {:.0f}")
        await self._stage.until_figure("sum(zward_dropped_packets_total)", 1, "packets dropped: {:.0f}")
        await self._stage.until_mail(guesser)

    async def _stale(self) -> None:
        for _ in range(8):
            self._site.log.failure(OFFICE, BOB)
        self._stage.say("log", f"{BOB} fails eight times from the office, where he logs in as a rule.")
        await self._stage.until_alert("ZwardStaleDevice")
        await self._stage.until_mail(BOB, OFFICE)
        self._stage.must(OFFICE not in await self._site.bans(), "the office is not banned")
        await self._stage.must_open(self._world.people, OFFICE, "The office is told of and not banned")

    async def _siege(self) -> None:
        bots = [self._new_attacker() for _ in range(9)]
        for bot in bots[:5]:
            self._site.log.failure(bot, INFO)
            await self._pause(0.5)
        self._stage.say("log", f"Five addresses, one wrong password each, all for {INFO}.")
        await self._stage.until_alert("ZwardSiege")
        for bot in bots[5:]:
            self._stage.must(await self._world.attackers.knock(bot, PUBLIC, IMAPS), f"a connection from {bot} opens")
            self._site.log.failure(bot, INFO)
        self._stage.say("log", "Four more addresses come. Counted by address, none did anything yet.")
        await self._stage.until_banned(bots[5:])
        await self._stage.must_be_dropped(bots[5])
        self._site.log.login(PHONE, INFO)
        await self._stage.must_open(self._world.people, PHONE, "The owner, on her phone, gets in as every day")
        self._stage.quote(await self._site.zward("account", INFO), "lockout")
        await self._stage.until_figure("zward_accounts_besieged", 1, "mailboxes under siege: {:.0f}")
        await self._stage.until_mail(INFO)
        await self._stage.until_mail(bots[5])

    async def _break_in(self) -> None:
        stranger = self._new_attacker()
        for _ in range(5):
            self._site.log.failure(stranger, CARLA)
        self._site.log.login(stranger, CARLA)
        self._stage.say("log", f"{stranger} fails five times at {CARLA}, and then the password is right.")
        await self._stage.until_alert("ZwardBreakIn")
        for is_ours in (True, False):
            await self._stage.until_mail(CARLA, stranger, is_ours=is_ours)
        self._stage.say("zward", "Both mails name the mailbox and the address, and say what to do first.")

    async def _flush(self) -> None:
        table = ("--stateless", "--terse", "list", "table", "inet", "zward_policy")
        before = await self._site.nft(*table)
        await self._site.nft("flush", "ruleset")
        self._stage.say("log", "Somebody types `nft flush ruleset` on the gateway.")

        async def is_back() -> bool:
            tables = await self._site.nft("list", "tables")
            return "zward_policy" in tables and await self._site.nft(*table) == before

        await self._stage.until("the policy is back", is_back)
        self._stage.say("kernel", "Every rule is back as it was.")
        await self._stage.must_be_dropped(self._guesser)
        await self._stage.until_figure("zward_firewall_repairs_total", 1, "repairs: {:.0f}")
        faults = json.loads(await self._site.zward("status", "--json"))["faults"]
        self._stage.must(any("is put back" in each for each in faults), "zward status says who it was")
        self._stage.say("zward", next(each for each in faults if "is put back" in each))
        await self._stage.until_alert("ZwardFirewallChanged")
        await self._stage.until_mail("ZwardFirewallChanged", is_ours=False)

    async def _help_desk(self) -> None:
        self._stage.say("log", f"'I am at a customer's, and my mail is dead.' The address there is {self._guesser}.")
        self._stage.say("zward", f"$ zward why {self._guesser}")
        why = await self._site.zward("why", self._guesser, "--lines", "0")
        self._stage.must(ANA in why, "zward why names the mailbox")
        self._stage.quote(why)
        self._stage.say("zward", f"$ zward unban {self._guesser} --reason 'Ana, by telephone'")
        self._stage.quote(await self._site.zward("unban", self._guesser, "--reason", "Ana, by telephone"))
        await self._stage.must_open(self._world.attackers, self._guesser, "A connection from there again")
        await self._stage.until_figure('zward_unbans_total{by="operator"}', 1, "bans lifted by hand: {:.0f}")

    async def _ending(self) -> None:
        bans = await self._site.figure("sum(zward_bans_total)")
        dropped = await self._site.figure("sum(zward_dropped_packets_total)")
        self._stage.say("figure", f"Bans: {bans:.0f}. Packets dropped: {dropped:.0f}.")
        self._stage.say("zward", "Nobody who belongs here was kept out, but for Ana, whom one command let in again.")

    # Beside the acts

    async def life(self) -> None:
        """People log in, today as on any day."""
        for source, account in itertools.cycle(PEOPLE):
            await asyncio.sleep(LIFE)
            self._site.log.login(source, account)

    def _new_attacker(self) -> str:
        address = f"198.51.100.{next(self._attackers)}"
        self._world.attackers.add_address(address)
        return address

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._pace)
