"""A real firewall helper in a network namespace, as the supervisor starts it, for tests.

with helper(namespace, tmp_path) as running:
    backend = HelperBackend(running.socket)
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from namespaces import Namespace

from appliance.firewall.orders import Orders, write
from appliance.firewall.places import ORDERS, SOCKET
from appliance.firewall.table.netlink import Netlink

PLAIN = """
from appliance.firewall import helper
from appliance.firewall.table import kernel
can = kernel.probed
kernel.probed = lambda: can()._replace(persist=False)
helper.main()
"""
"""A helper that takes its kernel for one before 6.9, on which a table belongs to nobody."""


@dataclass
class Helper:
    """A helper that can be killed and started again; its sockets stay open as the supervisor's do."""

    where: Namespace
    directory: Path
    listening: socket.socket
    netlink: Netlink | None
    receiver: int
    process: subprocess.Popen[bytes] | None = None
    program: tuple[str, str] = ("-m", "appliance.firewall.helper")

    @property
    def socket(self) -> Path:
        return self.directory / SOCKET

    @property
    def orders(self) -> Path:
        return self.directory / ORDERS

    @property
    def pid(self) -> int:
        assert self.process
        return self.process.pid

    def start(self, *prefix: str) -> None:
        handed = [self.listening.fileno()]
        more: Sequence[str] = ()
        if self.netlink:
            handed.append(self.netlink.socket.fileno())
            more = ("--netlink-fd", str(self.netlink.socket.fileno()))
        with self.where.entered():
            self.process = subprocess.Popen(
                [
                    *prefix,
                    *(sys.executable, "-I", *self.program),
                    *("--directory", str(self.directory), "--receiver", str(self.receiver)),
                    *("--listen-fd", str(self.listening.fileno()), *more),
                ],
                pass_fds=handed,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )

    def kill(self) -> None:
        """As the kernel's out-of-memory killer would."""
        assert self.process
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


@contextlib.contextmanager
def helper(
    where: Namespace,
    directory: Path,
    orders: Orders | None = None,
    *,
    owner: bool = True,
    plain: bool = False,
    receiver: int = 61514,
) -> Iterator[Helper]:
    """Start one and end it. Without `owner` nobody keeps its netlink socket when it dies; `plain`: see `PLAIN`."""
    write(directory / ORDERS, orders or Orders())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        with contextlib.suppress(FileNotFoundError):
            (directory / SOCKET).unlink()
        listening.bind(str(directory / SOCKET))
        listening.listen(8)
        netlink = None
        if owner:
            with where.entered():
                netlink = Netlink()
        running = Helper(where, directory, listening, netlink, receiver)
        if plain:
            running.program = ("-c", PLAIN)
        running.start()
        try:
            yield running
        finally:
            running.stop()
            if netlink:
                netlink.close()


def is_gone(connected: socket.socket) -> bool:
    """Whether the other end has closed."""
    ended = select.poll()
    ended.register(connected, select.POLLRDHUP)
    return bool(ended.poll(0))
