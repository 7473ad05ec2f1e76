"""What the running daemon makes of users and attackers: lines come in by TCP, and packets say what follows."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from e2e.forwarder import Forwarder
from e2e.wire import CLIENT, MAIL, World, wait_until
from e2e.zward import Zward

pytestmark = pytest.mark.e2e

ANA, BOB, EVE = (f"{name}@example.com" for name in ("ana", "bob", "eve"))
SSH = 22
HASTY = '[detect.siege]\ngrace = "2s"\n'
"""A siege in which a stranger has two seconds to log in after its first failure."""
PATIENCE = 20.0
SYN = 0.4
"""Seconds for which an answer to a SYN is awaited where none is expected."""


@pytest.fixture
def listening(world: World) -> Iterator[None]:
    """A mail host that answers at the ports that are knocked at here."""
    with contextlib.ExitStack() as stack:
        for listener in world.mail.listen([SSH, 25, 443, 993]):
            stack.enter_context(listener)
        yield


@pytest.fixture
def started(world: World, place: Path, listening: None) -> Iterator[Callable[[str], tuple[Zward, Forwarder]]]:
    """Start zward with this end of the configuration, and a log that it receives."""
    with contextlib.ExitStack() as stack:

        def start(more: str) -> tuple[Zward, Forwarder]:
            zward = stack.enter_context(Zward(world.gateway, place, more=more))
            return zward, stack.enter_context(Forwarder(world.mail))

        yield start


Start = Callable[[str], tuple[Zward, Forwarder]]


def read(zward: Zward, log: Forwarder) -> None:
    """Every line that was sent has become an event."""
    wait_until("all lines are read", lambda: zward.metric("zward_events_total") >= len(log.sent), PATIENCE)


def opens(world: World, source: str, *ports: int) -> list[bool]:
    """Which of these ports answer a SYN of the attacker's."""
    return [world.attacker.connects(source, MAIL[4], port, SYN) for port in ports]


def besiege(world: World, zward: Zward, log: Forwarder) -> None:
    """Ana's account is hers; then five strangers fail at it once each."""
    log.success(CLIENT[4], ANA)
    for _ in range(5):
        log.failure(world.new_attacker())
    read(zward, log)
    assert list(zward.told("status")["conditions"]) == ["siege"]


def test_in_a_siege_a_stranger_has_one_try_and_some_seconds_to_log_in(world: World, started: Start) -> None:
    zward, log = started(HASTY)
    besiege(world, zward, log)
    assert f"strangers besiege {ANA}" in zward.command("status").stdout

    honest, stranger = world.new_attacker(), world.new_attacker()
    log.failure(honest)
    log.success(honest, ANA)
    failed = time.time()
    log.failure(stranger)
    wait_until("the stranger's grace is over", lambda: zward.bans(), PATIENCE)

    bans = zward.bans()
    assert list(bans) == [stranger]
    ban = bans[stranger]
    assert (ban["detector"], ban["scope"]) == ("siege", "login")
    assert datetime.fromisoformat(ban["since"]).timestamp() >= int(failed) + 2
    assert f"no login within 2 s): 1 bad password on {ANA} over imap" in ban["reason"]
    wait_until("it is in the kernel", lambda: not opens(world, stranger, 993)[0], PATIENCE)
    assert opens(world, stranger, 25) == [True]
    assert opens(world, honest, 993, 25) == [True, True]

    told = zward.told("account", ANA)
    assert told["besieged_since"]
    assert told["budget"]["words"] == "7 of 10 in 30 min (7 strangers)"
    assert [login["address"] for login in told["logins"]] == [CLIENT[4]]


def test_a_fence_leaves_login_ports_to_known_sources_until_the_siege_ends(world: World, started: Start) -> None:
    zward, log = started('[detect.siege]\nquiet = "15s"\n[detect.siege.fence]\nenabled = true\n')
    stranger = world.new_attacker()
    assert opens(world, stranger, 993) == [True]
    besiege(world, zward, log)

    wait_until("the fence stands", lambda: not opens(world, stranger, 993)[0], PATIENCE)
    assert world.client.connects(CLIENT[4], MAIL[4], 993)
    assert opens(world, stranger, 443, 25) == [True, True]
    assert zward.bans() == {}

    wait_until("the siege is over", lambda: opens(world, stranger, 993)[0], 2 * PATIENCE)
    assert zward.told("status")["conditions"] == {}


def test_a_stale_phone_in_an_office_is_told_of_and_bans_nobody(world: World, started: Start) -> None:
    zward, log = started("")
    for account in (ANA, BOB, EVE):
        log.success(CLIENT[4], account)
    log.failure(CLIENT[4], ANA, times=200)
    read(zward, log)

    assert zward.metric("zward_attempts_total") == 200
    assert zward.bans() == {}
    assert zward.metric("zward_bans_total") == 0
    assert world.client.connects(CLIENT[4], MAIL[4], 993)
    assert "a device with an old password; it is not banned" in zward.said.read_text()
    told = zward.told("account", ANA)
    assert told["budget"]["words"].endswith("(0 strangers, 1 known device)")
    assert [(login["address"], login["is_office"]) for login in told["logins"]] == [(CLIENT[4], True)]


def stop(zward: Zward) -> None:
    zward.stop()
    zward.start()


def kill(zward: Zward) -> None:
    zward.kill()
    zward.start()


def reload(zward: Zward) -> None:
    zward.reloaded()


@pytest.mark.parametrize("begin_anew", [stop, kill, reload])
def test_a_restart_in_the_middle_of_an_attack_gives_nobody_a_fresh_start(
    world: World, started: Start, begin_anew: Callable[[Zward], None]
) -> None:
    zward, log = started("")
    attacker = world.new_attacker()
    for account in (ANA, BOB, EVE):
        log.success(CLIENT[4], account)
    log.failure(attacker, times=5)
    read(zward, log)
    wait_until("the disk has it all", lambda: stored(zward) == (5, 3), PATIENCE)

    begin_anew(zward)
    assert zward.bans() == {}
    assert zward.told("account", ANA)["budget"]["used"] == 5
    assert zward.told("account", EVE)["logins"][0]["is_office"]
    with Forwarder(world.mail) as after:
        after.failure(CLIENT[4], BOB, times=6)  # familiar as before
        after.failure(attacker)
        wait_until("the sixth failure bans", lambda: attacker in zward.in_kernel("ban4"), PATIENCE)
    bans = zward.bans()
    assert list(bans) == [attacker]
    assert "6 points in 30 min (limit 6): 6 bad passwords" in bans[attacker]["reason"]
    assert opens(world, attacker, 993) == [False]


def stored(zward: Zward) -> tuple[int, int]:
    """How many failed attempts are kept as evidence, and how many logins are familiar, on the disk."""
    with contextlib.closing(sqlite3.connect(f"file:{zward.directory}/lib/zward.db?mode=ro", uri=True)) as store:
        [failures] = store.execute("SELECT coalesce(sum(count), 0) FROM evidence WHERE outcome = 'bad_password'")
        [logins] = store.execute("SELECT count(*) FROM familiar")
    return failures[0], logins[0]


def test_a_replay_of_the_lines_bans_whom_the_daemon_banned(world: World, started: Start, place: Path) -> None:
    zward, log = started(HASTY)
    log.success(CLIENT[4], ANA)
    for _ in range(5):
        log.failure(world.new_attacker())
    besieger, guesser, sprayer = world.new_attacker(), world.new_attacker(), world.new_attacker()
    log.failure(besieger)
    log.failure(guesser, BOB, times=8)
    for number in range(4):
        log.failure(sprayer, f"user{number}@example.com")
    log.failure(CLIENT[4], ANA, times=8)
    wait_until("three are banned", lambda: zward.metric("zward_bans_total") == 3, PATIENCE)
    log.success(CLIENT[4], ANA)  # a replay's clock stands still after the last line
    read(zward, log)

    lines = place / "forwarded.log"
    lines.write_bytes(b"".join(frame.partition(b">")[2] + b"\n" for frame in log.sent))
    replayed = zward.told("replay", str(lines))
    assert replayed["lines"] == len(log.sent)
    assert verdicts(replayed["bans"]) == verdicts({"source": source} | ban for source, ban in zward.bans().items())
    assert {ban["source"] for ban in replayed["bans"]} == {besieger, guesser, sprayer}


def verdicts(bans: Any) -> list[str]:
    return sorted(json.dumps([ban["source"], ban["detector"], ban["reason"]]) for ban in bans)


def test_a_guesser_at_ssh_is_kept_from_ssh_and_from_the_mail(world: World, started: Start) -> None:
    zward, log = started('[sshd]\nenabled = true\nports = "22"\n')
    attacker, other = world.new_attacker(), world.new_attacker()
    assert opens(world, attacker, SSH, 993) == [True, True]
    for _ in range(6):
        log.ssh_failure(attacker)
    wait_until("it is banned", lambda: attacker in zward.in_kernel("ban4"), PATIENCE)
    assert "6 bad passwords on root over ssh" in zward.bans()[attacker]["reason"]
    assert opens(world, attacker, SSH, 993, 25) == [False, False, False]
    assert opens(world, other, SSH, 993) == [True, True]
