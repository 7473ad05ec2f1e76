"""How a command talks to the running daemon: HTTP over the admin socket, and what an error becomes."""

import http.client
import json
import os
import re
import socket
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from appliance.cli.options import CONFIG_INVALID, FAILED, NOT_FOUND, REFUSED, UNREACHABLE, USAGE, leave
from appliance.config.default import default_text
from appliance.config.places import ADMIN_SOCKET, FILE_BYTES, find
from appliance.judge.words import visible

ANSWER_SECONDS = 60.0
"""How long an answer may take: `unban` and a reload ask the kernel, and a listing of a million takes long."""

_CODES = {400: USAGE, 403: REFUSED, 404: NOT_FOUND, 413: USAGE, 422: CONFIG_INVALID}

_SOCKET_LINE = re.compile(r'^[ \t]*\[[ \t]*admin[ \t]*\][^\[]*?^[ \t]*socket[ \t]*=[ \t]*"([^"\n]+)"', re.MULTILINE)
"""`socket = "…"` in the table `[admin]`, for a text that is no TOML."""


class Unreachable(Exception):
    """No daemon answers; the message says where, and what to do."""


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
    target = f"{path}?{urlencode(query)}" if query else path
    try:
        status, body = _exchange(_socket_of(find(config)), method, target, None if wish is None else json.dumps(wish))
    except Unreachable as fault:
        leave(str(fault), UNREACHABLE)
    if status != 200:
        leave(body.get("error", f"zward answered {status}; its log says why"), _CODES.get(status, FAILED))
    return body


def findings(socket: Path) -> list[dict[str, Any]]:
    """What the daemon at this socket says for `zward doctor`. Raises Unreachable."""
    status, body = _exchange(socket, "GET", "/doctor", None)
    if status != 200:
        raise Unreachable(f"{socket}: zward answered {status}; its log says why")
    found: list[dict[str, Any]] = body
    return found


def reloaded(config: Path) -> dict[str, Any]:
    """Let the daemon take up this configuration; its answer. Raises Unreachable; ends the command where it says no."""
    status, body = _exchange(_socket_of(config), "POST", "/reload", None)
    if status != 200:
        leave(body.get("error", f"zward answered {status}; its log says why"), _CODES.get(status, FAILED))
    told: dict[str, Any] = body
    return told


def _exchange(address: Path, method: str, target: str, wish: str | None) -> tuple[int, Any]:
    """One request; its status and what the answer holds. An answer that is no JSON holds nothing."""
    connection = _Connection(address)
    try:
        connection.request(method, target, wish)
        answer = connection.getresponse()
        text = answer.read()
    except PermissionError:
        raise Unreachable(f"{address}: not permitted; ask as root or as a member of its group") from None
    except (OSError, http.client.HTTPException) as fault:
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        cure = "start it with zward run, or name its --config"
        raise Unreachable(f"{address}: no zward answers ({reason}); {cure}") from None
    finally:
        connection.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, {}


def _socket_of(path: Path | None) -> Path:
    """Where the daemon listens. The rest of the configuration is not looked at: that would take longer than the
    answer, and a broken one must not keep anybody from lifting a ban, since the daemon runs by the one before."""
    if path is None:
        named = Path(tomllib.loads(default_text(os.geteuid(), os.environ))["admin"]["socket"])
        if not os.path.lexists(named) and os.path.lexists(ADMIN_SOCKET):
            return ADMIN_SOCKET  # somebody asks root's daemon as a user: what that needs will be said
        return named
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(FILE_BYTES)
    except OSError as fault:
        click.echo(visible(f"{path}: {fault.strerror}; asking the daemon at {ADMIN_SOCKET} all the same"), err=True)
        return ADMIN_SOCKET
    try:
        return Path(tomllib.loads(text)["admin"]["socket"])
    except (KeyError, TypeError):
        return ADMIN_SOCKET
    except (ValueError, RecursionError) as fault:
        found = _SOCKET_LINE.search(text)
        named = Path(found[1]) if found else ADMIN_SOCKET
        click.echo(visible(f"{path}: {fault}; asking the daemon at {named} all the same"), err=True)
        return named
