"""JSON posted to somebody else's HTTP server, whose answers are not to be trusted."""

import json
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

import aiohttp

from appliance.judge.words import shown, visible
from appliance.notify.channel import ChannelError

TIMEOUT = 10.0
"""Seconds for one POST, from the name's resolution to the last octet of the answer's head."""
ANSWER_BYTES = 1024
"""What is read of an answer's body: the beginning of an error message."""
LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""Of the 4xx those that ask to come again."""


class Refused(ChannelError):
    """It will not take this however often it is sent (HTTP 4xx)."""


def client() -> aiohttp.ClientSession:
    """For a few POSTs a minute: each on a connection of its own, without cookies or compression."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "zward", "Accept-Encoding": "identity"},
        auto_decompress=False,
    )


def named(url: str) -> str:
    """An address for the log: without user, password and path, which may be the secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


async def post_to_each(receivers: Iterable[tuple[str, str]], what: object) -> str:
    """Post the same to several, each with its name and address; the names of all. Raises ChannelError for the first
    that does not take it."""
    taken = []
    async with client() as session:
        for name, url in receivers:
            try:
                await post(session, url, what)
            except ChannelError as fault:
                raise ChannelError(f"{name}: {fault}") from None
            taken.append(name)
    return ", ".join(taken)


async def post(session: aiohttp.ClientSession, url: str, what: object) -> None:
    """Returns when it was taken (2xx). No redirect is followed: our alerts name people.

    Raises Refused, and ChannelError for whatever may be better the next time.
    """
    body = json.dumps(what, separators=(",", ":")).encode()
    try:
        async with session.post(
            url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
        ) as answer:
            if 200 <= answer.status < 300:
                return
            said = shown((await answer.content.read(ANSWER_BYTES)).decode(errors="replace").strip())
    except TimeoutError:
        raise ChannelError(f"no answer within {TIMEOUT:g} s") from None
    except aiohttp.InvalidURL:
        raise ChannelError("its address is not one of HTTP") from None  # not said, for it may hold a password
    except aiohttp.ClientSSLError as fault:
        raise ChannelError(f"TLS: {visible(str(fault))}") from None
    except aiohttp.ClientConnectorError as fault:
        raise ChannelError(visible(fault.strerror or str(fault))) from None
    except (aiohttp.ClientError, OSError, ValueError) as fault:  # ValueError: a host that IDNA cannot encode
        raise ChannelError(shown(str(fault) or type(fault).__name__)) from None
    is_final = 400 <= answer.status < 500 and answer.status not in LATER
    raise (Refused if is_final else ChannelError)(f"HTTP {answer.status}" + (f": {said}" if said else ""))
