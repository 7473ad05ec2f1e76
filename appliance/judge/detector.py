"""What a detector is: its settings, and what it says of one attempt.

A detector remembers nothing itself. It reads a `Case`, so a reload exchanges detectors and loses no count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from appliance.address import Net
from appliance.judge.attempts import Attempt
from appliance.judge.tallies import Tally


class DetectorMode(StrEnum):
    """What a detector may do; the policy's mode can only lower it."""

    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


@dataclass(slots=True)
class Case:
    """Everything that bears on one failure, itself counted in."""

    now: float
    source: Net | None
    """The unit that is counted and banned; None where the line names no client."""
    account: str | None
    attempts: Sequence[Attempt]
    """Of this source, sorted by time; forgiven ones are worth no points."""
    succeeded: bool
    """Whether this source ever logged in."""
    on_account: Tally | None
    """Attempts at this account from anywhere; None where the line names no account."""
    on_site: Tally
    """Attempts at any account."""
    proved: bool = False
    """Whether this source completed a connection to a port of ours lately: nobody forges that."""


class Score(NamedTuple):
    """What a detector counted in its window."""

    whole: int
    strong: int
    """How much of it strong evidence accounts for."""

    def counting(self, *, proved: bool) -> int:
        """How much of it may lead to a ban.

        Weak lines can be forged. They count in full against a source that is proved to have been here; against
        any other they at most double what strong evidence bears, and alone are worth nothing.
        """
        borne = 2 * self.strong
        return self.whole if proved or self.whole <= borne else borne  # min() costs three times as much

    def needs_proof(self, limit: int) -> bool:
        """Whether it reaches a limit for a proved source alone."""
        return self.whole >= limit > 2 * self.strong


class Detector(Protocol):
    """Asks for a ban when its score reaches its limit."""

    @property
    def name(self) -> str: ...

    @property
    def mode(self) -> DetectorMode: ...

    @property
    def limit(self) -> int: ...

    @property
    def unit(self) -> str:
        """What the score counts: `points`, `accounts`."""

    @property
    def within(self) -> float:
        """Seconds that its window is long."""

    @property
    def first_step(self) -> int:
        """Rung of the ladder at which its bans begin."""

    def score(self, case: Case) -> Score: ...

    def explain(self, case: Case) -> str:
        """Why it asks, in words that can be read to a caller on the phone."""


class Subject(NamedTuple):
    """Something that a teller wants people to know of."""

    name: str
    """An address, an account, both, or `site`; client text in it is as it may be shown."""
    failures: int
    limit: int


class Teller(Protocol):
    """Tells people, and never asks for a ban. Each subject is told of once in a window."""

    @property
    def name(self) -> str: ...

    @property
    def mode(self) -> DetectorMode: ...

    @property
    def limit(self) -> int:
        """The most attempts of one source that it counts."""

    @property
    def tally_limit(self) -> int:
        """The most attempts at one account, or at all, that it counts."""

    @property
    def within(self) -> float: ...

    def subjects(self, case: Case) -> Iterator[Subject]:
        """What has reached its limit."""

    def explain(self, subject: Subject) -> str: ...
