"""break-in: a stranger gets in after failing. The password may be known to somebody else than its owner."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import DetectorMode, Login
from appliance.judge.words import moment, span


@dataclass(frozen=True, slots=True)
class BreakIn:
    """At least 5 failures in 24 h before, or a besieged account, or a ban within 7 days."""

    name: ClassVar[str] = "break-in"

    mode: DetectorMode = DetectorMode.ENFORCE
    failures: int = 5
    within: float = 86400.0
    banned_within: float = 7 * 86400.0

    def suspects(self, login: Login) -> str | None:
        """Why a login is under suspicion; None if it is not."""
        if not login.is_stranger:
            return None
        if login.failures >= self.failures:
            return f"it failed {login.failures} times in {span(self.within)} before"
        if login.is_besieged and not login.is_near:
            return "strangers besiege the account"
        ban = login.last_ban
        if ban is not None and login.now - ban.until < self.banned_within:
            return f"it was banned on {moment(ban.since)} ({ban.detector})"
        return None
