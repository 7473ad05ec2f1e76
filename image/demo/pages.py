"""What a browser is shown: the postmaster's mails on a page of ours, and the doors to what runs on the gateway.

A door is a listener on the machine, each of whose connections goes on from inside the gateway's namespace.
"""

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html import escape
from typing import Any

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from appliance.judge.words import visible
from image.demo.wires import Host

MOST = 500
"""Mails that are kept, the newest: hours of a demo that was forgotten."""
LARGEST = 1 << 20
"""Bytes of one mail; ours have a few thousand."""
NEXT_PORTS = 20
"""So many ports are tried where a door's own is taken."""
CHUNK = 65536
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Referrer-Policy": "no-referrer"}
STYLE = (
    "body{font:16px/1.5 sans-serif;margin:2em auto;max-width:60em;padding:0 1em}"
    "td,th{text-align:left;padding:.2em 1em .2em 0}"
)


@dataclass(frozen=True, slots=True)
class Mail:
    """One that came."""

    number: int
    time: float
    """When, in seconds since the epoch."""
    sender: str
    to: str
    subject: str
    text: str
    """Its plain text."""

    @property
    def is_ours(self) -> bool:
        """Whether zward sent it itself, and not Alertmanager."""
        return self.sender.startswith("zward")

    def has(self, *words: str) -> bool:
        """Whether all these words are in it."""
        whole = f"{self.subject}\n{self.text}"
        return all(word in whole for word in words)


@dataclass(slots=True)
class Mailbox:
    """`handle_DATA` is what aiosmtpd calls; `heard` is called with each mail."""

    heard: Callable[[Mail], None] = lambda _mail: None
    mails: list[Mail] = field(default_factory=list)
    _number: int = 0

    def protocol(self) -> SMTP:
        """Of one connection. The name is given, for the machine's own might be asked of a resolver."""
        return SMTP(self, hostname="sink.example", data_size_limit=LARGEST, enable_SMTPUTF8=True)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        parsed = message_from_bytes(content, policy=default)
        self._number += 1
        mail = Mail(
            self._number,
            time.time(),
            visible(str(parsed["From"] or envelope.mail_from)),
            visible(", ".join(envelope.rcpt_tos)),
            visible(str(parsed["Subject"] or "")),
            _text(parsed),
        )
        self.mails = [*self.mails, mail][-MOST:]
        self.heard(mail)
        return "250 kept"

    @property
    def last(self) -> int:
        """The number of the newest."""
        return self._number


class Page:
    """A list of the mails, and each of them. Everything in them is text of somebody else."""

    def __init__(self, box: Mailbox) -> None:
        self._box = box

    async def open(self, listener: socket.socket) -> None:
        app = web.Application()
        app.router.add_get("/", self._list)
        app.router.add_get(r"/{number:\d{1,9}}", self._one)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _list(self, _request: web.Request) -> web.Response:
        rows = "".join(
            f'<tr><td>{_clock(mail)}<td>{escape(mail.sender)}<td><a href="/{mail.number}">{escape(mail.subject)}</a>'
            for mail in reversed(self._box.mails)
        )
        return _page("Mails", f"<table><tr><th>came<th>from<th>subject{rows}</table>")

    async def _one(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        mail = next((each for each in self._box.mails if each.number == number), None)
        if mail is None:
            raise web.HTTPNotFound(text="no such mail\n")
        head = f"{_clock(mail)}, from {escape(mail.sender)}, to {escape(mail.to)}"
        return _page(mail.subject, f'<p>{head}<pre>{escape(mail.text)}</pre><p><a href="/">all mails</a>')


def _page(title: str, body: str) -> web.Response:
    name = escape(title)
    text = f'<!doctype html><meta charset="utf-8"><title>{name}</title><style>{STYLE}</style><h1>{name}</h1>{body}'
    return web.Response(text=text, content_type="text/html", headers=HEADERS)


def _clock(mail: Mail) -> str:
    return time.strftime("%H:%M:%S", time.localtime(mail.time))


def _text(mail: EmailMessage) -> str:
    plain = mail.get_body(("plain",))
    return str(plain.get_content()) if plain else ""


class Door:
    """A listener on the machine whose connections go on to a port of the gateway's loopback."""

    def __init__(self, host: Host, port: int) -> None:
        self._host = host
        self._port = port
        self._busy: set[asyncio.Task[None]] = set()

    async def open(self, address: str, port: int) -> int:
        """Listen at the first free port from `port` on; the port."""
        listener = listener_at(address, port)
        self._server = await asyncio.start_server(self._pass, sock=listener)
        return int(listener.getsockname()[1])

    async def close(self) -> None:
        self._server.close()
        for task in self._busy:
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            inner, outer = await self._host.connect(self._port)
            with contextlib.closing(outer):
                await _either(_pour(reader, outer), _pour(inner, writer))


def listener_at(address: str, port: int) -> socket.socket:
    """A listener on the machine itself at the first free port from `port` on. Raises OSError where none is free."""
    for number in itertools.count(port):
        try:
            return socket.create_server((address, number), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        except OSError as fault:
            if number >= port + NEXT_PORTS:
                raise OSError(f"no port from {port} to {number} is free at {address}: {fault.strerror}") from fault
    raise AssertionError


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(CHUNK):
        writer.write(some)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _either(*ways: Coroutine[Any, Any, None]) -> None:
    """Both ways of a connection; a fault of one ends both."""
    tasks = [asyncio.ensure_future(each) for each in ways]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
