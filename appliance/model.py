"""The nouns that travel through zward. Frozen, slotted, and without behaviour of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from appliance.address import Net


class Outcome(StrEnum):
    """What happened at a login, as the log tells it."""

    SUCCESS = "success"
    BAD_PASSWORD = "bad_password"  # noqa: S105 - an outcome, no secret
    UNKNOWN_ACCOUNT = "unknown_account"
    ACCOUNT_LOCKED = "account_locked"
    ACCOUNT_INACTIVE = "account_inactive"
    ADMIN_BAD_PASSWORD = "admin_bad_password"  # noqa: S105
    SECOND_FACTOR_FAILED = "second_factor_failed"
    AUTH_INCOMPLETE = "auth_incomplete"
    PROTOCOL_ABUSE = "protocol_abuse"
    RECIPIENT_UNKNOWN = "recipient_unknown"
    RELAY_DENIED = "relay_denied"
    THROTTLED_BY_ZIMBRA = "throttled_by_zimbra"
    BACKEND_ERROR = "backend_error"
    MAIL_ACCEPTED = "mail_accepted"
    """A host delivered mail to us over port 25: it is no mere guesser of recipients. Never scores."""
    MAIL_SENT = "mail_sent"
    """An account sent mail to `count` recipients. Never scores."""


class Result(StrEnum):
    """The class of an outcome: what a person would call it in one word."""

    FAILURE = "failure"
    SUCCESS = "success"
    LOCKOUT = "lockout"
    ABUSE = "abuse"
    IGNORED = "ignored"


RESULT_OF: Mapping[Outcome, Result] = {
    Outcome.SUCCESS: Result.SUCCESS,
    Outcome.BAD_PASSWORD: Result.FAILURE,
    Outcome.UNKNOWN_ACCOUNT: Result.FAILURE,
    Outcome.ACCOUNT_INACTIVE: Result.FAILURE,
    Outcome.ADMIN_BAD_PASSWORD: Result.FAILURE,
    Outcome.SECOND_FACTOR_FAILED: Result.FAILURE,
    Outcome.ACCOUNT_LOCKED: Result.LOCKOUT,
    Outcome.AUTH_INCOMPLETE: Result.ABUSE,
    Outcome.PROTOCOL_ABUSE: Result.ABUSE,
    Outcome.RECIPIENT_UNKNOWN: Result.ABUSE,
    Outcome.RELAY_DENIED: Result.ABUSE,
    Outcome.THROTTLED_BY_ZIMBRA: Result.ABUSE,
    Outcome.BACKEND_ERROR: Result.IGNORED,
    Outcome.MAIL_ACCEPTED: Result.IGNORED,
    Outcome.MAIL_SENT: Result.IGNORED,
}


class Protocol(StrEnum):
    """What the client spoke."""

    SMTP = "smtp"
    IMAP = "imap"
    POP3 = "pop3"
    SOAP = "soap"
    ADMIN = "admin"
    HTTP = "http"
    EWS = "ews"
    DAV = "dav"
    EAS = "eas"
    SSH = "ssh"
    UNKNOWN = "unknown"


class Evidence(StrEnum):
    """Whether a client can have written the line itself."""

    STRONG = "strong"
    """audit.log and Postfix: client text in them is escaped or stands where structure tells it apart."""
    WEAK = "weak"
    """mailbox.log, nginx.log and others: a client can write a whole line into them."""


class Mode(StrEnum):
    """Whether verdicts touch the kernel."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


NO_DATA: Mapping[str, Mapping[str, list[str]]] = {}
"""The structured data of nearly every message; a plain dictionary, since `zward listen` prints it as JSON."""


class Message(NamedTuple):
    """One syslog message: a frame whose header has been read. Nothing in it is trusted."""

    facility: int
    severity: int
    time: float | None
    """What the header says, in seconds since the epoch; None where it has no valid time."""
    host: str | None
    app: str | None
    """The whole tag without pid and colon: `postfix/submission/smtpd`, `zimbra-audit`."""
    pid: str | None
    text: bytes
    msgid: str | None = None
    structured_data: Mapping[str, Mapping[str, list[str]]] = NO_DATA
    faults: tuple[str, ...] = ()
    """What was wrong with the header, in the words of the dropped-and-faults metric: `no_pri`, …"""
    repeat: int = 1
    """How many events it stands for (`message repeated N times: […]`)."""
    may_be_cut: bool = False
    """Whether its length is one at which a relay on the way may have cut its end off."""


@dataclass(frozen=True, slots=True)
class AuthEvent:
    """One line's statement about one login."""

    time: float
    """When it happened by the line itself, in seconds since the epoch. Its clock may be wrong."""
    outcome: Outcome
    rule: str
    source: Net | None
    """The client's single address; None where only our own hosts, or nothing certain, can be seen."""
    account: str | None
    protocol: Protocol
    evidence: Evidence
    sender: str
    """Address of the host that forwarded the line: its identity."""
    host: str | None
    """The name that the line gives that host: a label."""
    program: str
    line: bytes
    """The text that proves it, at most `EVIDENCE_BYTES` long."""
    session: str | None = None
    """Postfix's process on that host (`mx1/4021`): joins the lines of one SMTP session."""
    count: int = 1
    """How many such events the line stands for; of `mail_sent`, how many recipients."""
    mail: str | None = None
    """Postfix's queue id on that host (`mx1/4F2A…`): joins who submitted a mail and how many it went to."""

    @property
    def result(self) -> Result:
        return RESULT_OF[self.outcome]


EVIDENCE_BYTES = 300
"""How much of a line is kept as evidence: enough for context and message, little enough to store many."""


class Scope(StrEnum):
    """A group of exposed ports. A published port has one; a ban closes one of `BAN_SCOPES`."""

    ALL = "all"
    LOGIN = "login"
    """Submission, IMAP, POP3. A ban of this scope closes web and admin as well: wherever somebody can log in."""
    WEB = "web"
    SMTP_IN = "smtp-in"
    ADMIN = "admin"


BAN_SCOPES = (Scope.ALL, Scope.LOGIN, Scope.SMTP_IN)


@dataclass(frozen=True, slots=True)
class Ban:
    """A network kept out of the exposed ports of one scope until a time."""

    net: Net
    since: float
    until: float
    """Seconds since the epoch."""
    detector: str
    """Which detector asked for it; `operator` for a ban made by hand."""
    reason: str
    """In words that can be read to a caller on the phone."""
    step: int = 0
    """Rung of the ladder, counted from 0; how often this network was banned before."""
    scope: Scope = Scope.ALL


@dataclass(frozen=True, slots=True)
class Watched:
    """Counted, nothing done."""

    source: Net | None
    detector: str | None
    """The one whose limit is nearest; None where no detector had anything to count."""
    reason: str
    would_ban: bool = False
    """Whether a ban follows in mode `enforce`. Said once for each ban that there would be."""
    asks_proof: bool = False
    """Whether a ban follows if the source is proved to have been here."""


class Cause(StrEnum):
    """What stands against a ban."""

    LISTED = "listed"
    """Ours, Zimbra's, or on an allowlist."""
    OFFICE = "office"
    OUTAGE = "outage"
    FUSE = "fuse"


@dataclass(frozen=True, slots=True)
class Spared:
    """A detector asked for a ban, and something stands against it."""

    source: Net
    detector: str
    reason: str
    cause: Cause = Cause.LISTED


@dataclass(frozen=True, slots=True)
class Banned:
    """A ban that is to be carried out now."""

    ban: Ban
    accounts: tuple[str, ...] = ()
    """Accounts that were tried, for the notice; at most ten."""

    @property
    def source(self) -> Net:
        return self.ban.net

    @property
    def detector(self) -> str:
        return self.ban.detector

    @property
    def reason(self) -> str:
        return self.ban.reason


class Severity(StrEnum):
    """How soon a person has to look."""

    NOTICE = "notice"
    """Worth knowing, in the digest."""
    WARNING = "warning"
    """Worth a look today."""
    CRITICAL = "critical"
    """Worth waking somebody."""


RANK: Mapping[Severity, int] = {severity: rank for rank, severity in enumerate(Severity)}
"""The graver, the higher."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something a person should be told; no ban belongs to it."""

    detector: str
    subject: str
    """What it is about: an address, an account, a sender, or `site`."""
    reason: str
    severity: Severity = Severity.NOTICE
    source: Net | None = None
    account: str | None = None
    over: bool = False
    """Whether it says that what was told of this subject has ended."""


@dataclass(frozen=True, slots=True)
class Act:
    """What an operator did."""

    time: float
    """Seconds since the epoch."""
    who: str
    what: str
    """`ban`, `unban`, `allow`, `disallow`, `forget`."""
    subject: str
    reason: str


Verdict = Watched | Spared | Banned | Noticed
