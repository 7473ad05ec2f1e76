"""What lies in the firewall directory (`[firewall] directory`). Root's loader writes there, the helper reads."""

import os
from pathlib import Path

SOCKET = "helper.sock"
"""Where the receiver finds the helper."""
ORDERS = "orders"
"""What holds whatever the receiver says: see `orders`."""
POLICY = "policy.nft"
"""The gateway's policy as the loader loaded it; absent where there is none."""
LISTING = "policy.listing"
"""The policy as the kernel lists it right after that: what it is compared with."""
LOCK = "loading"
"""Locked by the loader while it changes the policy: its changes are no drift."""


def replace(path: Path, text: str) -> None:
    """Write one of these files anew in one step; everybody may read it, and no link is followed. Raises OSError."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        os.fchmod(file.fileno(), 0o644)
    beside.replace(path)
