"""Sessions of banned sources end for real: client - gateway - mail host, in namespaces.

A stand-in for the ban table is loaded by nft. That a session ended is proved by the mail host's socket raising;
that one did not, by bytes that still go both ways after the round is over.
"""

import contextlib
import errno
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from namespaces import Namespace, network, require_kernel

from appliance.address import NetSet, parse_network
from appliance.firewall.backend import EXPOSED_PORTS, Element
from appliance.firewall.sessions import conntrack, local_sockets
from appliance.firewall.sessions.conntrack import Conntrack, Ends, tuple_of
from appliance.firewall.sessions.forged import Forger
from appliance.firewall.sessions.sessions import Sessions
from appliance.firewall.table.netlink import CREATE, EXCLUSIVE, HEADER, REQUEST, Netlink, attribute, be32, nested
from appliance.model import Scope

pytestmark = pytest.mark.kernel

MAILHOST = {4: "192.0.2.25", 6: "2001:db8:25::25"}
GATEWAY = {4: "192.0.2.129", 6: "2001:db8:1::1"}
"""Public addresses of the gateway: what comes there for the mail ports is for the mail host (DNAT)."""
ATTACKER = {4: "203.0.113.9", 6: "2001:db8:bad:1::9"}
NEIGHBOUR = {4: "203.0.113.10", 6: "2001:db8:bad:1::a"}
"""In the attacker's /24 or /64."""
STRANGER = {4: "198.51.100.7", 6: "2001:db8:900d::7"}
AROUND = {4: "203.0.113.0/24", 6: "2001:db8:bad:1::/64"}
OTHER_PORT = 2222
PATIENCE = 10.0
"""Seconds until something that should have happened has not."""

CONNTRACK = "chain follow { type filter hook forward priority 0; ct state established accept; }"
DNAT = f"""chain published {{
    type nat hook prerouting priority -100;
    ip daddr {GATEWAY[4]} dnat ip to {MAILHOST[4]}
    ip6 daddr {GATEWAY[6]} dnat ip6 to {MAILHOST[6]}
}}"""


@dataclass(frozen=True, slots=True)
class Talk:
    """Both ends of one TCP connection."""

    client: socket.socket
    server: socket.socket

    def goes_on(self) -> None:
        for one, other in ((self.client, self.server), (self.server, self.client)):
            one.sendall(b"x")
            assert other.recv(10) == b"x"

    def ends(self) -> None:
        """Return once the server's socket is gone; it sends nothing meanwhile."""
        with pytest.raises((ConnectionResetError, ConnectionAbortedError)):
            self.server.recv(10)


@dataclass(frozen=True, slots=True)
class Site:
    gateway: Namespace
    mailhost: Namespace
    clients: Namespace
    open: contextlib.ExitStack
    """Sockets and threads, closed at the end of the test."""

    def talk(self, source: str, target: str, port: int) -> Talk:
        """A connection through the gateway, to the mail host by its own address or by a public one."""
        return self.connected(self.clients, source, self.mailhost, port, target)

    def connected(self, here: Namespace, source: str, there: Namespace, port: int, target: str) -> Talk:
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        with there.entered():
            listening = self.open.enter_context(socket.create_server(("", port), family=family))
        return self.accepted(listening, here, source, target)

    def accepted(self, listening: socket.socket, here: Namespace, source: str, target: str) -> Talk:
        with here.entered():
            client = self.open.enter_context(
                socket.create_connection((target, listening.getsockname()[1]), PATIENCE, (source, 0))
            )
        listening.settimeout(PATIENCE)
        server = self.open.enter_context(listening.accept()[0])
        server.settimeout(PATIENCE)
        listening.close()
        talk = Talk(client, server)
        talk.goes_on()
        return talk

    def ban(self, *nets: str, ports: tuple[int, ...] = EXPOSED_PORTS) -> None:
        """What the ban table does."""
        closed = ", ".join(map(str, ports))
        lines = []
        for net in nets:
            ip = "ip6" if ":" in net else "ip"
            lines += [
                f'add rule inet bans early iifname "wan" tcp dport {{ {closed} }} {ip} saddr {net} drop',
                f"add rule inet bans replies tcp sport {{ {closed} }} {ip} daddr {net} reject with tcp reset",
                f"add rule inet bans own tcp sport {{ {closed} }} {ip} daddr {net} reject with tcp reset",
            ]
        self.gateway.run("nft", "\n".join(lines))

    def sessions(self, *spared: str) -> Sessions:
        allowed = NetSet(map(parse_network, spared))
        with self.gateway.entered():
            made = Sessions(allowed.__contains__)
        self.open.callback(made.close)
        return made

    def policy(self, *chains: str) -> None:
        self.gateway.run("nft", "table inet follow {\n" + "\n".join(chains) + "\n}")


BANS = """table inet bans {
    chain early { type filter hook prerouting priority -310; }
    chain replies { type filter hook forward priority -10; }
    chain own { type filter hook output priority -10; }
    chain forged { type filter hook output priority -310; meta mark 0x7a776172 notrack; }
}"""


@pytest.fixture
def bare() -> Iterator[Site]:
    """A gateway that tracks no connections."""
    require_kernel()
    with network() as net, contextlib.ExitStack() as stack:
        clients, gateway, mailhost = map(net.namespace, ("clients", "gateway", "mailhost"))
        net.link(clients, "eth0", gateway, "wan")
        net.link(mailhost, "eth0", gateway, "lan")
        for where, device, v4, v6 in (
            (gateway, "wan", f"{GATEWAY[4]}/30", f"{GATEWAY[6]}/64"),
            (clients, "eth0", "192.0.2.130/30", "2001:db8:1::2/64"),
            (gateway, "lan", "192.0.2.1/25", "2001:db8:25::1/64"),
            (mailhost, "eth0", f"{MAILHOST[4]}/25", f"{MAILHOST[6]}/64"),
        ):
            where.ip("address", "add", v4, "dev", device)
            where.ip("address", "add", v6, "dev", device, "nodad")
        for who in (ATTACKER, NEIGHBOUR, STRANGER):
            clients.ip("address", "add", who[4], "dev", "eth0")
            clients.ip("address", "add", who[6], "dev", "eth0", "nodad")
        for where, v4, v6 in ((clients, GATEWAY[4], GATEWAY[6]), (mailhost, "192.0.2.1", "2001:db8:25::1")):
            where.ip("route", "add", "default", "via", v4)
            where.ip("route", "add", "default", "via", v6)
        gateway.ip("route", "add", "default", "via", "192.0.2.130")
        gateway.ip("route", "add", "default", "via", "2001:db8:1::2")
        gateway.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        gateway.run("nft", BANS)
        yield Site(gateway, mailhost, clients, stack)


@pytest.fixture
def site(bare: Site) -> Site:
    """A gateway that follows connections and publishes the mail host under its own addresses as well."""
    bare.policy(CONNTRACK, DNAT)
    return bare


def hour(*nets: str, scope: Scope = Scope.ALL) -> list[Element]:
    return [Element(parse_network(net), 3600, scope) for net in nets]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("target", [MAILHOST, GATEWAY], ids=["routed", "dnat"])
@pytest.mark.parametrize("port", [993, 587], ids=["imap-idle", "submission"])
def test_an_idle_session_of_a_banned_source_is_freed_on_the_mail_host(site, family, target, port):
    talk = site.talk(ATTACKER[family], target[family], port)
    sessions = site.sessions()
    site.ban(ATTACKER[family])
    sessions.end(hour(ATTACKER[family]))
    talk.ends()
    sessions.close()
    assert (sessions.ended, sessions.faults, sessions.fault) == (1, 0, "")
    shown = site.mailhost.run("ss", "-Htna", "state", "connected", f"( sport = :{port} )")
    assert shown == ""
    with site.gateway.entered(), Conntrack() as table:
        assert table.flows(NetSet([parse_network(ATTACKER[family])])) == []


@pytest.mark.parametrize("family", [4, 6])
def test_a_banned_network_loses_its_sessions_and_others_keep_theirs(site, family):
    gone = [site.talk(who[family], GATEWAY[family], 993) for who in (ATTACKER, NEIGHBOUR)]
    kept = [site.talk(STRANGER[family], target[family], 993) for target in (GATEWAY, MAILHOST)]
    sessions = site.sessions()
    site.ban(AROUND[family])
    sessions.end(hour(AROUND[family]))
    for talk in gone:
        talk.ends()
    sessions.close()
    for talk in kept:
        talk.goes_on()
    assert sessions.ended == 2


@pytest.mark.parametrize("family", [4, 6])
def test_an_allowed_address_within_a_banned_network_keeps_its_session(site, family):
    gone = site.talk(ATTACKER[family], MAILHOST[family], 993)
    kept = site.talk(NEIGHBOUR[family], MAILHOST[family], 993)
    sessions = site.sessions(NEIGHBOUR[family])
    site.ban(ATTACKER[family])  # the table's own allow list is not what is tried here
    sessions.end(hour(AROUND[family]))
    gone.ends()
    sessions.close()
    kept.goes_on()
    assert sessions.ended == 1


@pytest.mark.parametrize("family", [4, 6])
def test_our_own_delivery_to_the_banned_address_goes_on(site, family):
    delivery = site.connected(site.mailhost, MAILHOST[family], site.clients, 25, ATTACKER[family])
    session = site.talk(ATTACKER[family], MAILHOST[family], 25)
    sessions = site.sessions()
    site.ban(ATTACKER[family])
    sessions.end(hour(ATTACKER[family]))
    session.ends()
    sessions.close()
    delivery.goes_on()
    assert sessions.ended == 1


@pytest.mark.parametrize("family", [4, 6])
def test_a_session_on_a_port_that_the_ban_leaves_open_goes_on(site, family):
    kept = [site.talk(ATTACKER[family], GATEWAY[family], port) for port in (993, OTHER_PORT)]
    gone = site.talk(ATTACKER[family], GATEWAY[family], 25)
    sessions = site.sessions()
    site.ban(ATTACKER[family], ports=(25,))
    sessions.end(hour(ATTACKER[family], scope=Scope.SMTP_IN))
    gone.ends()
    sessions.close()
    for talk in kept:
        talk.goes_on()
    assert sessions.ended == 1


@pytest.mark.parametrize("family", [4, 6])
def test_a_client_cannot_shield_its_session_with_odd_segments_of_its_own(site, family):
    """The mail host answers only one of them in half a second, so that ours goes without an answer at first."""
    talk = site.talk(ATTACKER[family], MAILHOST[family], 993)
    theirs = Ends(*address(talk.client.getsockname()), *address(talk.server.getsockname()))
    before = challenges(site.mailhost)
    with site.gateway.entered(), Forger() as forger:
        forger.send(theirs)
    assert challenges(site.mailhost) == before + 1
    sessions = site.sessions()
    site.ban(ATTACKER[family])
    sessions.end(hour(ATTACKER[family]))
    talk.ends()


def address(name: tuple) -> tuple[bytes, int]:
    return parse_network(name[0]).packed, name[1]


def challenges(where: Namespace) -> int:
    """How many challenge ACKs this namespace has sent."""
    return int(where.run("nstat", "-asz", "TcpExtTCPChallengeACK").split()[-2])


def test_without_connection_tracking_nothing_is_found_and_nothing_fails(bare):
    routed = bare.talk(ATTACKER[4], MAILHOST[4], 993)
    local = bare.connected(bare.clients, ATTACKER[4], bare.gateway, 143, GATEWAY[4])
    sessions = bare.sessions()
    sessions.end(hour(ATTACKER[4], AROUND[6]))
    local.ends()
    sessions.close()
    routed.goes_on()
    assert (sessions.ended, sessions.faults) == (1, 0)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("bound", ["own", "dual"])
def test_on_the_mail_host_itself_sockets_are_destroyed(bare, family, bound):
    with bare.gateway.entered():
        listening = (
            socket.create_server(("", 993), family=socket.AF_INET6, dualstack_ipv6=True)
            if bound == "dual"
            else socket.create_server((GATEWAY[family], 993), family=socket.AF_INET6 if family == 6 else socket.AF_INET)
        )
    gone = bare.accepted(bare.open.enter_context(listening), bare.clients, ATTACKER[family], GATEWAY[family])
    kept = bare.connected(bare.clients, STRANGER[family], bare.gateway, 587, GATEWAY[family])
    other = bare.connected(bare.clients, ATTACKER[family], bare.gateway, OTHER_PORT, GATEWAY[family])
    delivery = bare.connected(bare.gateway, GATEWAY[family], bare.clients, 25, ATTACKER[family])
    sessions = bare.sessions()
    bare.ban(ATTACKER[family])
    sessions.end(hour(ATTACKER[family]))
    gone.ends()
    sessions.close()
    for talk in (kept, other, delivery):
        talk.goes_on()
    assert (sessions.ended, sessions.faults) == (1, 0)


@pytest.mark.parametrize("family", [4, 6])
def test_on_the_mail_host_itself_a_destroyed_socket_is_not_counted_twice(bare, family):
    bare.policy("chain follow { type filter hook input priority 0; ct state established accept; }")
    talk = bare.connected(bare.clients, ATTACKER[family], bare.gateway, 993, GATEWAY[family])
    sessions = bare.sessions()
    bare.ban(ATTACKER[family])
    sessions.end(hour(AROUND[family]))
    talk.ends()
    sessions.close()
    assert sessions.ended == 1


@pytest.mark.parametrize("family", [4, 6])
def test_where_the_kernel_destroys_no_sockets_the_reset_frees_them(bare, family, monkeypatch):
    def refuse(*_: object) -> bool:
        raise OSError(errno.EOPNOTSUPP, "not built in")

    monkeypatch.setattr(local_sockets.LocalSockets, "destroy", refuse)
    bare.policy("chain follow { type filter hook input priority 0; ct state established accept; }")
    talk = bare.connected(bare.clients, ATTACKER[family], bare.gateway, 993, GATEWAY[family])
    sessions = bare.sessions()
    bare.ban(ATTACKER[family])
    sessions.end(hour(ATTACKER[family]))
    talk.ends()
    sessions.close()
    assert (sessions.ended, sessions.faults) == (1, 0)


def test_among_100000_flows_those_of_the_banned_source_go_and_no_other(site):
    mailhost = parse_network(MAILHOST[4]).packed
    crowd = [Ends((0x0B000000 + number).to_bytes(4, "big"), 40_000, mailhost, 993) for number in range(100_000)]
    shadow = parse_network(STRANGER[4])
    crowd += [Ends(shadow.packed, port, mailhost, 993) for port in range(1024, 2024)]
    with site.gateway.entered():
        track(crowd)
    talk = site.talk(ATTACKER[4], GATEWAY[4], 993)
    began = threading.Event()
    go = threading.Event()

    def wait(_: object) -> bool:
        began.set()
        go.wait(PATIENCE)
        return False

    with site.gateway.entered():
        sessions = Sessions(wait)
    site.open.callback(sessions.close)
    site.ban(ATTACKER[4], STRANGER[4])
    sessions.end(hour(ATTACKER[4]))
    assert began.wait(PATIENCE)
    sessions.end(hour(STRANGER[4]))  # returns while the first is still being looked at
    assert sessions.ended == 0
    go.set()
    talk.ends()
    with site.gateway.entered(), Conntrack() as table:
        while table.flows(NetSet([shadow])):
            assert sessions.faults == 0, sessions.fault
        assert sessions.ended == 1001
        assert len(table.flows(NetSet([parse_network("11.0.0.0/8")]))) == 100_000
    sessions.close()


@pytest.mark.parametrize("family", [4, 6])
def test_the_table_shows_each_client_its_own_flows_and_forgets_them_one_by_one(site, family):
    talk = site.talk(ATTACKER[family], GATEWAY[family], 143)
    site.talk(NEIGHBOUR[family], GATEWAY[family], 143)
    asked = Ends(*address(talk.client.getsockname()), *address((GATEWAY[family], 143)))
    answered = Ends(*address((MAILHOST[family], 143)), *address(talk.client.getsockname()))
    with site.gateway.entered(), Conntrack() as table:
        (found,) = table.flows(NetSet([parse_network(ATTACKER[family])]))
        assert (found.original, found.reply, found.live) == (asked, answered, True)
        assert len(table.flows(NetSet([parse_network(AROUND[family])]))) == 2
        assert table.delete(found)
        assert not table.delete(found)
        assert table.flows(NetSet([parse_network(ATTACKER[family])])) == []


def track(flows: list[Ends]) -> None:
    """Put these into the connection table of this namespace as if they were established."""
    established = nested(conntrack.CTA_PROTOINFO, nested(1, attribute(1, bytes([3]))))
    timeout = attribute(7, be32(3600))
    flags = REQUEST | CREATE | EXCLUSIVE
    messages = []
    for ends in flows:
        tuples = tuple_of(conntrack.CTA_TUPLE_ORIG, ends) + tuple_of(conntrack.CTA_TUPLE_REPLY, ends.turned())
        body = bytes([2, 0, 0, 0]) + tuples + timeout + established
        messages.append(HEADER.pack(HEADER.size + len(body), conntrack.NEW, flags, 0, 0) + body)
    netlink = Netlink()
    try:
        for at in range(0, len(messages), 1000):
            netlink.socket.send(b"".join(messages[at : at + 1000]))
        netlink.socket.setblocking(False)
        with pytest.raises(BlockingIOError):  # only a refusal would have been answered
            netlink.socket.recv(1)
    finally:
        netlink.close()
