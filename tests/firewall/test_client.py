"""The receiver's end, against stand-ins for the helper and, in a namespace, against the helper itself."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from namespaces import Namespace, network, require_kernel

from appliance.address import Net, parse_network
from appliance.firewall import client
from appliance.firewall.backend import BackendError, Element, NotPermitted
from appliance.firewall.client import HelperBackend

NET = parse_network("203.0.113.9")

STAND_IN = """
import socket, sys, struct
ours = socket.socket(fileno=int(sys.argv[-1]))
while packet := ours.recv(40000):
    _, op, _, sequence, *_ = struct.unpack_from("!BBBxIHH", packet)
"""
ANSWERS = STAND_IN + '    ours.send(struct.pack("!BBBxIHH", 1, 0, 0, sequence, 0, 0))\n'
ANSWERS_OPEN_ONLY = STAND_IN + '    if op == 1: ours.send(struct.pack("!BBBxIHH", 1, 0, 0, sequence, 0, 0))\n'
BABBLES = STAND_IN + '    ours.send(b"babble")\n'


def stand_in(script: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", script)


async def started_again(backend: HelperBackend, times: int = 1) -> None:
    """Return once a new helper serves."""
    while backend.restarts < times or backend.pid is None:
        await asyncio.sleep(0.01)
    await backend.open()


def test_the_receiver_never_loads_libnftables() -> None:
    script = "import sys, appliance.firewall.client; print([name for name in sys.modules if 'nft' in name])"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.asyncio
async def test_a_call_before_open_or_after_close_is_an_error() -> None:
    backend = HelperBackend(stand_in(ANSWERS))
    with pytest.raises(BackendError, match="not running"):
        await backend.banned()
    await backend.open()
    assert await backend.banned() == {}
    await backend.close()
    with pytest.raises(BackendError, match="not running"):
        await backend.banned()


@pytest.mark.asyncio
@pytest.mark.parametrize("prefix", [("false",), stand_in(BABBLES), ("/nonexistent",)])
async def test_a_helper_that_does_not_start_is_an_error_at_open(prefix: tuple[str, ...]) -> None:
    backend = HelperBackend(prefix)
    with pytest.raises((BackendError, OSError)):
        await backend.open()
    assert backend.pid is None
    await backend.close()


@pytest.mark.asyncio
async def test_a_helper_that_does_not_answer_is_killed_and_started_again() -> None:
    backend = HelperBackend(stand_in(ANSWERS_OPEN_ONLY), call_limit=0.5)
    await backend.open()
    first = backend.pid
    with pytest.raises(BackendError, match=r"did not answer within 0\.5 s"):
        await backend.ban([Element(NET, 60)])
    await started_again(backend)
    assert backend.pid != first
    await backend.close()


@pytest.mark.asyncio
async def test_the_loop_goes_on_while_the_helper_is_silent() -> None:
    backend = HelperBackend(stand_in(ANSWERS_OPEN_ONLY), call_limit=0.5)
    await backend.open()
    asked = asyncio.create_task(backend.ban([Element(NET, 60)]))
    turns = 0
    while not asked.done():
        turns += 1
        await asyncio.sleep(0.001)
    with pytest.raises(BackendError):
        await asked
    assert turns > 50
    await backend.close()


@pytest.mark.asyncio
async def test_a_helper_that_cannot_come_back_leaves_an_error_and_closes_cleanly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "RESTART_PAUSE", 0.01)
    backend = HelperBackend(stand_in(ANSWERS))
    await backend.open()
    backend._command = ("/nonexistent",)
    assert backend.pid
    os.kill(backend.pid, signal.SIGKILL)
    while backend.pid:
        await asyncio.sleep(0.01)
    with pytest.raises(BackendError):
        await backend.banned()
    await backend.close()


@pytest_asyncio.fixture
async def namespace() -> AsyncIterator[Namespace]:
    require_kernel()
    with network() as made:
        yield made.namespace("client")


@pytest_asyncio.fixture
async def backend(namespace: Namespace) -> AsyncIterator[HelperBackend]:
    made = HelperBackend(namespace.prefix)
    await made.open()
    yield made
    await made.close()


@pytest.mark.kernel
@pytest.mark.asyncio
async def test_kill_9_of_the_helper_keeps_every_ban_and_a_new_one_serves(backend: HelperBackend) -> None:
    await backend.allow([parse_network("198.51.100.9")])
    await backend.ban([Element(NET, 3600)])
    killed = backend.pid
    assert killed
    os.kill(killed, signal.SIGKILL)
    await started_again(backend)
    assert backend.pid != killed
    assert set(await backend.banned()) == {NET}
    refused = await backend.ban([Element(parse_network("198.51.100.9"), 60)])
    assert [each.reason for each in refused] == ["it overlaps the allow list"]


@pytest.mark.kernel
@pytest.mark.asyncio
async def test_a_call_in_flight_when_the_helper_dies_is_an_error_and_not_a_wait(
    backend: HelperBackend,
) -> None:
    assert backend.pid
    os.kill(backend.pid, signal.SIGSTOP)
    asked = asyncio.create_task(backend.ban([Element(NET, 60)]))
    await asyncio.sleep(0)
    os.kill(backend.pid, signal.SIGKILL)
    with pytest.raises(BackendError, match="gone"):
        await asked


@pytest.mark.kernel
@pytest.mark.asyncio
async def test_close_ends_the_helper_and_the_kernel_keeps_the_bans(
    backend: HelperBackend, namespace: Namespace
) -> None:
    await backend.ban([Element(NET, 3600)])
    assert backend.pid
    ended = backend.pid
    await backend.close()
    with pytest.raises(ProcessLookupError):
        os.kill(ended, 0)
    assert str(NET) in namespace.run("nft", "list", "set", "inet", "zward", "ban4")
    await backend.open()
    assert set(await backend.banned()) == {NET}


@pytest.mark.kernel
@pytest.mark.asyncio
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "a stopped service"])
async def test_a_signal_to_the_whole_group_does_not_end_the_helper(
    backend: HelperBackend, number: signal.Signals
) -> None:
    assert backend.pid
    os.kill(backend.pid, number)
    assert await backend.ban([Element(NET, 60)]) == []
    assert backend.restarts == 0


@pytest.mark.kernel
@pytest.mark.asyncio
async def test_a_cancelled_call_does_not_disturb_the_next_one(backend: HelperBackend) -> None:
    many = [Element(Net((0x0B000000 + n).to_bytes(4, "big"), 32), 60) for n in range(6_000)]
    for turns in range(1, 16):
        asked = asyncio.create_task(backend.ban(many))
        for _ in range(turns):
            await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        one = Element(Net(bytes([198, 51, 100, turns]), 32), 3600)
        assert await backend.ban([one]) == []
    await backend.unban([element.net for element in many])
    assert len(await backend.banned()) == 15


@pytest.mark.kernel
@pytest.mark.asyncio
async def test_more_than_one_batch_goes_in_whole(backend: HelperBackend) -> None:
    many = [Element(Net((0x0B000000 + n).to_bytes(4, "big"), 32), 3600) for n in range(40_000)]
    bad = [Element(parse_network("127.0.0.1"), 60)]
    assert [each.net for each in await backend.ban([*many, *bad])] == [bad[0].net]
    assert len(await backend.banned()) == 40_000


@pytest.mark.kernel
@pytest.mark.asyncio
async def test_without_cap_net_admin_open_says_what_is_missing(namespace: Namespace) -> None:
    backend = HelperBackend((*namespace.prefix, "setpriv", "--bounding-set=-net_admin"))
    with pytest.raises(NotPermitted, match="CAP_NET_ADMIN"):
        await backend.open()


@pytest.mark.kernel
@pytest.mark.asyncio
async def test_a_helper_whose_parent_is_another_refuses_to_serve(namespace: Namespace) -> None:
    backend = HelperBackend((*namespace.prefix, "sh", "-c", '"$@"; exit $?', "sh"))
    with pytest.raises(BackendError, match="gone"):
        await backend.open()
