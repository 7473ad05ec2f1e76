"""From frames to facts: what is said of lines that are no events, and how an event's fields are found."""

import random

import pytest
from hostile import PIECES
from hypothesis import given, settings
from hypothesis import strategies as st
from lines import NOISE, audit_failure, mailbox_failure, syslog

from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.model import EVIDENCE_BYTES, Evidence, Outcome, Protocol, Result
from appliance.read.frames import join_datagrams
from appliance.read.reader import ACCOUNT_BYTES, Fact, Reader, may_be_cut
from appliance.read.syslog import REPEAT_LIMIT

FILES = load_rules()
READER = Reader(FILES.rules, SAMPLE_TRUST)
NOW = 1_795_000_000.0
SAMPLES = [sample.line for sample in FILES.samples]


def read(frame: bytes) -> Fact:
    return READER.read(frame, "192.0.2.10", NOW)


def audit(thread: str, context: str, message: str, level: str = "WARN ") -> Fact:
    return read(
        syslog(NOW, "zimbra-audit", f"2026-11-18 12:00:00,250 {level} [{thread}] [{context}] security - {message}")
    )


def failed(protocol: str, account: str = "ana@example.com") -> str:
    error = f"authentication failed for [{account}], invalid password"
    return f"cmd=Auth; account={account}; protocol={protocol}; error={error};"


def test_an_event_carries_what_the_line_says():
    frame = audit_failure("203.0.113.9", NOW)
    event = read(frame).event

    assert event is not None
    assert (event.rule, event.outcome, event.result) == ("audit-bad-password", Outcome.BAD_PASSWORD, Result.FAILURE)
    assert (str(event.source), event.account, event.protocol) == ("203.0.113.9", "ana@example.com", Protocol.IMAP)
    assert (event.sender, event.host, event.program) == ("192.0.2.10", "mbox1", "zimbra-audit")
    assert (event.time, event.evidence, event.count) == (NOW, Evidence.STRONG, 1)
    assert event.line == frame.partition(b"zimbra-audit: ")[2][:EVIDENCE_BYTES]


def test_the_time_inside_the_line_goes_before_the_headers_and_that_before_arrival():
    inside = audit("ImapServer-1", "ip=203.0.113.9;", failed("imap"))
    message = "SoapEngine - handler exception: authentication failed for [x], account lockout"
    header = read(syslog(NOW - 60, "mailboxd", f"INFO  [qtp1-22] [oip=203.0.113.9;] {message}"))
    neither = read(audit_failure("203.0.113.9", NOW - 60).replace(b"2026-11-18", b"2026-11-99"))

    times = [fact.event and fact.event.time for fact in (inside, header, neither)]
    assert times == [1795003200.25, NOW - 60, NOW]


@pytest.mark.parametrize(
    ("frame", "why", "is_readable"),
    [
        (NOISE, "no rule names what happened here", True),
        (syslog(NOW, "cron[7]", "Failed password for root"), "no rules for the program cron", True),
        (b"", "no rules for the program (none named)", True),
        (b"<134>", "no rules for the program (none named)", True),
        (b"\xff\xfe", "no rules for the program (none named)", True),
        (
            syslog(NOW, "zimbra-audit", "\tat com.zimbra.cs.account.Provisioning"),
            "not a line of this log: no level and thread (a stack trace, or cut off)",
            False,
        ),
        (
            syslog(
                NOW, "zimbra-audit", "2026-11-18 12:00:00,250 WARN  [qtp1-8:https://h/p] [oip=203.0.113.9;ua=aaaaaaaa"
            ),
            "truncated: the context is there, the message behind it is not",
            False,
        ),
        (
            syslog(NOW, "zimbra-audit", "2026-11-18 12:00:00,250 WARN  [ImapServer-1] [ip=203.0.113.9;] security - "),
            "truncated: the line ends before its message",
            True,
        ),
        (syslog(NOW, "zimbra-nginx", "what is this"), "not a line of this log: no date, level and process", False),
    ],
)
def test_a_line_that_is_no_event_says_why(frame, why, is_readable):
    fact = read(frame)

    assert (fact.event, fact.why, fact.is_readable) == (None, why, is_readable)
    assert fact.result is Result.IGNORED


def test_a_line_that_no_rule_names_still_tells_its_account_and_protocol():
    fact = audit(
        "ImapServer-1", "name=ana@example.com;ip=203.0.113.9;", "cmd=Auth; account=ana@example.com; info=unlocked;"
    )

    assert (fact.event, fact.account, fact.protocol) == (None, "ana@example.com", Protocol.IMAP)


def test_a_wrong_password_at_the_admin_port_is_an_outcome_of_its_own():
    fact = audit("qtp1-8:https://mail.example.com:7071/service/admin/soap/", "ip=203.0.113.9;", failed("soap"))

    assert fact.event is not None
    assert fact.event.outcome is Outcome.ADMIN_BAD_PASSWORD
    assert fact.event.protocol is Protocol.ADMIN


@pytest.mark.parametrize(
    ("thread", "word", "protocol"),
    [
        ("ImapServer-1", "imap", Protocol.IMAP),
        ("qtp1-8:https://h/service/soap/", "imap", Protocol.IMAP),
        ("qtp1-8:https://h/service/soap/", "soap", Protocol.SOAP),
        ("qtp1-8:https://h/", "soap", Protocol.SOAP),
        ("qtp1-8", "soap", Protocol.SOAP),
        ("qtp1-8:smtp://h:7073/service/admin/soap/", "soap", Protocol.SMTP),
        ("qtp1-8:https://h/dav/ana", "http_dav", Protocol.DAV),
        ("qtp1-8:https://h/home/ana/calendar", "http_basic", Protocol.HTTP),
        ("qtp1-8:https://h/EWS/Exchange.asmx", "http_basic", Protocol.EWS),
        ("qtp1-8:https://h/Microsoft-Server-ActiveSync", "zsync", Protocol.EAS),
        ("qtp1-8:https://h/service/soap/", "something_new", Protocol.SOAP),
        ("Thread-9", "something_new", Protocol.UNKNOWN),
    ],
)
def test_the_protocol_is_what_structure_or_word_says_outright(thread, word, protocol):
    assert audit(thread, "ip=203.0.113.9;", failed(word)).protocol is protocol


def test_an_account_is_cut_at_its_limit():
    long = "a" * 300 + "@example.com"
    event = audit("ImapServer-1", "ip=203.0.113.9;", failed("imap", long)).event

    assert event is not None
    assert event.account == long[:ACCOUNT_BYTES]


@pytest.mark.parametrize("word", ["-", "(unavailable)", "(reason unavailable)", "<>", ""])
def test_a_word_that_stands_for_no_account_is_none(word):
    text = (
        f"warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: authentication failure, sasl_username={word}"
    )
    event = read(syslog(NOW, "postfix/smtpd[7]", text)).event

    assert event is not None
    assert (str(event.source), event.account) == ("203.0.113.9", None)


def test_an_account_that_is_no_utf_8_is_shown_all_the_same():
    event = read(audit_failure("203.0.113.9", NOW).replace(b"ana@", b"\xe9@")).event

    assert event is not None
    assert event.account == "\ufffd@example.com"


@pytest.mark.parametrize(("told", "count"), [(1, 1), (7, 7), (REPEAT_LIMIT, REPEAT_LIMIT), (10**8, REPEAT_LIMIT)])
def test_a_repeated_message_counts_as_often_as_it_says(told, count):
    text = "warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: authentication failure"
    event = read(syslog(NOW, "postfix/smtpd[7]", f"message repeated {told} times: [ {text}]")).event

    assert event is not None
    assert (event.count, str(event.source)) == (count, "203.0.113.9")


def test_a_repeated_sum_of_attempts_counts_all_of_them():
    text = "message repeated 2 times: [ disconnect from unknown[203.0.113.9] ehlo=1 auth=0/6 commands=1/7]"
    event = read(syslog(NOW, "postfix/smtpd[7]", text)).event

    assert event is not None
    assert event.count == 12


def test_a_peer_that_is_no_proxy_and_names_another_client_is_told():
    fact = audit("ImapServer-1", "ip=203.0.113.9;oip=203.0.113.66;", failed("imap"))

    assert (str(fact.disbelieved), fact.event and str(fact.event.source)) == ("203.0.113.9", "203.0.113.9")


def test_a_broken_login_service_blames_nobody():
    text = "warning: unknown[203.0.113.9]: SASL LOGIN authentication failed: generic failure"
    event = read(syslog(NOW, "postfix/smtpd[7]", text)).event

    assert event is not None
    assert (event.outcome, event.result, event.source) == (Outcome.BACKEND_ERROR, Result.IGNORED, None)


def test_the_session_of_a_postfix_line_is_its_host_and_process():
    event = read(syslog(NOW, "postfix/smtpd[4021]", "lost connection after AUTH from unknown[203.0.113.9]")).event

    assert event is not None
    assert event.session == "mbox1/4021"


def test_only_frames_that_hold_a_literal_are_suspects():
    frames = [NOISE, audit_failure("203.0.113.9", NOW), NOISE, mailbox_failure("203.0.113.9", NOW), NOISE]
    block = join_datagrams(frames, 65536, lambda _reason, _number: None)
    assert block is not None

    assert list(READER.suspects(block)) == [frames[1], frames[3]]


def test_a_frame_with_many_literals_is_one_suspect():
    frame = audit_failure("203.0.113.9", NOW) * 5
    block = join_datagrams([frame, NOISE], 65536, lambda _reason, _number: None)
    assert block is not None

    assert list(READER.suspects(block)) == [frame]


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_raise(frame):
    assert read(frame).event is None


TAGS = sorted({tag for program in FILES.rules.programs for tag in program.senders_evidence if "*" not in tag})


@given(st.sampled_from(TAGS), st.lists(st.one_of(st.binary(max_size=20), st.sampled_from(PIECES).map(str.encode))))
def test_no_text_of_a_known_program_makes_reading_raise(tag, parts):
    assert read(b"<134>May  6 10:20:31 mx1 " + tag.encode() + b": " + b"".join(parts)).message.app == tag


@given(st.sampled_from(SAMPLES), st.randoms(use_true_random=False))
@settings(max_examples=500)
def test_no_mutation_of_a_sample_makes_reading_raise(sample, chance):
    frame = mutated(sample, chance)

    fact = read(frame)

    assert fact.event is None or fact.event.count <= REPEAT_LIMIT * 1000


def mutated(sample: bytes, chance: random.Random) -> bytes:
    """The sample cut, doubled, overwritten, or crossed with another one."""
    frame = bytearray(sample)
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(frame))
        match chance.randint(0, 4):
            case 0:
                del frame[at : at + chance.randint(1, 30)]
            case 1:
                frame[at:at] = chance.randbytes(chance.randint(1, 8))
            case 2:
                frame[at : at + 1] = bytes([chance.randint(0, 255)])
            case 3:
                frame[at:at] = chance.choice(PIECES).encode()
            case _:
                other = chance.choice(SAMPLES)
                frame[at:] = other[chance.randint(0, len(other)) :]
    return bytes(frame)


@pytest.mark.parametrize("size", [1022, 1023, 1024, 1025, 1026, 2047, 2048, 2049, 4000, 4001, 70_000])
def test_a_line_may_be_cut_where_a_relay_cuts_it(size):
    assert may_be_cut(size) is (size in (1023, 1024, 1025, 2047, 2048, 2049) or size > 4000)


def test_a_mail_is_known_by_host_and_queue_id_and_sent_by_no_address():
    at = b"<22>Nov 21 19:59:00 mx1 postfix/"
    accepted = read(at + b"smtpd[7]: 4V0aBcDzQ1: client=mail.example.net[203.0.113.9]").event
    login = read(at + b"smtpd[7]: 4V0aBcDzQ1: client=unknown[203.0.113.9], sasl_method=PLAIN, sasl_username=ana").event
    sent = read(at + b"qmgr[8]: 4V0aBcDzQ1: from=<ana@example.com>, size=900, nrcpt=31 (queue active)").event

    assert (accepted.outcome, accepted.mail, str(accepted.source)) == ("mail_accepted", "mx1/4V0aBcDzQ1", "203.0.113.9")
    assert (login.outcome, login.mail) == ("success", "mx1/4V0aBcDzQ1")
    assert (sent.outcome, sent.mail, sent.source, sent.account, sent.count) == (
        *("mail_sent", "mx1/4V0aBcDzQ1", None, "ana@example.com", 31),
    )
