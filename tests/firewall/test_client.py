"""The receiver's end, against a stand-in for the helper."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.address import Net, parse_network
from appliance.firewall import client
from appliance.firewall.backend import (
    BackendError,
    Drop,
    Dropped,
    Element,
    Health,
    NotPermitted,
    Place,
    Refused,
    SampledDrop,
)
from appliance.firewall.client import HelperBackend
from appliance.firewall.limits import LONGEST_BAN, MAX_BATCH, MAX_SOURCES, Refusal
from appliance.firewall.records import (
    FOREVER,
    MAX_PACKET,
    Count,
    Op,
    Reply,
    Request,
    Status,
    pack_reply,
    unpack_request,
)
from appliance.model import Scope

NET = parse_network("203.0.113.9")
HOUR = 3600
Answer = Callable[[Request], list[Reply] | None]


class StandIn:
    """Answers as it is told; None means that it hangs up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[Request] = []
        self.answer: Answer = lambda request: [Reply(Status.OK, request.sequence)]
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listening.bind(str(path))
        self.listening.listen(8)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while True:
            try:
                talking, _ = self.listening.accept()
            except OSError:
                return
            with talking, contextlib.suppress(OSError):
                while packet := talking.recv(MAX_PACKET):
                    request = unpack_request(packet)
                    self.asked.append(request)
                    if request.more:
                        continue
                    replies = self.answer(request)
                    if replies is None:
                        break
                    for reply in replies:
                        talking.send(pack_reply(reply) if isinstance(reply, Reply) else reply)

    def end(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join(10)

    def ops(self) -> list[Op]:
        return [request.op for request in self.asked]


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[StandIn]:
    made = StandIn(tmp_path / "socket")
    yield made
    made.end()


@pytest_asyncio.fixture
async def talking(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HelperBackend]:
    monkeypatch.setattr(client, "TRY_PAUSE", 0.01)
    made = HelperBackend(stand_in.path, call_limit=0.5, listing_limit=0.5)
    await made.open()
    yield made
    await made.close()


def answering(op: Op, *replies: Reply) -> Answer:
    """OK to everything but this operation."""
    return lambda request: (
        [reply_to(request, reply) for reply in replies] if request.op is op else [Reply(Status.OK, request.sequence)]
    )


def reply_to(request: Request, reply: Reply) -> Reply:
    return Reply(reply.status, request.sequence, reply.elements, reply.counts, reply.text, reply.more)


def test_the_receiver_never_loads_what_changes_the_kernel() -> None:
    script = (
        "import sys, appliance.firewall.client; print([name for name in sys.modules if 'appliance.firewall' in name])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert "appliance.firewall.client" in done.stdout
    for module in ("nftables", "netlink", "kernel", "helper", "sessions"):
        assert f"firewall.{module}'" not in done.stdout


@pytest.mark.asyncio
async def test_where_nobody_listens_every_call_says_so_and_what_cures_it(tmp_path: Path) -> None:
    backend = HelperBackend(tmp_path / "nothing")
    for call in (backend.open(), backend.banned(), backend.ban([Element(NET, 60)])):
        with pytest.raises(BackendError, match="no firewall helper serves .*nothing; this starts zward with one"):
            await call
    await backend.close()


@pytest.mark.asyncio
async def test_a_socket_of_another_user_says_whose_it_must_be(stand_in: StandIn) -> None:
    stand_in.path.chmod(0o600)
    if os.geteuid() != 0:
        pytest.skip("another user can be played by root alone")
    for parent in stand_in.path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        with pytest.raises(BackendError, match="is not for this user"):
            await HelperBackend(stand_in.path).open()
    finally:
        os.seteuid(0)


@pytest.mark.asyncio
async def test_a_call_reaches_the_helper_by_itself_and_opens_first(stand_in: StandIn) -> None:
    backend = HelperBackend(stand_in.path)
    assert await backend.banned() == {}
    assert stand_in.ops() == [Op.OPEN, Op.BANNED]
    await backend.close()
    assert await backend.banned() == {}
    assert (stand_in.ops()[2:], backend.reconnects) == ([Op.OPEN, Op.BANNED], 1)
    await backend.close()


@pytest.mark.asyncio
async def test_opening_again_is_a_request_and_no_new_connection(talking: HelperBackend, stand_in: StandIn) -> None:
    await talking.open()
    assert (stand_in.ops(), talking.reconnects) == ([Op.OPEN, Op.OPEN], 0)


@pytest.mark.asyncio
async def test_a_helper_that_does_not_answer_is_an_error_after_the_limit_and_asked_again_later(
    talking: HelperBackend, stand_in: StandIn
) -> None:
    stand_in.answer = lambda request: []
    with pytest.raises(BackendError, match=r"did not answer within 0\.5 s"):
        await talking.ban([Element(NET, 60)])
    stand_in.answer = lambda request: [Reply(Status.OK, request.sequence)]
    assert await talking.ban([Element(NET, 60)]) == []


@pytest.mark.asyncio
async def test_the_loop_goes_on_while_the_helper_is_silent(talking: HelperBackend, stand_in: StandIn) -> None:
    stand_in.answer = lambda request: []
    asked = asyncio.create_task(talking.ban([Element(NET, 60)]))
    turns = 0
    while not asked.done():
        turns += 1
        await asyncio.sleep(0.001)
    with pytest.raises(BackendError):
        await asked
    assert turns > 50


@pytest.mark.asyncio
async def test_a_helper_that_left_is_found_again_and_asked_once_more_with_the_allow_list(
    talking: HelperBackend, stand_in: StandIn
) -> None:
    await talking.allow([NET])
    leaving = [True]

    def leave_once(request: Request) -> list[Reply] | None:
        return None if leaving and leaving.pop() else [Reply(Status.OK, request.sequence)]

    stand_in.answer = leave_once
    assert await talking.ban([Element(NET, 60)]) == []
    assert stand_in.ops() == [Op.OPEN, Op.ALLOW, Op.BAN, Op.OPEN, Op.ALLOW, Op.BAN]
    assert stand_in.asked[4].elements == (Element(NET, 0),)
    assert talking.reconnects == 1


@pytest.mark.asyncio
async def test_a_helper_that_always_leaves_is_an_error_in_the_end(talking: HelperBackend, stand_in: StandIn) -> None:
    stand_in.answer = lambda request: None
    for call in (talking.ban([Element(NET, 60)]), talking.open()):
        with pytest.raises(BackendError, match="gone"):
            await call
    assert len(stand_in.asked) == 1 + 2 * client.TRIES


@pytest.mark.asyncio
async def test_a_helper_that_babbles_is_an_error(talking: HelperBackend, stand_in: StandIn) -> None:
    stand_in.answer = lambda request: [b"babble"]  # type: ignore[list-item]
    with pytest.raises(BackendError, match="another language"):
        await talking.dropped()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("reply", "error", "net"),
    [
        (Reply(Status.NOT_PERMITTED, 0, text="CAP_NET_ADMIN"), NotPermitted, None),
        (Reply(Status.FAILED, 0, [Element(NET, 0)], text="refused"), BackendError, NET),
        (Reply(Status.MALFORMED, 0, text="what?"), BackendError, None),
    ],
    ids=["not permitted", "failed", "malformed"],
)
async def test_a_refusal_is_an_error_in_the_helpers_words(
    talking: HelperBackend, stand_in: StandIn, reply: Reply, error: type[BackendError], net: Net | None
) -> None:
    stand_in.answer = answering(Op.BAN, reply)
    with pytest.raises(error, match=reply.text.replace("?", r"\?")) as caught:
        await talking.ban([Element(NET, 60)])
    assert (type(caught.value), caught.value.net) == (error, net)


@pytest.mark.asyncio
async def test_what_the_helper_says_to_a_second_client_is_heard(talking: HelperBackend, stand_in: StandIn) -> None:
    stand_in.answer = lambda request: [Reply(Status.FAILED, 0, text="another zward (pid 7) is connected")]
    await talking.close()
    with pytest.raises(BackendError, match="pid 7"):
        await talking.open()


@pytest.mark.asyncio
async def test_the_answer_to_a_cancelled_call_is_nobodys(talking: HelperBackend, stand_in: StandIn) -> None:
    held: list[Request] = []

    def hold(request: Request) -> list[Reply]:
        held.append(request)
        late = [Reply(Status.FAILED, each.sequence, text="late") for each in held[:-1]]
        return [] if len(held) == 1 else [*late, Reply(Status.OK, request.sequence)]

    stand_in.answer = hold
    asked = asyncio.create_task(talking.ban([Element(NET, 60)]))
    while not held:
        await asyncio.sleep(0.001)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await talking.ban([Element(NET, 60)]) == []


@pytest.mark.asyncio
async def test_what_is_larger_than_a_request_is_cut_and_time_is_kept_within_the_record(
    talking: HelperBackend, stand_in: StandIn
) -> None:
    nets = [Net(number.to_bytes(4, "big"), 32) for number in range(MAX_BATCH + 1)]
    await talking.ban(
        [Element(net, seconds) for net, seconds in zip(nets, [10**12, -5, *[60] * MAX_BATCH], strict=False)]
    )
    await talking.unban(nets)
    await talking.favour([Element(net, 60) for net in nets])
    await talking.seen(nets)
    for op, size in ((Op.BAN, MAX_BATCH), (Op.UNBAN, MAX_BATCH), (Op.FAVOUR, MAX_BATCH), (Op.SEEN, MAX_SOURCES)):
        requests: dict[int, list[Element]] = {}
        for request in stand_in.asked:
            if request.op is op:
                requests.setdefault(request.sequence, []).extend(request.elements)
        assert [element.net for part in requests.values() for element in part] == nets
        assert max(map(len, requests.values())) == size
    first, second = next(request for request in stand_in.asked if request.op is Op.BAN).elements[:2]
    assert (first.seconds, second.seconds) == (LONGEST_BAN + 1, 0)


@pytest.mark.asyncio
async def test_a_fence_travels_as_its_ports_with_their_seconds(talking: HelperBackend, stand_in: StandIn) -> None:
    await talking.fence((587, 993), 1800)
    await talking.fence((587,), 0)
    asked = [request for request in stand_in.asked if request.op is Op.FENCE]
    assert [[(count.port, count.packets) for count in request.counts] for request in asked] == [
        [(587, 1800), (993, 1800)],
        [(587, 0)],
    ]
    assert not any(request.elements for request in asked)


@pytest.mark.asyncio
async def test_every_answer_is_put_into_the_backends_words(talking: HelperBackend, stand_in: StandIn) -> None:
    other = parse_network("198.51.100.0/24")
    stand_in.answer = answering(Op.BAN, Reply(Status.OK, 0, [Element(NET, Refusal.OWN)]))
    assert await talking.ban([Element(NET, 60)]) == [Refused(NET, Refusal.OWN.words)]
    listing = (
        Reply(Status.OK, 0, [Element(NET, 60, Scope.LOGIN)], more=True),
        Reply(Status.OK, 0, [Element(other, FOREVER)]),
    )
    stand_in.answer = answering(Op.BANNED, *listing)
    assert await talking.banned() == {Place(NET, Scope.LOGIN): 60.0, Place(other): float("inf")}
    stand_in.answer = answering(Op.UNBAN, *listing)
    assert await talking.unban([NET]) == [NET, other]
    stand_in.answer = answering(Op.SEEN, *listing)
    assert await talking.seen([NET, other]) == {NET, other}
    stand_in.answer = answering(Op.DROPPED, Reply(Status.OK, 0, counts=[Count(25, 2, 6, 3, 2**50)]))
    assert await talking.dropped() == {Drop(25, Scope.SMTP_IN, 6): Dropped(3, 2**50)}
    figures = [Count(number, 0, 0, figure, 0) for number, figure in enumerate((1, 2, 3, 4))]
    stand_in.answer = answering(Op.HEALTH, Reply(Status.OK, 0, counts=figures, text="look"))
    assert await talking.health() == Health(1, 2, 3, "look", 4)
    sampled = (Reply(Status.OK, 0, text="1.500 203.0.113.9 25 PSH,ACK -", more=True), Reply(Status.OK, 0))
    stand_in.answer = answering(Op.SAMPLES, *sampled)
    assert await talking.samples() == [SampledDrop(1.5, "203.0.113.9", 25, "PSH,ACK", "-")]
