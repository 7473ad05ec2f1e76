"""stale-device: a phone with an old password, at a place where its owner logs in. It is told, never banned."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import Case, DetectorMode, Subject
from appliance.judge.words import shown, span
from appliance.model import Severity


@dataclass(frozen=True, slots=True)
class StaleDevice:
    """30 failures in 1 h of a source at an account that it is familiar for."""

    name: ClassVar[str] = "stale-device"
    severity: ClassVar[Severity] = Severity.NOTICE
    tally_limit: ClassVar[int] = 1

    mode: DetectorMode = DetectorMode.ENFORCE
    failures: int = 30
    within: float = 3600.0

    @property
    def limit(self) -> int:
        return self.failures

    def subjects(self, case: Case) -> Iterator[Subject]:
        if not case.is_familiar or len(case.attempts) < self.failures:
            return
        since = case.now - self.within
        same = sum(1 for each in case.attempts if since < each.time <= case.now and each.account == case.account)
        if same >= self.failures:
            yield Subject(f"{shown(case.account or '')} from {case.source}", same, self.failures)

    def explain(self, subject: Subject, case: Case) -> str:
        protocols = sorted({each.protocol.value for each in case.attempts if each.account == case.account})
        return (
            f"{subject.failures} failed logins in {span(self.within)} of {subject.name} over {', '.join(protocols)}, "
            "where it logs in as a rule: a device with an old password; it is not banned"
        )
