"""E-mail: what is urgent at once, bans and the rest in batches, a digest once a day.

Of each of the three kinds one mail waits at most. While it does, what comes is gathered for the next one: a mail server
that was down for a night is sent three mails in the morning, and nothing was lost.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from email.message import EmailMessage
from typing import ClassVar

from appliance.config.notify import Email
from appliance.judge.words import visible
from appliance.model import Act, Banned, Noticed, Spared, Watched
from appliance.notify.backoff import Backoff, pause_after
from appliance.notify.channel import CLOSING, ChannelError, Count, Told
from appliance.notify.mail.batching import OTHER, Batching, Gathered, Group
from appliance.notify.mail.digest import Day, digest, next_digest
from appliance.notify.mail.mail import Envelope, Letter, Place, at_once, batch, message, trial, wire
from appliance.notify.mail.smtp import Deferred, MailServer, Refused

log = logging.getLogger(__name__)

LONGEST = 300.0
"""Seconds between two tries at most."""

PATIENCE = 4 * 3600.0
"""Seconds for which a mail is tried that the server answers with 4xx each time; then it makes room for later ones."""

LOOK = 30.0
"""Seconds after which the clock is looked at again, whatever is due: it may have been set."""

AMISS = 2 * 86400.0
"""Seconds until a digest that nothing but a clock set back explains."""

AT_ONCE, BATCH, DIGEST = "at once", "batch", "digest"
"""The kinds of mail, in the order in which they go out."""


@dataclass(slots=True)
class Waiting:
    """A mail that the server has not taken."""

    kind: str
    mail: EmailMessage
    to: Sequence[str]
    """Recipients that it is still for."""
    since: float
    """Seconds since the epoch."""
    tries: int = 0
    not_before: float = 0.0
    """When it is tried again, by the event loop's clock, if it was put off."""


class EmailChannel:
    """Mails to people."""

    name: ClassVar[str] = "email"

    def __init__(
        self,
        config: Email,
        host: str,
        runbooks: str,
        zone: tzinfo,
        day: Callable[[], Awaitable[Day]],
        count: Count,
        clock: Callable[[], float],
    ) -> None:
        """`day` tells what happened in the last 24 hours, `clock` gives seconds since the epoch."""
        self._place = Place(visible(host), zone, runbooks)
        self._envelope = Envelope(config.sender or _own_address(host), config.to)
        self._server = MailServer(config, host)
        self._where = config.server
        self._digest_at = config.digest
        self._day = day
        self._count = count
        self._clock = clock
        self._batching = Batching(config.at_once, config.every, config.batch_after, config.batch_within)
        self._would_bans: Counter[str] = Counter()
        """Bans that there would have been since the last digest."""
        self._mails: dict[str, Waiting] = {}
        self._backoff = Backoff("e-mail")
        self._resting_until = 0.0
        """By the event loop's clock; the server did not answer before."""
        self._woken = asyncio.Event()
        self._next_digest = self._following(clock())

    @property
    def waiting(self) -> int:
        """Mails that the server has not taken yet."""
        return len(self._mails)

    @property
    def fault(self) -> str:
        return self._backoff.fault

    def tell(self, what: Told, now: float) -> None:
        match what:
            case Spared() | Act():
                return
            case Watched(would_ban=False):
                return
            case Watched(detector=detector):
                self._would_bans[detector or OTHER] += 1
            case Banned() | Noticed():
                pass
        self._batching.tell(what, now)
        self._woken.set()

    async def run(self) -> None:
        while True:
            self._woken.clear()
            await self._write(self._clock())
            if self._mails and self._until_try() <= 0:
                await self._send()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rest(self._clock())):
                    await self._woken.wait()

    async def close(self) -> None:
        for waiting in self._mails.values():
            waiting.not_before = 0.0
        for kind, group in self._groups():
            if kind not in self._mails and group.due(self._clock()) is not None:
                self._compose(kind, group.take(self._clock()))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self._send()
        if self._mails:
            log.error("%d mails are lost: %s did not take them at the end", len(self._mails), self._where)
            self._count("dropped", len(self._mails))
            self._mails.clear()

    async def check(self) -> str:
        mail = self._as_sent(trial(self._place))
        taken = await self._server.send(self._envelope.sender, self._envelope.to, wire(mail))
        if not_taken := {**taken.later, **taken.refused}:
            raise ChannelError(f"{self._where}: {'; '.join(f'{to}: {said}' for to, said in not_taken.items())}")
        return f"{self._where} took the mail for {', '.join(self._envelope.to)}: {taken.said}"

    # Writing

    def _groups(self) -> tuple[tuple[str, Group], ...]:
        return (AT_ONCE, self._batching.urgent), (BATCH, self._batching.batch)

    async def _write(self, now: float) -> None:
        """Write the mails that are due; of each kind the next when the one before has gone out."""
        for kind, group in self._groups():
            due = group.due(now)
            if due is not None and due <= now and kind not in self._mails:
                self._compose(kind, group.take(now))
        if self._next_digest is not None and self._next_digest <= now:
            self._next_digest = self._following(now)
            day = await self._day()
            if day.is_observing:
                day = replace(day, bans=dict(self._would_bans))
            self._would_bans.clear()
            self._put(DIGEST, digest(day, self._place))
        elif self._next_digest is not None and self._next_digest - now > AMISS:
            self._next_digest = self._following(now)

    def _compose(self, kind: str, gathered: Gathered) -> None:
        self._put(kind, at_once(gathered, self._place) if kind == AT_ONCE else batch(gathered, self._place))

    def _put(self, kind: str, letter: Letter) -> None:
        if kind in self._mails:  # a digest of an earlier day
            self._drop(self._mails[kind], "a later one takes its place")
        self._mails[kind] = Waiting(kind, self._as_sent(letter), self._envelope.to, self._clock())

    def _as_sent(self, letter: Letter) -> EmailMessage:
        return message(letter, self._envelope, self._place, self._clock(), secrets.token_hex(12))

    def _following(self, now: float) -> float | None:
        return None if self._digest_at == "off" else next_digest(self._digest_at, self._place.zone, now)

    # Sending

    def _until_try(self) -> float:
        """Seconds until a mail that waits is to be tried."""
        begins = min(waiting.not_before for waiting in self._mails.values())
        return max(begins, self._resting_until) - asyncio.get_running_loop().time()

    def _rest(self, now: float) -> float:
        """Seconds until there is something to do, unless something comes."""
        due = [group.due(now) for kind, group in self._groups() if kind not in self._mails]
        moments = [each - now for each in (*due, self._next_digest) if each is not None]
        if self._mails:
            moments.append(self._until_try())
        return max(0.0, min([*moments, LOOK]))

    async def _send(self) -> None:
        """Try every mail whose time has come. What is put off keeps no other back; a server that is down does."""
        loop = asyncio.get_running_loop()
        for kind in (AT_ONCE, BATCH, DIGEST):
            waiting = self._mails.get(kind)
            if waiting is None or waiting.not_before > loop.time():
                continue
            try:
                await self._send_one(waiting)
            except ChannelError as fault:
                self._count("failed", 1)
                self._backoff.failed(fault)
                self._resting_until = loop.time() + pause_after(self._backoff.failures, LONGEST)
                return
            self._backoff.worked()

    async def _send_one(self, waiting: Waiting) -> None:
        """Have the server answer to one mail. Raises ChannelError where it does not."""
        try:
            taken = await self._server.send(self._envelope.sender, waiting.to, wire(waiting.mail))
        except Refused as fault:
            self._drop(waiting, str(fault))
            return
        except Deferred as fault:
            self._put_off(waiting, str(fault))
            return
        for recipient, said in taken.refused.items():
            log.error("%s refused a mail for %s: %s", self._where, recipient, said)
        if taken.later:
            waiting.to = tuple(taken.later)
            self._put_off(waiting, "; ".join(f"{to}: {said}" for to, said in taken.later.items()))
            return
        del self._mails[waiting.kind]
        self._count("sent", 1)

    def _put_off(self, waiting: Waiting, why: str) -> None:
        self._count("failed", 1)
        if self._clock() - waiting.since > PATIENCE:
            self._drop(waiting, f"put off for {PATIENCE / 3600:g} h: {why}")
            return
        if not waiting.tries:
            log.warning("the mail %r is put off: %s", str(waiting.mail["Subject"]), why)
        waiting.tries += 1
        waiting.not_before = asyncio.get_running_loop().time() + pause_after(waiting.tries, LONGEST)

    def _drop(self, waiting: Waiting, why: str) -> None:
        log.error("the mail %r is lost: %s", str(waiting.mail["Subject"]), why)
        self._mails.pop(waiting.kind, None)
        self._count("dropped", 1)


def _own_address(host: str) -> str:
    """`zward@gw1`, and where that can be no address, one that nobody can mistake (RFC 2606)."""
    letters = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-.") else "-" for letter in host)
    return f"zward@{letters.strip('-.')[:200] or 'zward.invalid'}"
