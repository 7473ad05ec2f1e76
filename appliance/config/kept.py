"""Configurations that were taken up, kept beside the store: what `zward rollback` goes back to.

The daemon writes them, as its own user; root reads them. So what lies there counts for nothing by itself: root takes
a plain file of that user's whose text is whole and is a configuration, and shows it before it uses it.
"""

import logging
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path

from pydantic import ValidationError

from appliance.config.faults import ConfigError
from appliance.config.load import parse, read_text
from appliance.config.places import FILE_BYTES
from appliance.config.schema import Config

log = logging.getLogger(__name__)

MOST = 10
"""Configurations that are kept, the newest: 10 MiB at the most."""

LOOKED_AT = 1000
"""Names in the directory that are looked at; more were not put there by us."""

_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(r"(\d{8}T\d{6}\.\d{6}Z)-([0-9a-f]{16})\.toml")

_PLACES = ("store", "path"), ("admin", "socket"), ("firewall", "directory")
_LINE = r'^[ \t]*\[[ \t]*{}[ \t]*\][^\[]*?^[ \t]*{}[ \t]*=[ \t]*"([^"\n\\]+)"'
"""`key = "…"` in a table, for a text that is no TOML."""


class KeptError(Exception):
    """A kept configuration cannot be had; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A configuration that was taken up."""

    path: Path
    time: datetime
    """When it was last taken up, in UTC."""
    digest: str
    """Of its bytes: 16 hexadecimal digits."""


def directory_of(store: Path) -> Path:
    """Where they lie, by the store's path."""
    return store.parent / "configs"


def store_named_in(path: Path | None) -> Path:
    """Where a configuration wants the store, though there be faults in it; else where it is without one."""
    return bare(path).store.path


def bare(path: Path | None) -> Config:
    """Where a configuration wants its store, its sockets and its helper, though there be faults in it; nothing else."""
    found: dict[str, dict[str, object]] = {}
    for table, key in _PLACES:
        value = _named(path, table, key)
        try:
            Config.model_validate({table: {key: value}})
        except ValidationError:
            continue  # as if it said nothing of it
        found[table] = {key: value}
    return Config.model_validate(found)


def _named(path: Path | None, table: str, key: str) -> object:
    """The value of a key, in a text that may be no TOML."""
    try:
        text = read_text(path) if path else ""
    except ConfigError:
        return None
    try:
        return tomllib.loads(text)[table][key]
    except (LookupError, TypeError):
        return None
    except (ValueError, RecursionError):
        line = re.search(_LINE.format(table, key), text, re.MULTILINE)
        return line[1] if line else None


def digest_of(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def keep_in_force(path: Path, config: Config, now: float) -> None:
    """Keep a file's text, if it says what is in force. What keeps it from that is told in the log."""
    try:
        text = read_text(path)
        if parse(text, str(path)) == config:
            keep(directory_of(config.store.path), text, now)
    except (ConfigError, OSError) as fault:
        log.warning("this configuration is not kept for zward rollback: %s", fault)


def last_good(path: Path | None) -> Kept | None:
    """The configuration that was taken up last, of those that this zward would take up; None where none is kept."""
    try:
        kept = listed(directory_of(store_named_in(path)))
    except OSError:  # it is not for us to read
        return None
    return next((each for each in kept if not fault_of(each)), None)


def fault_of(kept: Kept) -> str:
    """Why a kept configuration cannot be put back; "" where it can."""
    try:
        text_of(kept)
    except KeptError as fault:
        return str(fault)
    return ""


def keep(directory: Path, text: str, now: float) -> None:
    """Keep a configuration that was taken up now; the oldest of too many goes. Raises OSError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    digest = digest_of(text)
    target = directory / f"{datetime.fromtimestamp(now, UTC):{_TIME}}-{digest}.toml"
    beside = directory / ".new"
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(target)
    others = [each for each in listed(directory) if each.path != target]
    same = [each for each in others if each.digest == digest]
    for each in (*same, *[each for each in others if each not in same][MOST - 1 :]):
        each.path.unlink(missing_ok=True)


def listed(directory: Path) -> list[Kept]:
    """What is kept, the newest first; none where there is no such directory. Raises OSError."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry, _ in zip(entries, range(LOOKED_AT), strict=False)]
    except FileNotFoundError:
        return []
    return sorted(_recognised(directory, names), key=lambda kept: kept.time, reverse=True)[:LOOKED_AT]


def _recognised(directory: Path, names: list[str]) -> Iterator[Kept]:
    for name in names:
        if found := _NAME.fullmatch(name):
            try:
                time = datetime.strptime(found[1], _TIME).replace(tzinfo=UTC)
            except ValueError:
                continue  # no such day: not written by us
            yield Kept(directory / name, time, found[2])


def text_of(kept: Kept) -> str:
    """What was kept, as it was. Raises KeptError where it has faults, is not whole, or others can have put it there."""
    try:
        content = _content(kept.path)
    except OSError as fault:
        raise KeptError(f"{kept.path}: cannot be read: {fault.strerror}") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise KeptError(f"{kept.path}: not UTF-8") from None
    if digest_of(text) != kept.digest:
        raise KeptError(f"{kept.path}: damaged: its digest is another than its name says")
    try:
        parse(text, str(kept.path))
    except ConfigError as fault:
        raise KeptError(str(fault)) from None
    return text


def _content(path: Path) -> bytes:
    """A plain file with one name, of the user to whom the directory belongs, that nobody else can write."""
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        owner = os.fstat(parent).st_uid
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path.name, flags, dir_fd=parent)
    finally:
        os.close(parent)
    state = os.fstat(descriptor)
    shared = state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISREG(state.st_mode) or state.st_nlink != 1 or state.st_uid != owner or shared:
        os.close(descriptor)
        raise KeptError(f"{path}: not a plain file that uid {owner} alone can have written")
    with open(descriptor, "rb") as file:
        if state.st_size > FILE_BYTES:
            raise KeptError(f"{path}: longer than {FILE_BYTES} bytes, the limit for a configuration")
        return file.read(FILE_BYTES)  # what grows meanwhile is not whole
