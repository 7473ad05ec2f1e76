"""The log files that a replay reads: which they are, whose they are, and their bytes, unpacked.

What packed a file is told by its first bytes, not by its name; a name that promises more than its file holds is a
fault of the operator's, and told as one.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import stat
import sys
import zlib
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

CHUNK = 256 << 10
"""Bytes that are unpacked at a time: a few thousand lines."""

STDIN = "-"

_PACKED = {".gz": b"\x1f\x8b", ".bz2": b"BZh", ".xz": b"\xfd7zXZ\0"}
"""Ending of a name → how the bytes of such a file begin (RFC 1952 2.3.1, bzip2, xz)."""

_ROTATED = re.compile(r"(?:[.-][0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[.-]?[0-9]{1,10})?|\.[0-9]{1,4})\Z")
_DATED = re.compile(r"[.-]((?:19|20)[0-9]{2})-?([01][0-9])-?([0-3][0-9])(?![0-9])")
_LOG = re.compile(r"\.(?:log|out)\Z|\A(?:syslog|messages|maillog|auth|secure)\Z")

_DAY = 86400.0


class _Stream(Protocol):
    """What unpacks: gzip, bz2, lzma, or a plain file."""

    def read1(self, size: int, /) -> bytes: ...


class Unusable(Exception):
    """A file that cannot be replayed; the message names it and says why."""


@dataclass(slots=True)
class LogFile:
    """One file of a replay."""

    path: Path | None
    """None for standard input."""
    size: int
    """Bytes on disk; 0 where nobody knows."""
    latest: float
    """The latest moment that a line of it can be of, in seconds since the epoch."""
    comes_once: bool = False
    """Whether it is a pipe, which cannot be looked into beforehand."""
    sender: str = ""
    """Whose lines these are where they do not say so themselves."""
    read: int = 0
    """Bytes of the file on disk that have been read."""
    faults: list[str] = field(default_factory=list)
    """What went wrong on the way, each with its place."""

    @property
    def name(self) -> str:
        return "standard input" if self.path is None else str(self.path)

    @property
    def stem(self) -> str:
        """Its name without what packing and rotating added: `audit.log` of `audit.log.2024-05-06.gz`."""
        return "" if self.path is None else stem_of(self.path.name)

    def chunks(self) -> Generator[bytes, None, None]:
        """Its bytes, unpacked. Raises Unusable where nothing can be read; a file cut short ends with a fault."""
        with contextlib.ExitStack() as opened:
            raw = self._opened(opened)
            stream, begun = self._unpacked(raw, opened), False
            line = 1
            while True:
                try:
                    chunk = stream.read1(CHUNK)  # read() loses what came before a fault
                except (EOFError, zlib.error, lzma.LZMAError, OSError) as fault:
                    if not begun:
                        raise Unusable(f"{self.name}: cannot be unpacked: {fault}") from fault
                    self.faults.append(f"line {line}: it ends in the middle: {fault}")
                    return
                self.read = self.read + len(chunk) if self.comes_once else raw.tell()
                if not chunk:
                    return
                begun = True
                if stream is not raw:
                    line += chunk.count(b"\n")
                yield chunk

    def _opened(self, opened: contextlib.ExitStack) -> io.BufferedReader:
        if self.path is None:
            given: io.BufferedReader = io.BufferedReader(cast("io.RawIOBase", sys.stdin.buffer))
            opened.callback(given.detach)  # standard input is not ours to close
            return given
        try:
            return opened.enter_context(self.path.open("rb"))
        except OSError as fault:
            raise Unusable(f"{self.path}: cannot be read: {fault.strerror}") from fault

    def _unpacked(self, raw: io.BufferedReader, opened: contextlib.ExitStack) -> _Stream:
        try:
            begins = raw.peek(6)[:6]
        except OSError as fault:
            raise Unusable(f"{self.name}: cannot be read: {fault.strerror}") from fault
        packed = next((ending for ending, magic in _PACKED.items() if begins.startswith(magic)), None)
        if packed is None:
            if self.path is not None and begins and (promised := self.path.suffix) in _PACKED:
                raise Unusable(f"{self.path}: line 1: not {promised[1:]}, as its name says; it begins {begins!r}")
            return raw
        if packed == ".gz":
            return opened.enter_context(gzip.GzipFile(fileobj=raw))
        return opened.enter_context(bz2.BZ2File(raw) if packed == ".bz2" else lzma.LZMAFile(raw))


def stem_of(name: str) -> str:
    for ending in _PACKED:
        name = name.removesuffix(ending)
    return _ROTATED.sub("", name)


def find_logs(named: Sequence[str], now: float) -> list[LogFile]:
    """The files that these names mean, in the order in which they are named; of a directory its logs, sorted.

    `now` is the latest moment of what comes through a pipe. Raises Unusable.
    """
    paths = [path for name in named for path in _expanded(name)]
    files = [_found(path, now) for path in dict.fromkeys(paths)]
    _name_senders(files)
    return files


def _expanded(name: str) -> list[Path | None]:
    if name == STDIN:
        return [None]
    path = Path(name)
    if not path.is_dir():
        return [path]
    inside = sorted(each for each in path.rglob("*") if _LOG.search(stem_of(each.name)) and each.is_file())
    if not inside:
        raise Unusable(f"{path}: no log files in this directory (*.log, *.out, syslog, messages, rotated or packed)")
    return [*inside]


def _found(path: Path | None, now: float) -> LogFile:
    try:
        status = os.fstat(sys.stdin.fileno()) if path is None else path.stat()
    except io.UnsupportedOperation:  # standard input that is no file at all
        return LogFile(path, 0, now, comes_once=True)
    except OSError as fault:
        raise Unusable(f"{path or 'standard input'}: cannot be read: {fault.strerror}") from fault
    if not stat.S_ISREG(status.st_mode):
        return LogFile(path, 0, now, comes_once=True)
    latest = status.st_mtime
    if path is not None and (dated := _DATED.search(path.name)):
        year, month, day = map(int, dated.groups())
        with contextlib.suppress(ValueError):  # no such day; else nothing in it is later than the next one's end
            latest = min(latest, datetime(year, month, day, tzinfo=UTC).timestamp() + 2 * _DAY)
    return LogFile(path, status.st_size, latest, comes_once=path is None)


def _name_senders(files: Sequence[LogFile]) -> None:
    """After its name, or, where files of several hosts have the same, after the directory that tells them apart."""
    homes = {(file.stem, file.path.parent.resolve()) for file in files if file.path is not None}
    kinds = Counter(stem for stem, _ in homes)
    several = any(number > 1 for number in kinds.values())
    common = os.path.commonpath([home for _, home in homes]) if homes else ""
    for file in files:
        if file.path is None:
            file.sender = "stdin"
        else:
            home = os.path.relpath(file.path.parent.resolve(), common)
            file.sender = home if several and home != "." else file.stem
        file.sender = re.sub(r"[^!-~]", "_", file.sender)[:255]  # it goes into a header, which has no blanks
