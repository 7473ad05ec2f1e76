"""A story: who tries what, when, and what the judge says of it. Times are seconds since the story began."""

from collections.abc import Iterable
from dataclasses import replace

from appliance.address import Net, NetSet, parse_address, parse_network
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.model import AuthEvent, Banned, Evidence, Mode, Noticed, Outcome, Protocol, Verdict

START = 1_700_000_000.0
ANA = "ana@example.com"
BOB = "bob@example.com"
SOURCE = "203.0.113.9"
MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0

ENFORCE = Policy(mode=Mode.ENFORCE)


def address(text: str) -> Net:
    found = parse_address(text.encode())
    assert found is not None
    return found


def nets(*texts: str) -> NetSet:
    return NetSet(parse_network(text) for text in texts)


def line(
    at: float,
    *,
    rule: str = "audit-bad-password",
    outcome: Outcome = Outcome.BAD_PASSWORD,
    source: str | None = SOURCE,
    account: str | None = ANA,
    protocol: Protocol = Protocol.IMAP,
    evidence: Evidence = Evidence.STRONG,
    session: str | None = None,
    count: int = 1,
    sender: str = "192.0.2.1",
    host: str = "mx1",
    mail: str | None = None,
) -> AuthEvent:
    """One event; the rule's first word is its program."""
    return AuthEvent(
        time=START + at,
        outcome=outcome,
        rule=rule,
        source=None if source is None else address(source),
        account=account,
        protocol=protocol,
        evidence=evidence,
        sender=sender,
        host=host,
        program=rule.partition("-")[0],
        line=b"",
        session=session,
        count=count,
        mail=mail,
    )


def smtp_attempt(at: float, source: str = SOURCE, account: str = ANA, session: str = "mx1/7") -> list[AuthEvent]:
    """All lines of one wrong password over SMTP, in the order in which they are usually written."""
    plain = line(at, source=source, account=account, protocol=Protocol.SMTP)
    forgeable = replace(plain, evidence=Evidence.WEAK, program="mailbox")
    return [
        plain,
        replace(forgeable, rule="mailbox-account-bad-password"),
        replace(forgeable, rule="mailbox-soap-bad-password"),
        replace(forgeable, rule="saslauthd-zimbra", program="saslauthd", source=None, time=plain.time + 1),
        replace(forgeable, rule="saslauthd-failure", program="saslauthd", source=None, time=plain.time + 1),
        replace(plain, rule="postfix-sasl", program="postfix", account=None, session=session, time=plain.time + 1),
    ]


class Story:
    """A judge and a clock that follows the events."""

    def __init__(self, policy: Policy = ENFORCE) -> None:
        self.judge = Judge(policy, b"a seed for tests")
        self.now = START

    def tells(self, event: AuthEvent, now: float | None = None) -> list[Verdict]:
        """A line arrives: when it is dated, or at the second `now` of the story."""
        self.now = max(self.now, event.time) if now is None else START + now
        return self.judge.judge(event, self.now)

    def fails(self, at: float, *, now: float | None = None, **facts: object) -> Verdict:
        """One failed login, told by one line. The verdict that is about its source."""
        return self.tells(line(at, **facts), now)[-1]  # type: ignore[arg-type]

    def logs_in(self, at: float, **facts: object) -> Verdict:
        return self.fails(at, rule="audit-success", outcome=Outcome.SUCCESS, **facts)

    def is_home_of(self, *accounts: str, at: float = 0.0, source: str = SOURCE) -> None:
        """These people log in from here: three of them make it an office."""
        for account in accounts:
            self.logs_in(at, source=source, account=account)

    def delivers(self, at: float, source: str = SOURCE) -> None:
        """A mail comes in over port 25 and is accepted."""
        mail = {"account": None, "protocol": Protocol.SMTP, "mail": f"mx1/{at}"}
        self.fails(at, rule="postfix-client", outcome=Outcome.MAIL_ACCEPTED, source=source, **mail)
        self.fails(at, rule="postfix-queued", outcome=Outcome.MAIL_SENT, source=None, **mail)

    def goes_by(self, until: float, step: float = 1.0) -> list[Verdict]:
        """Nothing happens until a second of the story; what time alone leads to, looked for every `step` seconds."""
        told: list[Verdict] = []
        while self.now < START + until:
            self.now = min(self.now + step, START + until)
            told += self.judge.tick(self.now)
        return told

    def proves(self, *sources: str, at: float | None = None) -> list[Verdict]:
        """The kernel tells that these sources completed a connection here."""
        if at is not None:
            self.now = START + at
        return self.judge.prove([address(source) for source in sources], self.now)

    def all_tell(self, events: Iterable[AuthEvent]) -> list[Verdict]:
        """A number of lines arrive, each when it is dated."""
        return [verdict for event in events for verdict in self.tells(event)]

    def bans(self, events: Iterable[AuthEvent]) -> list[Banned]:
        """The bans that a number of events lead to."""
        return bans(self.all_tell(events))

    def notices(self, events: Iterable[AuthEvent]) -> list[Noticed]:
        """What a number of events lead people to be told."""
        return notices(self.all_tell(events))


def bans(told: Iterable[Verdict]) -> list[Banned]:
    return [verdict for verdict in told if isinstance(verdict, Banned)]


def notices(told: Iterable[Verdict], detector: str | None = None) -> list[Noticed]:
    """What people are told; of one detector if it is named."""
    return [each for each in told if isinstance(each, Noticed) and detector in (None, each.detector)]


def stranger(number: int) -> str:
    """One of 131,072 addresses (RFC 2544's); the first 256 lie in a /24 each of their own."""
    return f"198.{18 + number // 65536}.{number % 256}.{number // 256 % 256}"
