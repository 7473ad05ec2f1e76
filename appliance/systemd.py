"""What zward says to systemd and takes over from it: sd_notify(3), sd_listen_fds(3). Their library is not needed."""

import contextlib
import os
import socket
from collections.abc import Sequence

FIRST = 3
"""The first descriptor that is handed over (SD_LISTEN_FDS_START)."""

MOST = 64
"""Descriptors. Our units hand over two; a number beyond this was not written by systemd."""


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


def inherited() -> dict[str, int]:
    """The descriptors that systemd hands to this very process, by name (`FileDescriptorName=`, `FDNAME=`).

    Of several with one name the first; the others are closed. No child of ours inherits them.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return {}
    number = _number("LISTEN_FDS")
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, int] = {}
    for descriptor, name in zip(range(FIRST, FIRST + min(number, MOST)), names, strict=False):
        if name in found:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            continue
        os.set_inheritable(descriptor, False)
        found[name] = descriptor
    return found


def watchdog_pause() -> float | None:
    """Seconds from one `WATCHDOG=1` to the next, half of what systemd waits; None where it does not wait for any."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return _number("WATCHDOG_USEC") / 2e6 or None


def _number(variable: str) -> int:
    text = os.environ.get(variable, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
