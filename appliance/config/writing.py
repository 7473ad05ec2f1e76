"""Puts a configuration in its place in one step, and keeps those before it."""

import os
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

KEPT = 10
"""Earlier configurations that stay beside the present one: as many as anybody goes back, and a bound for /etc."""

SAME_SECOND = 100
"""Names that are tried for one copy: nobody writes more often in a second."""

_KEPT = re.compile(r"\.before-[0-9]{8}T[0-9]{6}Z(?:\.[0-9]{1,2})?")


def why_not(path: Path) -> str | None:
    """Why this user cannot write the file; None where it can."""
    beside = path.parent
    while not os.path.lexists(beside):
        beside = beside.parent
    if os.access(beside, os.W_OK | os.X_OK):
        return None
    owner = beside.stat().st_uid
    whom = "as root: sudo zward setup wizard" if owner == 0 else f"as the user with uid {owner}, whose {beside} is"
    return f"{path} cannot be written by you (uid {os.geteuid()}); run it {whom}"


def write(path: Path, text: str, now: float) -> Path | None:
    """Write the file; where the one before is kept, if there was one. `now` in seconds. Raises OSError.

    Mode and owner stay what they were. After a crash the old file is there or the new one, never half of one.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    before = _content(path)
    kept = _keep(path, before, now) if before is not None else None
    replace(path, text.encode("utf-8"), path.stat() if before is not None else None)
    for old in sorted(_all_kept(path))[:-KEPT]:
        old.unlink(missing_ok=True)
    return kept


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _keep(path: Path, content: bytes, now: float) -> Path:
    stem = f"{path.name}.before-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    names = [stem, *(f"{stem}.{number}" for number in range(1, SAME_SECOND))]
    kept = next((path.with_name(name) for name in names if not os.path.lexists(path.with_name(name))), None)
    if kept is None:
        raise FileExistsError(17, f"{SAME_SECOND} copies of this second are there already", str(path))
    replace(kept, content, path.stat())
    return kept


def _all_kept(path: Path) -> list[Path]:
    own = (each for each in path.parent.iterdir() if each.name.startswith(path.name))
    return [each for each in own if _KEPT.fullmatch(each.name.removeprefix(path.name))]


def replace(path: Path, content: bytes, like: os.stat_result | None = None, mode: int = 0o644) -> None:
    """Write a whole file in one step, with the mode and owner of another one. Raises OSError."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    try:
        _fill(beside, content, like, mode)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _fill(path: Path, content: bytes, like: os.stat_result | None, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        if like and (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
            os.fchown(file.fileno(), like.st_uid, like.st_gid)
        os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode) if like else mode)
        file.flush()
        os.fsync(file.fileno())
