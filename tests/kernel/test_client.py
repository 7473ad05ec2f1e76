"""The receiver's end with a real helper, which is killed, stopped and started again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from helping import Helper, helper
from namespaces import Namespace, network, require_kernel

from appliance.address import Net, parse_network
from appliance.firewall.backend import (
    DROPS,
    Dropped,
    Element,
    Health,
    Place,
)
from appliance.firewall.client import HelperBackend
from appliance.firewall.orders import Orders
from appliance.model import Scope

NET = parse_network("203.0.113.9")
HOUR = 3600

pytestmark = pytest.mark.kernel


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as made:
        yield made.namespace("client")


@pytest.fixture
def running(namespace: Namespace, tmp_path: Path) -> Iterator[Helper]:
    with helper(namespace, tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def backend(running: Helper) -> AsyncIterator[HelperBackend]:
    made = HelperBackend(running.socket)
    await made.open()
    yield made
    await made.close()


def many(count: int, first: int = 0x0B00_0000) -> list[Element]:
    return [Element(Net((first + number).to_bytes(4, "big"), 32), HOUR) for number in range(count)]


@pytest.mark.asyncio
async def test_kill_9_of_the_helper_keeps_every_ban_and_the_next_call_finds_a_new_one(
    backend: HelperBackend, running: Helper
) -> None:
    await backend.allow([parse_network("198.51.100.9")])
    await backend.ban([Element(NET, HOUR)])
    running.kill()
    asked = asyncio.create_task(backend.ban([Element(parse_network("198.51.100.9"), 60)]))
    await asyncio.sleep(0)
    running.start()
    assert [each.reason for each in await asked] == ["it overlaps the allow list"]
    assert set(await backend.banned()) == {Place(NET)}
    assert backend.reconnects == 1


@pytest.mark.asyncio
async def test_a_call_in_flight_when_the_helper_dies_is_carried_out_by_the_next_one(
    backend: HelperBackend, running: Helper
) -> None:
    os.kill(running.pid, signal.SIGSTOP)
    asked = asyncio.create_task(backend.ban([Element(NET, HOUR)]))
    await asyncio.sleep(0)
    running.kill()
    running.start()
    assert await asked == []
    assert set(await backend.banned()) == {Place(NET)}


@pytest.mark.asyncio
async def test_a_stopped_helper_leaves_the_bans_and_a_new_one_takes_them_over(
    backend: HelperBackend, running: Helper, namespace: Namespace
) -> None:
    await backend.ban([Element(NET, HOUR), Element(NET, HOUR, Scope.LOGIN)])
    running.stop()
    assert str(NET) in namespace.run("nft", "list", "set", "inet", "zward", "ban4")
    running.start()
    assert set(await backend.banned()) == {Place(NET), Place(NET, Scope.LOGIN)}


@pytest.mark.asyncio
async def test_ctrl_c_does_not_end_the_helper(backend: HelperBackend, running: Helper) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(running.pid, number)
    assert await backend.ban([Element(NET, 60)]) == []
    assert backend.reconnects == 0


@pytest.mark.asyncio
async def test_cancelled_calls_do_not_disturb_the_next_ones(backend: HelperBackend) -> None:
    batch = many(6_000)
    for turns in range(1, 16):
        asked = asyncio.create_task(backend.ban(batch))
        for _ in range(turns):
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert await backend.ban([Element(Net(bytes([198, 51, 100, turns]), 32), HOUR)]) == []
    await backend.unban([element.net for element in batch])
    assert len(await backend.banned()) == 15


@pytest.mark.asyncio
async def test_more_than_one_batch_goes_in_whole_and_comes_out_whole(backend: HelperBackend) -> None:
    batch = many(40_000)
    bad = [Element(parse_network("127.0.0.1"), 60)]
    assert [each.net for each in await backend.ban([*batch, *bad])] == [bad[0].net]
    assert len(await backend.banned()) == 40_000
    assert await backend.unban([element.net for element in batch]) == [element.net for element in batch]
    assert await backend.banned() == {}
    assert await backend.health() == Health()


@pytest.mark.asyncio
async def test_calls_at_once_are_answered_each_with_its_own(backend: HelperBackend) -> None:
    batches = [many(100, first << 24) for first in range(20, 40)]
    answers = await asyncio.gather(*(backend.ban(batch) for batch in batches), backend.dropped(), backend.banned())
    assert answers[:20] == [[]] * 20
    assert answers[20] == dict.fromkeys(DROPS, Dropped(0, 0))
    assert len(await backend.banned()) == 2000


@pytest.mark.asyncio
async def test_what_root_never_bans_is_refused_whatever_the_receiver_allows(
    namespace: Namespace, tmp_path: Path
) -> None:
    with helper(namespace, tmp_path, Orders(frozenset([NET]))) as running:
        backend = HelperBackend(running.socket)
        await backend.allow([])
        assert [each.net for each in await backend.ban([Element(NET, 60)])] == [NET]
        await backend.close()


def test_without_cap_net_admin_the_helper_ends_and_says_what_is_missing(namespace: Namespace, tmp_path: Path) -> None:
    command = (sys.executable, "-I", "-m", "appliance.firewall.helper", "--directory", str(tmp_path), "--receiver", "0")
    done = subprocess.run(
        [*namespace.prefix, "setpriv", "--bounding-set=-net_admin", *command],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, "CAP_NET_ADMIN" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
