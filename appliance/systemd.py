"""What zward says to systemd and takes over from it: sd_notify(3), sd_listen_fds(3). Their library is not needed."""

import contextlib
import os
import socket
from collections.abc import Sequence

FIRST = 3
"""The first descriptor that is handed over (SD_LISTEN_FDS_START)."""

MOST = 64
"""Descriptors. Our units hand over six at most; a number beyond this was not written by systemd."""

UNNAMED = "unknown"
"""What a descriptor is called whose unit gives it no name, as in sd_listen_fds_with_names(3)."""


def notify(text: str, descriptors: Sequence[int] = ()) -> bool:
    """Send lines `NAME=value` to whoever started us; whether they were sent.

    `descriptors` go along for the fd store: `notify("FDSTORE=1\\nFDNAME=netlink", [number])`. Never waits.
    """
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place[:1] not in ("/", "@"):  # vsock: addresses are for virtual machines
        return False
    address = "\0" + place[1:] if place[0] == "@" else place
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as teller:
        try:
            teller.connect(address)
            if descriptors:
                socket.send_fds(teller, [text.encode()], list(descriptors), socket.MSG_DONTWAIT)
            else:
                teller.send(text.encode(), socket.MSG_DONTWAIT)
        except OSError:
            return False
    return True


def inherited() -> dict[str, list[int]]:
    """The descriptors that systemd hands to this very process, by name (`FileDescriptorName=`, `FDNAME=`).

    Several may have one name. No child of ours inherits them.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    number = min(_number("LISTEN_FDS"), MOST)
    names = os.environ["LISTEN_FDNAMES"].split(":") if "LISTEN_FDNAMES" in os.environ else [UNNAMED] * number
    found: dict[str, list[int]] = {}
    for descriptor, name in zip(range(FIRST, FIRST + number), names, strict=False):
        with contextlib.suppress(OSError):  # the number was not systemd's, and nothing is open there
            os.set_inheritable(descriptor, False)
            found.setdefault(name, []).append(descriptor)
    return found


def inherited_once() -> dict[str, int]:
    """As `inherited`, for who expects one of each name: of several the first, and the others are closed."""
    found = inherited()
    for numbers in found.values():
        for number in numbers[1:]:
            os.close(number)
    return {name: numbers[0] for name, numbers in found.items()}


def watchdog_pause() -> float | None:
    """Seconds from one `WATCHDOG=1` to the next, half of what systemd waits; None where it does not wait for any."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return _number("WATCHDOG_USEC") / 2e6 or None


def _number(variable: str) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
