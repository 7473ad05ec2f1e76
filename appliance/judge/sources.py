"""The attempts of each source, and which source is forgotten first when there are too many."""

from collections.abc import Iterable
from struct import Struct

from appliance.address import Net
from appliance.judge.attempts import BURSTS, Attempt
from appliance.judge.shelves import Shelves
from appliance.model import Outcome, Protocol

SOURCES = 1_000_000
"""Quiet sources with attempts. A site sees 10^3 to 10^5 a day; the rest is room for a flood."""
CLOSE = 262_144
"""Sources close to a ban; they stand apart, so that no flood of quiet ones pushes them out."""
WARM = BURSTS
"""Sources whose attempts lie unpacked: as many as lines may still join attempts of."""

_RECORD = Struct("<dBBH")
"""Time, protocol and outcome, points and strong points (four bits each), bytes of the account's name that follow; 65535
where it has none."""
_NAMELESS = 0xFFFF
_PROTOCOLS = tuple(Protocol)
_OUTCOMES = tuple(Outcome)
_PROTOCOL_NUMBERS = {protocol: number for number, protocol in enumerate(_PROTOCOLS)}
_OUTCOME_NUMBERS = {outcome: number for number, outcome in enumerate(_OUTCOMES)}


class Sources:
    """The attempts of each source: a list while it is warm, packed when it was not heard of for a while.

    Packed, a source with one attempt takes a third of what the objects do.
    """

    def __init__(self, most: int = SOURCES, close: int = CLOSE, warm: int = WARM) -> None:
        self._shelves: Shelves[bytes, list[Attempt]] = Shelves(warm, most, close, _none, packed, unpacked)

    def __len__(self) -> int:
        return len(self._shelves)

    @property
    def evicted(self) -> int:
        """Quiet sources forgotten because there were too many."""
        return self._shelves.evicted

    @property
    def evicted_close(self) -> int:
        """The same of sources close to a ban: an alarm, for an attacker gains by it."""
        return self._shelves.evicted_close

    def attempts(self, source: bytes) -> list[Attempt]:
        """The list of a source's attempts, opened if there is none yet."""
        return self._shelves.opened(source)

    def mark(self, source: bytes, *, close: bool) -> None:
        """Say whether a source is close to a ban."""
        self._shelves.mark(source, close=close)

    def known(self, source: bytes) -> list[Attempt]:
        """The attempts of a source, without opening a list for one that has none."""
        return self._shelves.get(source) or []

    def forgive(self, net: Net) -> None:
        """Take every point from the sources inside a network, or around it if it is less than a source."""
        for source in self._inside(net):
            for attempt in self.known(source):
                attempt.forgive()

    def _inside(self, net: Net) -> list[bytes]:
        whole = 32 if net.family == 4 else 64
        if net.prefix >= whole:
            return [net.widened(whole).packed]
        width = len(net.packed)
        return [source for source in self._shelves if len(source) == width and net.covers(Net(source, whole))]


def packed(attempts: Iterable[Attempt]) -> bytes:
    """Attempts as bytes."""
    parts: list[bytes] = []
    for attempt in attempts:
        name = None if attempt.account is None else attempt.account.encode("utf-8", "surrogatepass")
        kind = _PROTOCOL_NUMBERS[attempt.protocol] << 4 | _OUTCOME_NUMBERS[attempt.outcome]
        length = _NAMELESS if name is None else len(name)
        parts.append(_RECORD.pack(attempt.time, kind, attempt.points << 4 | attempt.strong, length))
        if name:
            parts.append(name)
    return b"".join(parts)


def unpacked(_source: bytes, data: bytes) -> list[Attempt]:
    """The attempts that were packed."""
    attempts: list[Attempt] = []
    place = 0
    while place < len(data):
        time, kind, points, length = _RECORD.unpack_from(data, place)
        place += _RECORD.size
        account = None
        if length != _NAMELESS:
            account = data[place : place + length].decode("utf-8", "surrogatepass")
            place += length
        protocol, outcome = _PROTOCOLS[kind >> 4], _OUTCOMES[kind & 15]
        attempts.append(Attempt(time, protocol, outcome, account, points >> 4, points & 15))
    return attempts


def _none(_source: bytes) -> list[Attempt]:
    return []
