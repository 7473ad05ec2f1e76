"""A million sources and a hundred thousand accounts: the memory they take, and how long writing them down takes.

Each figure is the growth of a process of its own, so that none is taken from what another table left free.
"""

import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from bench.machine import resident_megabytes

import appliance.daemon  # what a daemon has loaded counts  # noqa: F401
from appliance.address import Net
from appliance.judge.accounts import Accounts
from appliance.judge.attempts import Attempt, Attempts
from appliance.judge.bans import Bans, Ladder
from appliance.judge.familiar import Familiar
from appliance.judge.heard import Heard
from appliance.judge.judge import Judge
from appliance.judge.memory import Grace, Office
from appliance.judge.neighbours import Mailers, Neighbours
from appliance.judge.policy import Policy
from appliance.judge.proofs import Proofs
from appliance.judge.sendings import Sendings
from appliance.judge.sources import Sources
from appliance.judge.told import Told
from appliance.keepsake import read, write
from appliance.model import AuthEvent, Evidence, Mode, Outcome, Protocol

SOURCES = 1_000_000
ACCOUNTS = 100_000
DAY = 86400.0
START = 1_700_000_000.0
BRINK = 4000
"""Sources one point short of a ban."""
GOAL = 400.0
"""Megabytes in all."""
PATIENCE = 900.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What the judge weighs after one day, and how long it takes to write down and read again."""

    sources: int
    accounts: int
    idle: float
    """Megabytes of the process before the first line."""
    megabytes: float
    """Of the process with everything in it."""
    file: float
    """Megabytes of the counts on the disk."""
    written: float
    """Seconds in which they are written, with fsync: the pause in which no line is judged."""
    while_written: float
    """Megabytes at the most meanwhile."""
    taken_up: float
    """Seconds in which they are read."""
    bans: int
    evicted: int


@dataclass(frozen=True, slots=True)
class TableCost:
    """What one key of a table takes, everything that hangs on it included."""

    table: str
    keys: int
    bytes_each: float


def measure() -> list[Kept | TableCost]:
    """The tables one by one, then all of them after a day of 100,000 and of a million sources."""
    costs: list[Kept | TableCost] = [TableCost(**_child("table", name)) for name in TABLES]
    costs += [Kept(**_child("day", str(sources))) for sources in (SOURCES // 10, SOURCES)]
    return costs


def _child(*words: str) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, "-m", "bench.memory", *words]
    found = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=PATIENCE)
    answer: dict[str, Any] = json.loads(found.stdout)
    return answer


# A day


def day(sources: int) -> Kept:
    """Have a judge with every detector count a day's attempts, and its keepsake written and read."""
    judge = Judge(Policy(mode=Mode.ENFORCE), seed=bytes(32))
    idle = resident()
    now = START
    for event in attempts_of_a_day(sources):
        now = event.time
        judge.judge(event, now)
    gc.collect()
    megabytes = resident()
    with tempfile.TemporaryDirectory(prefix="zward-bench-") as directory:
        path = Path(directory, "counts")
        began = time.monotonic()
        with path.open("wb") as file:
            write({"time": now, **judge.saved()}, file)
            file.flush()
            os.fsync(file.fileno())
        written, while_written = time.monotonic() - began, most_resident()
        size = path.stat().st_size / 1e6
        tracked, evicted = judge.tracked, sum(judge.evicted.values())
        bans = len(judge.bans_in_force(now))
        del judge
        began = time.monotonic()
        with path.open("rb") as file:
            read(file)
        taken_up = time.monotonic() - began
    return Kept(
        tracked["sources"], tracked["accounts"], idle, megabytes, size, written, while_written, taken_up, bans, evicted
    )


def attempts_of_a_day(sources: int) -> Iterator[AuthEvent]:
    """One failure of each source; of a tenth three, hours apart; of a few thousand as many as stop short of a ban."""
    chance = random.Random(4)
    names = [account(number) for number in range(ACCOUNTS)]
    weights = list(accumulate((rank + 1) ** -0.5 for rank in range(ACCOUNTS)))  # the best known are tried most
    brink = max(1, sources // BRINK)
    for number, name in enumerate(chance.choices(names, cum_weights=weights, k=sources)):
        now = START + DAY * number / sources
        yield failure(number, name, now)
        for before in (number - sources // 5, number - 2 * sources // 5):
            if before >= 0 and before % 6 == 0 and before < 6 * sources // 10:
                yield failure(before, names[before % ACCOUNTS], now)
        if number % brink == 0:
            for turn in range(4):
                yield failure(number, names[number % ACCOUNTS], now + 10 + 10 * turn)


def failure(number: int, name: str, now: float) -> AuthEvent:
    """A wrong password from the n-th source."""
    return AuthEvent(
        time=now,
        outcome=Outcome.BAD_PASSWORD,
        rule="audit-bad-password",
        source=host(number),
        account=name,
        protocol=Protocol.IMAP,
        evidence=Evidence.STRONG,
        sender="192.0.2.10",
        host="mbox1",
        program="zimbra-audit",
        line=b"",
    )


def host(number: int) -> Net:
    """The n-th address, spread over the whole space as a botnet is: no two in a /24."""
    return Net((0x0B000000 + 3539 * number & 0xFFFFFFFF).to_bytes(4, "big"), 32)


def account(number: int) -> str:
    return f"user{number:06}@example.com"


# The tables, one by one


def fill_sources(most: int) -> Sources:
    table = Sources()
    for number in range(most):
        table.attempts(host(number).packed).append(
            Attempt(START + number, Protocol.IMAP, Outcome.BAD_PASSWORD, account(number % ACCOUNTS), 1, 1)
        )
    return table


def fill_bursts(most: int) -> Attempts:
    table = Attempts()
    for number in range(most):
        event = failure(number, account(number), START)
        table.join(host(number).packed, event, START, event.account, 1)
    return table


def fill_accounts(most: int) -> Accounts:
    """Each tried by 12 strangers, as on a day of a million sources."""
    table = Accounts()
    for number in range(most):
        one = table.of(account(number))
        for turn in range(12):
            time = START + 600.0 * turn
            one.tally.add("imap", "audit-bad-password", time, 1, 100)
            one.note_stranger(host(number * 12 + turn).packed, time, 1, 10)
    return table


def fill_familiar(most: int) -> Familiar:
    """Three places each account: `most` counts the pairs."""
    table = Familiar()
    for number in range(most):
        table.learn(host(number), account(number // 3), START)
    table.take_news()
    return table


def fill_mailers(most: int) -> Mailers:
    table = Mailers()
    for number in range(most // 2):  # each stands for its network as well
        table.accepted(host(number), START)
    return table


def fill_mails(most: int) -> Sendings:
    """Mails of which nobody knows yet how many they went to."""
    table = Sendings()
    for number in range(most):
        table.submitted(f"mbox1/{number:09}", account(number))
    return table


def fill_sendings(most: int) -> Sendings:
    table = Sendings()
    for number in range(most):
        table.submitted(f"mbox1/{number:09}", account(number))
        table.sent(f"mbox1/{number:09}", None, 3, START)
    return table


def fill_senders(most: int) -> Heard:
    table = Heard()
    for number in range(most):
        table.hear(f"192.0.2.{number % 250}", f"program-{number}", 1, START)
    return table


def fill_proofs(most: int) -> Proofs:
    table = Proofs()
    for number in range(most):
        table.add(host(number).packed, START)
    return table


def fill_bans(most: int) -> Bans:
    table = Bans(bytes(32))
    for number in range(most):
        table.open(host(number), "guessing", f"6 points in 30 min (limit 6): on {account(number)}", START, 0, Ladder())
    return table


def fill_neighbours(most: int) -> Neighbours:
    table = Neighbours()
    for number in range(most):
        table.note(host(number), START)
    return table


def fill_told(most: int) -> Told:
    table = Told()
    for number in range(most):
        table.tell("guessing", str(host(number)), START)
    return table


def fill_grace(most: int) -> OrderedDict[bytes, Grace]:
    return OrderedDict(
        (host(number).packed, Grace(START + number, account(number), "192.0.2.10")) for number in range(most)
    )


def fill_awaited(most: int) -> OrderedDict[bytes, str]:
    return OrderedDict((host(number).packed, "192.0.2.10") for number in range(most))


def fill_offices(most: int) -> OrderedDict[bytes, Office]:
    """Each with five accounts that fail."""
    table: OrderedDict[bytes, Office] = OrderedDict()
    for number in range(most):
        office = table[host(number).packed] = Office()
        office.failing.update((account(5 * number + each), START) for each in range(5))
    return table


TABLES: Mapping[str, tuple[Callable[[int], object], int]] = {
    "sources": (fill_sources, SOURCES),
    "bursts": (fill_bursts, 32_768),
    "accounts": (fill_accounts, ACCOUNTS),
    "familiar": (fill_familiar, 3 * ACCOUNTS),
    "mailers": (fill_mailers, 262_144),
    "mails": (fill_mails, 65_536),
    "sending accounts": (fill_sendings, 65_536),
    "senders": (fill_senders, 1024),
    "proofs": (fill_proofs, 65_536),
    "bans": (fill_bans, 100_000),
    "neighbours": (fill_neighbours, 65_536),
    "told": (fill_told, 65_536),
    "grace": (fill_grace, 32_768),
    "awaited": (fill_awaited, 65_536),
    "offices": (fill_offices, 4096),
}
"""How a table is filled, and with how many keys."""


def cost(name: str) -> TableCost:
    fill, keys = TABLES[name]
    fill(1)  # what the first key brings along
    gc.collect()
    before = resident()
    table = fill(keys)
    gc.collect()
    grown = resident() - before
    del table
    return TableCost(name, keys, grown * 2**20 / keys)


def resident() -> float:
    """Megabytes of this process."""
    return resident_megabytes([os.getpid()])


def most_resident() -> float:
    """The most that this process ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> int:
    which, what = sys.argv[1:]
    print(json.dumps(asdict(day(int(what)) if which == "day" else cost(what))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
