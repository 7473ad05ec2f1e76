"""A running `zward listen`, and ways to send to it."""

import json
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = [str(Path(sys.executable).with_name("zward")), "listen"]
PATIENCE = 20.0
"""Seconds to wait for what must come; only a defect makes anybody wait that long."""

Printed = dict[str, Any]


class Receiver:
    """The process, the addresses it told, the messages it prints."""

    def __init__(self, *arguments: str) -> None:
        listening = ["--udp", "127.0.0.1:0", "--tcp", "127.0.0.1:0", *arguments]
        self.child = subprocess.Popen([*COMMAND, *listening], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.ports: dict[str, tuple[str, int]] = {}
        for _ in ("udp", "tcp"):
            _, transport, address = self._told().split()
            host, _, port = address.rpartition(":")
            self.ports[transport] = (host, int(port))
        self._marks = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _told(self) -> str:
        assert self.child.stderr is not None
        return self.child.stderr.readline().decode()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._lines.put(line)

    def until_mark(self, transport: str) -> list[Printed]:
        """All that is printed before a message that is sent now on `transport`."""
        self._marks += 1
        text = f"mark {self._marks}"
        send(transport, self.ports[transport], [f"<13>Nov 21 19:00:00 m mark: {text}\n".encode()])
        found: list[Printed] = []
        while (printed := json.loads(self._lines.get(timeout=PATIENCE)))["text"] != text:
            found.append(printed)
        return found

    def stop(self) -> dict[str, int]:
        """End it as a service is ended; what it counted, without the marks."""
        self.child.send_signal(signal.SIGTERM)
        _, told = self.child.communicate(timeout=PATIENCE) if not self._reader.is_alive() else self._joined()
        assert self.child.returncode == 0, told
        word, _, counters = told.decode().partition(" ")
        assert word == "counters", told
        counted: dict[str, int] = json.loads(counters)
        return counted

    def _joined(self) -> tuple[bytes, bytes]:
        assert self.child.stderr is not None
        told = self.child.stderr.read()
        self._reader.join(PATIENCE)
        self.child.wait(PATIENCE)
        return b"", told

    def kill(self) -> None:
        """Leave nothing behind, however the test ended."""
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait(PATIENCE)
        self._reader.join(PATIENCE)
        for stream in (self.child.stdout, self.child.stderr):
            if stream:
                stream.close()


@contextmanager
def receiving(*arguments: str) -> Iterator[Receiver]:
    receiver = Receiver(*arguments)
    try:
        yield receiver
    finally:
        receiver.kill()


def connected(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address, timeout=PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def send(transport: str, address: tuple[str, int], pieces: list[bytes]) -> None:
    """Send and, over TCP, wait until the receiver has taken all of it and closed."""
    if transport == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for piece in pieces:
                sock.sendto(piece, address)
        return
    with connected(address) as sock:
        write(sock, pieces)
        finish(sock)


def write(sock: socket.socket, pieces: list[bytes]) -> None:
    """Write as far as the receiver lets us."""
    try:
        for piece in pieces:
            sock.sendall(piece)
    except (BrokenPipeError, ConnectionResetError):
        return


def finish(sock: socket.socket) -> None:
    """End our side and wait for the end of the other."""
    try:
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(4096):
            pass
    except OSError:
        return  # reset: closed as well


def is_open(sock: socket.socket) -> bool:
    """Whether the receiver has neither closed nor reset the connection."""
    sock.setblocking(False)
    try:
        return bool(sock.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        sock.settimeout(PATIENCE)


def cut(stream: bytes, chunking: str) -> list[bytes]:
    """The pieces in which a case wants its bytes sent: `whole`, `each_byte`, `random:SEED`."""
    if chunking == "whole":
        return [stream]
    if chunking == "each_byte":
        return [stream[i : i + 1] for i in range(len(stream))]
    dice = random.Random(int(chunking.removeprefix("random:")))
    pieces = []
    while stream:
        size = dice.randint(1, 40)
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces
