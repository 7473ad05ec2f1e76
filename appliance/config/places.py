"""Where a configuration is looked for, and where the admin socket is unless one says otherwise.

Apart from the schema, which takes 0.2 s to load: a command that only asks the daemon needs no more than this.
"""

import os
from collections.abc import Mapping
from pathlib import Path

INSTALLED = Path("/etc/zward/zward.toml")
VARIABLE = "ZWARD_CONFIG"
ADMIN_SOCKET = Path("/run/zward/zward.sock")

FILE_BYTES = 1 << 20
"""A configuration file's greatest size: 20,000 networks fit, and a log named by mistake is not read whole."""


def find(explicit: Path | None, environ: Mapping[str, str] = os.environ, installed: Path = INSTALLED) -> Path | None:
    """Which file to load: the one asked for, else the environment's, else the installed one, else none."""
    if explicit:
        return explicit
    if named := environ.get(VARIABLE):
        return Path(named)
    try:
        installed.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # it may be there and not for us: loading it will say so
        return installed
    return installed
