"""The site of the previews: its doors, Zimbra behind them, and the hosts that send their logs to the daemon."""

import socket
from collections.abc import Iterator, Sequence

from bench.previews.firewall import StoryFirewall
from bench.previews.story import AHEAD
from bench.stories.lines import Line, Pen
from bench.stories.run import address_of
from bench.stories.script import Try
from bench.stories.zimbra import Zimbra

from appliance.daemon import Daemon
from appliance.model import Protocol

SENDERS = {
    "proxy1": "127.0.0.5",
    "mbox1": "127.0.0.10",
    "mbox2": "127.0.0.11",
    "mx1": "127.0.0.25",
    "mx2": "127.0.0.26",
}
OVER_TCP = ("mbox1", "mbox2")
PORTS = {Protocol.SMTP: (587, 465), Protocol.IMAP: (993, 993, 143), Protocol.POP3: (995,), Protocol.SOAP: (443,)}


class Site:
    """Who tries to log in is let through or not; what Zimbra answers is logged and sent."""

    def __init__(self, daemon: Daemon, start: float) -> None:
        """`start`: when the times of tries begin, seconds since the epoch."""
        self._daemon = daemon
        self._zimbra = Zimbra()
        self._pen = Pen(start, {})
        self._sockets = {name: self._socket(name, address) for name, address in SENDERS.items()}

    def _socket(self, name: str, address: str) -> socket.socket:
        listen = self._daemon.config.listen
        kind, endpoint = (socket.SOCK_STREAM, listen.tcp[0]) if name in OVER_TCP else (socket.SOCK_DGRAM, listen.udp[0])
        sending = socket.socket(socket.AF_INET, kind)
        sending.bind((address, 0))
        sending.connect((str(endpoint.host), endpoint.port))
        return sending

    def meet(self, attempt: Try) -> None:
        """Somebody tries to log in."""
        ports = PORTS[attempt.protocol]
        firewall = self._daemon.gate.enforcer.backend
        assert isinstance(firewall, StoryFirewall)
        address = address_of(attempt)
        if not firewall.meets(address, ports[address.packed[-1] % len(ports)]):
            return
        lines = self._pen.write(attempt, self._zimbra.meet(attempt))
        for line in lines:
            self.send(self._of_second_host(line) if address.packed[-1] % 8 == 1 else line)

    @staticmethod
    def _of_second_host(line: Line) -> Line:
        return line._replace(host="mx2", time=line.time + AHEAD["mx2"]) if line.host == "mx1" else line

    def send(self, line: Line) -> None:
        end = b"\n" if line.host in OVER_TCP else b""
        self._sockets[line.host].sendall(line.forwarded() + end)

    def fall_silent(self, host: str) -> None:
        self._sockets[host].close()

    def close(self) -> None:
        for each in self._sockets.values():
            each.close()


def noise(host: str, now: float, number: int) -> Iterator[Line]:
    """What a host writes beside logins in a while of `number`."""
    time = now + AHEAD.get(host, 0.0)
    texts: dict[str, Sequence[tuple[str, str]]] = {
        "mbox": (
            ("zimbra-mailbox", "2026-05-06 07:00:00,000 INFO  [qtp1-7] [name=x@example.com;] soap - (0) NoOpRequest"),
        ),
        "mx": (("postfix/qmgr[4021]", "4F1A: removed"), ("postfix/cleanup[77]", "4F1A: message-id=<1@example.com>")),
        "proxy": (("zimbra-nginx", "2026/05/06 07:00:00 [info] 7#0: *9 client closed connection"),),
    }
    shown = texts[host.rstrip("12")]
    for each in range(max(1, number * (3 if host.startswith("mbox") else 1) // 2)):
        tag, text = shown[each % len(shown)]
        yield Line("", host, 134, tag, time, text)
