"""Brings the book's bans into the firewall, and keeps them there.

A ban is sent at once; others that come while one is under way go together in the next transaction. What fails
is tried again for as long as it is wanted.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from itertools import islice
from time import monotonic

from appliance.address import Net
from appliance.batches import finished
from appliance.firewall.backend import Backend, BackendError, Element, Place
from appliance.firewall.limits import MAX_BATCH, REASONS, Refusal
from appliance.judge.bans import OPERATOR
from appliance.judge.judge import Judge
from appliance.metrics.declared import STEPS
from appliance.metrics.metrics import Metrics
from appliance.model import BAN_SCOPES, Ban

log = logging.getLogger(__name__)

_HOST_PREFIXES = (32, 64, 128)
"""Prefix lengths of what counts as one host: of IPv6 a /64 (`address.SOURCE_PREFIX`), or one address by hand."""

_REFUSALS = {
    REASONS[Refusal.ALLOWED]: "allowed",
    REASONS[Refusal.OWN]: "own",
    REASONS[Refusal.SPECIAL]: "special",
}
"""The words of a refusal → its label; all others mean a fault of ours."""

RETRY_SECONDS = 1.0
"""Pause before what failed is tried again: a dead helper is back by then."""


@dataclass(slots=True)
class Wanted:
    """A ban on its way to the kernel."""

    ban: Ban
    arrived: float | None
    """Monotonic seconds at which the deciding line came in; None for a ban that is put back."""


class Enforcer:
    """The way from the judge's book to the firewall. The backend can be exchanged."""

    def __init__(self, backend: Backend, judge: Judge, metrics: Metrics, clock: Callable[[], float]) -> None:
        """`clock` gives seconds since the epoch."""
        self.backend = backend
        self.fault = ""
        """Why the firewall does not do what is asked; "" while it does."""
        self.failures = 0
        """How often the firewall did not do what was asked."""
        self._judge = judge
        self._metrics = metrics
        self._clock = clock
        self._wanted: dict[Place, Wanted] = {}
        self._due = asyncio.Event()

    def want(self, bans: Iterable[Ban]) -> None:
        """Put these bans into the firewall as soon as may be."""
        for ban in bans:
            self._wanted[_place(ban)] = Wanted(ban, monotonic())
            self._due.set()

    def put_back(self, bans: Iterable[Ban]) -> None:
        """The same for bans that were in force before; they are no new ones to be counted and timed."""
        for ban in bans:
            self._wanted.setdefault(_place(ban), Wanted(ban, None))
            self._due.set()

    @property
    def is_behind(self) -> bool:
        """Whether bans wait for their turn."""
        return bool(self._wanted)

    async def run(self) -> None:
        """Carry out what is wanted, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            while self._wanted:
                batch = [self._wanted.pop(place) for place in list(islice(self._wanted, MAX_BATCH))]
                await finished(self._carry_out(batch))

    async def _carry_out(self, batch: list[Wanted]) -> None:
        now = self._clock()
        bans = [wanted.ban for wanted in batch if wanted.ban.until > now]
        elements = [Element(ban.net, math.ceil(ban.until - now), ban.scope) for ban in bans]
        try:
            refused = await self.backend.ban(elements)
        except BackendError as fault:
            self.failed("ban", fault)
            await asyncio.sleep(RETRY_SECONDS)
            await self._mend()
            self._want_again(batch)
            return
        self._worked()
        for net, reason in refused:
            self._metrics.refused.labels(_REFUSALS.get(reason, "other")).inc()
            log.warning("the firewall refuses to ban %s: %s", net, reason)
        self._count(batch, {net for net, _ in refused})

    def _want_again(self, batch: list[Wanted]) -> None:
        """But not what was lifted or replaced meanwhile."""
        standing = self._standing()
        for wanted in batch:
            place = _place(wanted.ban)
            if standing.get(place) is wanted.ban:
                self._wanted.setdefault(place, wanted)

    def _standing(self) -> dict[Place, Ban]:
        return {_place(ban): ban for ban in self._judge.bans_in_force(self._clock())}

    def _count(self, batch: list[Wanted], refused: Collection[Net]) -> None:
        done = monotonic()
        for wanted in batch:
            if wanted.arrived is not None and wanted.ban.net not in refused:
                self._count_ban(wanted.ban)
                self._metrics.latency.observe(done - wanted.arrived)

    def _count_ban(self, ban: Ban) -> None:
        metrics, net = self._metrics, ban.net
        metrics.bans.labels(ban.detector, ban.scope, str(net.family), kind_of(net.prefix)).inc()
        if ban.detector != OPERATOR:
            metrics.ban_steps.labels(STEPS[min(ban.step, len(STEPS) - 1)]).inc()

    async def protect(self) -> None:
        """Have the firewall spare, and refuse to ban, whatever the judge's policy spares."""
        try:
            await self.backend.allow(self._judge.policy.untouchable())
        except BackendError as fault:
            self.failed("allow", fault)

    async def fence(self, ports: Collection[int], seconds: int) -> bool:
        """Have the firewall take new connections to these ports from known sources only; 0 seconds end that.

        Tried once more after a fault; whoever wants it longer asks again anyway. Whether it is done.
        """
        for is_first in (True, False):
            try:
                await self.backend.fence(ports, seconds)
            except BackendError as fault:
                self.failed("fence", fault)
            else:
                self._worked()
                return True
            if is_first:
                await asyncio.sleep(RETRY_SECONDS)
                await self._mend()
        return False

    async def lift(self, nets: Iterable[Net]) -> None:
        """Take these networks out of the firewall because a list spares them; what fails is done by `reconcile`."""
        try:
            await self.unban(list(dict.fromkeys(nets)), by="lists")
        except BackendError as fault:
            self.failed("unban", fault)

    async def unban(self, nets: Collection[Net], by: str = OPERATOR) -> list[Net]:
        """The same for whoever waits for it: what was lifted, in every scope. Raises BackendError.

        The firewall lifts wider bans with those asked for; what the judge's book still holds of them is put back.
        """
        if not nets:
            return []
        for net in nets:
            for scope in BAN_SCOPES:
                self._wanted.pop(Place(net, scope), None)
        lifted = await self.backend.unban(list(nets))
        self._metrics.unbans.labels(by).inc(len(lifted))
        if lifted:
            fallen = set(lifted)
            self.put_back(ban for place, ban in self._standing().items() if place.net in fallen)
        return lifted

    async def reconcile(self) -> int:
        """Make the firewall hold what the judge's book holds; the number of differences that are repaired.

        Bans that stand in the firewall alone end by themselves, but for those that the policy spares.
        """
        was_faulty = bool(self.fault)
        expected = [ban for place, ban in self._standing().items() if place not in self._wanted]
        try:
            present = await self.backend.banned()
        except BackendError as fault:
            self.failed("list", fault)
            if not await self._mend():
                return 0
            present, was_faulty = {}, True
        self._worked()
        if was_faulty:
            await self.protect()
        missing = [ban for ban in expected if _place(ban) not in present]
        wrong: set[Net] = set()
        if len(present) > len(expected) - len(missing):
            wrong = self._spared(present)
            await self.lift(wrong)
        if missing:
            standing = self._standing()  # somebody may have been let in while the firewall was listing
            missing = [ban for ban in missing if standing.get(_place(ban)) is ban]
            self.put_back(missing)
        self._metrics.differences.inc(len(missing) + len(wrong))
        return len(missing) + len(wrong)

    def _spared(self, present: Iterable[Place]) -> set[Net]:
        """Networks that are banned and not in the book, and that the policy spares."""
        standing = {place.net for place in self._standing()}
        return {net for net, _ in present if net not in standing and self._judge.policy.spares(net)}

    async def _mend(self) -> bool:
        """Put back the table that somebody else may have removed; whether the firewall is in place now."""
        try:
            await self.backend.open()
        except BackendError as fault:
            self.failed("open", fault)
            return False
        return True

    def failed(self, operation: str, fault: BackendError) -> None:
        """Take note, and tell once, that the firewall did not do what was asked."""
        self.failures += 1
        self._metrics.firewall_faults.labels(operation).inc()
        self._metrics.degraded.labels("firewall").set(1)
        if not self.fault:
            log.error("the firewall does not do what is asked; standing bans stay: %s", fault)
        self.fault = str(fault)

    def _worked(self) -> None:
        if self.fault:
            log.warning("the firewall works again")
        self.fault = ""
        self._metrics.degraded.labels("firewall").set(0)


def kind_of(prefix: int) -> str:
    """How metrics call what a ban keeps out: one of `declared.KINDS`."""
    return "host" if prefix in _HOST_PREFIXES else "network"


def _place(ban: Ban) -> Place:
    return Place(ban.net, ban.scope)
