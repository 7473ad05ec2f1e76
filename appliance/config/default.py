"""The configuration of a zward that has no file: it takes lines from private networks and bans."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

IPV6 = Path("/proc/net/if_inet6")
"""Is there where the kernel has IPv6 (proc(5)); without it nothing can listen at `[::]`."""

BUILT_IN = "built-in configuration"
"""Stands for the file's name in messages."""


def default_text(uid: int, environ: Mapping[str, str]) -> str:
    """The built-in TOML text, with paths that this user may write to."""
    paths = _paths(uid, environ)
    template = (files("appliance.config") / "default.toml").read_text(encoding="utf-8")
    if not IPV6.exists():
        template = template.replace(', "[::]:5514"', "")
    for name, path in paths.items():
        template = template.replace(f'"@{name}@"', json.dumps(str(path)))
    return template


def _paths(uid: int, environ: Mapping[str, str]) -> dict[str, Path]:
    """What the text names: the system's places for root, the XDG base directories for everyone else."""
    if uid == 0:
        return {"STORE": Path("/var/lib/zward/zward.db"), "SOCKET": Path("/run/zward/zward.sock")}
    home = Path(environ.get("HOME", "/"))
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "zward"
    runtime = Path(named, "zward") if (named := environ.get("XDG_RUNTIME_DIR")) else state
    return {"STORE": state / "zward.db", "SOCKET": runtime / "zward.sock"}
