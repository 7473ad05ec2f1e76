"""From frames to facts: sieve, header, decoder, rule, origin; the order of the questions asked of one line."""

from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import NamedTuple

from appliance.address import Net
from appliance.model import EVIDENCE_BYTES, AuthEvent, Evidence, Message, Outcome, Protocol, Result
from appliance.read.decode.reading import Decoded, Reading
from appliance.read.frames import Block
from appliance.read.origin import Origin, Trust
from appliance.read.rules import Rule, RuleSet
from appliance.read.sieve import Sieve
from appliance.read.syslog import parse

ACCOUNT_BYTES = 256
"""An account name longer than this is cut: RFC 5321 4.5.3.1 allows 64 + 1 + 255 characters, nobody has them."""

LOGIN_WORDS = (b"authentication failed", b"Authentication failed", b"auth failed", b"SASL", b"login")
"""What a line about a login holds in words of any program: where no rule fits, it may be one that we should know."""

_NO_ACCOUNT = frozenset({b"", b"-", b"(unavailable)", b"(reason unavailable)", b"<>"})

_UNCERTAIN_WEB = frozenset({Protocol.UNKNOWN, Protocol.HTTP})

_PROTOCOL_WORDS = {
    b"imap": Protocol.IMAP,
    b"pop3": Protocol.POP3,
    b"http_dav": Protocol.DAV,
    b"zsync": Protocol.EAS,
}
"""What audit.log's `protocol=` says outright; `soap`, `http_basic` and others only say that it was HTTP."""


CUTS = (1024, 2048)
"""Where old relays cut a message (RFC 3164 4.1, RFC 5424 6.1); what our own rsyslog snippet sets is far above."""

_AT_A_CUT = frozenset(cut + off for cut in CUTS for off in (-1, 0, 1))

LONGEST_WHOLE = 4000
"""Bytes up to which a line is taken to be whole: rsyslog cuts at 8,096 (measured) or 8,192 and a web request's headers
end there too, so client text cannot push a line's end off without making it longer than this."""


def may_be_cut(size: int) -> bool:
    """Whether a frame of so many bytes may have lost its end on the way."""
    return size > LONGEST_WHOLE or size in _AT_A_CUT


class Fact(NamedTuple):
    """What one frame says: an event, or why there is none."""

    message: Message
    event: AuthEvent | None
    why: str
    """One sentence: where the address was read, or why the line is no event."""
    is_readable: bool = True
    """False where the line is of a known program and could not be decoded."""
    account: str | None = None
    protocol: Protocol = Protocol.UNKNOWN
    disbelieved: Net | None = None
    """A peer whose word on the client was not taken (see `Origin`)."""

    @property
    def result(self) -> Result:
        return self.event.result if self.event else Result.IGNORED


class Reader:
    """Everything needed to read a line, as values; replaced whole at reload."""

    def __init__(self, rules: RuleSet, trust: Trust, zone: tzinfo = UTC) -> None:
        self.rules = rules
        self._trust = trust
        self._zone = zone
        self._sieve = Sieve(rules.literals)

    def suspects(self, block: Block) -> Iterator[bytes]:
        """The frames of a block that hold a rule's literal; the others are never looked at."""
        data = block.data
        stop = 0
        for hit in self._sieve.hits(data):
            if hit < stop:
                continue
            start, stop, _truncated = block.span_at(hit)
            yield data[start:stop]

    def passed_over(self, block: Block, offset: int) -> bytes | None:
        """The frame around a place of the block, if the sieve passed over it; None if it is a suspect."""
        start, stop, _truncated = block.span_at(offset)
        frame = block.data[start:stop]
        return None if self._sieve.hits(frame) else frame

    def app_of(self, frame: bytes, now: float) -> str | None:
        """Only the program that a frame names."""
        return parse(frame, now, self._zone).app

    def read(self, frame: bytes, sender: str, now: float) -> Fact:
        """Say what one frame says. Raises nothing that a frame's bytes could cause."""
        message = parse(frame, now, self._zone)
        if may_be_cut(len(frame)):
            message = message._replace(may_be_cut=True)
        course = self.rules.course_of(message.app) if message.app else None
        if course is None:
            return Fact(message, None, f"no rules for the program {message.app or '(none named)'}")
        decoded = course.decode(message, self._trust, self._zone)
        if not decoded.readings:
            return Fact(message, None, decoded.why, is_readable=False)
        for reading in decoded.readings:
            for rule, evidence in course.rules_for(reading.logger, reading.level):
                if match := rule.pattern.match(reading.text):
                    return self._fact(message, decoded, reading, rule, evidence, match.groupdict(), sender, now)
        reading = decoded.readings[0]
        why = "truncated: the line ends before its message" if not reading.text else _NOTHING_NAMED
        return Fact(message, None, why, account=_text(reading.account), protocol=reading.protocol)

    def _fact(
        self,
        message: Message,
        decoded: Decoded,
        reading: Reading,
        rule: Rule,
        evidence: Evidence,
        fields: dict[str, bytes | None],
        sender: str,
        now: float,
    ) -> Fact:
        origin = self._origin(decoded, reading, fields)
        protocol = _protocol(reading, rule, fields.get("protocol"))
        account = _text(fields.get("account")) or _text(reading.account)
        outcome = rule.outcome
        if outcome is Outcome.BAD_PASSWORD and protocol is Protocol.ADMIN:
            outcome = Outcome.ADMIN_BAD_PASSWORD
        source = None if outcome is Outcome.BACKEND_ERROR else origin.source
        mail = fields.get("mail")
        event = AuthEvent(
            time=reading.time or message.time or now,
            outcome=outcome,
            rule=rule.id,
            source=source,
            account=account,
            protocol=protocol,
            evidence=evidence,
            sender=sender,
            host=message.host,
            program=message.app or "",
            line=message.text[:EVIDENCE_BYTES],
            session=reading.session,
            count=message.repeat * int(fields.get("count") or 1),
            mail=None if mail is None else f"{message.host or ''}/{mail.decode('ascii', 'replace')}",
        )
        return Fact(message, event, origin.why, account=account, protocol=protocol, disbelieved=origin.disbelieved)

    def _origin(self, decoded: Decoded, reading: Reading, fields: dict[str, bytes | None]) -> Origin:
        if not decoded.is_certain:
            return Origin(None, decoded.why)
        if "source" in fields:
            return self._trust.of_peer(fields["source"] or b"")
        return reading.origin or _NOT_NAMED


_NOT_NAMED = Origin(None, "lines of this kind name no client")
_NOTHING_NAMED = "no rule names what happened here"


def _protocol(reading: Reading, rule: Rule, word: bytes | None) -> Protocol:
    if word and (said := _PROTOCOL_WORDS.get(word)):
        return said
    if rule.protocol and reading.protocol in _UNCERTAIN_WEB:
        return rule.protocol
    if word == b"soap" and reading.protocol in _UNCERTAIN_WEB:
        return Protocol.SOAP
    return reading.protocol


def _text(account: bytes | None) -> str | None:
    if account is None or account in _NO_ACCOUNT:
        return None
    return account[:ACCOUNT_BYTES].decode("utf-8", "replace")
