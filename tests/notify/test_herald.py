"""All channels as one: each is told, a reload exchanges them, and none of them can stop zward by being stuck."""

import asyncio
import contextlib

import pytest

from appliance.model import Noticed
from appliance.notify.herald import Herald

NOTICE = Noticed("siege", "ana@example.com", "7 strangers")


class Way:
    """A channel that takes everything, and notes what becomes of it."""

    def __init__(self, name="email", fault="", falls=False):
        self.name, self.fault, self.falls = name, fault, falls
        self.told, self.is_running, self.is_closed = [], False, False

    @property
    def waiting(self):
        return len(self.told)

    def tell(self, what, now):
        self.told.append((what, now))

    async def run(self):
        self.is_running = True
        try:
            if self.falls:
                raise ValueError("a fault of ours")
            await asyncio.Event().wait()
        finally:
            self.is_running = False

    async def close(self):
        assert not self.is_running, "it would send twice"
        self.is_closed = True

    async def check(self):
        return "taken"


@contextlib.asynccontextmanager
async def running(*ways):
    herald = Herald(ways)
    task = asyncio.create_task(herald.run())
    try:
        yield herald, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.asyncio
async def test_every_channel_is_told_and_what_waits_is_counted_by_name():
    mail, siem, second = Way(), Way("siem"), Way("siem")
    async with running(mail, siem, second) as (herald, _):
        herald.tell(NOTICE, 7.0)
        herald.tell(NOTICE, 8.0)

        assert mail.told == siem.told == [(NOTICE, 7.0), (NOTICE, 8.0)]
        assert (herald.waiting("email"), herald.waiting("siem"), herald.waiting("webhook")) == (2, 4, 0)


@pytest.mark.asyncio
async def test_a_reload_exchanges_the_channels_and_the_old_ones_send_what_waits():
    old, new = Way(), Way("siem")
    async with running(old) as (herald, _):
        await until(lambda: old.is_running)
        herald.adopt([new])
        herald.tell(NOTICE, 7.0)

        await until(lambda: new.is_running and old.is_closed)
        assert (old.told, new.told) == ([], [(NOTICE, 7.0)])
        assert not new.is_closed


@pytest.mark.asyncio
async def test_at_the_end_all_are_closed():
    ways = Way(), Way("siem")
    async with running(*ways) as (herald, task):
        await until(lambda: all(way.is_running for way in ways))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await herald.close()

    assert all(way.is_closed for way in ways)


@pytest.mark.asyncio
async def test_what_a_channel_stumbles_over_through_a_fault_of_ours_is_raised():
    async with running(Way(), Way("siem", falls=True)) as (_, task):
        with pytest.raises(ValueError, match="a fault of ours"):
            await task


@pytest.mark.asyncio
async def test_faults_are_told_together():
    async with running(Way(fault="e-mail: refused"), Way("siem"), Way("webhook", fault="no answer")) as (herald, _):
        assert herald.fault == "e-mail: refused; no answer"
