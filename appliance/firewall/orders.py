"""What root ordered, for the helper: `DIR/orders`, written by the loader and never by the receiver."""

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.address import Net, parse_network
from appliance.firewall.limits import MAX_ALLOWED
from appliance.firewall.places import replace

LARGEST = 1 << 20
"""Bytes. 4,096 networks take 220 kB at most."""

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


def write(path: Path, orders: Orders) -> None:
    """Replace the file in one step. Raises OSError."""
    lines = [
        HEAD,
        f"mark {_word(orders.mark)}\n",
        f"reset {_word(orders.reset)}\n",
        f"samples {orders.samples}\n",
        *sorted(f"never-ban {net}\n" for net in orders.never_ban),
    ]
    replace(path, "".join(lines))


def read(path: Path) -> Orders:
    """Raises OrdersError, with the place, unless root alone can have written it and every line is right."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as fault:
        raise OrdersError(f"{path}: {fault.strerror}") from fault
    with open(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or not stat.S_ISREG(found.st_mode):
            raise OrdersError(f"{path}: it must be a file of root that nobody else can write")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OrdersError(f"{path}: more than {LARGEST} bytes")
    return _parsed(path, content.split(b"\n"))


def _parsed(path: Path, lines: Iterable[bytes]) -> Orders:
    nets: set[Net] = set()
    switches = {b"mark": False, b"reset": False}
    samples = 0
    for number, line in enumerate(lines, 1):
        key, _, value = line.strip().partition(b" ")
        if not key or key.startswith(b"#"):
            continue
        if key == b"never-ban" and (net := _network(value)):
            nets.add(net)
        elif key in switches and value in (b"yes", b"no"):
            switches[key] = value == b"yes"
        elif key == b"samples" and value.isdigit() and len(value) <= 5 and int(value) < 1 << 16:
            samples = int(value)
        else:
            raise OrdersError(f"{path}:{number}: found {line[:80]!r}, expected never-ban, mark, reset or samples")
    if len(nets) > MAX_ALLOWED:
        raise OrdersError(f"{path}: {len(nets)} networks are never to be banned; the limit is {MAX_ALLOWED}")
    return Orders(frozenset(nets), switches[b"mark"], switches[b"reset"], samples)


def _network(value: bytes) -> Net | None:
    try:
        return parse_network(value.decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        return None


def _word(switch: bool) -> str:
    return "yes" if switch else "no"
