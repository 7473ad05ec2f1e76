"""The receiver's end of the firewall: asks the helper, over the socket in the firewall directory.

One request at a time, so that a time limit means the request itself and not the queue before it. A helper that died
is started again by whoever started it; the request waits in the socket meanwhile, up to its limit. This side holds
no privilege.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from appliance.address import Net
from appliance.firewall.backend import (
    BackendError,
    Drop,
    Dropped,
    Element,
    Health,
    NotPermitted,
    Place,
    Refused,
    SampledDrop,
)
from appliance.firewall.limits import LONGEST_BAN, MAX_BATCH, MAX_SOURCES, Refusal
from appliance.firewall.records import (
    FOREVER,
    MAX_PACKET,
    Count,
    Malformed,
    Op,
    Reply,
    Request,
    Status,
    in_packets,
    pack_request,
    unpack_reply,
)
from appliance.model import BAN_SCOPES

CALL_LIMIT = 5.0
"""Seconds for one request. The largest batch takes 0.1 s, before Linux 6.12 0.2 s (measured, 2 cores)."""

LISTING_LIMIT = 30.0
"""Seconds for a listing: it takes 0.6 s for 100,000 elements (measured), and a set may hold a million."""

TRIES = 3
"""How often one request is sent: a helper that died has read it and not answered. Every request can be repeated."""

TRY_PAUSE = 0.2
"""Seconds between two of them."""


_Result = TypeVar("_Result")


class HelperBackend:
    """The kernel's firewall, through the helper."""

    def __init__(self, path: Path, *, call_limit: float = CALL_LIMIT, listing_limit: float = LISTING_LIMIT) -> None:
        """`path` is the helper's socket."""
        self._path = path
        self._call_limit = call_limit
        self._listing_limit = listing_limit
        self._turn = asyncio.Lock()
        self._sequences = itertools.count(1)
        self._allowed: Sequence[Element] | None = None
        self._socket: socket.socket | None = None
        self._connected_before = False
        self.reconnects = 0
        """How often the helper was gone and found again."""

    async def open(self) -> None:
        async def once() -> None:
            if self._socket:
                await self._exchange(self._socket, Op.OPEN, (), self._call_limit)
            else:
                await self._connected()

        async with self._turn:
            await self._stubbornly(once)

    async def close(self) -> None:
        async with self._turn:
            self._disconnect()

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        refused = []
        for start in range(0, len(bans), MAX_BATCH):
            batch = [_within_limits(ban) for ban in bans[start : start + MAX_BATCH]]
            for reply in await self._ask(Op.BAN, batch, self._call_limit):
                refused += [Refused(net, Refusal(code).words) for net, code, _ in reply.elements]
        return refused

    async def unban(self, nets: Sequence[Net]) -> list[Net]:
        lifted = []
        for start in range(0, len(nets), MAX_BATCH):
            batch = [Element(net, 0) for net in nets[start : start + MAX_BATCH]]
            for reply in await self._ask(Op.UNBAN, batch, self._listing_limit):
                lifted += [element.net for element in reply.elements]
        return lifted

    async def banned(self) -> dict[Place, float]:
        return {
            Place(net, scope): float("inf") if seconds == FOREVER else float(seconds)
            for reply in await self._ask(Op.BANNED, (), self._listing_limit)
            for net, seconds, scope in reply.elements
        }

    async def allow(self, nets: Collection[Net]) -> None:
        wanted = [Element(net, 0) for net in nets]
        await self._ask(Op.ALLOW, wanted, self._call_limit)
        self._allowed = wanted

    async def favour(self, sources: Sequence[Element]) -> None:
        for start in range(0, len(sources), MAX_BATCH):
            batch = [_within_limits(source) for source in sources[start : start + MAX_BATCH]]
            await self._ask(Op.FAVOUR, batch, self._call_limit)

    async def fence(self, ports: Collection[int], seconds: int) -> None:
        await self._ask(Op.FENCE, (), self._call_limit, [Count(port, 0, 0, seconds, 0) for port in ports])

    async def seen(self, sources: Collection[Net]) -> set[Net]:
        asked = [Element(net, 0) for net in sources]
        found: set[Net] = set()
        for start in range(0, len(asked), MAX_SOURCES):
            for reply in await self._ask(Op.SEEN, asked[start : start + MAX_SOURCES], self._call_limit):
                found.update(element.net for element in reply.elements)
        return found

    async def dropped(self) -> Mapping[Drop, Dropped]:
        return {
            Drop(count.port, BAN_SCOPES[count.scope], count.family): Dropped(count.packets, count.bytes)
            for reply in await self._ask(Op.DROPPED, (), self._call_limit)
            for count in reply.counts
        }

    async def health(self) -> Health:
        [reply] = await self._ask(Op.HEALTH, (), self._call_limit)
        repairs, crowded_out, ended, fenced = (count.packets for count in reply.counts[:4])
        return Health(repairs, crowded_out, ended, reply.text, fenced)

    async def samples(self) -> list[SampledDrop]:
        replies = await self._ask(Op.SAMPLES, (), self._call_limit)
        return [_sample(reply.text) for reply in replies if reply.text]

    async def _ask(
        self, op: Op, elements: Sequence[Element], limit: float, counts: Sequence[Count] = ()
    ) -> list[Reply]:
        """Send one request and read all of its replies. Raises BackendError."""

        async def once() -> list[Reply]:
            return await self._exchange(await self._connected(), op, elements, limit, counts)

        async with self._turn:
            return await self._stubbornly(once)

    async def _stubbornly(self, act: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do it, again if the helper leaves meanwhile. Raises BackendError."""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(TRY_PAUSE)
            try:
                return await act()
            except ConnectionError as error:
                self._disconnect()
                fault = error
        raise BackendError(f"the firewall helper is gone: {fault}") from fault

    async def _exchange(
        self, helper: socket.socket, op: Op, elements: Sequence[Element], limit: float, counts: Sequence[Count] = ()
    ) -> list[Reply]:
        """Raises ConnectionError if the helper left meanwhile, BackendError for everything else."""
        try:
            async with asyncio.timeout(limit):
                return await self._converse(helper, op, elements, counts)
        except TimeoutError:
            self._disconnect()
            raise BackendError(f"the firewall helper did not answer within {limit:g} s") from None
        except Malformed as error:
            self._disconnect()
            raise BackendError(f"the firewall helper speaks another language: {error}") from error

    async def _converse(
        self, helper: socket.socket, op: Op, elements: Sequence[Element], counts: Sequence[Count]
    ) -> list[Reply]:
        loop = asyncio.get_running_loop()
        sequence = next(self._sequences) & 0xFFFF_FFFF
        with contextlib.suppress(ConnectionError):  # what it said before it left still waits to be read
            for part, more in in_packets(elements):
                await loop.sock_sendall(helper, pack_request(Request(op, sequence, part, more, counts)))
        replies: list[Reply] = []
        while not replies or replies[-1].more:
            packet = await loop.sock_recv(helper, MAX_PACKET)
            if not packet:
                raise ConnectionResetError("it closed the socket")
            reply = unpack_reply(packet)
            if reply.sequence in (0, sequence):  # another's answer: its caller was cancelled and does not wait
                _raise_fault(reply)
                replies.append(reply)
        return replies

    async def _connected(self) -> socket.socket:
        """Reach the helper, if we have not, and have it take up root's orders.

        Raises BackendError where nobody listens, and ConnectionError where the helper leaves at once.
        """
        if self._socket:
            return self._socket
        made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        made.setblocking(False)
        try:
            made.connect(str(self._path))
        except OSError as error:
            made.close()
            raise BackendError(_absent(self._path, error)) from error
        self._socket = made
        try:
            await self._exchange(made, Op.OPEN, (), self._call_limit)
            if self._allowed is not None:
                await self._exchange(made, Op.ALLOW, self._allowed, self._call_limit)
        except BaseException:
            self._disconnect()
            raise
        self.reconnects += self._connected_before
        self._connected_before = True
        return made

    def _disconnect(self) -> None:
        if self._socket:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def _within_limits(element: Element) -> Element:
    """Seconds that a record can carry; the helper refuses what is too long."""
    if 0 < element.seconds <= LONGEST_BAN:
        return element  # a tenth of the time that making another takes, and there may be 100,000
    return element._replace(seconds=min(max(element.seconds, 0), LONGEST_BAN + 1))


def _absent(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"the firewall helper's socket {path} is not for this user; the receiver's user alone may ask"
    if isinstance(error, BlockingIOError):
        return f"the firewall helper behind {path} does not answer: its queue is full"
    cure = "sudo make run, in a container --cap-add NET_ADMIN"
    return f"no firewall helper serves {path}; this starts zward with one: {cure}"


def _sample(text: str) -> SampledDrop:
    time, source, port, flags, device = text.split(" ", 4)
    return SampledDrop(float(time), source, int(port), flags, device)


def _raise_fault(reply: Reply) -> None:
    match reply.status:
        case Status.OK:
            return
        case Status.NOT_PERMITTED:
            raise NotPermitted(reply.text)
        case Status.MALFORMED | Status.FAILED:
            raise BackendError(reply.text, reply.elements[0].net if reply.elements else None)
