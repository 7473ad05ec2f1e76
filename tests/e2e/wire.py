"""An attacker and a client outside, a mail host inside, the gateway between them: each a network namespace.

Nothing here has a way out: the hosts are joined to each other alone and carry documentation addresses.
A socket is made inside a namespace by the test's own thread, so a probe costs no child program.
"""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from namespaces import Namespace, Network, network

PORTS = (25, 465, 587, 80, 443, 110, 143, 993, 995, 7071)
"""What a ban closes."""

MAIL = {4: "192.0.2.10", 6: "2001:db8:1::10"}
GATEWAY = {4: "192.0.2.1", 6: "2001:db8:1::1"}
CLIENT = {4: "203.0.113.10", 6: "2001:db8:c::10"}

NEAR_GATEWAY = {
    # host: the network behind the gateway's interface to it, and the gateway's address there, by family
    "attacker": {4: ("198.51.100.0/24", "198.51.100.1"), 6: ("2001:db8:a::/48", "2001:db8:a::1")},
    "client": {4: ("203.0.113.0/24", "203.0.113.1"), 6: ("2001:db8:c::/48", "2001:db8:c::1")},
    "mail": {4: ("192.0.2.0/24", GATEWAY[4]), 6: ("2001:db8:1::/48", GATEWAY[6])},
}

T = TypeVar("T")


def wait_until(what: str, look: Callable[[], T], seconds: float = 15.0) -> T:
    """The first true answer of `look`, asked again and again; AssertionError if none comes in time."""
    deadline = time.monotonic() + seconds
    while not (answer := look()):
        assert time.monotonic() < deadline, f"{seconds:g} s were not enough until {what}"
        time.sleep(0.03)
    return answer


class Host:
    """One network namespace, with what a test wants to do in it."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        for which in ("all", "default"):  # before there is an interface: an address must work at once
            self.configure(f"ipv6/conf/{which}/accept_dad", 0)

    def configure(self, key: str, value: int) -> None:
        """Set a kernel parameter below net."""
        with self.namespace.entered():
            Path("/proc/sys/net", key).write_text(str(value))

    def add_address(self, address: str) -> None:
        nodad = ("nodad",) if ":" in address else ()
        self.namespace.ip("address", "add", address, "dev", "wire", *nodad)

    def new_socket(self, address: str, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """A socket of the family of `address` that lives in this namespace."""
        with self.namespace.entered():
            return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)

    def start(self, *words: str | Path, said: Path) -> subprocess.Popen[bytes]:
        """Start a program here; what it says is appended to the file `said`."""
        command = [*self.namespace.prefix, *map(str, words)]
        with said.open("ab") as out:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def run(self, *words: str | Path, seconds: float = 20.0) -> subprocess.CompletedProcess[str]:
        """Run a program here to its end; its output and exit code, whatever they are."""
        command = [*self.namespace.prefix, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)

    def pids(self) -> list[int]:
        """What runs here. It is ours: nobody else knows this namespace."""
        listed = subprocess.run(
            ["ip", "netns", "pids", self.namespace.name],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
        return [int(pid) for pid in listed.stdout.split()]

    def connects(self, source: str, target: str, port: int, seconds: float = 1.0) -> bool:
        """Whether a TCP connection opens in time. A refusal is neither: ConnectionRefusedError."""
        with self.new_socket(target) as probe:
            probe.settimeout(seconds)
            probe.bind((source, 0))
            try:
                probe.connect((target, port))
            except TimeoutError:
                return False
            return True

    def open_ports(self, source: str, target: str, seconds: float = 1.0) -> set[int]:
        """Those of the ten ports that a connection from `source` opens, all tried at once."""
        with ThreadPoolExecutor(len(PORTS)) as pool:
            opened = pool.map(lambda port: self.connects(source, target, port, seconds), PORTS)
            return {port for port, is_open in zip(PORTS, opened, strict=True) if is_open}

    def listen(self, ports: Sequence[int]) -> list[socket.socket]:
        """Listening sockets for both families. The kernel shakes hands by itself: nobody need accept."""
        return [self._listener(port) for port in ports]

    def _listener(self, port: int) -> socket.socket:
        listener = self.new_socket("::")
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the test before may linger
        listener.bind(("::", port))
        listener.listen(4096)
        return listener


class World:
    """The four hosts and the wires between them. Use it in a `with` statement."""

    def __enter__(self) -> "World":
        self._attackers = itertools.count(11)
        self._hosts: list[Host] = []
        with contextlib.ExitStack() as stack:
            net = stack.enter_context(network())
            stack.callback(self._end_programs)
            self.gateway = self._host(net, "gateway")
            self.gateway.configure("ipv4/ip_forward", 1)
            self.gateway.configure("ipv6/conf/all/forwarding", 1)
            self.attacker = self._wired(net, "attacker")
            self.client = self._wired(net, "client", CLIENT)
            self.mail = self._wired(net, "mail", MAIL)
            self._close = stack.pop_all().close
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _end_programs(self) -> None:
        for pid in itertools.chain.from_iterable(host.pids() for host in self._hosts):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _host(self, net: Network, role: str) -> Host:
        self._hosts.append(Host(net.namespace(role)))
        return self._hosts[-1]

    def _wired(self, net: Network, role: str, own: dict[int, str] | None = None) -> Host:
        """A host with one interface `wire`; its other end is in the gateway and bears the host's name."""
        host, gateway = self._host(net, role), self.gateway.namespace
        net.link(host.namespace, "wire", gateway, role)
        for family, (behind, near) in NEAR_GATEWAY[role].items():
            gateway.ip("address", "add", f"{near}/{behind.partition('/')[2]}", "dev", role)
            host.namespace.ip("route", "add", behind, "dev", "wire")
            if own:
                host.add_address(own[family])
            host.namespace.ip(f"-{family}", "route", "add", "default", "via", near)
        return host

    def new_attacker(self, family: int = 4) -> str:
        """An address that nobody has attacked from yet; each IPv6 one is in a /64 of its own."""
        number = next(self._attackers)
        address = f"198.51.100.{number}" if family == 4 else f"2001:db8:a:{number:x}::66"
        self.attacker.add_address(address)
        return address
