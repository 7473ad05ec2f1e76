"""The judge's tables as bytes, and back: exactly as they stood, so that a restart changes no verdict.

It is Python's pickle, reading only the classes that the tables are made of: a changed file can make the tables wrong
and do nothing else. Whoever can write it is root or the receiver itself.
"""

import gc
import os
import pickle
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib import import_module
from typing import Any, BinaryIO

MARK = b"zward judgement "
"""What the file begins with; the layout follows, then the tables, then a digest of both."""

DIGEST = 32
"""Bytes of it. It finds what a disk did: lengths in a damaged pickle are believed, and reading it might never end."""

PIECE = 1 << 20

ALLOWED: dict[str, frozenset[str]] = {
    "appliance.address": frozenset({"Net"}),
    "appliance.model": frozenset({"Ban", "Outcome", "Protocol", "Scope"}),
    "appliance.judge.accounts": frozenset({"Account", "Accounts", "packed", "unpacked"}),
    "appliance.judge.attempts": frozenset({"Attempt", "Attempts", "_Burst", "_Entry", "_Line", "_Marks"}),
    "appliance.judge.bans": frozenset({"Bans"}),
    "appliance.judge.fuse": frozenset({"Fuse"}),
    "appliance.judge.heard": frozenset({"Heard", "Stream"}),
    "appliance.judge.memory": frozenset({"Grace", "Office"}),
    "appliance.judge.neighbours": frozenset({"Mailers", "Neighbours"}),
    "appliance.judge.proofs": frozenset({"Proofs"}),
    "appliance.judge.sendings": frozenset({"Sendings", "_Sent"}),
    "appliance.judge.shelves": frozenset({"Shelves", "_Packed"}),
    "appliance.judge.site": frozenset({"Hour", "Site"}),
    "appliance.judge.sources": frozenset({"Sources", "_none", "packed", "unpacked"}),
    "appliance.judge.tallies": frozenset({"Tally", "_Joins"}),
    "appliance.judge.told": frozenset({"Told"}),
    "collections": frozenset({"OrderedDict", "deque"}),
}
"""Every class and function that may stand in the file."""


_DAMAGE = (
    *(pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, LookupError, MemoryError, TypeError),
    *(ValueError, struct.error),
)
"""What reading bytes that nobody wrote so may raise (documented of `pickle.loads`)."""


class UnknownLayoutError(Exception):
    """The file was written by another zward, or is none of ours, or damaged."""


def write(tables: dict[str, object], file: BinaryIO) -> None:
    """Write the tables down. Raises OSError."""
    sealed = _Sealed(file)
    sealed.write(MARK + layout())
    with _without_collections():
        pickle.Pickler(sealed, protocol=5).dump(tables)
    file.write(sealed.digest.digest())


def read(file: BinaryIO) -> dict[str, object]:
    """The tables that were written. Raises UnknownLayoutError or OSError."""
    mark = MARK + layout()
    if file.read(len(mark)) != mark:
        raise UnknownLayoutError("written by another version, or no such file")
    if not _is_whole(file):
        raise UnknownLayoutError("damaged: its digest is another")
    file.seek(len(mark))
    try:
        with _without_collections():
            tables = _Reader(file).load()
    except _DAMAGE as fault:
        raise UnknownLayoutError(f"damaged: {fault}") from fault
    if not isinstance(tables, dict):
        raise UnknownLayoutError("damaged: no tables in it")
    return tables


class _Sealed:
    """Writes, and takes the digest of what it writes."""

    def __init__(self, file: BinaryIO) -> None:
        self.digest = blake2b(digest_size=DIGEST)
        self._file = file

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)


def _is_whole(file: BinaryIO) -> bool:
    """Whether the file ends with the digest of what stands before: 0.13 s for the 100 MB of a million sources."""
    left = file.seek(0, os.SEEK_END) - DIGEST
    file.seek(0)
    digest = blake2b(digest_size=DIGEST)
    while left > 0 and (piece := file.read(min(left, PIECE))):
        digest.update(piece)
        left -= len(piece)
    return digest.digest() == file.read()


@contextmanager
def _without_collections() -> Iterator[None]:
    """Millions of new objects, none of them garbage: looking for some doubles and trebles the time (measured)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def layout() -> bytes:
    """A digest of what each class in the file remembers: another set of attributes is another layout."""
    words = sorted(
        f"{module}.{name}:{','.join(sorted(_attributes(module, name)))}"
        for module in ALLOWED
        for name in ALLOWED[module]
    )
    return blake2b("\n".join(words).encode(), digest_size=8).hexdigest().encode() + b"\n"


def _attributes(module: str, name: str) -> list[str]:
    found: Any = getattr(import_module(module), name)
    slots = list(getattr(found, "__slots__", ()))
    init = getattr(getattr(found, "__init__", None), "__code__", None)
    return [*slots, *(init.co_names if init else ()), *getattr(found, "_fields", ())]


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name not in ALLOWED.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} has no place in it")
        return getattr(import_module(module), name)
