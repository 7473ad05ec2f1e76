"""Mail servers on loopback, for tests: what they take, and how they fail.

async with Sink() as sink:
    config = sink.config()
    …
    (mail,) = sink.mails
"""

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from appliance.config.notify import Email, Server

TO = "postmaster@example.com"


class Sink:
    """A mail server (aiosmtpd) that takes everything, unless `answers` says otherwise."""

    def __init__(
        self, context: ssl.SSLContext | None = None, *, is_tls: bool = False, login: tuple[str, str] | None = None
    ) -> None:
        """`context`: offers STARTTLS, or with `is_tls` speaks TLS from the first byte. `login`: wants it."""
        self.envelopes: list[Envelope] = []
        self.was_tls: list[bool] = []
        self.answers: dict[str, list[str]] = {}
        """What is answered in turn to MAIL, RCPT of an address, DATA; after that all is well."""
        self.greetings: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self._context = context
        self._is_tls = is_tls
        self._login = login
        self._server: asyncio.Server | None = None
        self._open: set[SMTP] = set()
        self.port = 0

    @property
    def mails(self) -> list[Message]:
        return [message_from_bytes(each.content or b"", policy=default) for each in self.envelopes]  # type: ignore[arg-type]

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]

    def config(self, **keys: Any) -> Email:
        to: Sequence[str] = keys.pop("to", (TO,))
        given = {"to": list(to), "sender": "zward@example.com", "server": f"127.0.0.1:{self.port}", "digest": "off"}
        return Email.model_validate(given | keys)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def start(self) -> None:
        """Listen, on the same port as before."""
        loop = asyncio.get_running_loop()
        tls = self._context if self._is_tls else None
        self._server = await loop.create_server(self._session, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        for each in self._open:
            if each.transport:
                each.transport.abort()
        await asyncio.sleep(0)

    def _session(self) -> SMTP:
        with warnings.catch_warnings(action="ignore"):
            smtp = SMTP(  # warns where a password may come without TLS, which is what some tests are about
                self,
                hostname="sink.example.com",
                tls_context=None if self._is_tls else self._context,
                authenticator=self._authenticate if self._login else None,
                auth_required=self._login is not None,
                auth_require_tls=False,
            )
        self._open.add(smtp)
        return smtp

    def _authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _how: str, found: Any) -> AuthResult:
        assert isinstance(found, LoginPassword)
        self.logins.append((found.login, found.password))
        user, password = self._login or ("", "")
        return AuthResult(success=found == LoginPassword(user.encode(), password.encode()), handled=False)

    def _next(self, what: str) -> str | None:
        waiting = self.answers.get(what)
        return waiting.pop(0) if waiting else None

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.greetings.append(hostname)
        return responses

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if said := self._next("MAIL"):
            return said
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if said := self._next(address):
            return said
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if said := self._next("DATA"):
            return said
        self.envelopes.append(envelope)
        self.was_tls.append(session.ssl is not None)
        return "250 2.0.0 Ok: queued as 4F2A"


Script = Mapping[bytes, bytes | None]


@contextlib.asynccontextmanager
async def scripted(script: Script, greeting: bytes | None = b"220 script\r\n") -> AsyncIterator[Server]:
    """A server that answers each command by its first word; None hangs up, a word that is missing hangs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if greeting is not None:
                writer.write(greeting)
            while line := await reader.readline():
                word = line.split()[0].upper() if line.split() else b""
                if word in script:
                    answer = script[word]
                    if answer is None:
                        break
                    writer.write(answer)
                    await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Server("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)


def serving(certificate: Path) -> ssl.SSLContext:
    """What a server with a certificate speaks."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
