"""A whole zward whose ports somebody holds: the tool of systemd for it, and a parent. No line is lost, none doubled."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lines import audit_failure
from running import COMMAND, CONFIG, free_port

from appliance.listen.sockets import RECEIVE_BUFFER

pytestmark = pytest.mark.daemon

PATIENCE = 60.0
"""Seconds for what must come."""

HOLDER = """
import os, sys
numbers = [os.dup2(int(number), 100 + index) for index, number in enumerate(sys.argv[1].split(","))]
for index, number in enumerate(numbers):
    os.dup2(number, 3 + index)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(numbers)), LISTEN_FDNAMES="udp:tcp:tcp")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Starts a program as systemd does that holds sockets for it."""


class Lines:
    """Lines to send, each of an account and a source of its own; and which of them the store has, how often."""

    def __init__(self, store: Path) -> None:
        self.sent: list[str] = []
        self._store = store
        self._lock = threading.Lock()

    def next(self) -> bytes:
        with self._lock:
            number = len(self.sent)
            self.sent.append(f"user{number}@example.com")
        return audit_failure(f"198.{number >> 16}.{number >> 8 & 255}.{number & 255}", time.time(), self.sent[-1])

    def stored(self) -> dict[str, int]:
        if not self._store.exists():
            return {}
        with contextlib.closing(sqlite3.connect(self._store, timeout=PATIENCE)) as file:
            if not file.execute("SELECT 1 FROM sqlite_master WHERE name = 'evidence'").fetchall():
                return {}  # it is only being made
            return dict(file.execute("SELECT account, sum(count) FROM evidence GROUP BY account").fetchall())

    def until_stored(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until everything is there that was sent so far."""
        sent = set(self.sent)
        until(lambda: self.stored().keys() >= sent, process, self._store.parent)


def configure(directory: Path) -> int:
    """Write a configuration; the port of its [listen]."""
    port = free_port()
    (directory / "zward.toml").write_text(CONFIG.format(port=port, http=free_port(), directory=directory))
    return port


def command(directory: Path) -> list[str]:
    return [COMMAND, "run", "--supervised", "--config", str(directory / "zward.toml")]


@contextlib.contextmanager
def started(words: list[str], directory: Path, **more: object) -> Iterator["subprocess.Popen[bytes]"]:
    with (directory / "stderr").open("ab") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, **more)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE)


def until(condition, process: "subprocess.Popen[bytes]", directory: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        log = (directory / "stderr").read_text()
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.02)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_lines_that_started_it_are_the_first_it_reads(tmp_path, transport):
    if not shutil.which("systemd-socket-activate"):
        reason = "systemd is not installed, whose systemd-socket-activate holds sockets (apt-get install systemd)"
        pytest.fail(reason) if os.environ.get("ZWARD_REQUIRE_E2E") == "1" else pytest.skip(reason)
    port, lines = configure(tmp_path), Lines(tmp_path / "zward.db")
    kind = ["--datagram"] if transport == "udp" else []
    places = [f"--listen=127.0.0.1:{port}", *([f"--listen=[::1]:{port}"] if transport == "tcp" else [])]

    with started(["systemd-socket-activate", *kind, *places, *command(tmp_path)], tmp_path) as process:
        until(lambda: "Listening on" in (tmp_path / "stderr").read_text(), process, tmp_path)
        if transport == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(40):
                    sender.sendto(lines.next(), ("127.0.0.1", port))
        else:
            for host in ("127.0.0.1", "::1") * 20:
                with socket.create_connection((host, port)) as sender:
                    sender.sendall(lines.next() + b"\n")
        lines.until_stored(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0

    assert lines.stored() == dict.fromkeys(lines.sent, 1)
    assert "nobody reads what arrives" not in (tmp_path / "stderr").read_text()


class Ports:
    """UDP and TCP at the places of the configuration, held over all lives of the daemon."""

    def __init__(self, port: int) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp6 = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        for sock, host in zip(self.all(), ("127.0.0.1", "127.0.0.1", "::1"), strict=True):
            sock.bind((host, port))
        with contextlib.suppress(PermissionError):  # as ReceiveBuffer= in the unit does
            self.udp.setsockopt(socket.SOL_SOCKET, 33, RECEIVE_BUFFER)  # SO_RCVBUFFORCE
        self.tcp.listen(1024)
        self.tcp6.listen(1024)

    def all(self) -> tuple[socket.socket, ...]:
        return self.udp, self.tcp, self.tcp6

    def starting(self, directory: Path) -> "contextlib.AbstractContextManager[subprocess.Popen[bytes]]":
        numbers = [sock.fileno() for sock in self.all()]
        words = [sys.executable, "-c", HOLDER, ",".join(map(str, numbers)), *command(directory)]
        return started(words, directory, pass_fds=numbers)

    def close(self) -> None:
        for sock in self.all():
            sock.close()


def test_over_starts_ends_and_reloads_every_datagram_arrives_once_and_every_connection_made_meanwhile(tmp_path):
    port, lines, ended = configure(tmp_path), Lines(tmp_path / "zward.db"), threading.Event()
    reload = [COMMAND, "reload", "--config", str(tmp_path / "zward.toml")]
    config, text = tmp_path / "zward.toml", (tmp_path / "zward.toml").read_text()

    def stream() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not ended.wait(0.01):
                sender.sendto(lines.next(), ("127.0.0.1", port))

    with contextlib.closing(Ports(port)) as ports:
        sending = threading.Thread(target=stream)
        sending.start()
        try:
            for life in range(3):
                for sock in (ports.tcp, ports.tcp6) * 5:
                    with socket.create_connection(sock.getsockname()[:2]) as sender:
                        sender.sendall(lines.next() + b"\n")
                with ports.starting(tmp_path) as process:
                    lines.until_stored(process)
                    if life == 1:  # let go of the datagrams' place, and come back to it
                        for listen in (text.replace(f'udp = ["127.0.0.1:{port}"]', "udp = []"), text):
                            config.write_text(listen)
                            done = subprocess.run(reload, capture_output=True, check=False)
                            assert done.returncode == 0, done.stderr
                    lines.until_stored(process)
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(PATIENCE) == 0, (tmp_path / "stderr").read_text()
        finally:
            ended.set()
            sending.join(PATIENCE)
        with ports.starting(tmp_path) as process:
            lines.until_stored(process)

    assert lines.stored() == dict.fromkeys(lines.sent, 1)
    assert len(lines.sent) > 100
