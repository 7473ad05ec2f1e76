"""The bans of an earlier run go on: kernel ∪ store − tombstones − never-ban.

The kernel keeps bans while nobody runs, so there is no unprotected moment; what a kill left in one place only is
found in the other.
"""

import asyncio
import logging

from appliance.firewall.backend import Place
from appliance.gate import Gate
from appliance.judge.bans import KERNEL
from appliance.model import Ban
from appliance.store.store import Store

log = logging.getLogger(__name__)

HISTORY = 30 * 86400.0
"""Seconds of ended bans that a start takes up, for the ladder."""

LOST_RECORD = "found in the kernel at the start; its record is lost"


async def take_up_bans(gate: Gate, store: Store, now: float) -> None:
    """Put the judge, the kernel and the store in agreement. Raises StoreError or BackendError."""
    listing = gate.enforcer.backend.banned()
    present, written = await asyncio.gather(listing, store.history(now - HISTORY))  # a second each
    lifted = await store.lifted(now)
    stored = [ban for ban in written if ban.until > now]
    known = {Place(ban.net, ban.scope) for ban in stored}
    unknown = [place for place in present if place not in known]
    revenants = {place.net for place in unknown if place.net in lifted}
    orphans = [_orphan(place, present[place], now) for place in unknown if place.net not in lifted]
    forbidden = gate.judge.restore([*stored, *orphans], [ban for ban in written if ban.until <= now])
    await gate.enforcer.protect()
    await gate.enforcer.unban([*revenants, *(ban.net for ban in forbidden)])
    for ban in orphans:
        gate.recorder.ban(ban)
    gate.enforcer.put_back(ban for ban in gate.judge.bans_in_force(now) if Place(ban.net, ban.scope) not in present)
    if stored or orphans:
        log.info("%d bans go on, %d of them found in the kernel alone", len(stored) + len(orphans), len(orphans))


def _orphan(place: Place, seconds: float, now: float) -> Ban:
    """A ban that stands in the kernel alone: a kill came between the kernel and the store."""
    return Ban(place.net, now, now + min(seconds, HISTORY), KERNEL, LOST_RECORD, scope=place.scope)
