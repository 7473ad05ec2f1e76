"""`zward run` as a newcomer starts it, with nothing configured: what it says first, and the example that it gives."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoking import invoke
from namespaces import Namespace, network, require_kernel, why_not
from running import COMMAND

from appliance.config.places import INSTALLED
from appliance.root.privilege import HELPER, held

pytestmark = pytest.mark.daemon

PORTS = (5514, 9514)
AS_A_USER = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
"""Root becomes a user without a capability who still may read and write what root may."""


@dataclass
class Newcomer:
    """Somebody without privilege who has just installed zward."""

    home: Path
    prefix: tuple[str, ...]
    """Put before a command, it runs where the usual ports are free."""

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ZWARD_"))}
        return ours | {"HOME": str(self.home), "TZ": "America/New_York"}

    def words(self, *command: str) -> list[str]:
        return [*self.prefix, *(AS_A_USER if os.geteuid() == 0 else ()), *command]

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.words(*command), env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    @contextlib.contextmanager
    def started(self) -> Iterator[list[str]]:
        """`zward run`, and its first lines."""
        command = self.words(COMMAND, "run")
        with (self.home / "stderr").open("w") as errors:
            child = subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert child.stdout is not None
        try:
            greeting = []
            while line := child.stdout.readline():
                greeting.append(line.rstrip("\n"))
                if line.startswith("metrics "):
                    break
            assert child.poll() is None, (self.home / "stderr").read_text()
            yield greeting
        finally:
            child.terminate()
            child.wait(30)
            child.stdout.close()


@pytest.fixture
def newcomer(tmp_path):
    if INSTALLED.exists():
        pytest.skip(f"{INSTALLED} is there, so the built-in configuration is not used")
    if os.geteuid() == 0 and why_not() is None:
        with network() as net:
            yield Newcomer(tmp_path, net.namespace("newcomer").prefix)
        return
    for port in PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port} is in use, and {why_not()}")
    yield Newcomer(tmp_path, ())


def logged(newcomer: Newcomer, example: str) -> None:
    """Do what the example says; where there is no logger, send what it would."""
    if shutil.which("logger"):
        done = newcomer.run("sh", "-c", example)
        assert done.returncode == 0, done.stderr
        return
    said = re.sub(r"^\s*logger .* -t zimbra-audit", "printf '<13>Nov 21 20:00:00 here zimbra-audit: %s'", example)
    send = "import socket, sys; socket.socket(2, 2).sendto(sys.stdin.buffer.read(), ('127.0.0.1', 5514))"
    assert newcomer.run("sh", "-c", f'{said} | python3 -W ignore -c "{send}"').returncode == 0


def test_the_first_lines_say_that_it_observes_what_cures_that_and_what_to_send(newcomer):
    with newcomer.started() as greeting:
        told = "\n".join(greeting)

        assert greeting[0] == f"zward 0.1.0, mode observe (built-in configuration, since there is no {INSTALLED})"
        assert greeting[1].startswith("OBSERVING ONLY, nothing is blocked: ")
        assert re.search(r"apt-get install|sudo ", greeting[1]), "the one command that cures it"
        for transport in ("udp", "tcp"):
            assert f"listening {transport} 0.0.0.0:5514\nlistening {transport} [::]:5514\n" in told
        assert "takes lines from 127.0.0.0/8, ::1, 10.0.0.0/8" in told
        assert "zward setup rsyslog" in told
        assert "http://127.0.0.1:9514/metrics" in greeting[-1]
        assert (newcomer.home / ".local/state/zward/zward.db").exists()


def test_the_example_that_it_prints_is_counted_in_any_time_zone_and_explained(newcomer):
    with newcomer.started() as greeting:
        (example,) = [line for line in greeting if line.startswith("  logger ")]
        for _ in range(6):
            logged(newcomer, example)

        deadline = time.monotonic() + 30
        observed = None
        while not observed:
            assert time.monotonic() < deadline
            why = newcomer.run(COMMAND, "why", "198.51.100.7", "--json")
            observed = why.returncode == 0 and json.loads(why.stdout)["would_be_banned"]
        assert "6 bad passwords on ana@example.com over imap" in observed["reason"]

        status = newcomer.run(COMMAND, "status")
        assert status.returncode == 0
        assert "degraded  enforce: " in status.stdout
        assert "6 received, 6 read, 6 events" in status.stdout
        bans = newcomer.run(COMMAND, "bans")
        assert bans.stdout.startswith("nobody is banned, since the mode is observe")


def test_what_it_says_to_type_can_be_typed(newcomer):
    with newcomer.started() as greeting:
        (hint,) = [line.rpartition("then: ")[2] for line in greeting if "six times" in line]
        asked = greeting[-1].rpartition("ask it: ")[2]
        for command in [*hint.split("; "), *asked.split("; ")]:
            done = newcomer.run("sh", "-c", command)
            assert done.returncode in {0, 1, 3}, f"{command}: {done.stderr}"  # nothing is known yet, much is missing


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[store]\npath = "/dev/null/zward.db"', "/dev/null"),
        ('[store]\npath = "{0}/zward.db"\n[admin]\nsocket = "/dev/null/zward.sock"', "/dev/null"),
        ('[store]\npath = "{0}/zward.db"\n[http]\nlisten = "192.0.2.254:1"', "192.0.2.254"),
    ],
    ids=["store", "socket", "http"],
)
def test_where_it_cannot_start_it_says_so_in_a_line_and_ends_with_1(tmp_path, table, said):
    config = tmp_path / "zward.toml"
    rest = {
        "[http]": '[http]\nlisten = "127.0.0.1:0"',
        "[admin]": f'[admin]\nsocket = "{tmp_path}/zward.sock"',
        "[firewall]": f'[firewall]\ndirectory = "{tmp_path}/firewall"',
    }
    text = table.format(tmp_path)
    config.write_text("\n".join([text, *(lines for name, lines in rest.items() if name not in text)]))

    done = subprocess.run(
        [COMMAND, "run", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("zward does not start: ")
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


# As root


CONFIG = """
mode = "enforce"
[http]
listen = "127.0.0.1:9514"
[store]
path = "{0}/zward.db"
[admin]
socket = "{0}/zward.sock"
[firewall]
directory = "{0}/firewall"
"""


def children(pid: int) -> dict[str, int]:
    """The processes that a supervisor has started, by their part."""
    pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    parts = {number: Path(f"/proc/{number}/cmdline").read_bytes() for number in map(int, pids)}
    return {"helper" if b"appliance.firewall.helper" in words else "receiver": pid for pid, words in parts.items()}


@contextlib.contextmanager
def gateway(directory: Path) -> Iterator[tuple[Namespace, subprocess.Popen[str]]]:
    """`zward run` as root, enforcing in a namespace of its own, once it has said its first lines."""
    require_kernel()
    (directory / "zward.toml").write_text(CONFIG.format(directory))
    with network() as net, (directory / "stderr").open("w") as errors:
        namespace = net.namespace("gateway")
        command = [*namespace.prefix, COMMAND, "run", "--config", str(directory / "zward.toml")]
        supervisor = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert supervisor.stdout
        try:
            while line := supervisor.stdout.readline():
                if line.startswith("metrics "):
                    break
            assert supervisor.poll() is None, (directory / "stderr").read_text()
            yield namespace, supervisor
        finally:
            supervisor.terminate()
            supervisor.wait(30)
            supervisor.stdout.close()


@pytest.mark.kernel
def test_as_root_helper_and_receiver_are_processes_of_their_own_and_the_receiver_may_nothing(tmp_path):
    with gateway(tmp_path) as (_, supervisor):
        parts = children(supervisor.pid)

        assert held(parts["helper"]).effective == held(parts["helper"]).bounding == HELPER
        receiver = held(parts["receiver"])
        assert receiver.effective == receiver.permitted == receiver.bounding == frozenset()
        assert receiver.no_new_privileges


@pytest.mark.kernel
def test_bans_stand_after_helper_and_receiver_were_killed_and_after_the_end(tmp_path):
    with gateway(tmp_path) as (namespace, supervisor):
        config = str(tmp_path / "zward.toml")

        def zward(*words: str) -> str:
            return namespace.run(COMMAND, *words, "--config", config, check=False)

        namespace.run(COMMAND, "ban", "203.0.113.9", "--for", "1h", "--reason", "trial", "--config", config)
        before = children(supervisor.pid)
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)

        assert "203.0.113.9" in namespace.run("nft", "list", "set", "inet", "zward", "ban4")
        deadline = time.monotonic() + 30
        while "203.0.113.9" not in zward("bans"):
            assert time.monotonic() < deadline, (tmp_path / "stderr").read_text()
        assert set(children(supervisor.pid).values()).isdisjoint(before.values())
        supervisor.terminate()
        assert supervisor.wait(30) == 0
        assert "203.0.113.9" in namespace.run("nft", "list", "set", "inet", "zward", "ban4")


@pytest.mark.parametrize("option", ["--force", "--confirm=60s"])
def test_only_root_loads_a_policy_at_the_start(newcomer, option):
    done = newcomer.run(COMMAND, "run", option)

    assert done.returncode == 2
    assert "needs root" in done.stderr


def test_a_time_to_confirm_that_is_none_is_a_slip_of_the_pen():
    done = invoke("run", "--confirm", "soon")

    assert done.exit_code == 2
    assert "'soon' is no duration" in done.stderr
