"""What happens in a story: who tries to log in, from where, when. No policy and no log line is known here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.model import Protocol

HOUR = 3600.0
DAY = 86_400.0
CLIENT = "ZimbraWebClient - GC118 (Win)/8.8.15_GA_4508"


class Who(StrEnum):
    ATTACKER = "attacker"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Try:
    """Somebody connects and gives a name and a password."""

    at: float
    """Seconds since the story began; below zero for the days before, of which nothing is counted."""
    source: str
    account: str
    right: bool = False
    """Whether it is the account's password."""
    who: Who = Who.ATTACKER
    protocol: Protocol = Protocol.SMTP
    exists: bool = True
    """Whether there is such an account."""
    agent: str = CLIENT
    """What the client calls itself, over SOAP. It may hold a forged log line."""
    typed: str | None = None
    """The login name as typed, where it is not the account's name. It may hold a forged log line."""
    recipients: int = 0
    """How many people the mail goes to that follows a login over SMTP."""


@dataclass(frozen=True, slots=True)
class Script:
    """Everything that a story's people and attackers mean to do, and what is wrong with the site meanwhile."""

    tries: list[Try]
    broken: tuple[tuple[float, float], ...] = ()
    """Spans, in seconds, in which Zimbra refuses right passwords too."""
    skews: Mapping[str, float] = field(default_factory=dict)
    """By how many seconds a host's clock is ahead."""
    held: tuple[float, float] | None = None
    """The span whose lines wait in the senders' queues; all of them arrive at its end."""


@dataclass(frozen=True, slots=True)
class Story:
    """A function that writes a script from a seed and parameters, and what is to be said of it."""

    name: str
    tells: str
    """One sentence for the page."""
    write: Callable[..., Script]
    limit: str = ""
    """Why zward cannot be better than the best jail here, where it cannot."""
