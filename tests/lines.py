"""Log lines for tests: whole frames as rsyslog forwards them, at a time of the test's choosing."""

from datetime import UTC, datetime


def stamp(time: float) -> str:
    """`2026-11-21 20:00:00,000`, UTC."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S},{moment.microsecond // 1000:03}"


def syslog(time: float, tag: str, text: str) -> bytes:
    moment = datetime.fromtimestamp(time, UTC)
    return f"<134>{moment:%Y-%m-%dT%H:%M:%S}+00:00 mbox1 {tag}: {text}".encode()


def audit_failure(source: str, time: float, account: str = "ana@example.com") -> bytes:
    """A wrong password over IMAP, directly from `source`, as audit.log tells it: strong evidence."""
    text = (
        f"{stamp(time)} WARN  [ImapServer-7] [ip={source};cid=1;] security - cmd=Auth; account={account}; "
        f"protocol=imap; error=authentication failed for [{account}], invalid password;"
    )
    return syslog(time, "zimbra-audit", text)


def audit_success(source: str, time: float, account: str = "ana@example.com") -> bytes:
    line = f"{stamp(time)} INFO  [ImapServer-7] [ip={source};cid=1;] security - "
    text = f"{line}cmd=Auth; account={account}; protocol=imap;"
    return syslog(time, "zimbra-audit", text)


def mailbox_failure(source: str, time: float, account: str = "nobody@example.com") -> bytes:
    """An unknown account over SOAP, as mailbox.log tells it: weak evidence, a client can forge the line."""
    text = (
        f"{stamp(time)} INFO  [qtp1-1:https://mail.example.com/service/soap/AuthRequest] [oip={source};ua=x;soapId=1;] "
        f"SoapEngine - handler exception: authentication failed for [{account}], account not found"
    )
    return syslog(time, "zimbra-mailbox", text)


NOISE = b"<22>May  6 10:21:04 mx1 postfix/smtpd[10064]: connect from unknown[198.51.100.194]"
