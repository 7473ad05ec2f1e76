"""One scan over a whole buffer for the literals of all rules; frames without a hit never become objects.

Hyperscan finds 16 literals at the price of one `bytes.find` (measured: 11 M lines/s against 0.4 M/s for an
alternation in `re`). Only literals are scanned for: anchored patterns in the same database were 30 times slower.
"""

from collections.abc import Sequence
from typing import Any

import hyperscan


class Sieve:
    """Holds the literals; says where in a buffer one of them ends."""

    def __init__(self, literals: Sequence[bytes]) -> None:
        """Raises ValueError where there is none to look for."""
        if not literals:
            raise ValueError("a sieve without literals: nothing would ever be looked at")
        self._database = hyperscan.Database()
        self._database.compile(
            expressions=list(literals), ids=list(range(len(literals))), elements=len(literals), literal=True
        )
        self._scratch = hyperscan.Scratch(self._database)
        self._database.scratch = self._scratch

    def hits(self, data: bytes) -> list[int]:
        """Offsets of the last byte of each hit, in ascending order."""
        found: list[int] = []
        add = found.append

        def on_hit(_id: int, _start: int, end: int, _flags: int, _context: Any) -> None:
            add(end - 1)

        if data:
            self._database.scan(data, match_event_handler=on_hit)
        return found
