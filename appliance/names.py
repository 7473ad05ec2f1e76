"""The addresses behind the DNS names of [allow] names: offices and partners whose address changes."""

import asyncio
import logging
import socket
from collections.abc import Sequence

from appliance.address import Net, NetSet, parse_address

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
"""How long one name may take; the daemon's start waits for it."""

ADDRESSES = 64
"""Addresses of one name that are taken; more would be a mistake or an attack on the allowlist."""


class Names:
    """Keeps the last good answer of each name: a broken resolver must not take anybody off the allowlist."""

    def __init__(self) -> None:
        self._answers: dict[str, frozenset[Net]] = {}

    async def resolve(self, names: Sequence[str]) -> NetSet:
        """Ask for every name; the addresses of all."""
        self._answers = {name: answer for name, answer in self._answers.items() if name in names}
        for name, answer in zip(names, await asyncio.gather(*map(_ask, names)), strict=True):
            if answer:
                self._answers[name] = answer
            else:
                log.warning("allow.names: %s has no address now; its last answer is kept", name)
        return NetSet(net for answer in self._answers.values() for net in answer)


async def _ask(name: str) -> frozenset[Net]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return frozenset()
    texts = [str(address[0]).partition("%")[0] for *_, address in found[:ADDRESSES]]
    return frozenset(net for text in texts if (net := parse_address(text.encode())))
