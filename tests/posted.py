"""An HTTP server on loopback that keeps what is posted to it, and answers as a test wants."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from appliance.notify import alertmanager, backoff, posting, webhook
from appliance.notify.channel import Channel

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def status(number: int, text: str = "") -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=number, text=text, headers={"Location": "/elsewhere"} if number == 302 else {})

    return answer


async def hang(_request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def endless(request: web.Request) -> web.StreamResponse:
    """An error whose text never ends."""
    response = web.StreamResponse(status=500)
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"x" * 65536)
    return response


class Receiver:
    """Answers each POST with the next of `answers`, and with 200 when there are none left."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.posts: list[Any] = []
        """Bodies of all POSTs, also of those that were not taken."""
        self.paths: list[str] = []
        self.taken: list[Any] = []
        self.url = ""
        self._news = asyncio.Condition()

    async def receive(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        answer = self.answers.pop(0) if self.answers else None
        async with self._news:
            self.posts.append(body)
            self.paths.append(request.path)
            if answer is None:
                self.taken.append(body)
            self._news.notify_all()
        return await answer(request) if answer else web.Response()

    async def until(self, happened: Callable[["Receiver"], object], seconds: float = 20) -> None:
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: bool(happened(self)))


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{path:.*}", found.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield found
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def running(channel: Channel) -> AsyncIterator[None]:
    task = asyncio.create_task(channel.run())
    try:
        yield
        assert not task.done(), "a channel never ends by itself"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Counts(Counter[str]):
    """Counts results as the metrics do."""

    def __call__(self, result: str, number: int) -> None:
        assert result in ("sent", "failed", "dropped")
        assert number > 0
        self[result] += number

    async def until(self, **least: int) -> None:
        """Until so much of a result is counted."""
        async with asyncio.timeout(20):
            while any(self[result] < number for result, number in least.items()):
                await asyncio.sleep(0.005)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundredths where there are seconds."""
    monkeypatch.setattr(posting, "TIMEOUT", 0.5)
    monkeypatch.setattr(alertmanager, "GATHER", 0.02)
    monkeypatch.setattr(webhook, "EVERY", 0.01)
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    monkeypatch.setattr(backoff, "LONGEST", 0.05)
