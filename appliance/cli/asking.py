"""How a command talks to the running daemon: HTTP over the admin socket, and what an error becomes."""

import contextlib
import http.client
import json
import socket
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from appliance.cli.options import (
    CONFIG_INVALID,
    FAILED,
    NOT_FOUND,
    REFUSED,
    UNREACHABLE,
    USAGE,
    leave,
)
from appliance.config.faults import ConfigError
from appliance.config.load import find, load
from appliance.config.schema import Admin

ANSWER_SECONDS = 60.0
"""How long an answer may take: `unban` and a reload ask the kernel, and a listing of a million takes long."""

_CODES = {400: USAGE, 403: REFUSED, 404: NOT_FOUND, 422: CONFIG_INVALID}


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("zward", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_SECONDS)
        self.sock.connect(str(self._path))


def ask(
    config: Path | None, method: str, path: str, wish: dict[str, Any] | None = None, query: dict[str, str] | None = None
) -> Any:
    """Ask the daemon that the configuration names. Ends the command where it is not reached or says no."""
    address = _socket_of(find(config))
    connection = _Connection(address)
    target = f"{path}?{urlencode(query)}" if query else path
    try:
        connection.request(method, target, None if wish is None else json.dumps(wish))
        answer = connection.getresponse()
        body = json.loads(answer.read())
    except PermissionError:
        leave(f"{address}: not permitted; ask as root or as a member of its group", UNREACHABLE)
    except (OSError, http.client.HTTPException, ValueError) as fault:
        leave(f"{address}: no zward answers ({fault}); start it with zward run, or name its --config", UNREACHABLE)
    finally:
        connection.close()
    if answer.status != 200:
        leave(body.get("error", f"answered {answer.status}"), _CODES.get(answer.status, FAILED))
    return body


def _socket_of(path: Path | None) -> Path:
    """Where the daemon listens. A broken configuration must not keep anybody from lifting a ban: the daemon still
    runs by the one before, so only the socket's place is looked for in it."""
    try:
        return load(path).admin.socket
    except ConfigError:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            assert path is not None
            return Path(tomllib.loads(path.read_text(encoding="utf-8"))["admin"]["socket"])
        return Admin().socket
