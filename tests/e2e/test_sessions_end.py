"""A ban ends what the attacker has open on the mail host, at the mail host too, and nothing else."""

import base64
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.mailhost import PASSWORD, USER, MailHost
from e2e.wire import CLIENT, MAIL, Host, World, wait_until
from e2e.zward import EVERYTHING, PUBLIC, Zward

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("mailhost", ["tcp-octet-counted"], indirect=True)]

GUESSES = 6
SECONDS = 10.0
"""Longest wait for an answer."""
NEIGHBOUR = "203.0.113.20"
"""Another client than the operator's."""


class Smtp:
    """A client that speaks SMTP over TLS and stays: swaks cannot."""

    def __init__(self, host: Host, source: str, target: str, port: int) -> None:
        raw = host.new_socket(target)
        raw.settimeout(SECONDS)
        raw.bind((source, 0))
        raw.connect((target, port))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._plain = raw
        assert self._answer(raw).startswith("220")
        assert self._ask(raw, "EHLO x").startswith("250")
        assert self._ask(raw, "STARTTLS").startswith("220")
        self._socket = context.wrap_socket(raw)
        assert "AUTH" in self.say("EHLO x")

    def close(self) -> None:
        self._socket.close()

    @property
    def port(self) -> int:
        """Our own."""
        return int(self._socket.getsockname()[1])

    def log_in(self, password: str = PASSWORD) -> str:
        """The answer to AUTH PLAIN (RFC 4616)."""
        return self.say("AUTH PLAIN " + base64.b64encode(f"\0{USER}\0{password}".encode()).decode())

    def say(self, words: str) -> str:
        return self._ask(self._socket, words)

    def _ask(self, where: socket.socket, words: str) -> str:
        where.sendall(words.encode() + b"\r\n")
        return self._answer(where)

    @staticmethod
    def _answer(where: socket.socket) -> str:
        """All lines of one reply (RFC 5321 4.2.1)."""
        said = b""
        while not said.endswith(b"\r\n") or said.splitlines()[-1][3:4] == b"-":
            part = where.recv(4096)
            assert part, f"closed after {said!r}"
            said += part
        return said.decode()


class Idling:
    """An IMAP client that waits for mail, and the server's end of that: nobody says anything."""

    def __init__(self, mailhost: MailHost, host: Host, source: str, target: str) -> None:
        self.client = host.new_socket(target)
        self.client.settimeout(SECONDS)
        self.client.bind((source, 0))
        self.client.connect((target, 143))
        listener = mailhost.listeners[143]
        listener.settimeout(SECONDS)
        self.server, peer = listener.accept()
        assert peer[0].removeprefix("::ffff:") == source, "the mail host does not see the client's own address"
        self.server.settimeout(SECONDS)
        self.goes_on()

    def goes_on(self) -> None:
        self.client.sendall(b"idle")
        assert self.server.recv(16) == b"idle"
        self.server.sendall(b"+ idling")
        assert self.client.recv(16) == b"+ idling"

    def close(self) -> None:
        self.client.close()
        self.server.close()


def sockets(mailhost: MailHost, source: str) -> set[tuple[int, int]]:
    """What the mail host has open with this address: its own port and the other's."""
    listed = mailhost.host.run("ss", "-Htn", "state", "connected", "dst", source)
    assert listed.returncode == 0, listed.stderr
    ends = [line.split()[-2:] for line in listed.stdout.splitlines()]
    return {(int(own.rpartition(":")[2]), int(peer.rpartition(":")[2])) for own, peer in ends}


@pytest.fixture
def zward(world: World, mailhost: MailHost, place: Path) -> Iterator[Zward]:
    """With a policy: it has the gateway follow connections."""
    with contextlib.suppress(AssertionError):  # it has that address from the test before
        world.client.add_address(NEIGHBOUR)
    with Zward(world.gateway, place, more=EVERYTHING) as started:
        yield started


@pytest.fixture
def attacker(world: World) -> str:
    return world.new_attacker()


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    """Closed after the test."""
    with contextlib.ExitStack() as stack:
        yield stack


def test_six_wrong_passwords_end_every_session_of_the_guesser_and_of_nobody_else(
    world: World,
    mailhost: MailHost,
    zward: Zward,
    attacker: str,
    opened: contextlib.ExitStack,
    record_property: Callable[[str, object], None],
) -> None:
    submission = opened.enter_context(contextlib.closing(Smtp(world.attacker, attacker, PUBLIC[4], 587)))
    assert submission.log_in().startswith("235")
    idling = opened.enter_context(contextlib.closing(Idling(mailhost, world.attacker, attacker, PUBLIC[4])))
    others = [
        opened.enter_context(contextlib.closing(Idling(mailhost, world.client, client, PUBLIC[4])))
        for client in (CLIENT[4], NEIGHBOUR)
    ]
    neighbour = opened.enter_context(contextlib.closing(Smtp(world.client, NEIGHBOUR, PUBLIC[4], 587)))
    assert neighbour.log_in().startswith("235")

    guesser = opened.enter_context(contextlib.closing(Smtp(world.attacker, attacker, PUBLIC[4], 25)))
    for _ in range(GUESSES - 1):
        assert guesser.log_in("wrong").startswith("535")
    wait_until("all but one are counted", lambda: zward.metric("zward_attempts_total") == GUESSES - 1)
    assert sockets(mailhost, attacker) >= {(143, idling.client.getsockname()[1]), (587, submission.port)}

    began = time.monotonic()
    assert guesser.log_in("wrong").startswith("535")
    with pytest.raises(ConnectionResetError):
        idling.server.recv(16)
    idle_seconds = time.monotonic() - began
    wait_until("the mail host has forgotten him", lambda: sockets(mailhost, attacker) == set())
    all_seconds = time.monotonic() - began

    assert attacker in zward.in_kernel("ban4")
    for other in others:
        other.goes_on()
    assert neighbour.say("NOOP").startswith("250")
    wait_until("they are counted", lambda: zward.metric("zward_sessions_ended_total") >= 3)
    record_property("idle session reset after its sixth wrong password, seconds", round(idle_seconds, 3))
    record_property("all sessions of the attacker gone, seconds", round(all_seconds, 3))
    print(f"\nfrom the sixth 535: idle IMAP reset {idle_seconds:.3f} s, all sockets gone {all_seconds:.3f} s")


@pytest.mark.parametrize("family", [4, 6])
def test_our_own_delivery_to_a_banned_mail_server_still_flows(
    world: World, mailhost: MailHost, zward: Zward, opened: contextlib.ExitStack, family: int
) -> None:
    server = world.new_attacker(family)
    listener = opened.enter_context(world.attacker.listen([25])[0])
    listener.settimeout(SECONDS)

    def delivery() -> tuple[socket.socket, socket.socket]:
        made = opened.enter_context(mailhost.host.new_socket(server))
        made.settimeout(SECONDS)
        made.bind((MAIL[family], 0))
        made.connect((server, 25))
        accepted = opened.enter_context(listener.accept()[0])
        accepted.settimeout(SECONDS)
        return made, accepted

    def flows(ours: socket.socket, theirs: socket.socket) -> None:
        theirs.sendall(b"220 mx")
        assert ours.recv(16) == b"220 mx"
        ours.sendall(b"EHLO")
        assert theirs.recv(16) == b"EHLO"

    before = delivery()
    session = opened.enter_context(contextlib.closing(Idling(mailhost, world.attacker, server, PUBLIC[family])))
    for _ in range(GUESSES):
        mailhost.audit_failure(server)
    with pytest.raises(ConnectionResetError):
        session.server.recv(16)
    assert not world.attacker.connects(server, PUBLIC[family], 25, 0.2)
    flows(*before)
    flows(*delivery())


@pytest.mark.parametrize("scope", ["login", "smtp-in"])
def test_a_ban_of_narrow_scope_leaves_sessions_on_other_ports(
    world: World, mailhost: MailHost, zward: Zward, attacker: str, opened: contextlib.ExitStack, scope: str
) -> None:
    idling = opened.enter_context(contextlib.closing(Idling(mailhost, world.attacker, attacker, PUBLIC[4])))
    smtp = opened.enter_context(contextlib.closing(Smtp(world.attacker, attacker, PUBLIC[4], 25)))
    done = zward.command("ban", attacker, "--for", "10m", "--reason", "narrow", "--scope", scope)
    assert done.returncode == 0, done.stderr
    gone, kept = (143, 25) if scope == "login" else (25, 143)
    wait_until("its sessions end", lambda: gone not in {own for own, _ in sockets(mailhost, attacker)})
    assert kept in {own for own, _ in sockets(mailhost, attacker)}
    if kept == 25:
        assert smtp.say("NOOP").startswith("250")
    else:
        idling.goes_on()
