"""At a boot: the bans that the store holds are in the kernel before the network is up, and before the receiver is."""

import asyncio
import math
import os
import time
from dataclasses import dataclass

from appliance.config.schema import Config
from appliance.firewall.backend import Element, Refused
from appliance.firewall.client import HelperBackend
from appliance.firewall.limits import LONGEST_BAN
from appliance.root.files import Refusal
from appliance.store.store import Store

SOCKET = "helper.sock"


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of it."""

    has_store: bool
    sent: int = 0
    """Bans that are in force now."""
    refused: tuple[Refused, ...] = ()


def restore(config: Config) -> Restored:
    """Send the bans in force to the helper. Raises Refusal, StoreError, BackendError, OSError."""
    path = config.store.path
    try:
        owner = path.stat().st_uid
    except (FileNotFoundError, NotADirectoryError):
        return Restored(has_store=False)
    if os.geteuid() not in (owner,):
        raise Refusal(
            f"{path} belongs to uid {owner}: restore its bans as that user, else files of the store become root's"
        )
    return asyncio.run(_restore(config))


async def _restore(config: Config) -> Restored:
    now = time.time()
    store = await Store.open(config.store.path, now, config.store.evidence_bytes)
    try:
        bans = await store.bans_in_force(now)
    finally:
        await store.close()
    elements = [Element(ban.net, min(math.ceil(ban.until - now), LONGEST_BAN), ban.scope) for ban in bans]
    backend = HelperBackend(config.firewall_directory / SOCKET)
    await backend.open()
    try:
        refused = await backend.ban(elements) if elements else []
    finally:
        await backend.close()
    return Restored(True, len(elements) - len(refused), tuple(refused))
