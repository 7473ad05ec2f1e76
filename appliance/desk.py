"""What people ask of a running zward: who is out and why, let them in, keep them out, never touch them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from appliance.address import Net, NetSet, source_of
from appliance.config.values import network
from appliance.firewall.backend import Element
from appliance.firewall.limits import BAN_PREFIXES, LONGEST_BAN, MAX_ALLOWED, Protected, refusal_of
from appliance.gate import Gate
from appliance.judge.bans import OPERATOR
from appliance.judge.words import shown, span, together
from appliance.model import BAN_SCOPES, Act, Ban, Mode, Scope, Spared
from appliance.moments import iso
from appliance.regulars import logins_at, probation_end, told_login
from appliance.store.store import Count, EvidenceLine, PastBan, Store, StoreError


class Refusal(Exception):
    """An operator's wish that is not granted for safety (exit 6); the message says why."""


class NotFound(Exception):
    """There is nothing of the kind that was asked for (exit 3)."""


class Unusable(Exception):
    """An argument that makes no sense (exit 2); the message says what was expected."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, for the record."""

    name: str


class Desk:
    """Answers people. Every act is written down with its author and its reason."""

    def __init__(
        self,
        gate: Gate,
        store: Store,
        clock: Callable[[], float],
        mode: Callable[[], Mode],
        adopt_allowlist: Callable[[NetSet], Awaitable[list[Ban]]],
    ) -> None:
        """`adopt_allowlist` makes judge and kernel spare these networks at once, and says which bans that ended."""
        self._gate = gate
        self._store = store
        self._clock = clock
        self._mode = mode
        self._adopt_allowlist = adopt_allowlist
        self._changing_allowlist = asyncio.Lock()
        """Or of two operators at once, the slower would put back the list without the other's entry."""

    def bans(self, within: Net | None = None, *, observed: bool = False) -> list[dict[str, Any]]:
        """The bans in force, the newest first; of a network only those that touch it.

        `observed` asks for those that the mode observe would have put in force.
        """
        now = self._clock()
        found = self._gate.judge.rehearsals(now) if observed else self._gate.judge.bans_in_force(now)
        if within is not None:
            found = [ban for ban in found if ban.net.covers(within) or within.covers(ban.net)]
        return [told_ban(ban, now) for ban in sorted(found, key=lambda ban: ban.since, reverse=True)]

    def _touching(self, net: Net) -> list[Ban]:
        """The bans in force that share an address with a network."""
        standing = self._gate.judge.bans_in_force(self._clock())
        return [ban for ban in standing if ban.net.covers(net) or net.covers(ban.net)]

    async def ban(
        self, address: str, seconds: float, reason: str, asker: Asker, scope: str = Scope.ALL
    ) -> dict[str, Any]:
        """Ban by hand. Raises Refusal for an address that is ours, allow-listed or special.

        A ban of the same network that lasts longer and closes the same ports stays, and is the answer; bans of
        other scopes stand beside it. `fault` says what did not work.
        """
        closed = scope_of(scope)
        net = bannable(address, closed)
        if not 1 <= seconds <= LONGEST_BAN:
            raise Unusable(f"a ban of {span(seconds)}; expected 1 s to {span(LONGEST_BAN)}")
        if not reason.strip():
            raise Unusable("no reason; whoever finds this ban later needs one")
        now = self._clock()
        if barrier := refusal_of(Element(net, int(seconds), closed), Protected(), Protected()):
            raise Refusal(f"{net} is not banned: {barrier.words}")
        verdict = self._gate.judge.ban(net, seconds, reason, now, scope=closed)
        if isinstance(verdict, Spared):
            raise Refusal(f"{net} is not banned: {verdict.reason}")
        standing = self._enough(verdict.ban)
        if standing is not None:
            fault = "it was banned for longer already, and stays so; unban it first for a shorter ban"
            return told_ban(standing, now) | {"mode": self._mode(), "fault": fault}
        fault = self._gate.enforcer.fault
        self._gate.recorder.ban(verdict.ban)
        self._gate.enforcer.want([verdict.ban])
        try:
            await self._note(asker, "ban", net, reason)
        except StoreError as unwritten:  # the ban stands all the same
            fault = fault or f"not written down yet: {unwritten}"
        return told_ban(verdict.ban, now) | {"mode": self._mode(), "fault": fault}

    def _enough(self, wanted: Ban) -> Ban | None:
        """The ban in force for whose sake one is not needed: as long at least, and closing its ports."""
        standing = [ban for ban in self._gate.judge.bans_in_force(self._clock()) if ban.net == wanted.net]
        if any(ban is wanted for ban in standing):
            return None
        closing = [ban for ban in standing if ban.scope in (wanted.scope, Scope.ALL)]
        return max(closing, key=lambda ban: ban.until, default=None)

    async def unban(self, address: str, asker: Asker, reason: str = "") -> list[dict[str, Any]]:
        """Lift every ban that shares an address with one given, in every scope; what was lifted, ban by ban.

        The tombstone is written first, so that no restart brings it back.
        """
        net = parsed(address)
        now = self._clock()
        covering = self._touching(net)
        nets = list(dict.fromkeys(ban.net for ban in covering))
        fault = ""
        try:
            await self._store.lift([net, *nets], now, asker.name, reason)
        except StoreError as unwritten:  # whoever waits on the phone is let in all the same
            fault = f"not written down, so a restart may bring it back: {unwritten}"
        self._gate.judge.unban(net, now)
        lifted = await self._gate.enforcer.unban([net, *nets])
        if not covering and not lifted:
            raise NotFound(f"{net} is not banned")
        try:
            await self._note(asker, "unban", net, reason)
        except StoreError as unwritten:
            fault = fault or f"who lifted it is not written down: {unwritten}"
        told = [told_ban(ban, now) for ban in covering]
        strangers = [
            {"address": str(found), "reason": "stood in the kernel alone"} for found in lifted if found not in nets
        ]
        return [each | {"fault": fault} for each in told + strangers]

    async def why(self, address: str) -> dict[str, Any]:
        """Everything known of an address. Raises NotFound when that is nothing."""
        net = parsed(address)
        now = self._clock()
        known = await self._store.why(net)
        touching = self._touching(net)
        standing = sorted((ban for ban in touching if ban.net.covers(net)), key=_weight, reverse=True)
        written = {_identity(past.ban) for past in known.bans}
        bans = [*(PastBan(ban, None) for ban in touching if _identity(ban) not in written), *known.bans]
        rehearsed = self._gate.judge.rehearsed(source_of(net), now)
        against = self._gate.judge.policy.spares(net)
        logins = logins_at(self._gate.judge, net, now)
        probation = None if standing else probation_end(self._gate.judge, net, known.bans, now)
        if not (bans or known.counts or against or logins or rehearsed):
            raise NotFound(f"{net}: no failures, no bans, nothing known")
        return {
            "address": str(net),
            "mode": self._mode(),
            "banned": told_ban(standing[0], now) if standing else None,
            "beside": [told_ban(ban, now) for ban in standing[1:]],
            "would_be_banned": told_ban(rehearsed, now) if rehearsed else None,
            "never_banned": against,
            "logins": [told_login(seen) for seen in logins],
            "probation": iso(probation) if probation else None,
            "doubt": None if standing else self._gate.judge.doubts(net, now),
            "is_office": self._gate.judge.is_office(source_of(net), now),
            "bans": [told_past(past) for past in bans],
            "counts": [told_count(count) for count in known.counts],
            "beyond": known.unnamed,
            "is_partial": known.is_partial,
            "lines": [told_line(line) for line in known.lines],
            "asked": iso(now),
        }

    async def allowed(self) -> list[dict[str, Any]]:
        """The allowlist that operators made at run time; the configuration's own is not in it."""
        return [
            {"network": str(entry.net), "comment": entry.comment, "by": entry.by, "added": iso(entry.time)}
            for entry in await self._store.allow_list()
        ]

    async def allow(self, address: str, comment: str, asker: Asker) -> dict[str, Any]:
        """Never ban a network from now on, and lift what stands against it."""
        net = parsed(address)
        async with self._changing_allowlist:
            if len(self._gate.judge.policy.untouchable() | {net}) > MAX_ALLOWED:
                raise Refusal(f"{net} is not added: the firewall spares {MAX_ALLOWED} networks at the most")
            await self._store.allow_add(net, comment, asker.name, self._clock())
            await self._note(asker, "allow", net, comment)
            ended = await self._readopt()
        return {"network": str(net), "lifted": list(dict.fromkeys(str(ban.net) for ban in ended))}

    async def disallow(self, address: str, asker: Asker) -> dict[str, Any]:
        """Take a network off the run-time allowlist."""
        net = parsed(address)
        async with self._changing_allowlist:
            if not await self._store.allow_remove(net):
                says = f"{net} is not on the run-time allowlist"
                raise NotFound(f"{says}; what the configuration allows is changed there")
            await self._note(asker, "disallow", net)
            await self._readopt()
        return {"network": str(net)}

    async def drops(self) -> list[dict[str, Any]]:
        """Samples of dropped packets, the newest first. Raises BackendError."""
        found = await self._gate.enforcer.backend.samples()
        return [
            {
                "time": iso(each.time),
                "source": each.source,
                "port": each.port,
                "family": 6 if ":" in each.source else 4,
                "flags": each.flags,
                "device": each.device,
            }
            for each in reversed(found)
        ]

    async def _note(self, asker: Asker, what: str, net: Net, reason: str = "") -> None:
        """Tell of an operator's act, and write it down. Raises StoreError."""
        act = Act(self._clock(), asker.name, what, str(net), reason)
        self._gate.tell(act, act.time)
        await self._store.add_act(act)

    async def _readopt(self) -> list[Ban]:
        entries = await self._store.allow_list()
        return await self._adopt_allowlist(NetSet(entry.net for entry in entries))


def _identity(ban: Ban) -> tuple[Net, float, Scope]:
    """What tells two bans apart in the record."""
    return ban.net, ban.since, ban.scope


def _weight(ban: Ban) -> tuple[bool, float]:
    """Of several bans of one address the one to name first: of every port before some, then the longest."""
    return ban.scope is Scope.ALL, ban.until


def parsed(text: str) -> Net:
    """An address or network as a person typed it; raises Unusable."""
    try:
        return network(text)
    except ValueError as expected:
        raise Unusable(f'found "{shown(text)}", expected {expected}') from expected


def scope_of(text: str) -> Scope:
    """The scope that a ban can have; raises Unusable."""
    try:
        return next(scope for scope in BAN_SCOPES if scope == text)
    except StopIteration:
        raise Unusable(f'found "{shown(text)}", expected a scope: {", ".join(BAN_SCOPES)}') from None


def bannable(text: str, scope: Scope = Scope.ALL) -> Net:
    """An address that a ban of this scope can name; raises Unusable where its prefix has no set."""
    net = parsed(text)
    usable = [length for length in BAN_PREFIXES[net.family] if length != 128 or scope is Scope.ALL]
    if net.prefix not in usable:
        lengths = together([f"/{length}" for length in usable])
        where = "" if scope is Scope.ALL else f" in scope {scope.value}"
        raise Unusable(f"{net} is a /{net.prefix}; only {lengths} can be banned{where}")
    return net


def told_past(past: PastBan) -> dict[str, Any]:
    """A ban as it was written down, in force or not."""
    lift = past.lift
    return {
        "address": str(past.ban.net),
        "since": iso(past.ban.since),
        "until": iso(past.ban.until),
        "scope": past.ban.scope.value,
        "detector": past.ban.detector,
        "step": past.ban.step,
        "reason": past.ban.reason,
        "lifted": iso(lift.time) if lift else None,
        "lifted_by": lift.by if lift else None,
        "lifted_for": lift.reason if lift else None,
    }


def told_count(count: Count) -> dict[str, Any]:
    """How often one thing happened to one account."""
    return {
        "account": count.account,
        "protocol": count.protocol,
        "outcome": count.outcome,
        "number": count.count,
        "first": iso(count.first),
        "last": iso(count.last),
    }


def told_line(line: EvidenceLine) -> dict[str, Any]:
    """A line that blames the address. Its text is client text: whoever shows it escapes it."""
    return {
        "time": iso(line.time),
        "address": line.address,
        "host": line.host,
        "sender": line.sender,
        "program": line.program,
        "rule": line.rule,
        "line": line.line.decode("utf-8", "replace"),
    }


def told_ban(ban: Ban, now: float) -> dict[str, Any]:
    return {
        "address": str(ban.net),
        "since": iso(ban.since),
        "until": iso(ban.until),
        "remaining": max(0, round(ban.until - now)),
        "scope": ban.scope.value,
        "detector": ban.detector,
        "step": ban.step,
        "reason": ban.reason,
        "by_hand": ban.detector == OPERATOR,
    }
