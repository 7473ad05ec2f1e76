"""outbound: an account suddenly sends much."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import DetectorMode

LEAST = 50
"""Recipients in an hour below which ten times nearly nothing is still nothing."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """More than 200 recipients in 1 h, or 10 times the busiest hour of the last two weeks."""

    name: ClassVar[str] = "outbound"

    mode: DetectorMode = DetectorMode.ENFORCE
    recipients: int = 200
    times: int = 10

    def exceeds(self, recipients: int, peak: int | None) -> str | None:
        """What is unusual, in words; None if nothing is."""
        if recipients > self.recipients:
            return f"mail to {recipients} recipients in 1 h (limit {self.recipients})"
        if peak is not None and recipients >= LEAST and recipients > self.times * peak:
            return f"mail to {recipients} recipients in 1 h, over {self.times} times its busiest hour of late ({peak})"
        return None
