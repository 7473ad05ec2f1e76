"""What must hold when something is killed, hung, doubled or hostile: no acknowledged ban is lost, none is for ever."""

import asyncio
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helping import Helper, helper
from namespaces import Namespace, network, require_kernel

from appliance.address import Net, NetSet, parse_network
from appliance.firewall.backend import BackendError, Element, Place
from appliance.firewall.client import HelperBackend
from appliance.firewall.limits import BAN_PREFIXES, LONGEST_BAN, LONGEST_FENCE
from appliance.firewall.orders import Orders
from appliance.firewall.records import MAX_PACKET, Op, Request, pack_request, unpack_reply
from appliance.firewall.table import layout
from appliance.model import BAN_SCOPES, Scope

pytestmark = pytest.mark.kernel

HOUR = 3600
BATCH = 40
KILLS = 50
RECORDS = int(os.environ.get("ZWARD_FUZZ_RECORDS", "20000"))
NEVER = ("192.0.2.0/24", "198.51.100.7", "2001:db8:7::/48")
OWN = ("203.0.113.1", "2001:db8:1::1")

BANNING = """
import asyncio, os, sys
from pathlib import Path
from appliance.address import Net
from appliance.firewall.backend import BackendError, Element
from appliance.firewall.client import HelperBackend

async def main(path, log, number, size):
    backend = HelperBackend(Path(path))
    written = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    while True:
        batch = [Element(Net((number + each).to_bytes(4, "big"), 32), 3600) for each in range(size)]
        try:
            await backend.ban(batch)
        except BackendError:
            continue
        os.write(written, b"%d\\n" % number)
        number += size

asyncio.run(main(*sys.argv[1:3], *map(int, sys.argv[3:])))
"""


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as made:
        yield made.namespace("faults")


@pytest.fixture
def running(namespace: Namespace, tmp_path: Path) -> Iterator[Helper]:
    with helper(namespace, tmp_path) as made:
        yield made


@dataclass
class Receiver:
    """A process that bans without end, and writes down what was acknowledged."""

    running: Helper
    log: Path
    started: list[int] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Go on where no earlier one has been: what was under way may or may not be in force."""
        first = max([0x0B00_0000, *self.started, *self.acknowledged()]) + 0x0001_0000
        self.started.append(first)
        command = (sys.executable, "-I", "-c", BANNING, str(self.running.socket), str(self.log), str(first), str(BATCH))
        self.process = subprocess.Popen(command)

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait(10)

    def acknowledged(self) -> list[int]:
        """The first number of each batch."""
        return [int(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def goes_on(self) -> None:
        """Return once something more was acknowledged."""
        before = len(self.acknowledged())
        until(lambda: len(self.acknowledged()) > before)


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_kill_9_at_random_moments_loses_no_acknowledged_ban_and_makes_none_permanent(
    running: Helper, tmp_path: Path
) -> None:
    dice = random.Random(3)
    receiver = Receiver(running, tmp_path / "log")
    receiver.start()
    for _ in range(KILLS):
        receiver.goes_on()
        time.sleep(dice.uniform(0, 0.03))
        victims = dice.choice(((running,), (receiver,), (running, receiver)))
        for victim in victims:
            victim.kill()
        for victim in reversed(victims):
            victim.start()
    receiver.goes_on()
    receiver.kill()
    standing = asyncio.run(listed(running))
    numbers = [int.from_bytes(place.net.packed, "big") for place in standing]
    acknowledged = {first + each for first in receiver.acknowledged() for each in range(BATCH)}
    assert len(acknowledged) > KILLS * BATCH
    assert acknowledged <= set(numbers)
    assert len(set(numbers)) == len(numbers)
    under_way = set(numbers) - acknowledged
    assert len(under_way) <= BATCH * len(receiver.started)
    assert all(0 < seconds <= HOUR for seconds in standing.values())


async def listed(running: Helper) -> dict[Place, float]:
    backend = HelperBackend(running.socket)
    found = await backend.banned()
    await backend.close()
    return found


def test_a_second_client_is_refused_and_told_the_firsts_pid(running: Helper, tmp_path: Path) -> None:
    receiver = Receiver(running, tmp_path / "log")
    receiver.start()
    receiver.goes_on()
    assert receiver.process
    words = rf"another zward \(pid {receiver.process.pid}\) is connected to the firewall helper; end that one first"
    with pytest.raises(BackendError, match=words):
        asyncio.run(listed(running))
    receiver.goes_on()
    receiver.kill()
    assert len(asyncio.run(listed(running))) >= 2 * BATCH


def test_a_client_of_another_user_is_refused_and_the_receivers_is_not(running: Helper) -> None:
    running.socket.chmod(0o666)
    for parent in running.socket.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    for uid, is_welcome in ((running.receiver, True), (running.receiver + 1, False), (0, True)):
        os.seteuid(uid)
        try:
            if is_welcome:
                assert asyncio.run(listed(running)) == {}
            else:
                with pytest.raises(BackendError, match="gone"):
                    asyncio.run(listed(running))
        finally:
            os.seteuid(0)


@pytest.mark.asyncio
async def test_a_hung_helper_is_an_error_the_loop_goes_on_and_afterwards_it_serves_again(running: Helper) -> None:
    backend = HelperBackend(running.socket, call_limit=1.0)
    await backend.open()
    os.kill(running.pid, signal.SIGSTOP)
    asked = asyncio.create_task(backend.ban([Element(parse_network("203.0.113.9"), HOUR)]))
    turns = 0
    while not asked.done():
        turns += 1
        await asyncio.sleep(0.001)
    with pytest.raises(BackendError, match="did not answer within 1 s"):
        await asked
    assert turns > 100
    os.kill(running.pid, signal.SIGCONT)
    assert await backend.ban([Element(parse_network("203.0.113.10"), HOUR)]) == []
    assert Place(parse_network("203.0.113.10")) in await backend.banned()
    await backend.close()


@pytest.mark.asyncio
async def test_a_helper_that_hangs_for_long_is_told_from_one_that_is_not_there(running: Helper) -> None:
    backend = HelperBackend(running.socket, call_limit=0.01)
    os.kill(running.pid, signal.SIGSTOP)
    try:
        words = [""]
        for _ in range(20):
            with pytest.raises(BackendError) as caught:
                await backend.open()
            words.append(str(caught.value))
        assert "did not answer" in words[1]
        assert "its queue is full" in words[-1]
    finally:
        os.kill(running.pid, signal.SIGCONT)
    await backend.close()
    patient = HelperBackend(running.socket)
    while not await is_served(patient):  # it lets those who knocked and left in first, one after the other
        await asyncio.sleep(0.01)
    await patient.close()


async def is_served(backend: HelperBackend) -> bool:
    try:
        return await backend.banned() == {}
    except BackendError:
        return False


def test_without_an_owner_a_helper_notices_and_repairs_a_foreign_flush(namespace: Namespace, tmp_path: Path) -> None:
    with helper(namespace, tmp_path, plain=True) as running:
        asyncio.run(flushed_and_repaired(namespace, running))


async def flushed_and_repaired(namespace: Namespace, running: Helper) -> None:
    backend = HelperBackend(running.socket)
    await backend.ban([Element(parse_network("203.0.113.9"), HOUR)])
    assert "flags owner" not in namespace.run("nft", "list", "table", "inet", "zward")
    namespace.run("nft", "flush", "ruleset")
    while (health := await backend.health()).repairs == 0:
        await asyncio.sleep(0.001)
    assert health.told.startswith("nft (pid ")
    assert await backend.banned() == {}
    assert await backend.ban([Element(parse_network("203.0.113.9"), HOUR)]) == []
    await backend.close()


# Hostile records


def test_random_records_change_nothing_outside_of_the_sets_and_keep_the_helpers_limits(
    namespace: Namespace, tmp_path: Path
) -> None:
    for address in OWN:
        namespace.ip("address", "add", address, "dev", "lo")
    namespace.run("nft", "add table inet other; add chain inet other c { type filter hook input priority 0; }")
    orders = Orders(frozenset(map(parse_network, NEVER)), fence=(587,))
    with helper(namespace, tmp_path, orders) as running:
        asyncio.run(listed(running))
        before = outside(namespace)
        assert bombard(running, random.Random(7), RECORDS) > RECORDS / 2
        for now, then in zip(outside(namespace), before, strict=True):
            assert now == then
        standing = asyncio.run(listed(running))
    assert len(standing) > min(RECORDS, 20_000) / 100
    forbidden = NetSet(map(parse_network, (*NEVER, *OWN, "127.0.0.0/8", "224.0.0.0/4", "fe80::/10", "::/64")))
    for (net, scope), seconds in standing.items():
        assert net.prefix in BAN_PREFIXES[net.family]
        assert net.prefix < 128 or scope is Scope.ALL
        assert Net(net.packed, len(net.packed) * 8).widened(net.prefix) == net
        assert 0 <= seconds <= LONGEST_BAN
        assert forbidden.touching(net) is None


def outside(namespace: Namespace) -> tuple[str, str, str]:
    """All that is none of our sets: other tables, what our table is made of, and what it has counted."""
    text = namespace.run("nft", "--terse", "list", "table", "inet", "zward")
    rules = {rule.text for is_on in (False, True) for rule in layout.rules(Orders(), narrow=is_on, fenced=is_on)}
    lines = [line.strip() for line in text.splitlines()]
    rest = "\n".join(line for line in lines if line not in rules)
    return namespace.run("nft", "list", "table", "inet", "other"), namespace.run("nft", "list", "tables"), rest


def bombard(running: Helper, dice: random.Random, number: int) -> int:
    """Send so many records; how many were answered. The helper must be the same one afterwards."""
    pid = running.pid
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as ours:
        ours.connect(str(running.socket))
        answered: list[int] = []
        reader = threading.Thread(target=read_all, args=(ours, answered))
        reader.start()
        for record in records(dice, number):
            ours.send(record)
        ours.send(pack_request(Request(Op.HEALTH, LAST)))
        reader.join(600)
    assert running.process
    assert (running.pid, running.process.poll()) == (pid, None)
    return answered[0]


LAST = 0xFFFF_FFFF


def read_all(ours: socket.socket, answered: list[int]) -> None:
    count = 0
    while unpack_reply(ours.recv(MAX_PACKET)).sequence != LAST:
        count += 1
    answered.append(count)


RARE = (Op.OPEN, Op.BANNED, Op.DROPPED, Op.ALLOW, Op.HEALTH, Op.SAMPLES)
OFTEN = (Op.BAN, Op.BAN, Op.BAN, Op.UNBAN, Op.FAVOUR, Op.SEEN, Op.FENCE)
PREFIXES = {4: (0, 8, 24, 24, 31, 32, 32, 32), 6: (0, 32, 48, 48, 64, 64, 127, 128)}
HEADS = {
    4: tuple(
        parse_network(text).packed for text in ("203.0.113.0", "192.0.2.0", "127.0.0.0", "198.51.100.0", "11.7.0.0")
    ),
    6: tuple(parse_network(text).packed for text in ("2001:db8:1::", "2001:db8:7::", "fe80::", "::", "2001:db8:99::")),
}


def records(dice: random.Random, number: int) -> Iterator[bytes]:
    """Valid ones, ones with a few bytes changed, cut ones, and mere bytes."""
    for sequence in range(number):
        op = dice.choice(RARE) if dice.random() < 0.002 else dice.choice(OFTEN)
        counts = 0
        if op is Op.FENCE:
            counts = dice.choice((1, 1, 2))
            body = b"".join(fenced(dice) for _ in range(counts))
        else:
            body = b"".join(element(dice) for _ in range(dice.choice((0, 1, 1, 2, 3))))
        more = dice.random() < 0.1
        held = 0 if counts else len(body) // 24
        record = bytearray(struct.pack("!BBBxIHH", 2, op, more, sequence // 2, held, counts) + body)
        match dice.randrange(8):
            case 0:
                for _ in range(dice.randrange(1, 4)):
                    record[dice.randrange(len(record))] = dice.randrange(256)
            case 1:
                del record[dice.randrange(len(record)) :]
            case 2:
                record = bytearray(dice.randbytes(dice.randrange(100)))
        if record[1:2] != bytes([Op.BANNED]) or dice.random() < 0.1:
            yield bytes(record)


def fenced(dice: random.Random) -> bytes:
    """A port with its seconds, mostly what root ordered."""
    port = dice.choice((587, 587, 587, 993, 25, 0, 0xFFFF))
    seconds = dice.choice((0, 1, 60, LONGEST_FENCE, LONGEST_FENCE + 1, 2**64 - 1))
    return struct.pack("!HBBQQ", port, dice.randrange(4), dice.randrange(256), seconds, dice.getrandbits(64))


def element(dice: random.Random) -> bytes:
    family = dice.choice((4, 4, 6))
    prefix = dice.choice(PREFIXES[family])
    packed = bytearray(dice.choice(HEADS[family]))
    packed[dice.choice((2, 3)) if family == 4 else dice.choice((4, 5, 7, 15))] ^= dice.randrange(256)
    if dice.random() < 0.9:
        packed = bytearray(Net(bytes(packed), len(packed) * 8).widened(prefix).packed)
    seconds = dice.choice((0, 1, 60, HOUR, LONGEST_BAN, LONGEST_BAN + 1, 0xFFFF_FFFF, dice.getrandbits(32)))
    return struct.pack("!BBBx16sI", family, prefix, dice.randrange(len(BAN_SCOPES)), bytes(packed), seconds)
