"""zmauditswatch: the four counts of Zimbra's own watcher, over all hosts together. They only tell."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import Case, DetectorMode, Subject
from appliance.judge.words import shown, span
from appliance.model import Severity

SITE = "site"


@dataclass(frozen=True, slots=True)
class Zmauditswatch:
    """Limits of `zmauditswatchctl` (zm-core-utils). Attempts are counted, not points, on any evidence."""

    name: ClassVar[str] = "zmauditswatch"
    severity: ClassVar[Severity] = Severity.NOTICE

    mode: DetectorMode = DetectorMode.ENFORCE
    source_and_account: int = 10
    account: int = 10
    source: int = 20
    total: int = 100
    within: float = 60.0

    @property
    def limit(self) -> int:
        return max(self.source_and_account, self.source)

    @property
    def tally_limit(self) -> int:
        return max(self.account, self.total)

    def subjects(self, case: Case) -> Iterator[Subject]:
        least = min(self.source, self.source_and_account)
        attempts = case.attempts  # sorted by time: one look at the last but so many is enough
        if case.source is not None and len(attempts) >= least and attempts[-least].time > case.now - self.within:
            yield from self._of_source(case, str(case.source))
        if case.on_account is not None and len(case.on_account.tally.times) >= self.account:
            count = case.on_account.tally.within(self.within, case.now)
            if count >= self.account:
                yield Subject(shown(case.account or ""), count, self.account)
        if len(case.on_site.times) >= self.total:
            count = case.on_site.within(self.within, case.now)
            if count >= self.total:
                yield Subject(SITE, count, self.total)

    def _of_source(self, case: Case, source: str) -> Iterator[Subject]:
        since = case.now - self.within
        recent = [each for each in case.attempts if since < each.time <= case.now]
        same = sum(1 for each in recent if each.account == case.account)
        if case.account is not None and same >= self.source_and_account:
            yield Subject(f"{shown(case.account)} from {source}", same, self.source_and_account)
        if len(recent) >= self.source:
            yield Subject(source, len(recent), self.source)

    def explain(self, subject: Subject, _case: Case) -> str:
        heading = f"{subject.failures} failed logins in {span(self.within)} (limit {subject.limit})"
        return f"{heading}: {'the whole site' if subject.name == SITE else subject.name}"
