"""When to try again what failed, and what the log hears of it: once that it fails, once that it works again."""

import logging
from dataclasses import dataclass

log = logging.getLogger(__name__)

FIRST = 1.0
"""Seconds before the second try; doubled with each further failure."""
LONGEST = 60.0
"""Seconds between two tries at most: so late at worst after the other side is well again."""


def pause_after(failures: int, longest: float) -> float:
    """Seconds before the next try, after so many failures in a row."""
    return min(FIRST * 2.0 ** min(failures - 1, 16), longest)


@dataclass(slots=True)
class Backoff:
    """How it goes with one other side."""

    name: str
    """As the log calls it; holds no secret."""
    failures: int = 0
    """In a row."""
    fault: str = ""
    """Why it failed the last time; "" while it works."""

    def failed(self, why: object) -> float:
        """It did not work; returns the seconds to wait before the next try."""
        if not self.failures:
            log.warning("%s: %s; tried again until it works", self.name, why)
        self.failures += 1
        self.fault = f"{self.name}: {why}"
        return pause_after(self.failures, LONGEST)

    def worked(self) -> None:
        if self.failures:
            log.warning("%s works again after %d failures", self.name, self.failures)
        self.failures, self.fault = 0, ""
