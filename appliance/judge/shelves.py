"""Bounded tables: what was not heard of for a while is packed, and whoever is close to a verdict outlasts a flood."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from struct import Struct
from typing import Generic, TypeVar, cast

Key = TypeVar("Key", bound=bytes | str)
"""Of at most 32,767 bytes."""
Value = TypeVar("Value")


class Shelves(Generic[Key, Value]):
    """Values by key: live ones while they are warm, packed ones in two rows, quiet and close to a verdict.

    So nobody makes zward forget an attacker on the brink by sending it new names: keys that are close give way only
    to others that are as close.
    """

    def __init__(
        self,
        warm: int,
        quiet: int,
        close: int,
        new: Callable[[Key], Value],
        pack: Callable[[Value], bytes],
        unpack: Callable[[Key, bytes], Value],
    ) -> None:
        """How many keys each row may hold. A value that packs into nothing is not kept."""
        self._warm_most = warm
        self._new = new
        self._pack = pack
        self._unpack = unpack
        self._warm: OrderedDict[Key, Value] = OrderedDict()
        self._near: set[Key] = set()
        """Keys close to a verdict, warm or packed."""
        self._quiet: _Packed[Key] = _Packed(quiet)
        self._close: _Packed[Key] = _Packed(close)

    def __len__(self) -> int:
        return len(self._warm) + len(self._quiet) + len(self._close)

    def __iter__(self) -> Iterator[Key]:
        return chain(self._warm, self._quiet, self._close)

    @property
    def warm(self) -> Collection[Value]:
        """The values that were asked for last, which lie unpacked."""
        return self._warm.values()

    @property
    def evicted(self) -> int:
        """Quiet keys forgotten because there were too many."""
        return self._quiet.evicted

    @property
    def evicted_close(self) -> int:
        """The same of keys close to a verdict: an alarm, for an attacker gains by it."""
        return self._close.evicted

    def opened(self, key: Key) -> Value:
        """What stands under a key, put there if nothing does."""
        found = self._warm.get(key)
        if found is not None:
            self._warm.move_to_end(key)
            return found
        packed = self._taken(key)
        return self._warmed(key, self._new(key) if packed is None else self._unpack(key, packed))

    def get(self, key: Key) -> Value | None:
        """What stands under a key; None if nothing does."""
        found = self._warm.get(key)
        if found is not None:
            self._warm.move_to_end(key)
            return found
        packed = self._taken(key)
        return None if packed is None else self._warmed(key, self._unpack(key, packed))

    def mark(self, key: Key, *, close: bool) -> None:
        """Say whether a key is close to a verdict."""
        if close:
            self._near.add(key)
        else:
            self._near.discard(key)

    def _taken(self, key: Key) -> bytes | None:
        packed = self._quiet.pop(key)
        return self._close.pop(key) if packed is None else packed

    def _warmed(self, key: Key, value: Value) -> Value:
        self._warm[key] = value
        if len(self._warm) > self._warm_most:
            self._cool(*self._warm.popitem(last=False))
        return value

    def _cool(self, key: Key, value: Value) -> None:
        packed = self._pack(value)
        if not packed:
            self._near.discard(key)
            return
        row = self._close if key in self._near else self._quiet
        self._near.difference_update(row.put(key, packed))


class _Packed(Generic[Key]):
    """Packed values in two generations: when the younger is half of what there may be, the older is forgotten.

    A linked order would cost each key as much again as its value does.
    """

    def __init__(self, most: int) -> None:
        self._half = max(1, most // 2)
        self._young: _Generation[Key] = _Generation(self._half)
        self._old: _Generation[Key] = _Generation(self._half)
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def __iter__(self) -> Iterator[Key]:
        return chain(self._young, self._old)

    def __getstate__(self) -> tuple[int, int, list[bytes], list[bytes]]:
        return self._half, self.evicted, self._young.buckets, self._old.buckets

    def __setstate__(self, state: tuple[int, int, list[bytes], list[bytes]]) -> None:
        """Another process hashes in another way: each key is put where this one looks for it."""
        self._half, self.evicted, young, old = state
        self._young, self._old = _Generation(self._half, young), _Generation(self._half, old)

    def pop(self, key: Key) -> bytes | None:
        found = self._young.pop(key)
        return self._old.pop(key) if found is None else found

    def put(self, key: Key, packed: bytes) -> Iterable[Key]:
        """Keep a key that is not there yet; those that gave way."""
        self._young.put(key, packed)
        if len(self._young) < self._half:
            return ()
        gone, self._old, self._young = self._old, self._young, _Generation(self._half)
        self.evicted += len(gone)
        return gone


class _Generation(Generic[Key]):
    """Keys with their packed values, eight to a bucket: as objects of their own they would take three times as much.

    The place of a key is Python's hash of it, which is keyed anew in each process, so nobody can fill one bucket.
    """

    __slots__ = ("_number", "buckets")

    def __init__(self, most: int, buckets: Iterable[bytes] = ()) -> None:
        """Room for about so many keys; `buckets` are those of another process."""
        self._number = 0
        self.buckets = [b""] * (most // BUCKET + 1)
        """Records one after the other: what `_RECORD` says, the key, the value."""
        for bucket in buckets:
            for start, name, end in _records(bucket):
                self.buckets[hash(name) % len(self.buckets)] += bucket[start:end]
                self._number += 1

    def __len__(self) -> int:
        return self._number

    def __iter__(self) -> Iterator[Key]:
        return (cast("Key", name) for bucket in self.buckets for _, name, _ in _records(bucket))

    def put(self, key: Key, value: bytes) -> None:
        name, text = _encoded(key)
        place = hash(key) % len(self.buckets)
        self.buckets[place] += _RECORD.pack(len(name) | text, len(value)) + name + value
        self._number += 1

    def pop(self, key: Key) -> bytes | None:
        name, text = _encoded(key)
        place = hash(key) % len(self.buckets)
        bucket = self.buckets[place]
        if name not in bucket:  # nearly always it is not there, and this says so in a tenth of the time
            return None
        start, wanted = 0, len(name) | text
        while start < len(bucket):
            head, size = _RECORD.unpack_from(bucket, start)
            value = start + _RECORD.size + (head & ~_TEXT)
            if head == wanted and bucket.startswith(name, start + _RECORD.size):
                self.buckets[place] = bucket[:start] + bucket[value + size :]
                self._number -= 1
                return bucket[value : value + size]
            start = value + size
        return None


BUCKET = 8
"""Keys in a bucket of a full generation, on the average."""

_RECORD = Struct("<HI")
"""Bytes of the key, and whether it is text; bytes of the value."""
_TEXT = 0x8000
_CODEC = "utf-8", "surrogatepass"


def _encoded(key: bytes | str) -> tuple[bytes, int]:
    return (key, 0) if isinstance(key, bytes) else (key.encode(*_CODEC), _TEXT)


def _records(bucket: bytes) -> Iterator[tuple[int, str | bytes, int]]:
    """Where each record begins, its key, where it ends."""
    start = 0
    while start < len(bucket):
        head, size = _RECORD.unpack_from(bucket, start)
        value = start + _RECORD.size + (head & ~_TEXT)
        name = bucket[start + _RECORD.size : value]
        yield start, name.decode(*_CODEC) if head & _TEXT else name, value + size
        start = value + size
