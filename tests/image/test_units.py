"""The systemd units: what systemd itself says of them, what they grant, and what they start."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from appliance.cli.main import group
from appliance.config.load import parse
from appliance.config.places import ADMIN_SOCKET, INSTALLED
from appliance.firewall.places import SOCKET
from appliance.listen.sockets import BACKLOG, RECEIVE_BUFFER
from appliance.root import last_good, privilege

DIRECTORY = Path(__file__).parent.parent.parent / "image" / "systemd"
SERVICES = ("zward.service", "zward-firewall.service", "zward-restore.service")
HARDENED = 2.0
"""The greatest exposure that `systemd-analyze security` may find, of 10."""

BINARY = re.compile(r"/opt/zward/bin/\w+")

CLOUD_INIT = """\
[Unit]
DefaultDependencies=no
After=network-pre.target
Before=sysinit.target
[Service]
Type=oneshot
ExecStart=/usr/bin/true
"""
"""As Debian's cloud-init.service, which sets up the network before the rest of the system is up."""


class Unit:
    """The settings of one unit file, in their order; one may stand several times."""

    def __init__(self, name: str) -> None:
        lines = (DIRECTORY / name).read_text(encoding="ascii").splitlines()
        pairs = [line.partition("=") for line in lines if line and line[0] not in "#["]
        self.settings = [(key, value) for key, _, value in pairs]

    def all(self, key: str) -> list[str]:
        return [value for name, value in self.settings if name == key]

    def words(self, key: str) -> set[str]:
        return {word for value in self.all(key) for word in value.split()}

    def __getitem__(self, key: str) -> str:
        (value,) = self.all(key)
        return value


def analyze(*words: str, units: Path | None = None) -> str:
    """What systemd-analyze prints, complaints included."""
    if not shutil.which("systemd-analyze"):
        reason = "systemd is not installed, whose systemd-analyze reads units (apt-get install systemd)"
        if os.environ.get("ZWARD_REQUIRE_E2E") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    environment = os.environ | ({"SYSTEMD_UNIT_PATH": f"{units}:"} if units else {})
    done = subprocess.run(
        ["systemd-analyze", *words],
        capture_output=True,
        text=True,
        env=environment | {"LC_ALL": "C.UTF-8"},
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def installed(tmp_path) -> Path:
    """The units with programs that are on this machine: systemd looks whether they are there."""
    for path in (*DIRECTORY.glob("*.service"), *DIRECTORY.glob("*.socket")):
        text = BINARY.sub("/usr/bin/true", path.read_text(encoding="ascii"))
        (tmp_path / path.name).write_text(text)
    return tmp_path


def verified(directory: Path) -> str:
    return analyze("verify", "--man=no", *map(str, sorted(directory.glob("*.*"))), units=directory)


# What systemd says


def test_systemd_has_nothing_to_say_against_them(installed):
    assert len(list(installed.iterdir())) == 7
    assert verified(installed) == ""


def test_a_slip_in_a_unit_would_be_found(installed):
    with (installed / "zward.service").open("a") as unit:
        unit.write("WantdBy=multi-user.target\n")

    assert "Unknown key 'WantdBy'" in verified(installed)


def test_a_boot_with_a_network_that_comes_early_has_no_cycle(installed):
    (installed / "cloud-init.service").write_text(CLOUD_INIT)
    (installed / "sysinit.target.wants").mkdir()
    (installed / "sysinit.target.wants" / "cloud-init.service").symlink_to("../cloud-init.service")

    assert "cycle" not in verified(installed)

    service = installed / "zward-firewall.service"
    service.write_text(service.read_text().replace("DefaultDependencies=no\n", ""))
    assert "Found ordering cycle" in verified(installed), "this test would find one"


@pytest.mark.parametrize("name", SERVICES)
def test_its_exposure_is_small(name):
    said = analyze("security", "--offline=true", "--no-pager", str(DIRECTORY / name))

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert found, said
    assert float(found[1]) <= HARDENED, said


# What they grant


@pytest.mark.parametrize(
    ("name", "granted"),
    [
        ("zward.service", privilege.RECEIVER),
        ("zward-firewall.service", privilege.HELPER),
        ("zward-restore.service", frozenset()),
    ],
)
def test_a_unit_grants_what_the_supervisor_grants(name, granted):
    unit = Unit(name)

    for key in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert {getattr(privilege, word) for word in unit.words(key)} == granted
    assert unit["NoNewPrivileges"] == "yes"
    assert unit["User"] == unit["Group"] != "root"


def test_only_roots_loader_runs_with_more():
    full = {command for name in SERVICES for key, command in Unit(name).settings if command[:1] in ("+", "!")}

    loader = "+/opt/zward/bin/zward firewall load"
    assert full == {
        f"{loader} --last-good {last_good.DIRECTORY} --config {INSTALLED}",
        f"{loader} --config {INSTALLED}",
    }


def test_the_users_are_made_by_sysusers():
    made = {line.split()[1] for line in (DIRECTORY / "zward.sysusers").read_text().splitlines() if line[:2] == "u "}

    assert made == {Unit(name)["User"] for name in SERVICES}
    assert Unit("zward-firewall.socket")["SocketUser"] in made


# What they start


def commands() -> list[tuple[str, list[str]]]:
    """Program and words of every command in the units."""
    lines = [value for name in SERVICES for key, value in Unit(name).settings if key.startswith("Exec")]
    return [(words[0], words[1:]) for words in (line.lstrip("+").split() for line in lines)]


@pytest.mark.parametrize("words", [words for program, words in commands() if program.endswith("/zward")], ids=" ".join)
def test_a_command_is_one_that_zward_takes(words):
    command: click.Command = group
    context = click.Context(group)
    while isinstance(command, click.Group):
        inner = command.get_command(context, words[0])
        assert inner, words
        command, words = inner, words[1:]

    assert command.make_context("zward", words, parent=context).params["config"] == INSTALLED


def test_the_helper_works_where_the_socket_and_the_built_in_configuration_are():
    (words,) = [words for program, words in commands() if program.endswith("/python")]
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--receiver")
    given, rest = parser.parse_known_args(words)
    socket = Unit("zward-firewall.socket")

    assert rest == ["-I", "-m", "appliance.firewall.helper"]
    assert given.directory == parse("", "x").firewall_directory
    assert given.receiver == socket["SocketUser"] == Unit("zward.service")["User"]
    assert Path(socket["ListenSequentialPacket"]) == given.directory / SOCKET
    assert (socket["FileDescriptorName"], socket["SocketMode"]) == ("helper", "0600")


def test_store_and_socket_lie_where_the_receiver_may_write():
    unit, built_in = Unit("zward.service"), parse("", "x")

    assert built_in.store.path.parent == Path("/var/lib", unit["StateDirectory"])
    assert ADMIN_SOCKET.parent == Path("/run", unit["RuntimeDirectory"])
    assert Unit("zward-restore.service")["StateDirectory"] == unit["StateDirectory"]


# What waits at the ports of zward.socket


@pytest.mark.parametrize("name", ["zward.socket", "zward-tcp.socket", "zward-6514.socket"])
def test_a_port_is_held_at_exactly_the_places_that_a_configuration_names(name):
    unit = Unit(name)
    places = unit.all("ListenDatagram") + unit.all("ListenStream")
    ports = {place.rpartition(":")[2] for place in places}
    (port,) = ports

    config = parse(f"[listen]\nsenders = ['127.0.0.1']\ntcp = {places}", "x")
    assert [str(endpoint) for endpoint in config.listen.tcp] == places == [f"0.0.0.0:{port}", f"[::]:{port}"]
    assert unit["BindIPv6Only"] == "ipv6-only", "the place 0.0.0.0 is one of its own"
    assert unit["TriggerLimitIntervalSec"] == "0", "nothing closes it"


def test_both_transports_of_514_come_together_and_only_datagrams_have_the_large_buffer():
    udp, tcp = Unit("zward.socket"), Unit("zward-tcp.socket")

    assert udp["Wants"] == "zward-tcp.socket"
    assert tcp["PartOf"] == "zward.socket"
    assert tcp["Service"] == Unit("zward-6514.socket")["Service"] == "zward.service"
    assert udp["ReceiveBuffer"] == f"{RECEIVE_BUFFER >> 20}M"
    assert not tcp.all("ReceiveBuffer"), "each connection would inherit it"
    assert int(tcp["Backlog"]) == BACKLOG


@pytest.mark.parametrize(("status", "slow"), [("0", False), ("1", True), ("5", True), ("KILL", False), ("3", False)])
def test_only_a_receiver_that_cannot_start_waits_before_lines_start_it_again(status, slow, tmp_path):
    words = shlex.split(Unit("zward.service")["ExecStopPost"].replace("$$", "$"))
    (tmp_path / "sleep").write_text('#!/bin/sh\necho "slept $1"\n')
    (tmp_path / "sleep").chmod(0o755)
    environment = {"PATH": str(tmp_path), "EXIT_STATUS": status}

    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)

    assert done.stdout == ("slept 2\n" if slow else "")


# When


def test_policy_and_bans_are_in_force_before_the_network():
    firewall, restore = Unit("zward-firewall.service"), Unit("zward-restore.service")

    for unit in (firewall, restore):
        assert "network-pre.target" in unit.words("Before") & unit.words("Wants")
        assert unit["DefaultDependencies"] == "no"
    assert "firewall load" in firewall["ExecStartPre"]
    assert "zward-firewall.service" in restore.words("After")
    assert {"zward-firewall.service", "zward-restore.service"} <= Unit("zward.service").words("After")


def test_the_helper_is_back_within_a_second_with_the_sockets_that_it_had():
    unit = Unit("zward-firewall.service")

    assert (unit["Restart"], unit["RestartSec"], unit["StartLimitIntervalSec"]) == ("always", "200ms", "0")
    assert int(unit["FileDescriptorStoreMax"]) >= 1
    assert "zward-firewall.socket" in unit.words("Requires") & unit.words("After")


def test_a_receiver_that_hangs_is_started_again():
    unit = Unit("zward.service")

    assert (unit["Type"], unit["Restart"], unit["WatchdogSec"]) == ("notify", "always", "30s")
