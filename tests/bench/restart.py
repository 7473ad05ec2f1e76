"""100,000 bans: how long they take to decide and load, and that a restart leaves no moment without them."""

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.lines import nth_attacker, sasl_failure, stream
from bench.machine import resident_megabytes
from e2e.wire import GATEWAY, MAIL, Host, World, wait_until
from e2e.zward import Zward

BANS = 100_000
AT_THE_FIRST_FAILURE = "[detect.guessing]\npoints = 1\n"
PROBE_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Restart:
    bans: int
    decided: float
    """Seconds from the first line to all bans in the kernel."""
    in_kernel_while_down: int
    ready: float
    """Seconds from exec to /readyz 200."""
    answered: float
    """Seconds from exec until `zward status` has told how many there are."""
    in_kernel_after: int
    knocks: int
    """SYNs of one banned attacker while zward was down and came back."""
    let_through: int
    megabytes: float


def measure(world: World) -> Restart:
    attacker = world.new_attacker()
    with (
        tempfile.TemporaryDirectory(prefix="zward-bench-") as directory,
        Zward(world.gateway, Path(directory), ban="1h", more=AT_THE_FIRST_FAILURE) as zward,
        contextlib.closing(world.mail.listen([443])[0]),
    ):
        assert world.attacker.connects(attacker, MAIL[4], 443)
        decided = _ban_everybody(world, zward, attacker)
        with _knocking(world.attacker, attacker) as answers:
            zward.kill()
            while_down = len(zward.in_kernel("ban4"))
            began = time.monotonic()
            zward.start()
            ready = time.monotonic() - began
            told = json.loads(zward.command("status", "--json").stdout)["bans"]
            answered = time.monotonic() - began
            assert told == BANS, f"`zward status` tells of {told} bans, not {BANS}"
        return Restart(
            bans=BANS,
            decided=decided,
            in_kernel_while_down=while_down,
            ready=ready,
            answered=answered,
            in_kernel_after=len(zward.in_kernel("ban4")),
            knocks=len(answers),
            let_through=sum(answers),
            megabytes=resident_megabytes(world.gateway.pids()),
        )


def _ban_everybody(world: World, zward: Zward, attacker: str) -> float:
    now = datetime.now(UTC)
    sources = [attacker, *map(nth_attacker, range(BANS - 1))]
    with world.mail.new_socket(GATEWAY[4]) as sender:
        sender.connect((GATEWAY[4], 5514))
        began = time.monotonic()
        sender.sendall(stream((sasl_failure(source, now) for source in sources), "octet-counted"))
        wait_until("all are banned", lambda: zward.metric("zward_bans_total") >= BANS, 180)
        return time.monotonic() - began


@contextlib.contextmanager
def _knocking(host: Host, attacker: str) -> Iterator[list[bool]]:
    """Meanwhile a thread sends a SYN every 20 ms; True in the list for each that was answered."""
    answers: list[bool] = []
    over = threading.Event()

    def knock() -> None:
        while not over.is_set():
            answers.append(host.connects(attacker, MAIL[4], 443, PROBE_SECONDS))

    thread = threading.Thread(target=knock)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join(5)
