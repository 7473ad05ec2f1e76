"""The lines that tries leave, read by the real reader."""

import pytest
from bench.stories.lines import HOSTS, PROXY, Line, Pen
from bench.stories.run import START
from bench.stories.script import Try
from bench.stories.zimbra import Answer

from appliance.address import LOOPBACK, NetSet, parse_network
from appliance.config.rule_files import load_rules
from appliance.model import AuthEvent, Evidence, Outcome, Protocol
from appliance.read.origin import Trust
from appliance.read.reader import Reader

ATTACKER, VICTIM, ANA = "198.18.0.1", "100.64.7.1", "ana@example.com"
OURS = NetSet(parse_network(address) for address in HOSTS.values()) | LOOPBACK
READER = Reader(load_rules().rules, Trust(OURS, NetSet([parse_network(PROXY)])))

OUTCOMES = {
    Answer.WELCOME: Outcome.SUCCESS,
    Answer.WRONG: Outcome.BAD_PASSWORD,
    Answer.LOCKS: Outcome.ACCOUNT_LOCKED,
    Answer.LOCKED: Outcome.ACCOUNT_LOCKED,
}
SPOKEN = (Protocol.SMTP, Protocol.IMAP, Protocol.POP3, Protocol.SOAP)


def events(lines: list[Line]) -> list[AuthEvent]:
    told = [READER.read(line.forwarded(), HOSTS[line.host], START).event for line in lines]
    return [event for event in told if event is not None]


def written(attempt: Try, answer: Answer) -> list[AuthEvent]:
    return events(Pen(START, {}).write(attempt, answer))


@pytest.mark.parametrize("answer", OUTCOMES)
@pytest.mark.parametrize("protocol", SPOKEN)
def test_strong_evidence_names_client_account_and_what_happened(protocol: Protocol, answer: Answer) -> None:
    told = written(Try(1, ATTACKER, ANA, protocol=protocol), answer)
    found = [event for event in told if event.evidence is Evidence.STRONG and event.account == ANA]
    assert OUTCOMES[answer] in {event.outcome for event in found}
    assert {str(event.source) for event in found} == {ATTACKER}
    assert {event.protocol for event in found} <= {protocol}
    assert {event.time for event in found} == {START + 1}


@pytest.mark.parametrize("protocol", SPOKEN)
def test_an_unknown_account_is_told_with_its_client_and_never_by_audit_log(protocol: Protocol) -> None:
    told = written(Try(1, ATTACKER, ANA, protocol=protocol, exists=False), Answer.UNKNOWN)
    assert {str(event.source) for event in told if event.source} == {ATTACKER}
    assert "zimbra-audit" not in {event.program for event in told}


def test_mail_sent_after_a_login_over_smtp_is_told_by_postfix() -> None:
    told = written(Try(1, ATTACKER, ANA, True, recipients=50), Answer.WELCOME)
    postfix = [event for event in told if event.program.startswith("postfix/")]
    assert [(event.outcome, event.count) for event in postfix] == [(Outcome.SUCCESS, 1), (Outcome.MAIL_SENT, 50)]
    assert len({event.mail for event in postfix}) == 1, "the queue id joins who logged in and how many it went to"


def test_each_host_writes_by_its_own_clock() -> None:
    lines = Pen(START, {"mbox1": 3600}).write(Try(1, ATTACKER, ANA), Answer.WRONG)
    assert {(line.host, line.time) for line in lines} == {("mbox1", START + 3601), ("mx1", START + 1)}


def test_only_zimbra_log_has_a_header_of_its_own() -> None:
    lines = Pen(START, {}).write(Try(1, ATTACKER, ANA), Answer.WRONG)
    heads = {line.file: line.in_file().split("  ")[0] for line in lines}
    assert heads["zimbra.log"].startswith("Jan 15 08:00:01 mx1 ")
    assert heads["audit.log"].startswith("2027-01-15 08:00:01,000 WARN")


def test_what_a_client_types_reaches_the_files_as_zimbra_writes_it() -> None:
    """A line break in a login name makes a line of mailbox.log; semicolons in audit.log are doubled."""
    forged = (
        f"INFO  [q] [oip={VICTIM};] SoapEngine - handler exception: authentication failed for [b], account not found"
    )
    attempt = Try(1, ATTACKER, ANA, protocol=Protocol.SOAP, typed=f"x\n{forged};y", agent=f"x;oip={VICTIM};")
    lines = Pen(START, {}).write(attempt, Answer.WRONG)
    assert sum(line.text.count(f" [oip={VICTIM};]") for line in lines if line.file == "mailbox.log") == 2
    assert all(f";;oip={VICTIM};;" in line.text for line in lines if line.file == "audit.log")
    blamed = {str(event.source) for event in events(lines) if event.evidence is Evidence.STRONG}
    assert blamed == {ATTACKER}
