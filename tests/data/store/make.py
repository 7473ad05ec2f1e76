"""Makes a store with the code of any version of zward, for the tests of upgrades.

    PYTHONPATH=CHECKOUT python tests/data/store/make.py OUT.db.gz

CHECKOUT is that version's tree: the files here are of the commits b03ad17 (version-1), fee9efa (version-2) and of
the first with version 4. None is ever made again: what was on a disk then stays as it was.
"""

import asyncio
import gzip
import sys
import tempfile
from pathlib import Path

from appliance import model
from appliance.address import parse_network
from appliance.model import Ban
from appliance.store.evidence import EvidenceLine  # of b03ad17: appliance.store_evidence
from appliance.store.store import Store  # of b03ad17: appliance.store

NOW = 1_700_000_000.0
HOUR = 3600.0


def ban(net: str, ago: float, hours: float, step: int = 0) -> Ban:
    return Ban(parse_network(net), NOW - ago, NOW - ago + hours * HOUR, "guessing", f"guessed from {net}", step)


BANS = [
    ban("198.51.100.9", 600, 2, step=1),
    ban("198.51.100.10", 60, 0.5),
    ban("2001:db8:bad::/64", 1200, 48, step=3),
    ban("203.0.113.0/24", 300, 7 * 24, step=4),
    ban("192.0.2.66", 7200, 1),  # has ended
    ban("192.0.2.77", 600, 12),  # is lifted below
]


def failure(number: int) -> EvidenceLine:
    source, account = parse_network("198.51.100.9"), "ana@example.com"
    time = NOW - 700 + number
    line = b"<134>Nov 14 22:01:40 mbox1 zimbra-audit: a line of evidence"
    words = ("imap", "bad_password", "audit-bad-password", "192.0.2.10", "mbox1", "zimbra-audit", line)
    return EvidenceLine(source, "198.51.100.9", time, time, account, *words)


async def fill(path: Path) -> None:
    store = await Store.open(path, NOW)
    await store.add_bans(BANS)
    if hasattr(model, "Scope") and hasattr(BANS[0], "scope"):
        narrow = Ban(parse_network("198.51.100.25"), NOW - 30, NOW + HOUR, "harvesting", "x", 0, model.Scope.SMTP_IN)
        await store.add_bans([narrow])
    await store.lift([parse_network("192.0.2.77")], NOW - 60, "ana", "was our own office")
    await store.add_evidence([failure(number) for number in range(6)])
    await store.allow_add(parse_network("192.0.2.128/28"), "the branch", "ana", NOW - 60)
    await store.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "zward.db")
        asyncio.run(fill(path))
        Path(sys.argv[1]).write_bytes(gzip.compress(path.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
