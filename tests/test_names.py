"""Addresses behind names: asked afresh, and the last good answer kept."""

import asyncio
import socket

import pytest

from appliance.address import parse_network
from appliance.names import ADDRESSES, Names

OFFICE, PARTNER = "office.example.org", "partner.example.org"


def answers(monkeypatch, table: dict[str, list[str] | Exception]) -> list[str]:
    """Let the resolver answer from a table; what it was asked."""
    asked = []

    async def getaddrinfo(_loop, host, port, **_options):
        asked.append(host)
        answer = table[host]
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, 0)) for text in answer]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    return asked


async def texts(names: Names, *asked: str) -> set[str]:
    return {str(net) for net in (await names.resolve(asked)).networks}


@pytest.mark.asyncio
async def test_localhost_is_loopback():
    found = await Names().resolve(["localhost"])

    assert found.networks <= {parse_network("127.0.0.1"), parse_network("::1")}
    assert found.networks


@pytest.mark.asyncio
async def test_every_address_of_every_name_is_allowed(monkeypatch):
    answers(monkeypatch, {OFFICE: ["198.51.100.9", "2001:db8::9", "fe80::1%eth0"], PARTNER: ["203.0.113.7"]})

    assert await texts(Names(), OFFICE, PARTNER) == {"198.51.100.9", "2001:db8::9", "fe80::1", "203.0.113.7"}


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [socket.gaierror(-2, "Name or service not known"), TimeoutError(), []])
async def test_a_failing_name_keeps_its_last_answer(monkeypatch, caplog, fault):
    names = Names()
    table: dict[str, list[str] | Exception] = {OFFICE: ["198.51.100.9"], PARTNER: ["203.0.113.7"]}
    answers(monkeypatch, table)
    await names.resolve([OFFICE, PARTNER])

    table |= {OFFICE: fault, PARTNER: ["203.0.113.8"]}

    assert await texts(names, OFFICE, PARTNER) == {"198.51.100.9", "203.0.113.8"}
    assert f"{OFFICE} has no address now; its last answer is kept" in caplog.text
    assert PARTNER not in caplog.text


@pytest.mark.asyncio
async def test_a_name_that_never_answered_allows_nobody(monkeypatch):
    answers(monkeypatch, {OFFICE: socket.gaierror(-3, "Temporary failure in name resolution")})

    assert await texts(Names(), OFFICE) == set()


@pytest.mark.asyncio
async def test_a_name_that_is_no_longer_asked_for_is_forgotten(monkeypatch):
    names = Names()
    asked = answers(monkeypatch, {OFFICE: ["198.51.100.9"], PARTNER: ["203.0.113.7"]})
    await names.resolve([OFFICE, PARTNER])

    assert await texts(names, PARTNER) == {"203.0.113.7"}
    assert await texts(names) == set()
    assert asked == [OFFICE, PARTNER, PARTNER]


@pytest.mark.asyncio
async def test_a_name_with_very_many_addresses_gives_the_first(monkeypatch):
    answers(monkeypatch, {OFFICE: [f"198.51.100.{number}" for number in range(200)]})

    assert len(await texts(Names(), OFFICE)) == ADDRESSES


@pytest.mark.asyncio
async def test_a_name_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr("appliance.names.ANSWER_SECONDS", 0.01)

    async def getaddrinfo(_loop, *_asked, **_options):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    assert await texts(Names(), OFFICE) == set()
