"""`[notify]`: who is told, and how. A channel whose table is there is on."""

import re
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import Field, PlainSerializer, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from appliance.config.durations import seconds
from appliance.config.table import Table, at_most
from appliance.config.values import absolute_path, duration, host_name, whole
from appliance.model import Severity

MOST = 16
"""Recipients, Alertmanagers, webhooks: each is a further wait, and a list serves more people."""

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9.-]{1,253})")  # RFC 5321 4.1.2, no quotes
_SERVER = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):([0-9]{1,5})")
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


class Server(NamedTuple):
    """Where to connect to."""

    host: str
    """A DNS name, or an address without brackets."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether it is this machine's own loopback."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @classmethod
    def of(cls, url: str) -> Self:
        """The host and port of an http or https address."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def server(found: object) -> Server:
    """`mail.example.com:25`, `192.0.2.25:25` or `[2001:db8::25]:25`."""
    parts = _SERVER.fullmatch(found) if isinstance(found, str) else None
    if not parts or not 1 <= int(parts[3]) <= 65535:
        raise ValueError('a host and a port, "192.0.2.25:25" or "mail.example.com:25"')
    if parts[1]:
        try:
            socket.inet_pton(socket.AF_INET6, parts[1])
        except OSError:
            raise ValueError('an IPv6 address in the brackets, "[2001:db8::25]:25"') from None
    elif not re.fullmatch(r"[0-9.]+", parts[2]):
        host_name(parts[2])
    return Server(parts[1] or parts[2], int(parts[3]))


def mail_address(found: object) -> str:
    """`postmaster@example.com`."""
    parts = _ADDRESS.fullmatch(found) if isinstance(found, str) else None
    if not parts:
        raise ValueError('a mail address such as "postmaster@example.com"')
    host_name(parts[1])
    return parts[0]


def url(found: object) -> str:
    """An http or https address, without its last slash."""
    expected = 'an address such as "http://127.0.0.1:9093"'
    if not isinstance(found, str) or not found.isascii() or not found.isprintable() or " " in found:
        raise ValueError(expected)
    try:
        parts = urlsplit(found)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(expected) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        raise ValueError(expected)
    return found.rstrip("/")


def time_of_day(found: object) -> str:
    """`07:30`, or `off`."""
    if found == "off" or (isinstance(found, str) and _TIME.fullmatch(found)):
        return str(found)
    raise ValueError('a time of the day such as "07:30", or "off"')


ServerName = Annotated[Server, PlainValidator(server), PlainSerializer(str, when_used="json")]
MailAddress = Annotated[str, PlainValidator(mail_address)]
Url = Annotated[str, PlainValidator(url)]
File = Annotated[Path, PlainValidator(absolute_path), PlainSerializer(str, when_used="json")]
Urls = Annotated[tuple[Url, ...], at_most(MOST, "addresses")]


class Security(StrEnum):
    """How a mail server is reached."""

    OPPORTUNISTIC = "opportunistic"
    """STARTTLS where the server offers it, without asking whose certificate it is."""
    STARTTLS = "starttls"
    """STARTTLS with a valid certificate, or no mail."""
    TLS = "tls"
    """TLS from the first byte (port 465), with a valid certificate."""
    NONE = "none"


class Transport(StrEnum):
    """How a SIEM is reached."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class Email(Table):
    """Mails to people."""

    to: Annotated[tuple[MailAddress, ...], at_most(MOST, "recipients")] = Field(
        description='who gets the mails, such as ["postmaster@example.com"]'
    )
    sender: MailAddress | None = None
    """Absent: `zward@` and this machine's name."""
    server: ServerName = Server("127.0.0.1", 25)
    security: Security = Security.OPPORTUNISTIC
    user: str = ""
    password_file: File | None = None
    ca_file: File | None = None
    """Absent: the system's."""
    at_once: Severity = Severity.CRITICAL
    """From which severity on a mail goes out at once; what is below waits for the next batch."""
    every: Annotated[float, duration("1s", "24h")] = seconds("1m")
    """Between two mails that go out at once; what comes meanwhile goes together."""
    batch_after: Annotated[float, duration("1s", "24h")] = seconds("5m")
    """Seconds without a further ban or notice after which a batch goes out."""
    batch_within: Annotated[float, duration("1s", "24h")] = seconds("15m")
    """Seconds after its first entry within which a batch goes out."""
    digest: Annotated[str, PlainValidator(time_of_day)] = "07:30"
    """When the daily digest goes out, in `time_zone`."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.to:
            raise PydanticCustomError("nobody", "found nobody, expected at least one mail address", {"key": "to"})
        if bool(self.user) != bool(self.password_file):
            text = "user and password_file go together"
            raise PydanticCustomError("half_a_login", text, {"key": "user" if self.user else "password_file"})
        return self


class Alertmanager(Table):
    """Alerts that name addresses and accounts, sent to Alertmanager's API version 2."""

    urls: Urls = Field(description='your Alertmanagers, such as ["http://127.0.0.1:9093"]')
    every: Annotated[float, duration("1s", "10m")] = seconds("1m")
    """Between two times that an alert which lasts is sent."""
    hold: Annotated[float, duration("1m", "7d")] = seconds("4h")
    """How long an alert about something that has no end of its own stays up after it was last told."""


class Webhook(Table):
    """Every ban and notice as JSON."""

    urls: Urls = Field(description='where to post to, such as ["https://hooks.example.com/zward"]')
    at_least: Severity = Severity.NOTICE


class ZmauditswatchLog(Table):
    """zmauditswatch's three phrases in a file, for rules that look for them."""

    log: File = Path("/var/log/zward/zmauditswatch.out")


class Siem(Table):
    """Verdicts and operators' acts as syslog (RFC 5424)."""

    server: ServerName = Field(description='where the SIEM listens, such as "192.0.2.80:514"')
    transport: Transport = Transport.UDP
    facility: Annotated[int, whole(0, 23)] = 10
    """10: authpriv (RFC 5424 6.2.1)."""
    enterprise: Annotated[int, whole(1, 4294967295)] = 32473
    """The number behind the @ of our structured data; 32473 is the one for examples (RFC 5612)."""
    ca_file: File | None = None
    cert_file: File | None = None
    key_file: File | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key_file and not self.cert_file:
            raise PydanticCustomError("no_cert", "a key without cert_file", {"key": "key_file"})
        if self.transport is not Transport.TLS and (self.ca_file or self.cert_file):
            text = 'certificates are for transport = "tls"'
            raise PydanticCustomError("no_tls", text, {"key": "ca_file" if self.ca_file else "cert_file"})
        return self


class Notify(Table):
    """Who is told."""

    host: str = ""
    """How this gateway is called in what it tells; absent: the machine's name."""
    runbooks: Url = "https://zward.example/docs/runbooks"
    email: Email | None = None
    alertmanager: Alertmanager | None = None
    webhook: Webhook | None = None
    zmauditswatch: ZmauditswatchLog | None = None
    siem: Siem | None = None
