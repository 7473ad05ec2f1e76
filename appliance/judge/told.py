"""What people have been told already, so that they are told once and not with every line."""

from collections import OrderedDict

SUBJECTS = 65_536
"""Subjects remembered as told; the least recently told gives way and may be told again early."""


class Told:
    """Until when each subject needs no further word."""

    def __init__(self, most: int = SUBJECTS) -> None:
        self._most = most
        self._until: OrderedDict[tuple[str, str], float] = OrderedDict()
        self.evicted = 0

    def until(self, detector: str, subject: str, now: float) -> float | None:
        """When a subject may be told of again; None if that is now."""
        until = self._until.get((detector, subject))
        return until if until is not None and until > now else None

    def tell(self, detector: str, subject: str, until: float) -> None:
        self._until[detector, subject] = until
        self._until.move_to_end((detector, subject))
        if len(self._until) > self._most:
            self._until.popitem(last=False)
            self.evicted += 1

    def forget(self, subject: str) -> None:
        """Tell of a subject again at the next chance."""
        for key in [key for key in self._until if key[1] == subject]:
            del self._until[key]
