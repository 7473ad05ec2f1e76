"""Ways to run a `zward` command in a test: in this process, on a terminal, against a daemon that is made up."""

import contextlib
import fcntl
import http.server
import json
import os
import pty
import re
import socketserver
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from running import COMMAND

from appliance.cli.main import group

HOSTILE = "\x1bc\x1b[2J\x1b]2owned\x07\x9b1A\u202elive\u2066\x7f\x08"
"""What a client may type as its name: resets and clears a screen, names a window, moves up, turns the text around."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
"""The only sequences that zward itself sends: bold and colours."""


def invoke(*arguments: str | Path, given: str | bytes | None = None, columns: int | None = None, **env: str) -> Result:
    """Run a command in this process, its output piped. `given` is its standard input."""
    width = {"COLUMNS": None if columns is None else str(columns)}
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(group, words, given, width | env, catch_exceptions=False, prog_name="zward")


def on_terminal(*arguments: str | Path, columns: int = 80) -> str:
    """Run a command on a terminal of its own; everything that this terminal is sent."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
    with subprocess.Popen([COMMAND, *map(str, arguments)], stdin=its, stdout=its, stderr=its, env=env):
        os.close(its)
        sent = b""
        with contextlib.suppress(OSError):  # EIO: the last one has closed it
            while part := os.read(ours, 65536):
                sent += part
    os.close(ours)
    return sent.decode()


def unstyled(text: str) -> list[str]:
    """The lines that stand on a terminal."""
    return _STYLE.sub("", text).replace("\r", "").splitlines()


def acting(text: str) -> list[str]:
    """The characters in an output that a terminal acts on, but for line ends and zward's own colours."""
    return [letter for letter in _STYLE.sub("", text) if not letter.isprintable() and letter not in "\r\n"]


@contextlib.contextmanager
def answering(path: Path, answers: Mapping[str, Any], status: int = 200) -> Iterator[None]:
    """Stand in for a daemon at the socket `path`: what each page holds, as JSON, or as bytes for what is none."""

    class Page(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            found = answers[self.path.partition("?")[0]]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(found if isinstance(found, bytes) else json.dumps(found).encode())

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):  # whatever the method
                return self.answer
            raise AttributeError(name)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *arguments: object) -> None:
            pass

    with socketserver.UnixStreamServer(str(path), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
