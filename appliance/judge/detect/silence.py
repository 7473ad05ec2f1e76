"""silence: a sender of logs fell quiet, and with it we are blind."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.judge.detector import DetectorMode
from appliance.judge.words import moment, shown, span


@dataclass(frozen=True, slots=True)
class Silence:
    """No line for 5 min, where on all days of the last seven at least 20 came in each such 5 min."""

    name: ClassVar[str] = "silence"

    mode: DetectorMode = DetectorMode.ENFORCE
    after: float = 300.0
    lines: int = 20

    def explain(self, sender: str, program: str, last: float) -> str:
        what = f"no line of {shown(program)} from" if program else "no line from"
        return f"{what} {shown(sender)} since {moment(last)}; {self.lines} in {span(self.after)} are usual at this time"
