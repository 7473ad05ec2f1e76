"""Whose sessions end and whose do not; the kernel is a stand-in. Real ones end in tests/kernel/test_sessions.py."""

import errno
import threading
from collections.abc import Callable, Iterator

import pytest

from appliance.address import Net, NetSet, parse_network
from appliance.firewall.backend import Element
from appliance.firewall.sessions import sessions as module
from appliance.firewall.sessions.conntrack import Ends, Flow
from appliance.firewall.sessions.local_sockets import LocalSocket
from appliance.firewall.sessions.sessions import Closed, Sessions
from appliance.model import Scope

PATIENCE = 10.0
"""Seconds until something that should have happened has not."""
MAILHOST = parse_network("192.0.2.25").packed


class Kernel:
    """What conntrack, sock_diag and the raw sockets hold, give and are told; the newest word is on `told`."""

    def __init__(self) -> None:
        self.table: list[Flow] = []
        self.sockets: list[LocalSocket] = []
        self.refusals: dict[str, OSError] = {}
        self.sent: list[Ends] = []
        self.deleted: list[Flow] = []
        self.destroyed: list[LocalSocket] = []
        self.rounds = threading.Semaphore(0)
        """Released at the beginning of each look into the connection table."""

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def flows(self, clients: NetSet) -> list[Flow]:
        self.rounds.release()
        self.refuse("flows")
        return [flow for flow in self.table if flow.client in clients]

    def delete(self, flow: Flow) -> bool:
        self.refuse("delete")
        self.deleted.append(flow)
        return True

    def send(self, ends: Ends) -> None:
        self.refuse("send")
        self.sent.append(ends)

    def of(self, peers: NetSet) -> list[LocalSocket]:
        return [one for one in self.sockets if one.peer in peers]

    def destroy(self, which: LocalSocket) -> bool:
        self.refuse("destroy")
        self.destroyed.append(which)
        return True

    def refuse(self, what: str) -> None:
        if what in self.refusals:
            raise self.refusals[what]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    for name in ("Conntrack", "Forger", "LocalSockets"):
        monkeypatch.setattr(module, name, lambda: made)
    return made


@pytest.fixture
def ending(kernel: Kernel) -> Iterator[Callable[..., Sessions]]:
    """Ends the sessions of these elements and returns once that is done."""
    made: list[Sessions] = []

    def end(
        *elements: Element, spares: Callable[[Net], bool] = lambda _: False, extra_ports: tuple[int, ...] = ()
    ) -> Sessions:
        made.append(Sessions(spares))
        made[-1].extra_ports = extra_ports
        made[-1].end(elements)
        assert kernel.rounds.acquire(timeout=PATIENCE)
        made[-1].close()
        return made[-1]

    yield end
    for sessions in made:
        sessions.close()


def element(net: str, scope: Scope = Scope.ALL) -> Element:
    return Element(parse_network(net), 3600, scope)


def flow(client: str, port: int = 993, *, behind: int | None = None, state: int = 3) -> Flow:
    source = parse_network(client).packed
    original = Ends(source, 40_000, MAILHOST, port)
    return Flow(original, Ends(MAILHOST, behind or port, source, 40_000), state, b"id")


def local(client: str, port: int = 993) -> LocalSocket:
    return LocalSocket(flow(client, port).original, 2, 1, b"")


def test_a_flow_is_told_to_go_and_then_forgotten(kernel: Kernel, ending: Callable[..., Sessions]) -> None:
    kernel.table = [flow("203.0.113.9")]
    sessions = ending(element("203.0.113.9"))
    assert kernel.sent == [kernel.table[0].reply.turned()]
    assert kernel.deleted == kernel.table
    assert (sessions.ended, sessions.faults, sessions.fault) == (1, 0, "")


def test_a_flow_that_has_no_socket_on_the_mail_host_is_only_forgotten(
    kernel: Kernel, ending: Callable[..., Sessions]
) -> None:
    kernel.table = [flow("203.0.113.9", state=1), flow("203.0.113.9", state=7)]
    assert ending(element("203.0.113.9")).ended == 0
    assert (kernel.sent, kernel.deleted) == ([], kernel.table)


def test_a_ban_touches_the_ports_that_it_closes_before_and_behind_dnat(
    kernel: Kernel, ending: Callable[..., Sessions]
) -> None:
    mail, login, other = flow("203.0.113.9", 25), flow("203.0.113.9", 993), flow("203.0.113.9", 2222)
    moved = flow("203.0.113.9", 2525, behind=25)
    kernel.table = [mail, login, other, moved]
    ending(element("203.0.113.9", Scope.SMTP_IN))
    assert kernel.deleted == [mail, moved]


def test_bans_of_several_scopes_each_close_their_own_ports() -> None:
    closed = Closed(
        [element("203.0.113.0/24", Scope.LOGIN), element("203.0.113.9", Scope.SMTP_IN), element("2001:db8::/64")]
    )
    one, neighbour, other = map(parse_network, ("203.0.113.9", "203.0.113.10", "2001:db8::1"))
    assert [closed.to(one, port) for port in (25, 993, 443, 2222)] == [True, True, True, False]
    assert [closed.to(neighbour, port) for port in (25, 993)] == [False, True]
    assert [closed.to(other, port) for port in (25, 993, 2222)] == [True, True, False]
    assert not closed.to(parse_network("198.51.100.1"), 25, 993)


def test_ports_that_root_ordered_besides_are_closed_by_scope_all_alone() -> None:
    closed = Closed([element("203.0.113.9", Scope.LOGIN), element("203.0.113.10")], (22, 2222))
    one, other = map(parse_network, ("203.0.113.9", "203.0.113.10"))
    assert [closed.to(one, port) for port in (22, 2222, 993)] == [False, False, True]
    assert [closed.to(other, port) for port in (22, 2222, 993, 23)] == [True, True, True, False]


def test_sessions_at_ports_that_root_ordered_besides_end(kernel: Kernel, ending: Callable[..., Sessions]) -> None:
    ssh, other = flow("203.0.113.9", 2222), flow("203.0.113.9", 8080)
    kernel.table = [ssh, other]
    ending(element("203.0.113.9"), extra_ports=(2222,))
    assert kernel.deleted == [ssh]


def test_who_is_allowed_in_spite_of_the_ban_keeps_flows_and_sockets(
    kernel: Kernel, ending: Callable[..., Sessions]
) -> None:
    kernel.table = [flow("203.0.113.9"), flow("203.0.113.10")]
    kernel.sockets = [local("203.0.113.9", 25), local("203.0.113.10", 25)]
    allowed = parse_network("203.0.113.10")
    sessions = ending(element("203.0.113.0/24"), spares=allowed.__eq__)
    assert (kernel.deleted, kernel.destroyed) == (kernel.table[:1], kernel.sockets[:1])
    assert sessions.ended == 2


def test_a_socket_of_this_host_is_destroyed_and_not_sent_a_syn_as_well(
    kernel: Kernel, ending: Callable[..., Sessions]
) -> None:
    kernel.table, kernel.sockets = [flow("203.0.113.9")], [local("203.0.113.9"), local("203.0.113.9", 2222)]
    sessions = ending(element("203.0.113.9"))
    assert (kernel.sent, kernel.deleted, kernel.destroyed) == ([], kernel.table, kernel.sockets[:1])
    assert sessions.ended == 1


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.ENOENT, errno.EPROTONOSUPPORT])
def test_a_kernel_that_destroys_no_sockets_is_no_fault_and_the_syn_goes_out(
    kernel: Kernel, ending: Callable[..., Sessions], number: int
) -> None:
    kernel.table, kernel.sockets = [flow("203.0.113.9")], [local("203.0.113.9")]
    kernel.refusals["destroy"] = OSError(number, "not built in")
    sessions = ending(element("203.0.113.9"))
    assert kernel.sent == [kernel.table[0].original]
    assert (sessions.ended, sessions.faults) == (1, 0)


def test_a_table_that_cannot_be_read_is_a_fault(kernel: Kernel, ending: Callable[..., Sessions]) -> None:
    kernel.refusals["flows"] = OSError(errno.EOPNOTSUPP, "no table")
    assert ending(element("203.0.113.9")).faults == 1


@pytest.mark.parametrize("what", ["flows", "send", "delete", "destroy"])
def test_the_thread_outlives_every_refusal_and_keeps_the_last(kernel: Kernel, what: str) -> None:
    kernel.table, kernel.sockets = [flow("203.0.113.9")], [local("203.0.113.9", 25)]
    kernel.refusals[what] = OSError(errno.EPERM, f"no {what} today")
    sessions = Sessions(lambda _: False)
    sessions.end([element("203.0.113.9")])
    assert kernel.rounds.acquire(timeout=PATIENCE)
    sessions.end([element("203.0.113.9")])
    assert kernel.rounds.acquire(timeout=PATIENCE)
    sessions.close()
    assert sessions.faults == 2
    assert f"no {what} today" in sessions.fault


def test_a_flow_whose_syn_is_refused_does_not_keep_the_next_from_going(
    kernel: Kernel, ending: Callable[..., Sessions]
) -> None:
    kernel.table = [flow("203.0.113.9"), flow("203.0.113.9", 25)]
    kernel.refusals["send"] = OSError(errno.ENETUNREACH, "no way there")
    sessions = ending(element("203.0.113.9"))
    assert kernel.deleted == kernel.table
    assert (sessions.ended, sessions.faults) == (0, 2)


def test_every_syn_is_sent_once_more(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.01)
    kernel.table = [flow("203.0.113.9")]
    second = threading.Event()
    send = kernel.send

    def watched(ends: Ends) -> None:
        send(ends)
        if len(kernel.sent) == 2:
            second.set()

    monkeypatch.setattr(kernel, "send", watched)
    sessions = Sessions(lambda _: False)
    sessions.end([element("203.0.113.9")])
    assert second.wait(PATIENCE)
    sessions.close()
    assert kernel.sent == [kernel.table[0].original] * 2
    assert sessions.ended == 1


def test_end_returns_while_the_thread_is_busy_and_the_oldest_give_way(kernel: Kernel) -> None:
    began, go = threading.Event(), threading.Event()

    def wait(_: Net) -> bool:
        began.set()
        return not go.wait(PATIENCE)

    kernel.table = [flow(f"203.0.113.{last}") for last in range(1, 6)]
    sessions = Sessions(wait, room=2)
    sessions.end([element("203.0.113.1")])
    assert began.wait(PATIENCE)
    sessions.end([element("203.0.113.2"), element("203.0.113.3")])
    sessions.end([element("203.0.113.4")])
    assert (sessions.dropped, sessions.ended) == (1, 0)
    go.set()
    assert kernel.rounds.acquire(timeout=PATIENCE)
    assert kernel.rounds.acquire(timeout=PATIENCE)
    sessions.close()
    assert [str(gone.client) for gone in kernel.deleted] == ["203.0.113.1", "203.0.113.3", "203.0.113.4"]


def test_close_ends_the_thread_though_nothing_ever_came() -> None:
    sessions = Sessions(lambda _: False)
    sessions.close()
    assert not sessions._thread.is_alive()
