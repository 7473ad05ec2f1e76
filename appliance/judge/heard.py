"""When each sender was last heard, and whether its silence is unusual."""

from collections import OrderedDict

SLOT = 300.0
"""Seconds of one slot of a day."""
SLOTS = 288
DAYS = 7
STREAMS = 1024
"""Pairs of sender and program that are listened to, 2 KiB each; the one heard longest ago gives way."""
TODAY = 12
"""Slots of an hour: as long must a sender have been lively before its first day is over."""


class Stream:
    """How many lines came in each slot of the last seven days."""

    __slots__ = ("_counts", "_first", "_slot", "is_silent", "last")

    def __init__(self, now: float) -> None:
        self._counts = bytearray(SLOTS * DAYS)
        self._first = self._slot = int(now // SLOT)
        self.last = now
        self.is_silent = False
        """Whether people know that it is silent."""

    def add(self, lines: int, now: float) -> None:
        slot = int(now // SLOT)
        if slot > self._slot:
            for passed in range(max(self._slot + 1, slot - len(self._counts) + 1), slot + 1):
                self._counts[passed % len(self._counts)] = 0
            self._slot = slot
        place = self._slot % len(self._counts)
        self._counts[place] = min(255, self._counts[place] + lines)
        self.last = max(self.last, now)

    def is_usually_lively(self, now: float, lines: int) -> bool:
        """Whether this slot and the one before always had so many lines at this time of day; on the first day, whether
        each slot of the hour before the silence had."""
        slot = int(now // SLOT)
        days = [
            each - day * SLOTS
            for day in range(1, DAYS)
            for each in (slot - 1, slot)
            if each - day * SLOTS > self._first
        ]
        if not days:
            heard = int(self.last // SLOT)
            days = [past for past in range(heard - TODAY, heard) if past > self._first]
            if len(days) < TODAY - 1:
                return False
        return all(self._of(each) >= lines for each in days)

    def _of(self, slot: int) -> int:
        within = self._slot - len(self._counts) < slot <= self._slot
        return self._counts[slot % len(self._counts)] if within else 0


class Heard:
    """Every sender, whole and by program."""

    def __init__(self, most: int = STREAMS) -> None:
        self._most = most
        self._streams: OrderedDict[tuple[str, str], Stream] = OrderedDict()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._streams)

    def hear(self, sender: str, program: str, lines: int, now: float) -> bool:
        """Take note of lines; whether that ends a silence that people were told of. "" stands for any program."""
        key = sender, program
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = Stream(now)
            if len(self._streams) > self._most:
                self._streams.popitem(last=False)
                self.evicted += 1
        else:
            self._streams.move_to_end(key)
        stream.add(lines, now)
        ended, stream.is_silent = stream.is_silent, False
        return ended

    def fallen_silent(self, after: float, lines: int, now: float) -> list[tuple[str, str, float]]:
        """Who is silent since now: sender, program, when it was last heard. Each silence is told of once."""
        fallen: list[tuple[str, str, float]] = []
        for (sender, program), stream in self._streams.items():  # the longest unheard first
            if now - stream.last < after:
                break
            if not stream.is_silent and stream.is_usually_lively(now, lines):
                stream.is_silent = True
                fallen.append((sender, program, stream.last))
        return fallen
