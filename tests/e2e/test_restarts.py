"""Whatever part of zward dies, the bans stand, and it goes on."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from e2e.mailhost import MailHost
from e2e.services import helper_alone, nth_source, remember
from e2e.wire import GATEWAY, MAIL, PORTS, World, wait_until
from e2e.zward import EVERYTHING, PUBLIC, Zward

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("mailhost", ["tcp-octet-counted"], indirect=True)]

AT_THE_FIRST_FAILURE = """[detect.guessing]
points = 1
[detect.fuse]
mode = "off"
[detect.neighbourhood]
mode = "off"
"""
PATIENCE = 20.0
SECONDS_OF_A_PAGE = 2.0
"""The goal is 1; a receiver that waits for its helper answers after 5."""

Record = Callable[[str, object], None]


@pytest.fixture
def zward(world: World, mailhost: MailHost, place: Path) -> Iterator[Zward]:
    with Zward(world.gateway, place, more=EVERYTHING) as started:
        yield started


def ban_by_lines(mailhost: MailHost, zward: Zward, source: str) -> None:
    for _ in range(6):
        mailhost.audit_failure(source)
    wait_until(f"{source} is banned", lambda: source in zward.in_kernel("ban4"), PATIENCE)


def replaced(zward: Zward, part: str, dead: int) -> float:
    """Seconds until another process has taken the place of this one."""
    began = time.monotonic()
    wait_until(f"the {part} is back", lambda: [pid for pid in zward.parts(part) if pid != dead], PATIENCE)
    return time.monotonic() - began


def test_a_killed_receiver_leaves_helper_and_bans_and_decides_again(
    world: World, mailhost: MailHost, zward: Zward, record_property: Record
) -> None:
    first, second = world.new_attacker(), world.new_attacker()
    ban_by_lines(mailhost, zward, first)
    helper, receiver = zward.part("helper"), zward.part("receiver")

    os.kill(receiver, signal.SIGKILL)
    began = time.monotonic()
    assert world.attacker.open_ports(first, PUBLIC[4], 0.2) == set()
    wait_until("it is ready again", lambda: _is_up(zward), PATIENCE)
    seconds = time.monotonic() - began
    record_property("receiver ready again after kill -9, seconds", round(seconds, 3))
    print(f"\nreceiver ready again {seconds:.3f} s after kill -9")

    assert zward.part("helper") == helper
    assert zward.part("receiver") != receiver
    assert "the receiver was killed by SIGKILL; it is started again" in zward.said.read_text()
    assert list(zward.bans()) == [first]
    ban_by_lines(mailhost, zward, second)
    assert zward.in_kernel("ban4") == {first, second}


def _is_up(zward: Zward) -> bool:
    with contextlib.suppress(ConnectionError):
        return zward.get("/readyz")[0] == 200
    return False


def test_a_killed_helper_is_back_and_no_ban_is_lost_and_nobody_waited(
    world: World, mailhost: MailHost, place: Path, record_property: Record
) -> None:
    with Zward(world.gateway, place, more=EVERYTHING + AT_THE_FIRST_FAILURE) as zward, _failures(world) as sent:
        wait_until("bans come in", lambda: zward.count_in_kernel("ban4") > 100)
        with _asking(zward) as pages:
            took, served = [], []
            for _ in range(5):
                dead = zward.part("helper")
                began = time.monotonic()
                os.kill(dead, signal.SIGKILL)
                took.append(replaced(zward, "helper", dead))
                count = zward.count_in_kernel("ban4")
                wait_until("bans come in again", lambda n=count: zward.count_in_kernel("ban4") > n, PATIENCE)
                served.append(time.monotonic() - began)
                wait_until("many do", lambda n=count: zward.count_in_kernel("ban4") > n + 100, PATIENCE)
        sent.over.set()
        sent.thread.join(PATIENCE)
        expected = set(map(nth_source, range(sent.count)))
        wait_until("all are banned", lambda: zward.count_in_kernel("ban4") == len(expected), PATIENCE)
        assert zward.in_kernel("ban4") == expected
        assert all(0 < left <= 600 for left in zward.seconds_left("ban4").values())
        assert zward.metric("zward_bans_total") == zward.metric("zward_bans_active") == len(expected)
        assert "the receiver was" not in zward.said.read_text()
        assert max(pages) < SECONDS_OF_A_PAGE
    record_property("helper started again after kill -9, seconds, worst of 5", round(max(took), 3))
    record_property("first ban after kill -9 of the helper, seconds, worst of 5", round(max(served), 3))
    record_property("slowest of /readyz and /metrics meanwhile, seconds", round(max(pages), 3))
    print(
        f"\nhelper back after at most {max(took):.3f} s, its first ban after {max(served):.3f} s; "
        f"{len(expected)} bans under way; "
        f"slowest of {len(pages)} pages {max(pages):.3f} s"
    )


class Failures:
    """A thread that sends a failed login of a new source every few milliseconds."""

    def __init__(self, world: World) -> None:
        self.count = 0
        self.over = threading.Event()
        self._sender = world.mail.new_socket(GATEWAY[4])
        self._sender.connect((GATEWAY[4], 5514))
        self.thread = threading.Thread(target=self._send)

    def _send(self) -> None:
        with self._sender:
            while not self.over.wait(0.003):
                line = sasl_failure(nth_source(self.count))
                self._sender.sendall(b"%d %b" % (len(line), line))
                self.count += 1


@contextlib.contextmanager
def _failures(world: World) -> Iterator[Failures]:
    sending = Failures(world)
    sending.thread.start()
    try:
        yield sending
    finally:
        sending.over.set()
        sending.thread.join(PATIENCE)


def sasl_failure(source: str) -> bytes:
    """One wrong password over SMTP, as rsyslog forwards it."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return (
        f"<20>{now} mbox1 postfix/submission/smtpd[4021]: warning: unknown[{source}]: "
        "SASL LOGIN authentication failed: authentication failure, sasl_username=ana@example.com"
    ).encode()


@contextlib.contextmanager
def _asking(zward: Zward) -> Iterator[list[float]]:
    """Meanwhile a thread reads pages; the seconds that each took."""
    took: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.02):
            for page in ("/readyz", "/metrics"):
                began = time.monotonic()
                with contextlib.suppress(TimeoutError):
                    zward.get(page)
                took.append(time.monotonic() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join(PATIENCE)


def test_after_a_crash_of_everything_bans_stand_with_what_is_left_of_their_time(
    world: World, mailhost: MailHost, zward: Zward
) -> None:
    attacker, by_hand = world.new_attacker(), world.new_attacker()
    ban_by_lines(mailhost, zward, attacker)
    assert zward.command("ban", by_hand, "--for", "2h", "--reason", "by hand").returncode == 0
    wait_until("both are banned", lambda: zward.in_kernel("ban4") == {attacker, by_hand})
    before, left = zward.bans(), zward.seconds_left("ban4")

    zward.kill()
    assert zward.in_kernel("ban4") == {attacker, by_hand}
    assert world.attacker.open_ports(attacker, PUBLIC[4], 0.2) == set()
    zward.start()

    after, later = zward.bans(), zward.seconds_left("ban4")
    kept = ("until", "since", "reason", "detector", "scope")
    assert {net: [row[key] for key in kept] for net, row in after.items()} == {
        net: [row[key] for key in kept] for net, row in before.items()
    }
    assert all(0 < later[source] <= left[source] for source in left)
    assert world.attacker.open_ports(by_hand, PUBLIC[4], 0.2) == set()
    assert world.attacker.open_ports(world.new_attacker(), PUBLIC[4]) == set(PORTS) - {7071}


def test_a_second_zward_with_the_same_directory_is_refused_and_the_first_goes_on(
    world: World, mailhost: MailHost, zward: Zward
) -> None:
    parts = zward.children()
    second = zward.runs_out()
    assert second.returncode == 1
    assert second.stderr.strip().endswith(f"zward does not start: another zward runs with {zward.firewall}")
    assert zward.children() == parts
    assert zward.get("/readyz")[0] == 200
    ban_by_lines(mailhost, zward, world.new_attacker())


def test_at_a_boot_the_stored_bans_are_in_force_before_the_receiver_is(
    world: World, mailhost: MailHost, place: Path
) -> None:
    zward = Zward(world.gateway, place, more=EVERYTHING)
    attacker = world.new_attacker()
    with zward:
        ban_by_lines(mailhost, zward, attacker)
        left = zward.seconds_left("ban4")[attacker]
        zward.stop()
    assert zward.tables() == set()  # as the kernel is after a boot
    with helper_alone(zward) as helper:
        as_root = zward.command("firewall", "restore")
        assert (as_root.returncode, "restore its bans as that user" in as_root.stderr) == (6, True)
        restored = zward.command_of_receiver("firewall", "restore")
        assert (restored.returncode, restored.stdout) == (0, "bans in force: 1\n"), restored.stderr
        assert 0 < zward.seconds_left("ban4")[attacker] <= left
        assert world.attacker.open_ports(attacker, PUBLIC[4], 0.2) == set()
        assert world.attacker.open_ports(world.new_attacker(), PUBLIC[4]) == set(PORTS) - {7071}

        zward.start_receiver()
        assert list(zward.bans()) == [attacker]
        ban_by_lines(mailhost, zward, world.new_attacker())
        assert helper.process
        assert helper.process.poll() is None


def test_a_hundred_thousand_bans_are_restored_at_a_boot(
    world: World, mailhost: MailHost, place: Path, record_property: Record
) -> None:
    zward = Zward(world.gateway, place)
    attacker = world.new_attacker()
    remember(zward, [attacker, *map(nth_source, range(99_999))])
    with helper_alone(zward):
        began = time.monotonic()
        restored = zward.command_of_receiver("firewall", "restore")
        seconds = time.monotonic() - began
        assert (restored.returncode, restored.stdout) == (0, "bans in force: 100000\n"), restored.stderr
        assert zward.count_in_kernel("ban4") == 100_000
        assert not world.attacker.connects(attacker, MAIL[4], 443, 0.2)
    record_property("100,000 bans restored at a boot, seconds", round(seconds, 3))
    print(f"\n100000 bans restored in {seconds:.3f} s, the command's own start included")
