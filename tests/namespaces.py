"""Network namespaces for tests: made by the test, named after its pid, removed after it.

    with network() as net:
        gateway, mailhost = net.namespace("gateway"), net.namespace("mailhost")
        net.link(gateway, "lan", mailhost, "eth0")
        gateway.ip("address", "add", "192.0.2.1/24", "dev", "lan")
        with mailhost.entered():
            server = socket.create_server(("192.0.2.25", 25))   # lives in the namespace for good

Needs root and iproute2; `why_not()` says what is missing, `require_kernel()` skips the test then.
"""

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NAMES = Path("/run/netns")
CLONE_NEWNET = 0x40000000

_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


_home = _identity(Path("/proc/self/ns/net"))


def why_not() -> str | None:
    """In words, why this machine cannot make namespaces; None if it can."""
    if os.geteuid() != 0:
        return "making a network namespace needs root"
    if shutil.which("ip") is None:
        return "iproute2 is not installed (apt-get install iproute2)"
    tried = subprocess.run(["unshare", "--net", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no network namespace can be made: {tried.stderr.strip()}"


def require_kernel() -> None:
    """Skip the test where this machine cannot load rules into a namespace; fail if it was promised to."""
    reason = why_not()
    try:
        ctypes.CDLL("libnftables.so.1")
    except OSError:
        reason = reason or "libnftables is not installed (apt-get install libnftables1)"
    if reason and os.environ.get("ZWARD_REQUIRE_KERNEL") == "1":
        pytest.fail(f"ZWARD_REQUIRE_KERNEL=1, and {reason}")
    if reason:
        pytest.skip(reason)


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace, with its loopback up and no other interface."""

    name: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """Put before a command, it runs in here. Refuses if it is the tests' own namespace after all."""
        if _identity(NAMES / self.name) == _home:
            raise RuntimeError(f"{self.name} is the network namespace that the tests themselves run in")
        return ("ip", "netns", "exec", self.name)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in here; returns what it prints. Raises AssertionError with its complaint."""
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, f"{' '.join(command)}: {done.stderr.strip()}"
        return done.stdout

    def ip(self, *words: str) -> None:
        self.run("ip", *words)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in here meanwhile. Sockets made in here stay in here; do not await in here."""
        assert self.prefix
        with Path("/proc/thread-self/ns/net").open("rb") as before, (NAMES / self.name).open("rb") as inside:
            _setns(inside.fileno())
            try:
                yield
            finally:
                _setns(before.fileno())


@dataclass(frozen=True, slots=True)
class Network:
    """The namespaces of one test."""

    namespaces: list[Namespace] = field(default_factory=list)

    def namespace(self, label: str) -> Namespace:
        made = Namespace(f"zward-{os.getpid()}-{next(_numbers)}-{label}")
        _ip("netns", "add", made.name)
        self.namespaces.append(made)
        for device in ("all", "default"):  # an address is good at once: nobody else is on these cables
            made.run("sysctl", "-qw", f"net.ipv6.conf.{device}.accept_dad=0", check=False)
        made.ip("link", "set", "lo", "up")
        return made

    def link(self, one: Namespace, one_device: str, other: Namespace, other_device: str) -> None:
        """A cable between two namespaces, both ends up."""
        one.ip(
            *("link", "add", one_device, "type", "veth"),
            *("peer", "name", other_device, "netns", other.name),
        )
        one.ip("link", "set", one_device, "up")
        other.ip("link", "set", other_device, "up")


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Room for namespaces that are removed at the end, whatever happens."""
    _sweep()
    made = Network()
    try:
        yield made
    finally:
        for namespace in made.namespaces:
            _ip("netns", "delete", namespace.name)


def _sweep() -> None:
    """Remove what runs that were killed have left: names whose pid is gone."""
    for left in NAMES.glob("zward-*-*") if NAMES.is_dir() else ():
        pid = left.name.split("-")[1]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            subprocess.run(["ip", "netns", "delete", left.name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr.strip()}"


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
