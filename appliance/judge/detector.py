"""What a detector is: its settings, and what it says of one attempt.

A detector remembers nothing itself. It reads a `Case`, so a reload exchanges detectors and loses no count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from appliance.address import Net
from appliance.judge.accounts import Account
from appliance.judge.attempts import Attempt
from appliance.judge.tallies import Tally
from appliance.model import Ban, Outcome, Scope, Severity


class DetectorMode(StrEnum):
    """What a detector may do; the policy's mode can only lower it."""

    OFF = "off"
    OBSERVE = "observe"
    ENFORCE = "enforce"


class Kind(StrEnum):
    """Which failures a detector counts."""

    LOGIN = "login"
    """Failed logins."""
    ABUSE = "abuse"
    """What is no login: AUTH begun and dropped, garbage, guessed recipients."""


@dataclass(slots=True)
class Case:
    """Everything that bears on one failure, itself counted in."""

    now: float
    source: Net | None
    """The unit that is counted and banned; None where the line names no client."""
    account: str | None
    attempts: Sequence[Attempt]
    """Of this source and of the kind at hand, sorted by time; forgiven ones are worth no points."""
    succeeded: bool
    """Whether anybody logged in from this source in the last 30 days; else it is a stranger."""
    on_account: Account | None
    """What happened at this account, whoever tried it; None where the line names no account."""
    on_site: Tally
    """Attempts at any account."""
    proved: bool = False
    """Whether this source completed a connection to a port of ours lately: nobody forges that."""
    outcome: Outcome = Outcome.BAD_PASSWORD
    """Of the failure at hand."""
    is_familiar: bool = False
    """Whether this source is familiar for this account."""
    is_near: bool = False
    """Whether the account logged in from the same /24 or /48: a phone whose address changes."""
    is_inhabited: bool = False
    """Whether anybody logged in from the same /24 or /48."""
    besieged: bool = False
    """Whether the account is under siege."""
    in_campaign: bool = False
    """Whether far more strangers than usual fail all over the site."""
    delivers: bool = False
    """Whether this source delivered mail that was accepted lately, or is one of the site's relays."""


class Login(NamedTuple):
    """Everything that bears on one success."""

    now: float
    source: Net
    account: str
    is_stranger: bool
    """Whether nobody logged in from this source in the last 30 days."""
    failures: int
    """How often this source failed in the 24 h before, at any account."""
    is_besieged: bool
    is_near: bool
    """Whether the account logged in from the same /24 or /48."""
    last_ban: Ban | None


class Score(NamedTuple):
    """What a detector counted in its window, and how much would be too much."""

    whole: int
    strong: int
    """How much of it strong evidence accounts for."""
    limit: int

    def counting(self, *, proved: bool) -> int:
        """How much of it may lead to a ban.

        Weak lines can be forged. They count in full against a source that is proved to have been here; against
        any other they at most double what strong evidence bears, and alone are worth nothing.
        """
        borne = 2 * self.strong
        return self.whole if proved or self.whole <= borne else borne  # min() costs three times as much

    @property
    def needs_proof(self) -> bool:
        """Whether it reaches the limit for a proved source alone."""
        return self.whole >= self.limit > 2 * self.strong


NOTHING = Score(0, 0, 1)
"""A detector's answer to a case that it has nothing to do with."""


class Detector(Protocol):
    """Asks for a ban when its score reaches its limit."""

    @property
    def name(self) -> str: ...

    @property
    def mode(self) -> DetectorMode: ...

    @property
    def kind(self) -> Kind: ...

    def scope(self, case: Case) -> Scope:
        """The ports that its ban closes."""

    @property
    def limit(self) -> int:
        """The highest score that can matter."""

    @property
    def unit(self) -> str:
        """What the score counts: `points`, `accounts`."""

    @property
    def within(self) -> float:
        """Seconds that its window is long."""

    @property
    def term(self) -> float | None:
        """Seconds that its bans last; None where they climb the ladder."""

    def first_step(self, case: Case) -> int:
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
    def severity(self) -> Severity: ...

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

    def explain(self, subject: Subject, case: Case) -> str: ...
