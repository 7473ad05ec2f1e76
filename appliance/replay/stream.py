"""One file as a stream of the lines that matter, in the order of time; several files as one such stream.

A file is scanned in blocks. Lines without any of the looked-for words never become objects; they are counted, and the
time of the first and the last of a block keeps the clock right.
"""

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from typing import NamedTuple

from appliance.read.frames import Block
from appliance.read.framing import FRAME_LIMIT
from appliance.read.lines import LineCutter
from appliance.read.reader import LOGIN_WORDS
from appliance.read.rules import RuleSet
from appliance.read.sieve import Sieve
from appliance.replay.dating import Dating
from appliance.replay.files import LogFile
from appliance.replay.layouts import (
    AUDIT,
    HEADED,
    MAILBOX,
    Stamp,
    header,
    log4j_program,
    own_stamp,
    program_by_name,
)

SNIFFED = 200
"""Lines at the beginning of a file by which it is told whose log it is."""

SPAN = 30.0
"""Seconds of a sender's lines that are counted together: a tenth of the silence that is told."""

LEAP = 3600.0
"""Seconds. A line so far ahead of the one before it is believed if what follows is as late: its time may be forged."""

AHEAD = 64
"""Lines that are looked at for that."""

_HOSTS = re.compile(
    rb"\n(?:<[0-9]{1,3}>(?:1 )?)?(?:[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[^\0- ]{8,40}) "
    rb"([^\0- ]{1,255} [^\0- :\[\]]{1,128})"
)
"""Host and tag of each line with a header. It begins with LF, and not with `^`, to be four times as fast."""


class Item(NamedTuple):
    """A line to be read, or, with an empty frame, lines that passed by. Sorts by time, then file, then place."""

    time: float
    file: int
    number: int
    """Counts the items of one file."""
    frame: bytes
    sender: str
    wakes: bool
    """Whether it holds a literal of the rules; else it is only looked at for what the rules do not know."""
    heard: tuple[tuple[str, int], ...] = ()
    """Senders, and how many lines came from each since the last such item."""


class Tally:
    """What reading counted, whatever became of the lines."""

    def __init__(self, rules: RuleSet) -> None:
        self.lines = 0
        self.faults: Counter[str] = Counter()
        """Lines cut at the limit (`truncated`), and times that were not believed (`leap`)."""
        self.programs: set[str] = set()
        """Programs that have rules and of which there are lines."""
        self._rules = rules

    def saw(self, program: str) -> None:
        if program not in self.programs and self._rules.course_of(program) is not None:
            self.programs.add(program)


class Stream:
    """The items of one file."""

    def __init__(
        self,
        number: int,
        file: LogFile,
        literals: Sequence[bytes],
        zone: tzinfo,
        tally: Tally,
        *,
        year: int | None = None,
        program: str | None = None,
    ) -> None:
        self.file = file
        self._number = number
        self._zone = zone
        self._tally = tally
        self._program = program or program_by_name(file.stem)
        self._is_told = program is not None
        self._log4j = self._program if self._program in (AUDIT, MAILBOX) else MAILBOX
        self._believes_headers = True
        self._is_bare = False
        self._rules = Sieve(literals)
        self._words = Sieve(LOGIN_WORDS)
        self._dating = Dating(zone, file.latest, year)
        self._now: float | None = None
        """The latest time so far: what the stream is sorted by."""
        self._items = 0
        self._is_sniffed = False
        self._heard: Counter[str] = Counter()
        self._heard_at = 0.0

    def items(self) -> Iterator[Item]:
        """Every item. The first is there before the file is opened for good, so that few are open at a time."""
        if not self.file.comes_once:
            chunks = self.file.chunks()
            head = next(chunks, b"")
            chunks.close()
            self.file.read = 0
            if not head:
                return
            self._sniff(head)
            yield self._item(self._now or 0.0, b"", self.file.sender, wakes=False)
        cutter = LineCutter(self._count, FRAME_LIMIT)
        for chunk in self.file.chunks():
            if not self._is_sniffed:
                self._sniff(chunk)
            for block in cutter.feed(chunk):
                yield from self._of_block(block)
        for block in cutter.close():
            yield from self._of_block(block)
        if self._heard and self._now is not None:
            yield self._passed(self._now)

    # What kind of file it is

    def _sniff(self, head: bytes) -> None:
        self._is_sniffed = True
        lines = [line[:FRAME_LIMIT] for line in head.split(b"\n", SNIFFED)[:SNIFFED]]
        first = next((line for line in lines if HEADED.match(line) or own_stamp(line, 0, self._zone)), None)
        self._is_bare = first is not None and not HEADED.match(first)
        self._believes_headers = not (self._is_bare and self._program)
        if self._program not in (AUDIT, MAILBOX):
            self._log4j = log4j_program(lines)
        self._dating.last = next((time for line in lines if (time := self._dated(line)) is not None), None)
        times: list[float] = []
        for line in lines[:AHEAD]:
            if (time := self._time(line)) is not None:
                times.append(time)
                self._dating.last = self._dating.last or time
        if times:
            early = times[0] if len(times) < 2 or times[0] - times[1] <= LEAP else times[1]
            self._now = self._dating.last = early

    # Blocks

    def _of_block(self, block: Block) -> Iterator[Item]:
        self._tally.lines += len(block)
        data = block.data
        wakes = dict.fromkeys(self._places(block, self._words), False)
        wakes |= dict.fromkeys(self._places(block, self._rules), True)
        last = self._last_time(data)
        if last is None or self._now is None or last - self._now <= SPAN:
            self._hear(data, len(block))
            for (start, stop), wake in sorted(wakes.items()):
                yield self._line(data, start, stop, wake)
            if last is not None:
                self._advance(last)
            if self._now is not None and self._now - self._heard_at >= SPAN:
                yield self._passed(self._now)
            return
        places = {start: wake for (start, _), wake in wakes.items()}
        start = 0
        for line in data.split(b"\n"):
            if line:
                yield from self._in_turn(data, start, start + len(line), line, places.get(start))
            start += len(line) + 1

    def _in_turn(self, data: bytes, start: int, stop: int, line: bytes, wake: bool | None) -> Iterator[Item]:
        """One line of a block that spans a long time."""
        if wake is None:
            time = self._time(line)
            if time is not None:
                self._advance(self._believed(time, data, stop))
        else:
            yield self._line(data, start, stop - (len(line) - len(line.rstrip(b"\r\0"))), wake)
        if self._now is not None and self._now - self._heard_at >= SPAN and self._heard:
            yield self._passed(self._now)
        self._hear(line, 1)

    def _places(self, block: Block, sieve: Sieve) -> Iterator[tuple[int, int]]:
        stop = 0
        for hit in sieve.hits(block.data):
            if hit >= stop:
                start, stop, _ = block.span_at(hit)
                yield start, stop

    # Lines

    def _line(self, data: bytes, start: int, stop: int, wake: bool) -> Item:
        line = data[start:stop]
        found = HEADED.match(line) if self._believes_headers else None
        if found is not None:
            stamp, host, _ = found.groups()
            own = own_stamp(line, found.end(), self._zone)
            time = self._dating.of(stamp, own.time if own else None)
            frame, sender = line, host.decode("utf-8", "backslashreplace")
        else:
            bare = own_stamp(line, 0, self._zone)
            time = bare.time if bare else None
            frame, sender = self._wrapped(line, bare), self.file.sender
        if time is not None:
            self._advance(self._believed(time, data, stop))
        return self._item(self._now or 0.0, frame, sender, wakes=wake)

    def _wrapped(self, line: bytes, bare: Stamp | None) -> bytes:
        """A bare line behind the header that a forwarding host would have given it."""
        if bare is None and not self._is_bare and not self._is_told:
            return line
        if self._is_told or bare is None:
            program = self._program or self._log4j
        else:
            program = self._log4j if bare.kind == MAILBOX else bare.kind
        return header(self.file.sender, program) + line

    def _time(self, line: bytes) -> float | None:
        if self._believes_headers and (found := HEADED.match(line)):
            own = own_stamp(line, found.end(), self._zone)
            return self._dating.of(found[1], own.time if own else None)
        bare = own_stamp(line, 0, self._zone)
        return bare.time if bare else None

    def _dated(self, line: bytes) -> float | None:
        """The time of a line that says its year."""
        found = HEADED.match(line) if self._believes_headers else None
        if found and found[1][:1].isalpha():
            own = own_stamp(line, found.end(), self._zone)
            return own.time if own else None
        return self._time(line)

    def _believed(self, time: float, data: bytes, stop: int) -> float:
        """A line's time, or, where it leaps ahead and the next lines do not follow, the time of the line before."""
        if self._now is None or time - self._now <= LEAP:
            return time
        following = data[stop + 1 : stop + 1 + FRAME_LIMIT].split(b"\n", AHEAD)[:AHEAD]
        after = next((other for line in following if (other := self._time(line)) is not None), None)
        if after is None or after >= time - LEAP:
            return time
        self._tally.faults["leap"] += 1
        return self._now

    def _advance(self, time: float) -> None:
        self._dating.last = time
        if self._now is None or time > self._now:
            self._now = time

    # Lines that pass by

    def _last_time(self, data: bytes) -> float | None:
        """The time of a block's last line that has one."""
        tail = data[-FRAME_LIMIT:].rsplit(b"\n", 8)
        return next((time for line in reversed(tail[1:]) if line and (time := self._time(line)) is not None), None)

    def _hear(self, data: bytes, lines: int) -> None:
        rest = lines
        if self._believes_headers:
            for named, number in Counter(_HOSTS.findall(b"\n" + data)).items():
                host, _, tag = named.decode("utf-8", "backslashreplace").partition(" ")
                self._heard[host] += number
                self._tally.saw(tag)
                rest -= number
        if rest > 0:
            self._heard[self.file.sender] += rest
            if self._is_bare or self._is_told:
                self._tally.saw(self._program or self._log4j)

    def _passed(self, now: float) -> Item:
        heard = tuple(sorted(self._heard.items()))
        self._heard.clear()
        self._heard_at = now
        return self._item(now, b"", self.file.sender, wakes=False)._replace(heard=heard)

    def _item(self, time: float, frame: bytes, sender: str, *, wakes: bool) -> Item:
        self._items += 1
        return Item(time, self._number, self._items, frame, sender, wakes)

    def _count(self, reason: str, number: int) -> None:
        if reason == "truncated":  # blank lines, and a last one without its end, are no faults of a file
            self._tally.faults[reason] += number


def merged(streams: Sequence[Stream]) -> Iterable[Item]:
    """All items by time; at the same time by file, then by place. A file is opened when its first line is due."""
    return heapq.merge(*(stream.items() for stream in streams))
