"""The helper's judgement of its own: what of a request may be done, and the doing of it."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from appliance.address import SOURCE_PREFIX, Net
from appliance.firewall import own
from appliance.firewall.backend import Element
from appliance.firewall.limits import (
    BANS_A_MINUTE,
    LONGEST_BAN,
    LONGEST_FENCE,
    MAX_ALLOWED,
    MAX_SOURCES,
    Protected,
    Refusal,
    refusal_of,
)
from appliance.firewall.orders import Orders, read
from appliance.firewall.records import Count, Op, Reply, Request, Status, in_packets
from appliance.firewall.samples import Samples
from appliance.firewall.sessions.sessions import Sessions
from appliance.firewall.table.kernel import Kernel
from appliance.firewall.table.netlink import Netlink
from appliance.model import BAN_SCOPES

MANY = 1000
"""From so many bans on, whoever listens for changes does not listen meanwhile: see `watch`."""

OWN_ADDRESSES_AGE = 1.0
"""Seconds for which the list of our own addresses is good: an address added now is safe a second later."""

TOLD_SECONDS = 3600.0
"""How long the last thing worth telling is told."""


Aside = Callable[[Netlink], AbstractContextManager[None]]


class Refusing(Exception):
    """This request is not carried out; the words go back to the receiver."""


class Firewall:
    """The table, and what the helper itself knows about who may not be banned."""

    def __init__(self, kernel: Kernel, orders: Path) -> None:
        self._kernel = kernel
        self._path = orders
        self._orders: Orders | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._allowed_by_receiver: frozenset[Net] = frozenset()
        self._allowed = Protected()
        self._own = Protected()
        self._own_read = float("-inf")
        self._minute = 0.0
        self._bans_left = BANS_A_MINUTE
        self._told = ""
        self._told_until = 0.0
        self.aside: Aside = lambda _: nullcontext()
        """Around a large transaction of our own: whoever listens for changes does not listen meanwhile."""
        self.sessions = Sessions(self._spares)
        self.samples: Samples | None = None
        self.repairs = 0

    # Root's orders

    def open(self) -> None:
        """Take up root's orders and have the table in place. Raises OrdersError or KernelError."""
        stamp = self._stamped()
        orders = read(self._path)
        self._kernel.open(replace(orders, never_ban=orders.never_ban | self._allowed_by_receiver))
        self._orders, self._stamp = orders, stamp
        self.sessions.extra_ports = orders.extra_ports
        self._protect()
        self._take_samples(orders.samples)

    def heed_orders(self) -> None:
        """Take up new orders if root has given some since."""
        if self._orders and self._stamped() != self._stamp:
            self.open()

    def relax(self) -> None:
        """Make the packets' way shorter where nobody is banned in a narrow scope any more, and nothing is fenced.

        Raises KernelError.
        """
        self._kernel.relax()

    def _stamped(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return self._stamp  # an order cannot be taken back by removing the file
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _take_samples(self, group: int) -> None:
        if self.samples and self.samples.group == group:
            return
        if self.samples:
            self.samples.close()
        self.samples = None
        if group:
            try:
                self.samples = Samples(group)
            except OSError as fault:  # another program listens to that group: go without
                self.tell(f"no samples of dropped packets: {fault.strerror}")

    def _protect(self) -> None:
        known = self._orders.never_ban if self._orders else frozenset()
        self._allowed = Protected(known | self._allowed_by_receiver)

    def _spares(self, net: Net) -> bool:
        return self._allowed.touches(net)

    def repaired(self, told: str) -> None:
        """Put the table back after somebody changed it, and remember to tell."""
        self.open()
        self.repairs += 1
        self.tell(told)

    def tell(self, told: str) -> None:
        self._told, self._told_until = told, time.monotonic() + TOLD_SECONDS

    # Requests

    def answer(self, request: Request) -> Iterator[Reply]:
        """Carry out a whole request. One reply, or several packets for a listing.

        Raises Refusing, OrdersError or KernelError.
        """
        if request.op is Op.OPEN:
            self.open()
            yield Reply(Status.OK, request.sequence)
            return
        if self._orders is None:
            raise Refusing("the firewall is not open")
        found: Sequence[Element] = ()
        match request.op:
            case Op.BAN:
                found = self._ban(request.elements)
            case Op.UNBAN:
                found = [Element(net, 0) for net in self._kernel.unban([net for net, *_ in request.elements])]
            case Op.BANNED:
                found = self._kernel.banned()
            case Op.ALLOW:
                self._allow(frozenset(net for net, *_ in request.elements))
            case Op.FAVOUR:
                self._favour(request.elements)
            case Op.FENCE:
                self._fence({count.port: count.packets for count in request.counts})
            case Op.SEEN:
                found = self._seen([net for net, *_ in request.elements])
            case Op.DROPPED:
                yield Reply(Status.OK, request.sequence, counts=self._dropped())
                return
            case Op.HEALTH:
                yield self._health(request.sequence)
                return
            case Op.SAMPLES:
                yield from self._samples(request.sequence)
                return
        for part, more in in_packets(found):
            yield Reply(Status.OK, request.sequence, part, more=more)

    def _ban(self, elements: Iterable[Element]) -> list[Element]:
        """Put in what may be put in; returns the others, each with its refusal in place of the seconds."""
        if time.monotonic() - self._own_read > OWN_ADDRESSES_AGE:
            self._own = Protected(own.addresses())
            self._own_read = time.monotonic()
        refused = []
        wanted = []
        for element in elements:
            if refusal := refusal_of(element, self._allowed, self._own) or self._beyond_rate():
                refused.append(Element(element.net, refusal))
            else:
                wanted.append(element)
        if wanted:
            before = self._kernel.crowded_out
            if len(wanted) < MANY:
                self._kernel.ban(wanted)
            else:
                with self.aside(self._kernel.netlink):
                    self._kernel.ban(wanted)
            self.sessions.end(wanted)
            if self._kernel.crowded_out > before:
                self.tell(self._kernel.crowded)
        return refused

    def _beyond_rate(self) -> Refusal | None:
        now = time.monotonic()
        if now - self._minute > 60:
            self._minute, self._bans_left = now, BANS_A_MINUTE
        self._bans_left -= 1
        return Refusal.RATE if self._bans_left < 0 else None

    def _allow(self, nets: frozenset[Net]) -> None:
        if len(nets) > MAX_ALLOWED:
            raise Refusing(f"an allow list of {len(nets)} networks; the limit is {MAX_ALLOWED}")
        known = self._orders.never_ban if self._orders else frozenset()
        self._kernel.allow(known | nets)
        self._allowed_by_receiver = nets
        self._protect()

    def _favour(self, elements: Iterable[Element]) -> None:
        """Only single sources, and for no longer than a ban may last."""
        self._kernel.favour(
            [e for e in elements if e.net.prefix >= SOURCE_PREFIX[e.net.family] and 1 <= e.seconds <= LONGEST_BAN]
        )

    def _fence(self, asked: Mapping[int, int]) -> None:
        """What root did not order to be fenced stays open to everybody; no ports at all end the whole fence."""
        ordered = self._orders.fence if self._orders else ()
        if not asked and ordered:
            self._kernel.fence(ordered, 0)
        if foreign := sorted(asked.keys() - set(ordered)):
            allowed = ", ".join(map(str, ordered)) or "none"
            raise Refusing(f"port {foreign[0]} may not be fenced; by root's orders: {allowed}")
        if asked and max(asked.values()) > LONGEST_FENCE:
            raise Refusing(f"a fence for {max(asked.values())} s; the limit is {LONGEST_FENCE}")
        if any(asked.values()) and not self._kernel.knows_anybody():
            raise Refusing("no source is familiar: a fence would keep everybody out")
        for seconds in set(asked.values()):
            self._kernel.fence([port for port, each in asked.items() if each == seconds], seconds)

    def _seen(self, sources: list[Net]) -> list[Element]:
        if len(sources) > MAX_SOURCES:
            raise Refusing(f"a question about {len(sources)} sources; the limit is {MAX_SOURCES}")
        return [Element(net, 0) for net in self._kernel.seen(sources)]

    def _dropped(self) -> list[Count]:
        return [
            Count(drop.port, BAN_SCOPES.index(drop.scope), drop.family, value.packets, value.bytes)
            for drop, value in self._kernel.dropped().items()
        ]

    def _health(self, sequence: int) -> Reply:
        figures = (self.repairs, self._kernel.crowded_out, self.sessions.ended, self._kernel.fenced())
        counts = [Count(number, 0, 0, figure, 0) for number, figure in enumerate(figures)]
        told = self._told if time.monotonic() < self._told_until else ""
        return Reply(Status.OK, sequence, counts=counts, text=told)

    def _samples(self, sequence: int) -> Iterator[Reply]:
        """One packet for each sample, the last of them empty."""
        for sample in list(self.samples.recent) if self.samples else ():
            flags = sample.flags.replace(" ", ",") or "-"
            words = f"{sample.time:.3f} {sample.source} {sample.port} {flags} {sample.device or '-'}"
            yield Reply(Status.OK, sequence, text=words, more=True)
        yield Reply(Status.OK, sequence)
