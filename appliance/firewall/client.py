"""The receiver's end of the firewall: starts the privileged helper, asks it, and starts it again if it dies.

One request at a time, so that a time limit means the request itself and not the queue before it. This side
holds no privilege and loads no libnftables.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence

from appliance.address import Net
from appliance.firewall.backend import BackendError, Element, LibnftablesMissing, NotPermitted, Refused
from appliance.firewall.limits import MAX_BATCH, Refusal
from appliance.firewall.listing import FOREVER
from appliance.firewall.records import (
    MAX_PACKET,
    Malformed,
    Op,
    Reply,
    Request,
    Status,
    in_packets,
    pack_request,
    unpack_reply,
)

log = logging.getLogger(__name__)

CALL_LIMIT = 5.0
"""Seconds for one request. The largest batch takes 0.4 s, before Linux 6.12 about 1 s (measured, 2 cores)."""

LISTING_LIMIT = 30.0
"""Seconds for a listing: it takes 1.5 s for 100,000 elements (measured), and a set may hold a million."""

RESTART_PAUSE = 0.25
"""Seconds before the helper is started once more; doubled while it does not start, to spare the machine."""

LONGEST_PAUSE = 30.0
"""Seconds. A missing library or privilege does not come back by itself."""

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
"""All that the helper learns of ours. Errors of the C library must be in English: `nft` reads them."""


class HelperBackend:
    """The kernel's firewall, through a helper of its own."""

    def __init__(
        self,
        prefix: Sequence[str] = (),
        *,
        call_limit: float = CALL_LIMIT,
        listing_limit: float = LISTING_LIMIT,
    ) -> None:
        """`prefix` is put before the helper's command, for instance `ip netns exec NAME`.

        It must end by becoming the helper (exec), since the helper serves nobody but its parent.
        """
        self._command = (*prefix, sys.executable, "-I", "-m", "appliance.firewall.helper")
        self._call_limit = call_limit
        self._listing_limit = listing_limit
        self._turn = asyncio.Lock()
        self._sequences = itertools.count(1)
        self._allowed: Sequence[Element] | None = None
        self._socket: socket.socket | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0
        """How often the helper was started again."""

    @property
    def pid(self) -> int | None:
        """The helper's, while it is up."""
        return self._child.pid if self._child and self._socket else None

    async def open(self) -> None:
        if self._keeper:
            async with self._turn:
                await self._prepare()
            return
        try:
            async with self._turn:
                await self._start()
        except BaseException:
            await self.close()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="firewall-helper")

    async def close(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        async with self._turn:
            await self._stop()

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        refused = []
        for start in range(0, len(bans), MAX_BATCH):
            batch = [Element(net, min(max(seconds, 0), FOREVER)) for net, seconds in bans[start : start + MAX_BATCH]]
            for reply in await self._ask(Op.BAN, batch, self._call_limit):
                refused += [Refused(net, Refusal(code).words) for net, code in reply.elements]
        return refused

    async def unban(self, nets: Sequence[Net]) -> list[Net]:
        lifted = []
        for start in range(0, len(nets), MAX_BATCH):
            batch = [Element(net, 0) for net in nets[start : start + MAX_BATCH]]
            for reply in await self._ask(Op.UNBAN, batch, self._listing_limit):
                lifted += [net for net, _ in reply.elements]
        return lifted

    async def banned(self) -> dict[Net, float]:
        return {
            net: float("inf") if seconds == FOREVER else float(seconds)
            for reply in await self._ask(Op.BANNED, (), self._listing_limit)
            for net, seconds in reply.elements
        }

    async def allow(self, nets: Collection[Net]) -> None:
        wanted = [Element(net, 0) for net in nets]
        await self._ask(Op.ALLOW, wanted, self._call_limit)
        self._allowed = wanted

    async def dropped(self) -> Mapping[int, int]:
        return (await self._ask(Op.DROPPED, (), self._call_limit))[-1].counts

    async def _ask(self, op: Op, elements: Sequence[Element], limit: float) -> list[Reply]:
        async with self._turn:
            return await self._exchange(op, elements, limit)

    async def _exchange(self, op: Op, elements: Sequence[Element], limit: float) -> list[Reply]:
        """Send one request and read all of its replies. A helper that does not answer in time is killed."""
        if self._socket is None:
            raise BackendError("the firewall helper is not running")
        try:
            async with asyncio.timeout(limit):
                return await self._converse(self._socket, op, elements)
        except TimeoutError:
            self._kill()
            raise BackendError(f"the firewall helper did not answer within {limit:g} s") from None
        except (OSError, Malformed) as error:
            self._kill()
            raise BackendError(f"the firewall helper is gone: {error}") from error

    async def _converse(self, helper: socket.socket, op: Op, elements: Sequence[Element]) -> list[Reply]:
        loop = asyncio.get_running_loop()
        sequence = next(self._sequences) & 0xFFFF_FFFF
        for part, more in in_packets(elements):
            await loop.sock_sendall(helper, pack_request(Request(op, sequence, part, more)))
        replies: list[Reply] = []
        while not replies or replies[-1].more:
            packet = await loop.sock_recv(helper, MAX_PACKET)
            if not packet:
                raise ConnectionResetError("it closed the socket")
            reply = unpack_reply(packet)
            if reply.sequence == sequence:  # another's answer: its caller was cancelled and does not wait
                _raise_fault(reply)
                replies.append(reply)
        return replies

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket = ours
        with theirs:
            self._child = await asyncio.create_subprocess_exec(
                *self._command,
                str(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=ENVIRONMENT,
            )
        await self._prepare()

    async def _prepare(self) -> None:
        """Have the table made or mended. Until this backend is given an allow list the kernel's own stays."""
        await self._exchange(Op.OPEN, (), self._call_limit)
        if self._allowed is not None:
            await self._exchange(Op.ALLOW, self._allowed, self._call_limit)

    async def _stop(self) -> None:
        """Close the socket, which ends the helper, and wait for it."""
        if self._socket:
            self._socket.close()
            self._socket = None
        if self._child:
            try:
                async with asyncio.timeout(self._call_limit):
                    await self._child.wait()
            except TimeoutError:
                self._kill()
                await self._child.wait()
            self._child = None

    async def _keep(self) -> None:
        """Start the helper again whenever it ends; the kernel keeps the bans meanwhile."""
        while self._child:
            code = await self._child.wait()
            log.warning("the firewall helper (pid %d) ended with %d; starting it again", self._child.pid, code)
            self.restarts += 1
            pause = RESTART_PAUSE
            while not await self._restarted():
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            await asyncio.sleep(RESTART_PAUSE)

    async def _restarted(self) -> bool:
        async with self._turn:
            await self._stop()
            try:
                await self._start()
            except (BackendError, OSError) as error:
                log.error("the firewall helper does not start: %s", error)
                self._kill()
                return False
            return True

    def _kill(self) -> None:
        if self._child and self._child.returncode is None:
            self._child.kill()


def _raise_fault(reply: Reply) -> None:
    match reply.status:
        case Status.OK:
            return
        case Status.LIBRARY_MISSING:
            raise LibnftablesMissing(reply.text)
        case Status.NOT_PERMITTED:
            raise NotPermitted(reply.text)
        case Status.MALFORMED | Status.FAILED:
            raise BackendError(reply.text, reply.elements[0].net if reply.elements else None)
