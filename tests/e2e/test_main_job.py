"""Real guesses at a real mail host, told by a real rsyslog, end in the kernel's ban sets and nowhere else."""

import itertools
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest
from e2e.mailhost import POSTFIX_PORTS, MailHost
from e2e.wire import CLIENT, MAIL, PORTS, World, wait_until
from e2e.zward import Zward

pytestmark = pytest.mark.e2e

LIMIT = 6
"""Wrong passwords that the guessing detector bans for."""


class MakeZward(Protocol):
    def __call__(self, ban: str = "10m") -> AbstractContextManager[Zward]: ...


@pytest.fixture
def gateway(world: World, mailhost: MailHost, place: Path) -> MakeZward:
    """Makes a zward on the gateway; the mail host forwards to it already."""
    return lambda ban="10m": Zward(world.gateway, place, ban)


def guess(mailhost: MailHost, attacker: str, times: int) -> None:
    for port in itertools.islice(itertools.cycle(POSTFIX_PORTS), times):
        mailhost.guess(attacker, port)


def banned_attacker(world: World, mailhost: MailHost, zward: Zward) -> str:
    """A new attacker who has guessed until the kernel shut him out."""
    attacker = world.new_attacker()
    guess(mailhost, attacker, LIMIT)
    wait_until(f"{attacker} is banned", lambda: attacker in zward.in_kernel("ban4"))
    return attacker


def test_a_guesser_is_shut_out_of_every_port_and_nobody_else_is(
    world: World, mailhost: MailHost, gateway: MakeZward
) -> None:
    attacker = world.new_attacker()
    with gateway() as zward:
        guess(mailhost, attacker, LIMIT - 1)
        wait_until("five attempts are counted", lambda: zward.metric("zward_attempts_total") == LIMIT - 1)
        assert world.attacker.open_ports(attacker, MAIL[4]) == set(PORTS)

        guess(mailhost, attacker, 1)
        wait_until(f"{attacker} is banned", lambda: attacker in zward.in_kernel("ban4"))
        assert world.attacker.open_ports(attacker, MAIL[4]) == set()
        assert world.client.open_ports(CLIENT[4], MAIL[4]) == set(PORTS)

        assert zward.in_kernel("ban4") == {attacker}
        bans = zward.bans()
        assert list(bans) == [attacker]
        assert bans[attacker]["detector"] == "guessing"
        assert str(LIMIT) in bans[attacker]["reason"]
        assert zward.metric("zward_bans_total") == zward.metric("zward_bans_active") == 1
        wait_until("drops are told", lambda: zward.metric("zward_dropped_packets_total") >= len(PORTS))


def test_an_ipv6_guesser_is_shut_out_with_his_whole_64(world: World, mailhost: MailHost, gateway: MakeZward) -> None:
    attacker, stranger = world.new_attacker(6), world.new_attacker(6)
    neighbour = attacker.replace("::66", "::67")
    world.attacker.add_address(neighbour)
    network = attacker.replace("::66", "::")
    with gateway() as zward:
        assert world.attacker.open_ports(attacker, MAIL[6]) == set(PORTS)
        for _ in range(LIMIT):
            mailhost.audit_failure(attacker)
        wait_until(f"{network}/64 is banned", lambda: network in zward.in_kernel("ban6n"))
        assert world.attacker.open_ports(attacker, MAIL[6]) == set()
        assert world.attacker.open_ports(neighbour, MAIL[6]) == set()
        assert world.attacker.open_ports(stranger, MAIL[6]) == set(PORTS)
        assert world.client.open_ports(CLIENT[6], MAIL[6]) == set(PORTS)
        assert zward.bans()[f"{network}/64"]["detector"] == "guessing"


def test_a_ban_ends_by_itself(world: World, mailhost: MailHost, gateway: MakeZward) -> None:
    with gateway(ban="6s") as zward:
        attacker = banned_attacker(world, mailhost, zward)
        assert attacker in zward.bans()
        wait_until("the ban has ended", lambda: world.attacker.connects(attacker, MAIL[4], 443, 0.2))
        assert zward.in_kernel("ban4") == set()
        assert world.attacker.open_ports(attacker, MAIL[4]) == set(PORTS)
        wait_until("zward knows that too", lambda: not zward.bans())


def test_unban_frees_at_once(world: World, mailhost: MailHost, gateway: MakeZward) -> None:
    with gateway() as zward:
        attacker = banned_attacker(world, mailhost, zward)
        assert world.attacker.open_ports(attacker, MAIL[4]) == set()
        lifted = zward.command("unban", attacker)
        assert lifted.returncode == 0, lifted.stderr
        assert world.attacker.open_ports(attacker, MAIL[4]) == set(PORTS)
        assert zward.bans() == {}
        assert zward.command("unban", attacker).returncode == 3


def test_a_killed_zward_loses_no_ban(world: World, mailhost: MailHost, gateway: MakeZward) -> None:
    with gateway() as zward:
        attacker = banned_attacker(world, mailhost, zward)
        before = zward.bans()[attacker]
        zward.kill()
        assert world.attacker.open_ports(attacker, MAIL[4]) == set()
        zward.start()
        assert world.attacker.open_ports(attacker, MAIL[4]) == set()
        after = zward.bans()[attacker]
        assert {key: after[key] for key in ("reason", "detector")} == {
            key: before[key] for key in ("reason", "detector")
        }
        assert zward.command("unban", attacker).returncode == 0
        assert world.attacker.open_ports(attacker, MAIL[4]) == set(PORTS)


def test_guesses_made_while_zward_is_down_are_judged_later_by_tcp_and_lost_by_udp(
    world: World, mailhost: MailHost, gateway: MakeZward
) -> None:
    attacker = world.new_attacker()
    with gateway() as zward:
        zward.kill()
        guess(mailhost, attacker, LIMIT)
        zward.start()
        if mailhost.transport == "udp":
            guess(mailhost, attacker, 1)
            wait_until("that one is counted", lambda: zward.metric("zward_attempts_total"))
            assert zward.metric("zward_attempts_total") == 1
        else:
            wait_until(f"{attacker} is banned", lambda: attacker in zward.in_kernel("ban4"))
