"""Keeps an administrator from loading a policy that would cut his own connection.

sshd tells a session where it comes from in SSH_CONNECTION. `sudo` does not pass that on, but the shell before it
still has it, and root may read the environment of every ancestor.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from appliance.address import LOOPBACK, Net, NetSet, parse_address

PROC = Path("/proc")

GENERATIONS = 64
"""Ancestors that are asked: a shell in an editor in a multiplexer has some ten."""

ENVIRONMENT_BYTES = 1 << 20
"""What is read of each; the kernel takes 6 MiB for arguments and environment together, and a shell has some kB."""

_KEY = b"SSH_CONNECTION="


class Connection(NamedTuple):
    """The administrator's own way to this host."""

    client: Net
    port: int
    """Of this host: where sshd took the connection."""


class Admits(Protocol):
    """The part of `[gateway]` that says who reaches this host itself."""

    @property
    def admin(self) -> Collection[Net]: ...
    @property
    def management(self) -> Collection[int]: ...


def own_connection(proc: Path = PROC, pid: int | None = None) -> Connection | None:
    """The ssh connection that this program was started over; None at a console, and for a service."""
    for ancestor in _ancestry(proc, os.getpid() if pid is None else pid):
        try:
            with (proc / str(ancestor) / "environ").open("rb") as file:
                environment = file.read(ENVIRONMENT_BYTES)
        except OSError:  # it has ended, or belongs to somebody else
            continue
        for variable in environment.split(b"\0"):
            if variable.startswith(_KEY) and (found := _parsed(variable[len(_KEY) :])):
                return found
    return None


def objection(gateway: Admits, own: Connection | None) -> str | None:
    """Why a policy with this `[gateway]` must not be loaded over this connection; None if it may be."""
    if own is None or own.client in LOOPBACK:
        return None
    admits_client, admits_port = own.client in NetSet(gateway.admin), own.port in gateway.management
    if admits_client and admits_port:
        return None
    cures = []
    if not admits_client:
        cures.append(f"admin = {_list([*map(str, gateway.admin), str(own.client)])}")
    if not admits_port:
        cures.append(f"management = [{', '.join(map(str, [*gateway.management, own.port]))}]")
    return (
        f"this policy would lock you out: you are connected from {own.client} to port {own.port}, and it would not "
        f"admit that; put {' and '.join(cures)} into [gateway], or load it all the same with --force "
        "(and with --confirm 60s, which takes it back by itself)"
    )


def _ancestry(proc: Path, pid: int) -> Iterator[int]:
    """This pid, its parent, and so on."""
    for _ in range(GENERATIONS):
        if pid <= 0:
            return
        yield pid
        pid = _parent(proc, pid)


def _parent(proc: Path, pid: int) -> int:
    """0 where there is none."""
    try:
        status = (proc / str(pid) / "status").read_bytes()
    except OSError:
        return 0
    found = next((line for line in status.split(b"\n") if line.startswith(b"PPid:")), b"PPid: 0")
    return int(found.split()[1])


def _parsed(value: bytes) -> Connection | None:
    """`203.0.113.9 51234 192.0.2.1 22`: client and its port, this host and its port (ssh(1), ENVIRONMENT)."""
    words = value.split(b" ")
    if len(words) != 4 or not words[3].isdigit() or len(words[3]) > 5:
        return None
    client = parse_address(words[0].partition(b"%")[0])
    return Connection(client, int(words[3])) if client else None


def _list(texts: list[str]) -> str:
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"
