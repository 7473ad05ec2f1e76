"""Log lines of a busy Zimbra site: Postfix, mailbox.log, audit.log and the rest; one seed, one text.

A line is a whole syslog message as the rsyslog snippet forwards it (RSYSLOG_ForwardFormat), without framing.
Attackers live in 198.18.0.0/15, the network for benchmarks (RFC 2544), and in 2001:db8::/32; users in
100.64.0.0/10.
"""

import random
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate

ATTACKERS = 20_000
PEOPLE = 4_000
USERS = 3_000
PROXY = "192.0.2.5"
"""The proxy whose `oip=` the bench's configuration believes."""

FRAMINGS: dict[str, Callable[[bytes], bytes]] = {
    "LF": lambda line: line + b"\n",
    "octet-counted": lambda line: b"%d %b" % (len(line), line),
}

FIRST = (
    "anna",
    "bob",
    "carl",
    "dora",
    "erik",
    "fatma",
    "gita",
    "hugo",
    "ines",
    "juan",
    "kate",
    "luis",
    "maria",
)
LAST = ("smith", "jones", "lopez", "muller", "rossi", "silva", "khan", "chen", "ivanov", "dupont", "sato")
DOMAINS = ("example.com", "example.org", "school.example.net")
CLIENTS = (
    "ZimbraWebClient - GC118 (Win)/8.8.15_GA_4508",
    "ZimbraWebClient - FF121 (Linux)/10.0.6_GA_4508",
    "zclient/10.0.6_GA_4508",
)
REQUESTS = (
    "SearchRequest",
    "GetMsgRequest",
    "NoOpRequest",
    "BatchRequest",
    "SyncRequest",
    "GetFolderRequest",
)
SERVICES = ("postfix/smtpd", "postfix/smtps/smtpd", "postfix/submission/smtpd")


def nth_attacker(number: int) -> str:
    """One of 131,072 different IPv4 addresses."""
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"


class Site:
    """Who there is, and what they write. `failures` is the share of lines that tell of a failed login."""

    def __init__(self, seed: int, failures: float) -> None:
        self.random = random.Random(seed)
        self.failures = failures
        choose = self.random.choice
        self.people = [f"{choose(FIRST)}.{choose(LAST)}{n}@{choose(DOMAINS)}" for n in range(PEOPLE)]
        self.users = [f"100.{64 + n % 64}.{n % 251}.{n % 241 + 1}" for n in range(USERS)]
        self.home = {who: self.users[n % USERS] for n, who in enumerate(self.people)}
        """Where each of them logs in from: people have habits, and judgement knows them."""
        self.attackers = [f"2001:db8:{n:x}::66" if n % 20 == 0 else nth_attacker(n * 6 + 1) for n in range(ATTACKERS)]
        # A few are loud, most are seen once or twice: the n-th weighs 1/(n+20).
        self._weights = list(accumulate(1 / (n + 20) for n in range(ATTACKERS)))
        self._failing = (self._sasl, self._sasl, self._audit_imap, self._audit_soap, self._mailbox_soap)
        self._ordinary = (
            *(self._connect, self._connect, self._disconnect, self._cleanup, self._queue, self._lmtp),
            *(self._amavis, self._access, self._audit_success),
            *(self._soap, self._soap, self._soap, self._soap, self._folder, self._mailop),
        )

    def lines(self, count: int, start: datetime, span: float = 1800.0) -> Iterator[tuple[bytes, bool]]:
        """`count` messages spread over `span` seconds, and of each whether it is a failed login."""
        rng = self.random
        for n in range(count):
            now = start + timedelta(seconds=n * span / count)
            failed = rng.random() < self.failures
            severity, text = rng.choice(self._failing if failed else self._ordinary)(now)
            stamp = now.isoformat(timespec="microseconds")
            yield f"<{severity}>{stamp} mbox{n % 3 + 1} {text}".encode(), failed

    def _attacker(self) -> str:
        return self.attackers[bisect(self._weights, self.random.random() * self._weights[-1])]

    def _pid(self) -> int:
        return self.random.randrange(1000, 60000)

    def _queue_id(self) -> str:
        return f"{self.random.getrandbits(48):012X}"

    # Failed logins

    def _sasl(self, now: datetime) -> tuple[int, str]:
        service, who = self.random.choice(SERVICES), self.random.choice(self.people)
        return 20, (
            f"{service}[{self._pid()}]: warning: unknown[{self._attacker()}]: "
            f"SASL LOGIN authentication failed: authentication failure, sasl_username={who}"
        )

    def _audit_imap(self, now: datetime) -> tuple[int, str]:
        rng, who = self.random, self.random.choice(self.people)
        return 134, (
            f"zimbra-audit: {_log4j(now)} WARN  [ImapSSLServer-{rng.randrange(1, 500)}] [ip={PROXY};"
            f"oip={self._attacker()};via={PROXY}(nginx/1.20.0);ua=Zimbra/8.8.15_GA_4508;"
            f"cid={rng.randrange(1, 99999)};] security - cmd=Auth; account={who}; protocol=imap; "
            f"error=authentication failed for [{who}], invalid password;"
        )

    def _audit_soap(self, now: datetime) -> tuple[int, str]:
        who = self.random.choice(self.people)
        return 134, (
            f"zimbra-audit: {_log4j(now)} WARN  {self._web('AuthRequest', who, self._attacker())} security - "
            f"cmd=Auth; account={who}; protocol=soap; "
            f"error=authentication failed for [{who}], invalid password;"
        )

    def _mailbox_soap(self, now: datetime) -> tuple[int, str]:
        who = self.random.choice(self.people)
        return 134, (
            f"zimbra-mailbox: {_log4j(now)} INFO  {self._web('AuthRequest', who, self._attacker())} "
            f"SoapEngine - handler exception: authentication failed for [{who}], invalid password"
        )

    # Everything else

    def _web(self, request: str, who: str, client: str) -> str:
        rng = self.random
        return (
            f"[qtp1068934215-{rng.randrange(100, 99999)}:https://mail.example.com/service/soap/{request}] "
            f"[name={who};oip={client};port={rng.randrange(1024, 65535)};ua={rng.choice(CLIENTS)};"
            f"soapId={rng.getrandbits(32):08x};]"
        )

    def _connect(self, now: datetime) -> tuple[int, str]:
        return 22, f"postfix/smtpd[{self._pid()}]: connect from unknown[{self.random.choice(self.users)}]"

    def _disconnect(self, now: datetime) -> tuple[int, str]:
        user = self.random.choice(self.users)
        counts = "ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5"
        return 22, f"postfix/smtpd[{self._pid()}]: disconnect from unknown[{user}] {counts}"

    def _cleanup(self, now: datetime) -> tuple[int, str]:
        number = self.random.getrandbits(48)
        return 22, f"postfix/cleanup[{self._pid()}]: {self._queue_id()}: message-id=<{number:x}@example.com>"

    def _queue(self, now: datetime) -> tuple[int, str]:
        who, size = self.random.choice(self.people), self.random.randrange(900, 900_000)
        return 22, (
            f"postfix/qmgr[{self._pid()}]: {self._queue_id()}: from=<{who}>, size={size}, nrcpt=1 (queue active)"
        )

    def _lmtp(self, now: datetime) -> tuple[int, str]:
        return 22, (
            f"postfix/lmtp[{self._pid()}]: {self._queue_id()}: to=<{self.random.choice(self.people)}>, "
            "relay=mbox1.example.com[192.0.2.10]:7025, delay=0.14, delays=0.02/0/0/0.1, dsn=2.1.5, "
            "status=sent (250 2.1.5 Delivery OK)"
        )

    def _amavis(self, now: datetime) -> tuple[int, str]:
        rng, user, pid = self.random, self.random.choice(self.users), self._pid()
        return 22, (
            f"amavis[{pid}]: ({pid:05d}-{pid % 99:02d}) Passed CLEAN {{RelayedInbound}}, [{user}]:"
            f"{rng.randrange(1024, 65535)} [{user}] <{rng.choice(self.people)}> -> "
            f"<{rng.choice(self.people)}>, Queue-ID: {self._queue_id()}, "
            f"mail_id: {rng.getrandbits(44):x}, Hits: -1.9, size: 20480, 900 ms"
        )

    def _access(self, now: datetime) -> tuple[int, str]:
        rng, who = self.random, self.random.choice(self.people)
        return 134, (
            f"zimbra-nginx-access: {rng.choice(self.users)}:{rng.randrange(1024, 65535)} - {who} "
            f'[{now:%d/%b/%Y:%H:%M:%S} +0000]  "PROPFIND https://mail.example.com/dav/{who}/ HTTP/1.1" '
            '207 329 "-" "DAVx5/4.3" "192.0.2.10:8443" "192.0.2.5:443"'
        )

    def _audit_success(self, now: datetime) -> tuple[int, str]:
        who = self.random.choice(self.people)
        web = self._web("AuthRequest", who, self.home[who])
        return (
            134,
            f"zimbra-audit: {_log4j(now)} INFO  {web} security - cmd=Auth; account={who}; protocol=soap;",
        )

    def _soap(self, now: datetime) -> tuple[int, str]:
        rng, request = self.random, self.random.choice(REQUESTS)
        web = self._web(request, rng.choice(self.people), rng.choice(self.users))
        return (
            134,
            f"zimbra-mailbox: {_log4j(now)} INFO  {web} soap - {request} elapsed={rng.randrange(1, 900)}",
        )

    def _folder(self, now: datetime) -> tuple[int, str]:
        rng = self.random
        return 134, (
            f"zimbra-mailbox: {_log4j(now)} INFO  [ImapSSLServer-{rng.randrange(1, 500)}] "
            f"[name={rng.choice(self.people)};mid={rng.randrange(3, 4000)};ip={PROXY};"
            f"oip={rng.choice(self.users)};via={PROXY}(nginx/1.20.0);ua=Zimbra/8.8.15_GA_4508;"
            f"cid={rng.randrange(1, 99999)};] imap - selected folder INBOX"
        )

    def _mailop(self, now: datetime) -> tuple[int, str]:
        rng = self.random
        return 134, (
            f"zimbra-mailbox: {_log4j(now)} INFO  [LmtpServer-{rng.randrange(1, 200)}] "
            f"[name={rng.choice(self.people)};mid={rng.randrange(3, 4000)};ip=192.0.2.25;] mailop - "
            f"Adding Message: id={rng.randrange(256, 90000)}, "
            f"Message-ID=<{rng.getrandbits(60):x}@example.com>, parentId=-1, folderId=2, folderName=Inbox."
        )


def _log4j(now: datetime) -> str:
    return f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d}"


def sasl_failure(source: str, now: datetime | None = None) -> bytes:
    """One wrong password over SMTP, told by Postfix."""
    now = now or datetime.now(UTC)
    return (
        f"<20>{now.isoformat(timespec='microseconds')} mbox1 postfix/submission/smtpd[4021]: warning: "
        f"unknown[{source}]: SASL LOGIN authentication failed: authentication failure, "
        "sasl_username=ana@example.com"
    ).encode()


def stream(lines: Iterable[bytes], framing: str) -> bytes:
    """The bytes of one TCP connection."""
    return b"".join(map(FRAMINGS[framing], lines))
