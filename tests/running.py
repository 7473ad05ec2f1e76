"""A real `zward run` in a process of its own, observing on loopback, for tests of the daemon and its commands."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

COMMAND = str(Path(sys.executable).with_name("zward"))
CONFIG = """
mode = "observe"
[listen]
udp = ["127.0.0.1:{port}"]
tcp = ["127.0.0.1:{port}", "[::1]:{port}"]
senders = ["127.0.0.0/8", "::1"]
[zimbra]
hosts = ["192.0.2.0/24", "127.0.0.0/8"]
proxies = ["192.0.2.5"]
[http]
listen = "127.0.0.1:{http}"
[store]
path = "{directory}/zward.db"
[admin]
socket = "{directory}/zward.sock"
"""


def free_port() -> int:
    """A port that nobody listens on now, on either transport."""
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        port: int = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        return port


@dataclass
class Running:
    """A started daemon."""

    directory: Path
    port: int
    http: int
    process: subprocess.Popen[str]
    greeting: list[str] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.directory / "zward.toml"

    @property
    def log(self) -> str:
        return (self.directory / "stderr").read_text()

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command against it."""
        return subprocess.run(
            [COMMAND, *arguments, "--config", str(self.config)], capture_output=True, text=True, timeout=60, check=False
        )

    def ask_json(self, *arguments: str):
        answer = self.ask(*arguments, "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    def send(self, *frames: bytes) -> None:
        """Over TCP, one LF-framed connection."""
        with socket.create_connection(("127.0.0.1", self.port)) as sender:
            sender.sendall(b"".join(frame + b"\n" for frame in frames))

    def page(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return answer.read().decode()

    def metric(self, series: str) -> float:
        values = [
            line.rpartition(" ")[2] for line in self.page("/metrics").splitlines() if line.startswith(series + " ")
        ]
        return float(values[0]) if values else 0.0

    def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.log
            assert self.process.poll() is None, self.log
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> float:
        """End it; the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - start


@contextlib.contextmanager
def running(directory: Path, config: str = CONFIG) -> Iterator[Running]:
    """Start `zward run`, wait until it is ready, and end it."""
    port, http = free_port(), free_port()
    (directory / "zward.toml").write_text(config.format(port=port, http=http, directory=directory))
    with (directory / "stderr").open("a") as errors:
        process = subprocess.Popen(
            [COMMAND, "run", "--config", str(directory / "zward.toml")],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | {"PYTHONASYNCIODEBUG": "0"},
        )
    started = Running(directory, port, http, process)
    try:
        assert process.stdout is not None
        while line := process.stdout.readline():
            started.greeting.append(line.rstrip("\n"))
            if line.startswith("metrics "):
                break
        assert process.poll() is None, started.log
        yield started
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()
