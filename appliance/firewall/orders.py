"""What root ordered, for the helper: `DIR/orders`, written by the loader and never by the receiver."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.address import Net, parse_network
from appliance.firewall.backend import EXPOSED_PORTS, FENCEABLE
from appliance.firewall.limits import MAX_ALLOWED
from appliance.firewall.places import replace

LARGEST = 1 << 20
"""Bytes. Twice 4,096 networks take 470 kB at most."""

MAX_EXTRA = 8
"""Ports that bans close beside the exposed ones. Each has two counters, and sshd has one port or two."""

_MEANING = {b"never-ban": "never to be banned", b"fence-from": "let in by the fence"}
"""Lines that name one network each."""

HEAD = "# What root ordered; `zward firewall load` writes this file from the configuration.\n"


class OrdersError(Exception):
    """The file is not to be believed or not to be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What holds whatever the receiver says."""

    never_ban: frozenset[Net] = frozenset()
    mark: bool = False
    """Whether the first packets of favoured sources are marked, for the limits of `zward_policy`."""
    reset: bool = False
    """Whether everybody banned is answered with a reset; else only whoever is familiar."""
    samples: int = 0
    """The NFLOG group for samples of dropped packets; 0 for none."""
    extra_ports: tuple[int, ...] = ()
    """TCP ports that bans of scope `all` close besides: sshd's. None of the exposed ones."""
    fence: tuple[int, ...] = ()
    """The ports that the receiver may fence; none where it may not at all."""
    fence_from: frozenset[Net] = frozenset()
    """Networks that the fence lets in."""


def write(path: Path, orders: Orders) -> None:
    """Replace the file in one step. Raises OSError."""
    replace(path, told(orders))


def told(orders: Orders) -> str:
    """The file's text."""
    lines = [
        HEAD,
        f"mark {_word(orders.mark)}\n",
        f"reset {_word(orders.reset)}\n",
        f"samples {orders.samples}\n",
        *(f"{key} {' '.join(map(str, ports))}\n" for key, ports in _ports(orders) if ports),
        *sorted(f"never-ban {net}\n" for net in orders.never_ban),
        *sorted(f"fence-from {net}\n" for net in orders.fence_from),
    ]
    return "".join(lines)


def read(path: Path) -> Orders:
    """Raises OrdersError, with the place, unless root alone can have written it and every line is right."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as fault:
        raise OrdersError(f"{path}: {fault.strerror}") from fault
    with open(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        owners = (0, os.geteuid())  # in a container where nobody is root, the loader is the same user as the helper
        shared = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if found.st_uid not in owners or shared or not stat.S_ISREG(found.st_mode):
            raise OrdersError(f"{path}: it must be a file of root that nobody else can write")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OrdersError(f"{path}: more than {LARGEST} bytes")
    return parse(path, content.split(b"\n"))


def _ports(orders: Orders) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return ("extra-ports", orders.extra_ports), ("fence", orders.fence)


def parse(path: Path, lines: Iterable[bytes]) -> Orders:
    """What lines say; `path` stands for their place in messages. Raises OrdersError."""
    nets: dict[bytes, set[Net]] = {key: set() for key in _MEANING}
    switches = {b"mark": False, b"reset": False}
    ports: dict[bytes, tuple[int, ...]] = {b"extra-ports": (), b"fence": ()}
    samples = 0
    for number, line in enumerate(lines, 1):
        key, _, value = line.strip().partition(b" ")
        if not key or key.startswith(b"#"):
            continue
        if key in nets and (net := _network(value)):
            nets[key].add(net)
        elif key in switches and value in (b"yes", b"no"):
            switches[key] = value == b"yes"
        elif key == b"samples" and value.isdigit() and len(value) <= 5 and int(value) < 1 << 16:
            samples = int(value)
        elif key in ports and (found := _port_list(value)) and _may_be(key, found):
            ports[key] = found
        else:
            known = b", ".join([*nets, *switches, b"samples", *ports]).decode()
            raise OrdersError(f"{path}:{number}: found {line[:80]!r}, expected {known} with a value of its kind")
    for key, listed in nets.items():
        if len(listed) > MAX_ALLOWED:
            raise OrdersError(f"{path}: {len(listed)} networks are {_MEANING[key]}; the limit is {MAX_ALLOWED}")
    return Orders(
        never_ban=frozenset(nets[b"never-ban"]),
        mark=switches[b"mark"],
        reset=switches[b"reset"],
        samples=samples,
        extra_ports=ports[b"extra-ports"],
        fence=ports[b"fence"],
        fence_from=frozenset(nets[b"fence-from"]),
    )


def _port_list(value: bytes) -> tuple[int, ...]:
    """`22 2222`, each once; none if it is no such list."""
    words = value.split(b" ")
    if len(words) > len(EXPOSED_PORTS) or not all(word.isdigit() and len(word) <= 5 for word in words):
        return ()
    found = tuple(map(int, words))
    return found if len(set(found)) == len(found) and all(0 < port < 1 << 16 for port in found) else ()


def _may_be(key: bytes, ports: tuple[int, ...]) -> bool:
    """Whether these may be extra ports, or fenced."""
    if key == b"fence":
        return set(ports) <= set(FENCEABLE)
    return len(ports) <= MAX_EXTRA and not set(ports) & set(EXPOSED_PORTS)


def _network(value: bytes) -> Net | None:
    try:
        return parse_network(value.decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        return None


def _word(switch: bool) -> str:
    return "yes" if switch else "no"
