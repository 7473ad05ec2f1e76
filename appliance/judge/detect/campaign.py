"""campaign: far more strangers fail all over the site than at this hour on other days."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import DetectorMode
from appliance.judge.site import Site

LASTS = 3600.0
"""Seconds for which a campaign goes on after the last moment at which it was seen."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """More than mean + 4 sigma of the same hour in 14 days, and at least 50. Strangers then have 3 tries."""

    name: ClassVar[str] = "campaign"

    mode: DetectorMode = DetectorMode.ENFORCE
    strangers: int = 50
    sigmas: float = 4.0
    points: int = 3

    def seen(self, site: Site, now: float) -> str | None:
        """What is unusual about this hour, in words; None if nothing is, or nobody knows what is usual."""
        strangers = site.strangers_this_hour(now)
        if strangers < self.strangers:
            return None
        usual = site.usual_strangers(now, self.sigmas)
        if usual is None or strangers <= usual:
            return None
        return f"{strangers} strangers fail at the site in this hour; up to {usual:.0f} are usual"
