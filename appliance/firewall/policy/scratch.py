"""How this kernel and libnftables write a ruleset, found out where it can do no harm.

`python -m appliance.firewall.policy.scratch` takes a text on its standard input into a network namespace of its own,
which ends with it, loads it there and prints the listing.
"""

import ctypes
import os
import subprocess
import sys

from appliance.firewall.backend import BackendError
from appliance.firewall.policy.libnftables import NftError, run

CLONE_NEWNET = 0x4000_0000

LIMIT = 60.0
"""Seconds. The largest ruleset, with 4,096 networks, takes half a second."""


class ScratchError(Exception):
    """The text could not be loaded in a namespace of its own; the message says why."""


def listed(text: str) -> str:
    """What `list ruleset` says once this text is loaded and nothing else is there. Raises ScratchError."""
    command = [sys.executable, "-I", "-m", "appliance.firewall.policy.scratch"]
    try:
        done = subprocess.run(  # noqa: S603 - this program itself
            command, input=text, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise ScratchError(f"a network namespace to compare in: {fault}") from fault
    if done.returncode:
        raise ScratchError(done.stderr.strip() or f"comparing ended with code {done.returncode}")
    return done.stdout


def main() -> None:
    """Load standard input in a new namespace and list what came of it."""
    text = sys.stdin.read()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        sys.exit(f"a network namespace to compare in: {os.strerror(ctypes.get_errno())}; it needs root")
    try:
        run(text)
        sys.stdout.write(run("list ruleset\n", stateless=True))
    except (BackendError, NftError) as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
