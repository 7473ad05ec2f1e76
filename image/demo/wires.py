"""A small internet: attackers, people, a mail host, and the gateway between them, each a network namespace.

The hosts are joined to each other alone and carry documentation addresses (RFC 5737), so nothing here has a way out.
The machine's own network is left as it is: it gets no address, no route, no rule and no interface.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

NAMES = Path("/run/netns")
PREFIX = "zward-demo-"

MAIL, GATEWAY, PUBLIC = "192.0.2.10", "192.0.2.1", "198.51.100.1"
"""The mail host, the gateway as the mail host sees it, and where the world finds the mail."""
NEAR = {"attackers": "198.51.100.1", "people": "203.0.113.1", "mail": GATEWAY}
"""The gateway's address at each interface, a /24 each. An interface is called as the host behind it."""
OFFICE, PHONE = "203.0.113.10", "203.0.113.77"
PORTS = (25, 443, 587, 993)

PATIENCE = 10.0
"""Seconds that a program has between SIGTERM and SIGKILL. zward needs two at most."""
KNOCK = 0.8
"""Seconds in which a SYN is answered or dropped; between namespaces an answer takes less than a millisecond."""

_libc = ctypes.CDLL(None, use_errno=True)


class WiresError(Exception):
    """A command that builds the small internet failed; the message is what it said."""


class Host:
    """One namespace and the programs that were started in it."""

    def __init__(self, role: str) -> None:
        self.name = f"{PREFIX}{os.getpid()}-{role}"
        self._programs: list[tuple[str, asyncio.subprocess.Process]] = []

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """This thread is in here meanwhile: make sockets, await nothing. What is made in here stays in here."""
        with Path("/proc/thread-self/ns/net").open("rb") as before, (NAMES / self.name).open("rb") as inside:
            _enter(inside.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def new_socket(self) -> socket.socket:
        """A TCP socket that lives in here, for use with asyncio."""
        with self.entered():
            made = socket.socket()
        made.setblocking(False)
        return made

    def listen(self, address: str, port: int) -> socket.socket:
        """A listener in here. The kernel shakes hands by itself: nobody need accept."""
        made = self.new_socket()
        made.bind((address, port))
        made.listen(64)
        return made

    async def knock(self, source: str, address: str, port: int) -> bool:
        """Whether a TCP connection from `source` opens; False where nothing at all is answered."""
        with self.new_socket() as made:
            made.bind((source, 0))
            try:
                await asyncio.wait_for(asyncio.get_running_loop().sock_connect(made, (address, port)), KNOCK)
            except TimeoutError:
                return False
        return True

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to this host's own loopback."""
        made = self.new_socket()
        try:
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        except OSError:
            made.close()
            raise
        return await asyncio.open_connection(sock=made)

    async def get(self, port: int, path: str) -> tuple[int, bytes]:
        """Status and body of a page of this host's own loopback. HTTP/1.0: the end of the answer is its end."""
        reader, writer = await self.connect(port)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        answer = await reader.read(-1)
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split(maxsplit=2)[1]), body

    def ip(self, *words: str) -> None:
        _run("ip", "-n", self.name, *words)

    def add_address(self, address: str) -> None:
        self.ip("address", "add", address, "dev", "wire")

    async def start(self, *words: str | Path, said: Path, env: Mapping[str, str] | None = None) -> None:
        """Start a program in here that runs to the end of the demo. What it says is appended to the file `said`."""
        with said.open("ab") as out:
            started = await asyncio.create_subprocess_exec(
                *("ip", "netns", "exec", self.name, *map(str, words)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # Ctrl-C is for us; we end them in their order
            )
        self._programs.append((str(words[0]), started))

    async def run(self, *words: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Run a program in here to its end: its exit code and what it said."""
        done = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", self.name, *map(str, words)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        said, _ = await done.communicate()
        return done.returncode or 0, said.decode(errors="replace")

    def ended(self) -> str | None:
        """A program that should run and does not."""
        return next((Path(name).name for name, each in self._programs if each.returncode is not None), None)

    async def stop(self) -> None:
        """End the programs, the last one first."""
        for _, running in reversed(self._programs):
            if running.returncode is None:
                running.terminate()
                try:
                    await asyncio.wait_for(running.wait(), PATIENCE)
                except TimeoutError:
                    running.kill()
                    await running.wait()


class World:
    """The four hosts and the wires between them. Use it in an `async with` statement."""

    gateway: Host
    attackers: Host
    people: Host
    mail: Host

    async def __aenter__(self) -> "World":
        sweep()
        async with contextlib.AsyncExitStack() as stack:
            self._build(stack)
            self._close = stack.pop_all().aclose
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def _build(self, stack: contextlib.AsyncExitStack) -> None:
        for role in ("gateway", *NEAR):
            host = Host(role)
            setattr(self, role, host)
            stack.callback(remove, host.name)
            stack.push_async_callback(host.stop)
            _run("ip", "netns", "add", host.name)
            host.ip("link", "set", "lo", "up")
        with self.gateway.entered():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        for role, near in NEAR.items():
            host, own = getattr(self, role), self.gateway
            host.ip("link", "add", "wire", "type", "veth", "peer", "name", role, "netns", own.name)
            host.ip("link", "set", "wire", "up")
            own.ip("link", "set", role, "up")
            own.ip("address", "add", f"{near}/24", "dev", role)
            host.ip("route", "add", f"{near}/32", "dev", "wire")
            host.ip("route", "add", "default", "via", near)
        self.mail.add_address(MAIL)
        for address in (OFFICE, PHONE):
            self.people.add_address(address)
        for port in PORTS:
            stack.callback(self.mail.listen("", port).close)


def sweep() -> None:
    """Remove what a demo left that was killed: its pid is in the names, and gone."""
    for left in NAMES.glob(f"{PREFIX}*-*") if NAMES.is_dir() else ():
        pid = left.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            remove(left.name)


def remove(name: str) -> None:
    """Kill what still runs in a namespace of ours, and remove it."""
    if not (NAMES / name).exists():
        return
    for pid in _run("ip", "netns", "pids", name).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    _run("ip", "netns", "delete", name)


def _run(*words: str) -> str:
    done = subprocess.run(  # noqa: S603 - the words are our own
        words,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # a second Ctrl-C does not hit what cleans up
    )
    if done.returncode:
        raise WiresError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
