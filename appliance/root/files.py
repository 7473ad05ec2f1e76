"""Files that root alone may have written: who is asked for them, how they are checked, replaced and read."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from appliance.firewall import places
from appliance.root.privilege import CAP_NET_ADMIN, held

WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

ROOTS_GROUP = 0
"""Whoever is in it is as good as root: a umask of 002 makes no stranger of root."""

LARGEST = 16 << 20
"""Bytes that are read of one file: a rendered policy has a few kB, and 4,096 networks in it another 200."""


class Refusal(Exception):
    """It is not done, because that would be dangerous; the message says what would have to change."""


class LoadError(Exception):
    """It was not done, and everything is as it was; the message says why and what cures it."""


def require_root(command: str) -> None:
    """Raises LoadError. Another user with CAP_NET_ADMIN, as podman makes one in a container, is as good as root."""
    if os.geteuid() != 0 and CAP_NET_ADMIN not in held().effective:
        raise LoadError(f"{command} changes the kernel's firewall, which only root may: sudo {command}")


def require_roots_own(path: Path) -> None:
    """Raises Refusal unless nobody but root can change this file or put another in its place, or OSError.

    Whoever became root by sudo counts as root: it may as well be the file of a checkout in that user's home.
    """
    found = path.resolve(strict=True)
    owners = {0, int(os.environ.get("SUDO_UID") or 0)} if os.geteuid() == 0 else {0}
    for each in (found, *found.parents):
        state = each.stat()
        shared = stat.S_ISDIR(state.st_mode) and state.st_mode & stat.S_ISVTX  # in /tmp only its owner replaces a file
        open_to = stat.S_IWOTH if state.st_gid == ROOTS_GROUP else WRITABLE_BY_OTHERS
        if state.st_uid not in owners or (state.st_mode & open_to and not shared):
            reason = f"it belongs to uid {state.st_uid}" if state.st_uid else "others than root can write to it"
            cure = f"chown root {each}; chmod go-w {each}"
            raise Refusal(f"{path} may not say what root loads: {each}: {reason}; the cure: {cure}")


def prepare(directory: Path) -> None:
    """Make the directory if it is not there. Raises Refusal where strangers can write to it, or OSError."""
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    state = directory.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_mode & WRITABLE_BY_OTHERS:
        raise Refusal(f"{directory} must be a directory that only its owner can write to: chmod go-w {directory}")


@contextlib.contextmanager
def loading(directory: Path) -> Iterator[None]:
    """Meanwhile the policy is changed by us alone, and the helper takes no change for somebody else's."""
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(directory / places.LOCK, flags, 0o644)
    try:
        os.fchmod(descriptor, 0o644)  # the helper reads it, and a unit's umask shuts others out
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(path: Path) -> str | None:
    """A file of root's, or of whoever is in root's place; None where there is none.

    Raises Refusal if somebody else can have written it, or OSError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if (
            state.st_uid not in (0, os.geteuid())
            or state.st_mode & WRITABLE_BY_OTHERS
            or not stat.S_ISREG(state.st_mode)
        ):
            raise Refusal(f"{path} is not a file that root alone can have written; look at it and remove it")
        return file.read(LARGEST).decode("ascii", "replace")


def put(path: Path, text: str | None) -> None:
    """Write the file, or remove it where there is to be none. Raises OSError."""
    if text is None:
        path.unlink(missing_ok=True)
    else:
        places.replace(path, text)
