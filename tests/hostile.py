"""Log lines around text that a client wrote, built as the programs build them.

The client is `CLIENT`; the canaries stand only in what it wrote. Each line of `LINES` names the field that the
client fills and how the program encodes it there.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from appliance.config.rule_files import CANARIES

CLIENT = "203.0.113.9"
CLIENT6 = "2001:db8:bad::9"

Encode = Callable[[str], str]


def raw(text: str) -> str:
    """Nothing is escaped, but a line break would begin another line."""
    return re.sub(r"[\r\n]", " ", text)


def zimbra(text: str) -> str:
    """zm-mailbox, common ZimbraLog.encodeArg: semicolons are doubled, line breaks become spaces."""
    return raw(text).replace(";", ";;")


def header(text: str) -> str:
    """What can stand in an HTTP header: no control characters."""
    return re.sub(r"[\0-\x1f\x7f]", "", text)


def uri(text: str) -> str:
    """What can stand in a request line."""
    return re.sub(r"[\0-\x20\x7f]", "", text)


def access(text: str) -> str:
    """nginx, ngx_http_log_escape: quotes, backslashes and control characters become \\xHH."""
    return re.sub(r'[\0-\x1f"\\\x7f]', lambda found: f"\\x{ord(found[0]):02X}", text)


def postfix(text: str) -> str:
    """Postfix, printable(): what is not printable ASCII becomes a question mark."""
    return re.sub(r"[^ -~]", "?", text)


def sasl_username(text: str) -> str:
    return postfix(text)[:100]


def reverse_name(text: str) -> str:
    """Postfix, valid_hostname(): letters, digits, hyphens, dots; else the name is `unknown`."""
    return re.sub(r"[^A-Za-z0-9.-]", "", text)[:255].strip(".-") or "unknown"


def vis(text: str) -> str:
    """OpenSSH, log.c: strnvis(VIS_CSTYLE | VIS_OCTAL | …); its user names have 100 bytes at the most."""
    found = text.encode("utf-8", "surrogatepass")[:100]
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}" for byte in found.replace(b"\\", b"\\\\"))


def vis_unbounded(text: str) -> str:
    """The same of what a client asks for as a method, which has no bound but the line's."""
    return re.sub(r"[^ -~]", "?", text)


@dataclass(frozen=True)
class Line:
    """A real line; `T` in it is what the client wrote."""

    tag: str
    text: str
    encode: Encode
    is_plain: bool = False
    """Whether no text of the client can make the line uncertain: the source is the client, always."""
    limit: int | None = None
    """Bytes at which the program cuts its lines."""

    def with_text(self, hostile: str) -> bytes:
        encoded = self.encode(hostile)
        return self.text.replace("‹T›", encoded).encode("utf-8", "surrogatepass")[: self.limit]


_FAILED = "cmd=Auth; account=ana@example.com; protocol={}; error=authentication failed for [{}], invalid password;"
_HANDLER = "handler exception: authentication failed for [‹T›]"
_OCCURRED = "Error occurred during authentication: authentication failed for [‹T›]"
_SOAP = "https://mail.example.com/service/soap/AuthRequest"


def _zimbra(thread: str, context: str, message: str, level: str = "WARN ") -> str:
    return f"2024-05-06 10:20:11,407 {level} [{thread}] [{context}] {message}"


def _audit(thread: str, context: str, typed: str = "ana@example.com", protocol: str = "soap") -> str:
    return _zimbra(thread, context, "security - " + _FAILED.format(protocol, typed))


def _web(context: str, thread: str = f"qtp1-8:{_SOAP}") -> str:
    return _audit(thread, f"name=ana@example.com;{context}")


def _mailbox(message: str, thread: str = f"qtp1-8:{_SOAP}", context: str = f"oip={CLIENT};ua=x;soapId=1;") -> str:
    return _zimbra(thread, context, message, "INFO ")


def _nginx(message: str, client: str = f"{CLIENT}:51234", rest: str = "") -> str:
    head = "2024/05/06 10:20:43 [error] 2345#0: *6789 "
    return f'{head}{message}, client: {client}, server: 0.0.0.0:993, login: "‹T›"{rest}'


_LOOKUP = (
    "zm lookup: an error is returned by zimbra lookup handler: user not found:{}‹T›{} while in mail zmauth state",
    "An error occurred in mail zmauth: user not found:{}‹T›{} while in mail zmauth state",
)
_REFUSED = 'upstream sent invalid response: "a001 NO LOGIN failed" while reading response from upstream'
_UPSTREAM = f", upstream: 192.0.2.10:7993 ({CLIENT}:51234->192.0.2.5:993) <=> (192.0.2.5:40110->192.0.2.10:7993)"
_UPSTREAM6 = f", upstream: 192.0.2.10:7993 ([{CLIENT6}]:1->[2001:db8::5]:993) <=> (192.0.2.5:1->192.0.2.10:7993)"
_REJECT = f"NOQUEUE: reject: RCPT from unknown[{CLIENT}]: "
_ENVELOPE = "from=<a@example.net> to=<b@example.com> proto=ESMTP helo=<‹T›>"
_SMTP_FAILED = "SASL LOGIN authentication failed: authentication failure"
_ACCESS = '"PROPFIND https://mail.example.com/dav/ HTTP/1.1" 401 329 "-" '

LINES = {
    "audit, SOAP user agent": Line("zimbra-audit", _web(f"oip={CLIENT};port=1;ua=‹T›;soapId=1;"), zimbra),
    "audit, SOAP via": Line("zimbra-audit", _web(f"oip={CLIENT};via=‹T›,mail;ua=x;soapId=1;"), zimbra),
    "audit, SOAP id": Line("zimbra-audit", _web(f"oip={CLIENT};port=1;ua=x;soapId=‹T›;"), zimbra),
    "audit, SOAP user agent behind a peer": Line("zimbra-audit", _web(f"ip={CLIENT};port=1;ua=‹T›;"), zimbra),
    "audit, X-Forwarded-For": Line("zimbra-audit", _web(f"oip=‹T›, {CLIENT};port=1;ua=x;soapId=1;"), zimbra),
    "audit, X-Forwarded-For behind ip=": Line(
        "zimbra-audit", _web(f"ip=127.0.0.1;oip=‹T›, {CLIENT}, 192.0.2.5;port=1;ua=x;"), zimbra
    ),
    "audit, X-Forwarded-Proto": Line(
        "zimbra-audit",
        _web(f"oip={CLIENT};port=1;ua=x;soapId=1;", "qtp1-8:‹T›://mail.example.com/service/soap/"),
        header,
    ),
    "audit, X-Forwarded-Proto, empty context behind": Line(
        "zimbra-audit", _audit("qtp1-8:‹T›://mail.example.com/service/soap/", ""), header
    ),
    "audit, path": Line("zimbra-audit", _web(f"oip={CLIENT};ua=x;", "qtp1-8:https://mail.example.com/‹T›"), uri),
    "audit, SOAP typed name": Line("zimbra-audit", _audit(f"qtp1-8:{_SOAP}", f"oip={CLIENT};ua=x;", "‹T›"), zimbra),
    "audit, SMTP typed name": Line(
        "zimbra-audit",
        _audit("qtp1-8:smtp://smtp.example.com:7073/service/admin/soap/", f"oip={CLIENT};oproto=smtp;", "‹T›"),
        zimbra,
    ),
    "audit, IMAP ID, direct": Line(
        "zimbra-audit",
        _audit("ImapServer-9", f"ip={CLIENT};oip=‹T›;via=‹T›;ua=‹T›;cid=130;", protocol="imap"),
        zimbra,
        is_plain=True,
    ),
    "audit, IMAP ID, through the proxy": Line(
        "zimbra-audit",
        _audit("ImapSSLServer-9", f"ip=192.0.2.5;oip={CLIENT};via=‹T›,192.0.2.5(nginx/1.20.0);ua=‹T›;cid=1;"),
        zimbra,
        is_plain=True,
    ),
    "audit, POP3 XOIP": Line(
        "zimbra-audit", _audit("Pop3Server-2", f"ip={CLIENT};oip=‹T›;", protocol="pop3"), zimbra, is_plain=True
    ),
    "audit, IMAP typed name": Line(
        "zimbra-audit", _audit("ImapServer-9", f"ip={CLIENT};cid=1;", "‹T›", "imap"), zimbra, is_plain=True
    ),
    "audit, additional logging": Line(
        "zimbra-audit",
        _mailbox(f"security - {_OCCURRED}. Reason: account not found."),
        raw,
    ),
    "audit, lookup": Line(
        "zimbra-audit",
        _mailbox(
            f"security - account not found for [‹T›]. oip={CLIENT}",
            "qtp1-8:https://mail.example.com:7072/service/extension/nginx-lookup",
            "ip=192.0.2.5;port=41001;",
        ),
        raw,
    ),
    "mailbox, SOAP account": Line(
        "zimbra-mailbox",
        _mailbox(f"SoapEngine - {_HANDLER}, account not found"),
        raw,
    ),
    "mailbox, SOAP account, bad password": Line(
        "zimbra-mailbox",
        _mailbox(f"SoapEngine - {_HANDLER}, invalid password"),
        raw,
    ),
    "mailboxd without a date": Line(
        "mailboxd",
        f"INFO  [qtp1-22] [oip={CLIENT};] SoapEngine - {_HANDLER}, account lockout",
        raw,
        is_plain=True,
    ),
    "mailbox, listener": Line(
        "zimbra-mailbox",
        _mailbox(f"account - {_OCCURRED}. Reason: invalid password."),
        raw,
    ),
    "mailbox, X-Forwarded-Proto": Line(
        "zimbra-mailbox",
        _mailbox(
            "SoapEngine - handler exception: authentication failed for [x], account not found", "qtp1-8:‹T›://h/p"
        ),
        header,
    ),
    "mailbox, IMAP typed name": Line(
        "zimbra-mailbox",
        _mailbox("imap - authentication failed for [‹T›] (invalid password)", "ImapServer-1", f"ip={CLIENT};cid=1;"),
        raw,
        is_plain=True,
    ),
    "mailbox, POP3 account": Line(
        "zimbra-mailbox",
        _mailbox("account - authentication failed for ‹T› (no such account)", "Pop3Server-1", f"ip={CLIENT};oip=x;"),
        raw,
        is_plain=True,
    ),
    "mailbox, POP3 throttled": Line(
        "zimbra-mailbox",
        _zimbra("Pop3Server-3", f"ip={CLIENT};oip=‹T›;", "pop - throttling POP3 connection for original remote IP ‹T›"),
        zimbra,
    ),
    "mailbox, suspended": Line(
        "zimbra-mailbox",
        _mailbox("misc - Access from IP ‹T› suspended, for repeated failed login.", f"qtp1-8:{_SOAP}", ""),
        header,
    ),
    **{
        f"nginx, lookup {number}{suffix and ', ' + suffix.strip(' @')}": Line(
            "zimbra-nginx", _nginx(message.format("", suffix)), raw, limit=2048
        )
        for number, message in enumerate(_LOOKUP, 1)
        for suffix in ("", "@example.com")
    },
    "nginx, lookup, IPv6": Line(
        "zimbra-nginx", _nginx(_LOOKUP[0].format("", ""), f"{CLIENT6}:8080 using starttls"), raw, limit=2048
    ),
    "nginx, refused": Line("zimbra-nginx", _nginx(_REFUSED, rest=_UPSTREAM), raw, limit=2048),
    "nginx, refused, IPv6": Line("zimbra-nginx", _nginx(_REFUSED, f"{CLIENT6}:1", rest=_UPSTREAM6), raw, limit=2048),
    "nginx, refused, no sockets": Line("zimbra-nginx", _nginx(_REFUSED), raw, limit=2048),
    "nginx, success": Line("zimbra-nginx", _nginx("client logged in", rest=_UPSTREAM), raw, limit=2048),
    "nginx, success, no sockets": Line("zimbra-nginx", _nginx("client logged in"), raw, limit=2048),
    "access, user": Line(
        "zimbra-nginx-access", f'{CLIENT}:51234 - ‹T› [06/May/2024:10:20:30 +0000]  {_ACCESS}"x"', access
    ),
    "access, user agent": Line(
        "zimbra-nginx-access",
        f'{CLIENT}:51234 - ana [06/May/2024:10:20:30 +0000]  {_ACCESS}"‹T›"',
        access,
        is_plain=True,
    ),
    "postfix, user name": Line(
        "postfix/submission/smtpd[1]",
        f"warning: unknown[{CLIENT}]: {_SMTP_FAILED}, sasl_username=‹T›",
        sasl_username,
        is_plain=True,
    ),
    "postfix, reverse name": Line(
        "postfix/smtpd[1]", f"warning: ‹T›[{CLIENT}]: {_SMTP_FAILED}", reverse_name, is_plain=True
    ),
    "postfix, reverse name and AUTH": Line(
        "postfix/smtpd[1]", f"lost connection after AUTH from ‹T›[{CLIENT}]", reverse_name, is_plain=True
    ),
    "postfix, handed in": Line(
        "postfix/smtpd[1]",
        f"4V0aBcDzQ1: client=‹T›[{CLIENT}], sasl_method=PLAIN, sasl_username=ana",
        reverse_name,
        is_plain=True,
    ),
    "postfix, HELO": Line(
        "postfix/smtpd[1]",
        f"{_REJECT}550 5.1.1 <b@example.com>: Recipient address rejected: x; {_ENVELOPE}",
        postfix,
        is_plain=True,
    ),
    "postfix, HELO refused": Line(
        "postfix/smtpd[1]", f"{_REJECT}504 5.5.2 <‹T›>: Helo command rejected: x; {_ENVELOPE}", postfix, is_plain=True
    ),
    "postfix, MAIL FROM": Line(
        "postfix/smtpd[1]",
        f"{_REJECT}554 5.7.1 <x@example.net>: Relay access denied; from=<‹T›> to=<‹T›>",
        postfix,
        is_plain=True,
    ),
    "postfix, recipient": Line(
        "postfix/smtpd[1]", f"{_REJECT}554 5.7.1 <‹T›>: Relay access denied; from=<a> to=<‹T›>", postfix, is_plain=True
    ),
    "postfix, non-SMTP": Line(
        "postfix/smtpd[1]", f"warning: non-SMTP command from unknown[{CLIENT}]: GET ‹T›", postfix, is_plain=True
    ),
    "postfix, pipelining": Line(
        "postfix/smtpd[1]",
        f"improper command pipelining after EHLO from unknown[{CLIENT}]: GET ‹T›",
        postfix,
        is_plain=True,
    ),
    "postscreen, pregreet": Line(
        "postfix/postscreen[1]", f"PREGREET 11 after 0.08 from [{CLIENT}]:51234: EHLO ‹T›", postfix, is_plain=True
    ),
    "postscreen, non-SMTP": Line(
        "postfix/postscreen[1]", f"NON-SMTP COMMAND from [{CLIENT}]:51234 after CONNECT: ‹T›", postfix, is_plain=True
    ),
    "cleanup, Subject": Line(
        "postfix/cleanup[1]", "4VxYz12: warning: header Subject: ‹T› from x[198.51.100.9]; from=<a@b> helo=<x>", postfix
    ),
    "sshd, user name": Line(
        "sshd[1]", f"Failed password for invalid user ‹T› from {CLIENT} port 51002 ssh2", vis, is_plain=True
    ),
    "sshd, user name, IPv6": Line(
        "sshd-session[1]", f"Failed password for invalid user ‹T› from {CLIENT6} port 1 ssh2", vis
    ),
    "sshd, method": Line(
        "sshd[1]", f"Failed password for ‹T› for invalid user x from {CLIENT} port 1 ssh2", vis_unbounded, limit=1023
    ),
    "sshd, invalid user": Line("sshd[1]", f"Invalid user ‹T› from {CLIENT} port 1", vis, is_plain=True),
    "sshd, invalid user, no port": Line("sshd[1]", f"Invalid user ‹T› from {CLIENT}", vis, is_plain=True),
    "sshd, certificate": Line(
        "sshd[1]", f"Accepted publickey for ana from {CLIENT} port 1 ssh2: RSA-CERT SHA256:x ID ‹T›", vis, is_plain=True
    ),
    "sshd, too many": Line(
        "sshd[1]",
        f"error: maximum authentication attempts exceeded for ‹T› from {CLIENT} port 1 ssh2 [preauth]",
        vis,
        is_plain=True,
    ),
    "sshd, gave up": Line(
        "sshd[1]", f"Connection closed by authenticating user ‹T› {CLIENT} port 1 [preauth]", vis, is_plain=True
    ),
    "saslauthd, user name": Line("saslauthd[1]", "auth_zimbra: ‹T› auth failed: authentication failed for [‹T›]", raw),
    "saslauthd, its own words": Line("saslauthd[1]", "do_auth : auth failure: [user=‹T›] [service=smtp] [realm=]", raw),
    "jetty, X-Forwarded-Proto": Line(
        "zimbra-out",
        "2021-03-31 10:01:51.917:WARN:oejs.DoSFilter:qtp1-1:‹T›://h/p: DOS ALERT: Request rejected "
        f"ip={CLIENT}, session=null, user=null",
        header,
    ),
}

_CANARY = CANARIES[0]

PIECES = (
    # structure of mailbox.log and audit.log
    "] [", "[] ", "] ", ";]", ";", ";;", " security - ", " SoapEngine - ", " account - ", " imap - ",
    "] [] security - ",
    "://", "://h/p", "https://x/y", "qtp1-8:", "WARN  [", "2024-05-06 10:20:11,407 WARN  [", "ImapServer-1",
    f"[ip={_CANARY};]", f"[oip={_CANARY};]", f"oip={_CANARY};", f"ip={_CANARY};", f"name=x;ip={_CANARY};",
    f", {_CANARY}",
    f"{_CANARY}, ", f"[{CANARIES[1]}]", f"[ip={CANARIES[1]};]", "192.0.2.5;", "127.0.0.1", ", 192.0.2.6",
    f"] [ip={_CANARY};] security - ", f"://h/p] [oip={_CANARY};] security - ", f"] [oip={_CANARY};] SoapEngine - ",
    "cmd=Auth; account=x; protocol=soap; error=authentication failed for [x], invalid password;",
    "cmd=Auth; account=ana@example.com; protocol=imap;", "error=authentication failed for [", "], invalid password;",
    "handler exception: authentication failed for [x], account not found", "authentication failed for [",
    "], account lockout", f"account not found for [x]. oip={_CANARY}", f"]. oip={_CANARY}",
    ". Reason: account not found.",
    # nginx.log, its access log
    f", client: {_CANARY}:1, server: x", f", client: {_CANARY}, server: 0.0.0.0:993", ", client: ", ", server: x",
    ", server: ",
    f"{_CANARY}:1 using starttls", " while in mail zmauth state", "user not found:", ', login: "', '"',
    ', login: "x"', ", ",
    f"({_CANARY}:1->192.0.2.5:993) <=> (192.0.2.5:1->192.0.2.10:7993)", ", upstream: 192.0.2.10:7993 ",
    ", upstream: x ",
    f", upstream: x ({_CANARY}:1->192.0.2.5:993) <=> (192.0.2.5:1->192.0.2.10:7993)", "@example.com",
    "client logged in",
    '[error] 2345#0: *6789 ', f"{_CANARY}:1 - ana [06/May/2024:10:20:30 +0000]  ",
    '"GET https://h/dav/ HTTP/1.1" 401 3 "-"',
    # Postfix, saslauthd, Jetty
    f"unknown[{_CANARY}]", f"[{_CANARY}]", f"[{_CANARY}]:1",
    f"warning: unknown[{_CANARY}]: SASL LOGIN authentication failed",
    "warning: ", "unknown", ": SASL LOGIN authentication failed", ", sasl_username=", ", sasl_method=PLAIN", " from ",
    "NOQUEUE: reject: RCPT", ": 554 5.7.1 ", ": Relay access denied;", " auth failed: ", " auth OK", "client=",
    "203-0-113-66",
    ": DOS ALERT: Request rejected ", f"ip={_CANARY}, session=null, user=null", "DOS ALERT:", f"ip={_CANARY}",
    # sshd
    f" from {_CANARY} port 22 ssh2", f" {_CANARY} port 1 [preauth]", f" from {_CANARY}", " port 1", " ssh2",
    "Failed password for ", "Invalid user ", "Accepted publickey for ", " for invalid user ", " [preauth]", ": ",
    # what holds them together, and what pushes the rest of a line over an edge
    " ", "x", "a.b", "]", "[", "(", ")", "<", ">", "\\", "\t", "\n", "\r\n", "\0", "%", "é", " - ", "=", ":",
    _CANARY, CANARIES[1],
    "message repeated 9 times: [ ", "#012", " " * 1900, "y" * 1700, "z" * 230,
)  # fmt: skip
"""What hostile text is made of: the words by which readers of logs tell one part of a line from the next."""


def frames(line: Line, hostile: str) -> list[bytes]:
    """The line in each layout in which rsyslog forwards it."""
    text = line.with_text(hostile)
    tag, _, pid = line.tag.rstrip("]").partition("[")
    return [
        b"<134>May  6 10:20:31 host1 " + line.tag.encode() + b": " + text,
        f"<134>1 2024-05-06T10:20:31.123456+02:00 host1 {tag} {pid or '-'} - - ".encode() + text,
    ]
