"""ineffective: a banned source still reaches a mail host. There is a second way in, or a proxy in front of us."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import DetectorMode
from appliance.judge.words import moment, shown
from appliance.model import AuthEvent, Ban


@dataclass(frozen=True, slots=True)
class Ineffective:
    """An attempt dated more than 5 s after the source's ban began."""

    name: ClassVar[str] = "ineffective"

    mode: DetectorMode = DetectorMode.ENFORCE
    after: float = 5.0

    def shows(self, ban: Ban, time: float) -> bool:
        """Whether an attempt made at `time` should not have been possible."""
        return time > ban.since + self.after

    def explain(self, ban: Ban, event: AuthEvent) -> str:
        return (
            f"{ban.net} was banned at {moment(ban.since)} and still reached {shown(event.host or event.sender)} over "
            f"{event.protocol.value}: a way round this gateway, or a proxy in front of it"
        )
