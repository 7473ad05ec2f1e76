"""outage: the login service itself is broken, and everybody fails."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import DetectorMode
from appliance.judge.site import Site
from appliance.judge.words import span

LEAST = 10
"""Logins that the window would have on other days, below which their absence tells nothing."""


@dataclass(frozen=True, slots=True)
class Outage:
    """20 familiar sources fail in 5 min, and logins are below a tenth of what is usual at this hour.

    Bans of sources that ever logged in are held meanwhile; strangers fall as ever. The second condition is what an
    attacker cannot bring about: the others go on logging in.
    """

    name: ClassVar[str] = "outage"

    mode: DetectorMode = DetectorMode.ENFORCE
    sources: int = 20
    within: float = 300.0
    share: float = 0.1

    def seen(self, site: Site, now: float) -> str | None:
        """What is broken, in words; None if all is well or nobody knows what is usual."""
        failing = site.familiar_failing(self.within, now)
        if failing < self.sources:
            return None
        usual = site.usual_successes(self.within, now)
        if usual is None or usual < LEAST:
            return None
        successes = site.successes_within(self.within, now)
        if successes >= self.share * usual:
            return None
        return (
            f"{failing} sources fail at accounts that they are familiar for, and {successes} logins came in "
            f"{span(self.within)} where {usual:.0f} are usual"
        )
