"""The log lines that one try leaves at a Zimbra site: a proxy, a mailbox host and an MTA.

An unknown account leaves no line in audit.log. Over IMAP and POP3 only nginx then names the client, over SOAP
only mailbox.log. A wrong password over SMTP is told by Postfix (no account), saslauthd (no client), audit.log and
mailbox.log (both).
"""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from bench.stories.script import Try
from bench.stories.zimbra import Answer

from appliance.model import Protocol

PROXY, MAILBOX, MTA = "192.0.2.5", "192.0.2.10", "192.0.2.25"
HOSTS = {"proxy1": PROXY, "mbox1": MAILBOX, "mx1": MTA}

_REASONS = {
    Answer.WRONG: "invalid password",
    Answer.LOCKS: "invalid password",
    Answer.LOCKED: "account lockout",
    Answer.UNKNOWN: "account not found",
}


class Line(NamedTuple):
    """One line of one file on one host."""

    file: str
    host: str
    priority: int
    tag: str
    time: float
    """By the host's clock, seconds since the epoch."""
    text: str

    def forwarded(self) -> bytes:
        """As rsyslog sends it on (RSYSLOG_ForwardFormat)."""
        stamp = datetime.fromtimestamp(self.time, UTC).isoformat(timespec="microseconds")
        return f"<{self.priority}>{stamp} {self.host} {self.tag}: {self.text}".encode()

    def in_file(self) -> str:
        """As it stands in its file: only zimbra.log, which rsyslog writes, has a header of its own."""
        if self.file != "zimbra.log":
            return self.text
        moment = datetime.fromtimestamp(self.time, UTC)
        return f"{moment:%b} {moment.day:2} {moment:%H:%M:%S} {self.host} {self.tag}: {self.text}"


class Pen:
    """Writes what the hosts log about a try, each by its own clock."""

    def __init__(self, start: float, skews: dict[str, float]) -> None:
        self._start = start
        self._skews = skews

    def write(self, attempt: Try, answer: Answer) -> list[Line]:
        match attempt.protocol:
            case Protocol.SMTP:
                return list(self._smtp(attempt, answer))
            case Protocol.SOAP:
                return list(self._soap(attempt, answer))
            case _:
                return list(self._mail_client(attempt, answer))

    def _time(self, attempt: Try, host: str) -> float:
        return self._start + attempt.at + self._skews.get(host, 0.0)

    # SMTP submission

    def _smtp(self, attempt: Try, answer: Answer) -> Iterator[Line]:
        number, typed = _number(attempt), attempt.typed or attempt.account
        context = f"oip={attempt.source};oport={1024 + number % 60000};oproto=smtp;soapId={number:08x};"
        url = "smtp://smtp.example.com:7073/service/admin/soap/"
        yield from self._audit(attempt, answer, f"qtp1286783232-{number % 500}:{url}", context, "soap")
        yield from self._soap_engine(attempt, answer, f"qtp1286783232-{number % 500}:{url}", context)
        saslauthd, smtpd = f"saslauthd[{900 + number % 5}]", f"postfix/submission/smtpd[{10000 + number % 20000}]"
        if answer is Answer.WELCOME:
            yield self._mx(attempt, 38, saslauthd, f"auth_zimbra: {typed} auth OK")
            if attempt.recipients:
                yield from self._mail(attempt, smtpd, number)
            return
        yield self._mx(attempt, 38, saslauthd, f"auth_zimbra: {typed} auth failed: authentication failed for [{typed}]")
        user, _, realm = typed.partition("@")
        reason = f"[user={user}@{realm}] [service=smtp] [realm={realm}] [mech=zimbra] [reason=Unknown]"
        yield self._mx(attempt, 38, saslauthd, f"do_auth         : auth failure: {reason}")
        warning = f"warning: unknown[{attempt.source}]: SASL LOGIN authentication failed: authentication failure"
        yield self._mx(attempt, 20, smtpd, warning)

    def _mail(self, attempt: Try, smtpd: str, number: int) -> Iterator[Line]:
        queue = f"{number:08X}A1"
        login = f"sasl_method=LOGIN, sasl_username={attempt.account}"
        yield self._mx(attempt, 22, smtpd, f"{queue}: client=unknown[{attempt.source}], {login}")
        sizes = f"size=20480, nrcpt={attempt.recipients} (queue active)"
        yield self._mx(attempt, 22, "postfix/qmgr[4021]", f"{queue}: from=<{attempt.account}>, {sizes}")

    # Web

    def _soap(self, attempt: Try, answer: Answer) -> Iterator[Line]:
        number = _number(attempt)
        thread = f"qtp1068934215-{number % 500}:https://mail.example.com/service/soap/AuthRequest"
        agent = attempt.agent.replace(";", ";;").replace("\n", " ")
        context = f"oip={attempt.source};port={1024 + number % 60000};ua={agent};soapId={number:08x};"
        yield from self._audit(attempt, answer, thread, context, "soap")
        yield from self._soap_engine(attempt, answer, thread, context)

    def _soap_engine(self, attempt: Try, answer: Answer, thread: str, context: str) -> Iterator[Line]:
        if answer is Answer.WELCOME:
            told = f"account - Authentication successful for user: {attempt.account}"
            yield self._mailbox(attempt, f"INFO  [{thread}] [name={attempt.account};{context}] {told}")
            return
        typed, reason = attempt.typed or attempt.account, _REASONS[answer]
        named = f"[name={attempt.account};{context}]" if attempt.exists else f"[{context}]"
        error = (
            f"account - Error occurred during authentication: authentication failed for [{typed}]. Reason: {reason}."
        )
        # The only text that Zimbra does not clean: a line break that was typed begins a new line of the file.
        for text in (error, f"SoapEngine - handler exception: authentication failed for [{typed}], {reason}"):
            first, *forged = text.split("\n")
            yield self._mailbox(attempt, f"INFO  [{thread}] {named} {first}")
            for whole in forged:
                yield self._mailbox(attempt, whole)

    # IMAP and POP3 through the proxy

    def _mail_client(self, attempt: Try, answer: Answer) -> Iterator[Line]:
        number, typed, is_imap = _number(attempt), attempt.typed or attempt.account, attempt.protocol is Protocol.IMAP
        thread = f"{'ImapSSLServer' if is_imap else 'Pop3SSLServer'}-{number % 500}"
        extra = f"via={PROXY}(nginx/1.20.0);ua=Zimbra/8.8.15_GA_4508;cid={number % 99999};" if is_imap else ""
        context, logger = f"ip={PROXY};oip={attempt.source};{extra}", "imap" if is_imap else "pop"
        if answer is Answer.UNKNOWN:
            yield from self._unknown_at_proxy(attempt, typed, 993 if is_imap else 995, number)
            return
        yield from self._audit(attempt, answer, thread, context, "imap" if is_imap else "pop3")
        if answer is Answer.WELCOME:
            told = f"{logger} - user {attempt.account} authenticated, mechanism=LOGIN [TLS]"
            yield self._mailbox(attempt, f"INFO  [{thread}] [name={attempt.account};{context}] {told}")
            return
        reason = _REASONS[answer]
        error = f"Error occurred during authentication: authentication failed for [{typed}]. Reason: {reason}."
        yield self._mailbox(attempt, f"INFO  [{thread}] [{context}] account - {error}")
        if is_imap:
            told = f"imap - authentication failed for [{typed}] ({reason})"
            yield self._mailbox(attempt, f"INFO  [{thread}] [{context}] {told}")

    def _unknown_at_proxy(self, attempt: Try, typed: str, port: int, number: int) -> Iterator[Line]:
        time = self._time(attempt, "proxy1")
        moment = datetime.fromtimestamp(time, UTC)
        client = f'client: {attempt.source}:{1024 + number % 60000}, server: 0.0.0.0:{port}, login: "{typed}"'
        head = f"{moment:%Y/%m/%d %H:%M:%S} [error] 2345#0: *{number % 99999}"
        said = f"user not found:{typed} while in mail zmauth state, {client}"
        for teller in ("zm lookup: an error is returned by zimbra lookup handler", "An error occurred in mail zmauth"):
            yield Line("nginx.log", "proxy1", 134, "zimbra-nginx", time, f"{head} {teller}: {said}")
        thread = f"qtp509886383-{number % 500}:https://mail.example.com:7072/service/extension/nginx-lookup"
        yield self._mailbox(attempt, f"INFO  [{thread}] [ip={PROXY};port=40101;] nginxlookup - user not found:{typed}")

    # The files

    def _audit(self, attempt: Try, answer: Answer, thread: str, context: str, protocol: str) -> Iterator[Line]:
        if answer is Answer.UNKNOWN:
            return
        account = attempt.account
        who = f"[{thread}] [name={account};{context}]" if "oip=" in context[:4] else f"[{thread}] [{context}]"
        time = self._time(attempt, "mbox1")
        stamp = _log4j(time)
        said = f"cmd=Auth; account={account}; protocol={protocol};"
        if answer is Answer.WELCOME:
            yield Line("audit.log", "mbox1", 134, "zimbra-audit", time, f"{stamp} INFO  {who} security - {said}")
            return
        typed = (attempt.typed or account).replace(";", ";;").replace("\n", " ")
        error = f"error=authentication failed for [{typed}], {_REASONS[answer]};"
        yield Line("audit.log", "mbox1", 134, "zimbra-audit", time, f"{stamp} WARN  {who} security - {said} {error}")
        if answer is Answer.LOCKS:
            locked = f"cmd=Auth; account={account}; error=account lockout due to too many failed logins;"
            yield Line("audit.log", "mbox1", 134, "zimbra-audit", time, f"{stamp} INFO  {who} security - {locked}")

    def _mailbox(self, attempt: Try, text: str) -> Line:
        time = self._time(attempt, "mbox1")
        return Line("mailbox.log", "mbox1", 134, "zimbra-mailbox", time, f"{_log4j(time)} {text}")

    def _mx(self, attempt: Try, priority: int, tag: str, text: str) -> Line:
        return Line("zimbra.log", "mx1", priority, tag, self._time(attempt, "mx1"), text)


def _log4j(time: float) -> str:
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S},{moment.microsecond // 1000:03d}"


def _number(attempt: Try) -> int:
    """Stands for ports, threads and process ids: the same for the same try under every policy."""
    return zlib.crc32(f"{attempt.at}{attempt.source}{attempt.account}".encode())
