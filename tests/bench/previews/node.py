"""The tools of grafana/preview, installed outside of the tree: node and npm are for developers only."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

TOOLS = Path(__file__).parents[3] / "grafana" / "preview"
PATIENCE = 240.0
"""Seconds that an installation may take: 38 s here (measured), with nothing cached."""


class ToolError(Exception):
    """A tool is missing or failed; the message holds what it said."""


def tools() -> Path:
    """A directory with what package-lock.json names, and the page's sources as they are now."""
    if not shutil.which("npm"):
        raise ToolError("npm is missing; the cure: sudo apt-get install --no-install-recommends nodejs npm")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zward-preview"
    lock = TOOLS / "package-lock.json"
    place = cache / hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    place.mkdir(parents=True, exist_ok=True)
    with (place / ".lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        for source in (*TOOLS.glob("*.*"), TOOLS / ".npmrc"):
            shutil.copy(source, place)
        if not (place / ".ready").exists():
            run(place, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            (place / ".ready").touch()
    return place


def run(place: Path, *command: str) -> str:
    """Run one of them there; what it said. Raises ToolError."""
    try:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as fault:
        raise ToolError(f"{' '.join(command)}: no end after {PATIENCE:.0f} s") from fault
    if done.returncode:
        raise ToolError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout
