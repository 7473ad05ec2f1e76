"""Who the receiver and the helper are, and what root gives them: two directories and the files in them, no more."""

import os
import pwd
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from appliance.root.privilege import PrivilegeError, become

UNNAMED = 61514
"""A uid and gid that needs no entry in /etc/passwd: of those that systemd hands out for a while (61184 to 65519),
so that no person and no other service has it."""

OBSTACLE_BYTES = 4096
"""What a pipe takes at once (PIPE_BUF): one sentence with one path."""

Need = tuple[Path, int]
"""A path, and what is needed of it: os.F_OK that the way to it is open, os.R_OK, os.X_OK."""


class Identity(NamedTuple):
    """A user as the kernel knows one, with the name to say."""

    uid: int
    gid: int
    name: str


ROOT = Identity(0, 0, "root")


class GivingError(Exception):
    """A directory that root does not give away; the message says why, and what to do."""


def current() -> Identity:
    """Who this process is."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    return Identity(uid, os.getegid(), name)


def named(name: str) -> Identity | None:
    """The user of that name, if this host has one."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Identity(entry.pw_uid, entry.pw_gid, name)


def receiver_identity(code: Path, needs: Sequence[Need]) -> tuple[Identity, str]:
    """The least user that can do the receiver's work; if that is root after all, then why, in words.

    The user `zward` where there is one. Else a number that nobody has; else whoever owns the code: that comes last,
    since what writes the code that root runs is as good as root.
    """
    if installed := named("zward"):
        candidates = [installed]
    else:
        owner = code.stat()
        candidates = [Identity(UNNAMED, UNNAMED, f"uid {UNNAMED}")]
        if owner.st_uid:
            candidates.append(Identity(owner.st_uid, owner.st_gid, f"uid {owner.st_uid}, who owns {code}"))
    why = ""
    for candidate in candidates:
        found = obstacle(candidate, needs)
        if not found:
            return candidate, ""
        why = why or f"{candidate.name} cannot be the receiver: {found}"
    return ROOT, why


def obstacle(identity: Identity, needs: Sequence[Need]) -> str:
    """What keeps this user from one of the paths; "" if nothing. A forked child becomes that user and tries."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writer, _tried(identity, needs).encode(errors="replace")[:OBSTACLE_BYTES])
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as told:
        said = told.read().decode(errors="replace")
    os.waitpid(pid, 0)
    return said


def _tried(identity: Identity, needs: Iterable[Need]) -> str:
    try:
        become(identity.uid, identity.gid, frozenset())
    except (OSError, PrivilegeError) as fault:
        return f"the kernel does not let root become it ({fault})"
    for path, mode in needs:
        for way in dict.fromkeys((path, Path(os.path.realpath(path)))):  # a link, and what it leads to
            for parent in reversed(way.parents):
                if not os.access(parent, os.X_OK):
                    return f"{parent} is closed to it, on the way to {path}"
        if not os.access(path, mode):
            return f"it may not read {path}"
    return ""


def obstacle_to_giving(directory: Path, identity: Identity, names: Sequence[str]) -> str:
    """Why this directory is not given to that user, in words; "" if it can be, or is that user's already."""
    try:
        descriptor = _opened(directory)
    except FileNotFoundError:
        return ""
    except (GivingError, OSError) as fault:
        return str(fault)
    try:
        return _obstacle(descriptor, directory, identity, names)
    finally:
        os.close(descriptor)


def give(directory: Path, identity: Identity, names: Sequence[str], mode: int = 0o700) -> None:
    """Make a directory if it is not there, and let that user write in it and in the known files: `names`, and what
    SQLite and the store put beside them. Nothing else is touched, no link is followed.

    Raises GivingError where the directory is not ours to give; OSError.
    """
    directory.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    directory.mkdir(mode=mode, exist_ok=True)
    descriptor = _opened(directory)
    try:
        if reason := _obstacle(descriptor, directory, identity, names):
            raise GivingError(reason)
        if os.fstat(descriptor).st_uid != identity.uid:
            os.fchown(descriptor, identity.uid, identity.gid)
        for name in os.listdir(descriptor):
            if _is_known(name, names):
                _give_file(descriptor, name, identity)
    finally:
        os.close(descriptor)


def _opened(directory: Path) -> int:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:
        raise GivingError(f"{directory} is a symbolic link or no directory; name the directory itself") from None


def _obstacle(descriptor: int, directory: Path, identity: Identity, names: Sequence[str]) -> str:
    found = os.fstat(descriptor)
    if found.st_mode & stat.S_IWOTH:
        return f"everybody may write in {directory}; name a directory of zward's own below it"
    if found.st_uid == identity.uid:
        return ""
    foreign = [name for name in os.listdir(descriptor) if not _is_known(name, names)]
    if not foreign and len(directory.parts) >= 3:  # "/" and a name: the system's
        return ""
    holds = f"it holds {min(foreign)!a}" if foreign else "it belongs to the system"
    return f"{directory} is not given to {identity.name}: {holds}; name a directory of zward's own"


def _give_file(directory: int, name: str, identity: Identity) -> None:
    """Only a plain file with one name: a second name could be somebody's trick to be given another's file."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except OSError:  # a socket or a link: the receiver, whose directory it is, removes it
        return
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid != identity.uid:
            os.fchown(descriptor, identity.uid, identity.gid)
    finally:
        os.close(descriptor)


def _is_known(name: str, names: Iterable[str]) -> bool:
    return name == "lost+found" or any(
        name == known or name.startswith((f"{known}-", f"{known}.corrupt-")) for known in names
    )
