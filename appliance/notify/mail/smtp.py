"""One mail to one mail server, as the configuration says: with TLS or without, with a password or without."""

import asyncio
import contextlib
import logging
import os
import re
import ssl
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtplib import (
    SMTP,
    SMTPConnectResponseError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from appliance.address import LOOPBACK, parse_address
from appliance.config.notify import Email, Security
from appliance.judge.words import visible
from appliance.notify.channel import ChannelError

log = logging.getLogger(__name__)

ANSWER = 15.0
"""Seconds for one answer of the server. RFC 5321 4.5.3.2 asks for minutes, of whoever relays other people's mail."""

ALTOGETHER = 60.0
"""Seconds for one mail, from the connection to the last answer."""

GOODBYE = 2.0
"""Seconds that the server has to answer QUIT, when it has taken the mail."""

PASSWORD_BYTES = 1024

SAID = 300
"""Characters of an answer that are shown."""

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9]([A-Za-z0-9-]{0,62}))*")

_ABOUT_US = frozenset({421, 530, 534, 535, 538})
"""Answers to a mail that are about the connection or the login (RFC 4954 6): a mended configuration cures them."""


class Deferred(ChannelError):
    """The server answered that it does not take this mail now (4xx)."""


class Refused(ChannelError):
    """The server answered that it will never take this mail (5xx)."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The server took the mail, for one recipient at least."""

    said: str
    """`250 2.0.0 Ok: queued as 4F2A`."""
    later: Mapping[str, str] = field(default_factory=dict)
    """Recipients that it does not take now, with its answer."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Recipients that it never takes."""


class MailServer:
    """Where mails go out."""

    def __init__(self, config: Email, host: str) -> None:
        """`host` is how we greet the server, if it can be a host's name."""
        self._config = config
        self._greeting = host if _HOST_NAME.fullmatch(host) else "[127.0.0.1]"  # an address literal, RFC 5321 4.1.3
        self._has_warned = False

    async def send(self, sender: str, to: Sequence[str], mail: bytes) -> Taken:
        """Hand over one mail. Raises Refused, Deferred, and ChannelError for what is not about this mail."""
        try:
            client = await self._client()
            try:
                async with asyncio.timeout(ALTOGETHER):
                    await client.connect()
                    await self._log_in(client)
                    refused, said = await client.sendmail(sender, to, mail)
                await _goodbye(client)
            finally:
                client.close()
        except SMTPRecipientsRefused as fault:
            answers = {each.recipient: _said(each.code, each.message) for each in fault.recipients}
            is_final = all(_is_final(each.code) for each in fault.recipients)
            raise (Refused if is_final else Deferred)(self._told(_listed(answers))) from None
        except (SMTPSenderRefused, SMTPDataError) as fault:
            kind = Refused if _is_final(fault.code) else ChannelError if fault.code in _ABOUT_US else Deferred
            raise kind(self._told(_said(fault.code, fault.message))) from None
        except SMTPConnectResponseError as fault:
            raise ChannelError(self._told(f"it answers {_said(fault.code, fault.message)}")) from None
        except SMTPResponseException as fault:
            raise ChannelError(self._told(_said(fault.code, fault.message))) from None
        except TimeoutError:
            raise ChannelError(self._told(f"no answer within {ANSWER:g} s")) from None
        except (SMTPException, OSError, ValueError) as fault:  # ValueError: a host that IDNA cannot encode
            raise ChannelError(self._told(visible(str(fault) or type(fault).__name__)[:SAID])) from None
        answers = {to: _said(answer.code, answer.message) for to, answer in refused.items()}
        never = {to: answers[to] for to, answer in refused.items() if _is_final(answer.code)}
        later = {to: said for to, said in answers.items() if to not in never}
        return Taken(_said(250, said), later, never)

    async def _client(self) -> SMTP:
        security, server = self._config.security, self._config.server
        is_tls = security is Security.TLS
        ways = {Security.OPPORTUNISTIC: None, Security.STARTTLS: True, Security.TLS: False, Security.NONE: False}
        context = None if security is Security.NONE else await asyncio.to_thread(_context, self._config)
        return SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=self._greeting,
            timeout=ANSWER,
            use_tls=is_tls,
            start_tls=ways[security],
            tls_context=context,
        )

    async def _log_in(self, client: SMTP) -> None:
        """Log in if a user is configured: over TLS, to ourselves, or where the configuration wants no TLS."""
        config = self._config
        if config.password_file is None:
            return
        is_open = client.get_transport_info("sslcontext") is None
        if is_open and config.security is not Security.NONE and not _is_loopback(config.server.host):
            raise ChannelError(self._told('it offers no TLS, so the password is not sent; security = "none" would'))
        password = await asyncio.to_thread(self._password, config.password_file)
        await client.login(config.user, password)

    def _password(self, path: Path) -> str:
        """Read anew for each connection, so that it can be changed. Raises OSError and ChannelError."""
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(PASSWORD_BYTES + 1)
        if mode & stat.S_IROTH and not self._has_warned:
            log.warning("%s holds a password and everybody here can read it: chmod o-r %s", path, path)
            self._has_warned = True
        if len(content) > PASSWORD_BYTES:
            raise ChannelError(f"{path} has more than {PASSWORD_BYTES} bytes, the limit for a password")
        try:
            password = content.decode().strip()
        except UnicodeDecodeError:
            raise ChannelError(f"{path} is not UTF-8") from None
        if not password:
            raise ChannelError(f"{path} holds no password")
        return password

    def _told(self, what: str) -> str:
        return f"{self._config.server}: {what}"


async def _goodbye(client: SMTP) -> None:
    """Say so where we are done; the mail is taken, so nothing that goes wrong here matters."""
    with contextlib.suppress(SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(GOODBYE):
            await client.quit()


def _context(config: Email) -> ssl.SSLContext:
    """Reads files, each time anew, for certificates are renewed. Raises OSError."""
    context = ssl.create_default_context(cafile=None if config.ca_file is None else str(config.ca_file))
    if config.security is Security.OPPORTUNISTIC:  # nobody asked for more than what keeps a passive listener out
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _is_loopback(host: str) -> bool:
    address = parse_address(host.encode("ascii", "replace"))
    return host == "localhost" or (address is not None and address in LOOPBACK)


def _is_final(code: int) -> bool:
    return code >= 500 and code not in _ABOUT_US


def _said(code: int, message: str) -> str:
    """An answer of the server on one line."""
    return visible(f"{code} {' '.join(message.split())}"[:SAID])


def _listed(answers: Mapping[str, str]) -> str:
    return "; ".join(f"{recipient}: {said}" for recipient, said in answers.items())
