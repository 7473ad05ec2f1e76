"""Ends what a banned source has open, so that the mail host's sockets are freed at once and not in half an hour.

A ban alone drops the client's next packet; the mail host keeps an idle connection until its own timeout (30 minutes
for IMAP IDLE), and an attacker can hold thousands. This runs in a thread of its own: a ban never waits for it.
Measured from `end` to the reset of the mail host's socket: 12 ms with an empty connection table, 42 ms with 100,000
flows in it, 0.4 s there for a banned IPv4 network.
"""

import contextlib
import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence

from appliance.address import Net, NetSet
from appliance.firewall.backend import Element, closed_ports
from appliance.firewall.sessions.conntrack import Conntrack, Ends, Flow
from appliance.firewall.sessions.forged import Forger
from appliance.firewall.sessions.local_sockets import LocalSockets

ROOM = 65_536
"""Bans that may wait for the thread, 8 MB of them. A restart that restores 100,000 does not come by here."""

AGAIN = 0.6
"""Seconds until each SYN is sent once more. A host answers a connection's second odd segment within half a second
with silence (Linux: net.ipv4.tcp_invalid_ratelimit), and a client can see to it that ours is the second. If the
first one did its work, the second meets a listening socket, whose answer is reset as well."""


_CANNOT_DESTROY = (errno.EOPNOTSUPP, errno.ENOENT, errno.EPROTONOSUPPORT)
"""What a kernel says that was built without INET_DIAG_DESTROY, INET_DIAG, SOCK_DIAG: the reset still works."""


class Closed:
    """Which ports a number of bans close to whom."""

    def __init__(self, elements: Sequence[Element], extra: tuple[int, ...] = ()) -> None:
        """`extra` are the ports that bans of scope `all` close besides."""
        self.nets = NetSet(element.net for element in elements)
        self._scopes = [
            (frozenset(closed_ports(scope, extra)), NetSet(each.net for each in elements if each.scope is scope))
            for scope in {element.scope for element in elements}
        ]

    def to(self, client: Net, *ports: int) -> bool:
        """Whether one of these ports is closed to this address."""
        return any(not closed.isdisjoint(ports) and client in nets for closed, nets in self._scopes)


class Sessions:
    """Ends the sessions of banned sources in the network namespace in which it was made.

    Touches only connections that the banned source opened, to ports that its ban closes: our own delivery to a
    mail server at that address goes on.
    """

    def __init__(self, spares: Callable[[Net], bool], room: int = ROOM) -> None:
        """`spares`: whether an address is allowed in spite of a ban around it; called from the thread.

        The thread has the capabilities that this one has now.
        """
        self.ended = 0
        """Connections whose socket on the mail host was told to go."""
        self.dropped = 0
        """Bans whose sessions were not looked for, because too many waited."""
        self.faults = 0
        self.fault = ""
        """What the last failure said; "" if there was none."""
        self.extra_ports: tuple[int, ...] = ()
        """What root ordered bans of scope `all` to close besides."""
        self._spares = spares
        self._waiting: deque[Element] = deque(maxlen=room)
        self._again: deque[tuple[float, Ends]] = deque(maxlen=room)
        self._bell = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="sessions", daemon=True)
        self._thread.start()

    def end(self, elements: Sequence[Element]) -> None:
        """End the sessions of these, soon. Returns at once."""
        with self._bell:
            self.dropped += max(0, len(self._waiting) + len(elements) - (self._waiting.maxlen or 0))
            self._waiting.extend(elements)
            self._bell.notify()

    def close(self) -> None:
        """Stop after what is being done; what waits is left alone."""
        with self._bell:
            self._closed = True
            self._bell.notify()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            batch = self._take()
            if batch:
                self._round(Closed(batch, self.extra_ports))
            self._repeat()

    def _take(self) -> list[Element]:
        """All that waits; nothing when it is time to send a packet again, or to stop."""
        with self._bell:
            patience = max(0.0, self._again[0][0] - time.monotonic()) if self._again else None
            self._bell.wait_for(lambda: self._waiting or self._closed, patience)
            batch = [] if self._closed else list(self._waiting)
            self._waiting.clear()
            return batch

    def _round(self, closed: Closed) -> None:
        gone: set[Ends] = set()
        with self._noting(_CANNOT_DESTROY):
            gone = self._destroy(closed)
        with self._noting(), Conntrack() as conntrack, Forger() as forger:
            for flow in conntrack.flows(closed.nets):
                if not closed.to(flow.client, *flow.ports) or self._spares(flow.client):
                    continue
                if flow.live and flow.reply.turned() not in gone:
                    self._forge(forger, flow)
                with self._noting():
                    conntrack.delete(flow)

    def _destroy(self, closed: Closed) -> set[Ends]:
        """Reset the sockets that are on this very host; returns whose."""
        gone: set[Ends] = set()
        with LocalSockets() as sockets:
            for found in sockets.of(closed.nets):
                if closed.to(found.peer, found.port) and not self._spares(found.peer) and sockets.destroy(found):
                    gone.add(found.inward)
                    self.ended += 1
        return gone

    def _forge(self, forger: Forger, flow: Flow) -> None:
        towards_host = flow.reply.turned()
        with self._noting():
            forger.send(towards_host)
            self.ended += 1
            self._again.append((time.monotonic() + AGAIN, towards_host))

    def _repeat(self) -> None:
        """Send again what is due."""
        with self._noting(), Forger() as forger:
            while self._again and self._again[0][0] <= time.monotonic():
                forger.send(self._again.popleft()[1])

    @contextlib.contextmanager
    def _noting(self, expected: Collection[int | None] = ()) -> Iterator[None]:
        """The thread goes on, whatever the kernel refuses; of all but the expected error numbers somebody is told."""
        try:
            yield
        except OSError as fault:
            if fault.errno not in expected:
                self.faults += 1
                self.fault = str(fault)
