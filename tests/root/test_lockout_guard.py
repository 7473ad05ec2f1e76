"""Where an administrator is connected from, and whether a policy would let him in."""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.address import Net, parse_network
from appliance.root.lockout_guard import Connection, objection, own_connection

ME = 400


@dataclass(frozen=True)
class Gateway:
    admin: tuple[Net, ...]
    management: tuple[int, ...] = (22,)


def ancestry(proc: Path, *environments: bytes) -> Path:
    """ME, its parent and so on, each with that environment, up to pid 1."""
    pids = [*range(ME, ME - len(environments), -1), 1, 0]
    for number, environment in enumerate((*environments, b"container=none\0")):
        entry = proc / str(pids[number])
        entry.mkdir()
        (entry / "status").write_text(f"Name:\tx\nPPid:\t{pids[number + 1]}\nTracerPid:\t0\n")
        (entry / "environ").write_bytes(environment)
    return proc


def ssh(value: str) -> bytes:
    return f"HOME=/root\0SSH_CONNECTION={value}\0TERM=xterm\0".encode()


def connection(client: str, port: int = 22) -> Connection:
    return Connection(parse_network(client), port)


def test_the_own_environment_says_it(tmp_path):
    proc = ancestry(tmp_path, ssh("198.51.100.9 51234 203.0.113.1 22"), b"")

    assert own_connection(proc, ME) == connection("198.51.100.9")


def test_under_sudo_the_shell_before_it_says_it(tmp_path):
    sudo = b"SUDO_USER=ada\0PATH=/usr/sbin\0"
    proc = ancestry(tmp_path, sudo, sudo, ssh("2001:db8::9 51234 2001:db8::1 2222"), b"PATH=/\0")

    assert own_connection(proc, ME) == connection("2001:db8::9", 2222)


def test_at_a_console_and_in_a_service_there_is_none(tmp_path):
    assert own_connection(ancestry(tmp_path, b"HOME=/root\0", b"HOME=/root\0"), ME) is None


def test_an_ancestor_that_has_ended_or_hides_is_passed_over(tmp_path):
    proc = ancestry(tmp_path, b"", b"", ssh("198.51.100.9 51234 203.0.113.1 22"))
    (proc / str(ME - 1) / "environ").unlink()

    assert own_connection(proc, ME) == connection("198.51.100.9")
    assert own_connection(proc, 9999) is None


@pytest.mark.parametrize(
    "value",
    ["", "198.51.100.9", "198.51.100.9 1 203.0.113.1 22 23", "a b c d", "x 1 203.0.113.1 22", "::1%a;b 1 ::1 x"],
)
def test_a_variable_that_is_no_connection_is_none(tmp_path, value):
    assert own_connection(ancestry(tmp_path, ssh(value)), ME) is None


def test_addresses_with_a_scope_and_mapped_ones_are_read_as_what_they_are(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    scoped = ancestry(tmp_path / "a", ssh("fe80::1%wan0 51234 fe80::2%wan0 22"))
    mapped = ancestry(tmp_path / "b", ssh("::ffff:198.51.100.9 51234 ::ffff:203.0.113.1 22"))

    assert own_connection(scoped, ME) == connection("fe80::1")
    assert own_connection(mapped, ME) == connection("198.51.100.9")


def test_who_is_in_an_admin_network_at_a_management_port_is_let_through():
    gateway = Gateway((parse_network("198.51.100.0/28"), parse_network("2001:db8::/48")), (22, 2222))

    assert objection(gateway, connection("198.51.100.9")) is None
    assert objection(gateway, connection("2001:db8::9", 2222)) is None
    assert objection(gateway, connection("127.0.0.1", 9)) is None
    assert objection(gateway, None) is None


def test_who_is_not_is_told_which_keys_to_change():
    gateway = Gateway((parse_network("198.51.100.0/28"),))

    outside = objection(gateway, connection("203.0.113.77"))
    port = objection(gateway, connection("198.51.100.9", 2222))
    both = objection(Gateway(()), connection("203.0.113.77", 2222))

    assert outside is not None
    assert "from 203.0.113.77 to port 22" in outside
    assert 'put admin = ["198.51.100.0/28", "203.0.113.77"] into [gateway]' in outside
    assert "--force" in outside
    assert port is not None
    assert "put management = [22, 2222] into [gateway]" in port
    assert "admin = " not in port
    assert both is not None
    assert 'put admin = ["203.0.113.77"] and management = [22, 2222] into' in both


def test_real_ancestors_are_asked_when_the_environment_was_cleared_on_the_way():
    program = "from appliance.root.lockout_guard import own_connection; print(own_connection())"
    inner = shlex.join(["env", "-i", sys.executable, "-c", program])
    said = subprocess.run(
        ["sh", "-c", f"{inner}; true"],  # the shell stays, as the one before sudo does
        env={"SSH_CONNECTION": "198.51.100.9 51234 203.0.113.1 2222", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == f"{connection('198.51.100.9', 2222)}\n"
