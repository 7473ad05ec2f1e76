"""What is said to systemd, and what is taken over from it; a socket of the test stands in for it."""

import os
import socket
import subprocess
import sys
import tempfile

import pytest
from forking import in_child

from appliance.systemd import inherited, notify, watchdog_pause


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """The socket where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        path = f"{tmp_path}/notify"
        listening.bind(path)
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield listening


def test_what_is_told_arrives(systemd):
    assert notify("READY=1\nSTATUS=up")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=up"


def test_a_socket_without_a_place_in_the_file_system_is_found_too(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + listening.getsockname()[1:].decode())

        assert notify("WATCHDOG=1")
        assert listening.recv(4096) == b"WATCHDOG=1"


def test_a_descriptor_goes_along_and_is_the_same_file(systemd):
    with tempfile.TemporaryFile() as file:
        assert notify("FDSTORE=1\nFDNAME=netlink", [file.fileno()])

        text, descriptors, _flags, _address = socket.recv_fds(systemd, 4096, 4)
        assert text == b"FDSTORE=1\nFDNAME=netlink"
        assert [os.path.sameopenfile(file.fileno(), other) for other in descriptors] == [True]
        os.close(descriptors[0])


@pytest.mark.parametrize("place", [None, "", "vsock:2:1", "/nowhere/at/all", "relative"])
def test_where_nobody_listens_nothing_is_told_and_nothing_breaks(monkeypatch, place):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if place is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", place)

    assert notify("READY=1") is False


def test_a_systemd_that_does_not_listen_is_not_waited_for(systemd):
    told = 0
    while notify("WATCHDOG=1"):
        told += 1
        assert told < 100_000

    assert told > 0


SHOW = (
    "import os\n"
    "from appliance.systemd import inherited, inherited_once\n"
    "os.environ['LISTEN_PID'] = str(os.getpid() {0})\n"
    "found = {1}()\n"
    "print(found, [number for number in (3, 4) if os.path.exists(f'/proc/self/fd/{{number}}')],"
    " [number for number in (3, 4, 5) if os.path.exists(f'/proc/self/fd/{{number}}') and os.get_inheritable(number)])"
)


def handed(names: str | None, number: int = 2, pid: str = "", taken: str = "inherited") -> str:
    """What a program finds that was started with descriptors 3 and 4; which are open then, and which inheritable."""
    with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as other:

        def started() -> str:
            os.dup2(os.dup2(one.fileno(), 60), 3)
            os.dup2(other.fileno(), 4)
            environment = (
                os.environ | {"LISTEN_FDS": str(number)} | ({} if names is None else {"LISTEN_FDNAMES": names})
            )
            command = [sys.executable, "-c", SHOW.format(pid, taken)]
            return subprocess.run(
                command, env=environment, pass_fds=(3, 4), capture_output=True, text=True, check=True
            ).stdout

        return in_child(started).strip()


def test_descriptors_are_taken_over_by_name_and_no_child_inherits_them():
    assert handed("helper:netlink") == "{'helper': [3], 'netlink': [4]} [3, 4] []"


def test_several_may_have_one_name_or_none():
    assert handed("udp:udp") == "{'udp': [3, 4]} [3, 4] []"
    assert handed(None) == "{'unknown': [3, 4]} [3, 4] []"


def test_who_expects_one_of_each_name_gets_the_first_and_the_others_are_closed():
    assert handed("netlink:netlink", taken="inherited_once") == "{'netlink': 3} [3] []"
    assert handed("helper:netlink", taken="inherited_once") == "{'helper': 3, 'netlink': 4} [3, 4] []"


def test_a_number_or_names_that_are_wrong_hand_over_no_more_than_both_say():
    assert handed("helper:netlink", number=1).startswith("{'helper': [3]} ")
    assert handed("helper", number=2).startswith("{'helper': [3]} ")
    assert handed("helper:netlink:more", number=3).startswith("{'helper': [3], 'netlink': [4]} ")


def test_descriptors_for_another_process_are_not_ours():
    assert handed("helper:netlink", pid="+ 1").startswith("{} ")


def test_nothing_is_handed_over_where_there_is_no_systemd(monkeypatch):
    monkeypatch.delenv("LISTEN_PID", raising=False)

    assert inherited() == {}


@pytest.mark.parametrize(
    ("microseconds", "pause"),
    [("30000000", 15.0), ("1000", 0.0005), ("0", None), ("", None), ("-5", None), ("soon", None), (None, None)],
)
def test_the_watchdog_is_told_twice_as_often_as_it_asks_for(monkeypatch, microseconds, pause):
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    if microseconds is not None:
        monkeypatch.setenv("WATCHDOG_USEC", microseconds)

    assert watchdog_pause() == pause


def test_the_watchdog_of_another_process_is_not_ours(monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))

    assert watchdog_pause() is None
