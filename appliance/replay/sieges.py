"""Which accounts were besieged, from when to when, and by how many."""

from dataclasses import dataclass

from appliance.judge.judge import Judge

EVERY = 60.0
"""Seconds between two looks: a siege ends after an hour of quiet."""


@dataclass(slots=True)
class Siege:
    """One account under siege."""

    account: str
    begun: float
    ended: float | None = None
    """None while it lasts."""
    strangers: int = 0
    """The most sources that failed there at a time and had never logged in anywhere."""


class Sieges:
    """Looks at the judge's accounts once a minute."""

    def __init__(self, judge: Judge) -> None:
        self.found: list[Siege] = []
        self._judge = judge
        self._lasting: dict[str, Siege] = {}
        self._next = 0.0

    def look(self, now: float) -> None:
        if now < self._next:
            return
        self._next = now + EVERY
        besieged = sorted(self._judge.besieged(now))
        for account in besieged:
            siege = self._lasting.get(account)
            budget = self._judge.budget(account, now)
            if siege is None:
                begun = budget.besieged_since if budget and budget.besieged_since is not None else now
                siege = self._lasting[account] = Siege(account, begun)
                self.found.append(siege)
            if budget:
                siege.strangers = max(siege.strangers, budget.strangers)
        for account in self._lasting.keys() - set(besieged):
            self._lasting.pop(account).ended = now

    def end(self, now: float) -> None:
        """The logs are over."""
        self._next = 0.0
        self.look(now)
