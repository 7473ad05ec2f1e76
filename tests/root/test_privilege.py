"""What is left of root after `become`, as the kernel says it; what can be done with it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from forking import PYTHON, in_child, require_root, status_of
from namespaces import network, require_kernel

from appliance.firewall.table.netlink import Message, Netlink, NetlinkError, text
from appliance.root.identity import UNNAMED
from appliance.root.privilege import (
    CAP_NET_ADMIN,
    CAP_NET_BIND_SERVICE,
    CAP_NET_RAW,
    CAP_SETPCAP,
    HELPER,
    RECEIVER,
    PrivilegeError,
    become,
    end_with_parent,
    held,
)

SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
SECONDS = 10.0
SHOW = "print(open('/proc/self/status').read())"
NFTABLES, NEW_TABLE, NAME, INET, CREATE = 10, 0, 1, 1, 0x400

WHO = [
    pytest.param(UNNAMED, frozenset(), 0, id="receiver"),
    pytest.param(UNNAMED, RECEIVER, 1 << CAP_NET_BIND_SERVICE, id="receiver-at-a-low-port"),
    pytest.param(UNNAMED, HELPER, 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW, id="helper"),
    pytest.param(0, frozenset(), 0, id="root-receiver"),
    pytest.param(0, HELPER, 1 << CAP_NET_ADMIN | 1 << CAP_NET_RAW, id="root-helper"),
]


def assert_is(status: dict[str, str], uid: int, mask: int) -> None:
    assert status["Uid"].split() == status["Gid"].split() == [str(uid)] * 4
    assert status["Groups"] == ""
    assert {name: int(status[name], 16) for name in SETS} == dict.fromkeys(SETS, mask)
    assert status["NoNewPrivs"] == "1"


def parsed(text: str) -> dict[str, str]:
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


@pytest.mark.parametrize(("uid", "capabilities", "mask"), WHO)
def test_who_becomes_somebody_has_exactly_these_capabilities(uid, capabilities, mask):
    require_root()

    def became():
        become(uid, uid, capabilities)
        return open("/proc/self/status").read()

    assert_is(parsed(in_child(became)), uid, mask)


@pytest.mark.parametrize(("uid", "capabilities", "mask"), WHO)
def test_a_program_that_it_starts_has_no_more(uid, capabilities, mask):
    require_root()

    def became():
        become(uid, uid, capabilities)
        return subprocess.run([PYTHON, "-c", SHOW], capture_output=True, text=True, check=True).stdout

    assert_is(parsed(in_child(became)), uid, mask)


def test_there_is_no_way_back_to_root():
    require_root()

    def tried():
        become(UNNAMED, UNNAMED, frozenset())
        os.setresuid(0, 0, 0)

    assert in_child(tried).startswith("PermissionError")


def test_a_set_uid_program_does_not_lead_back_either():
    require_root()

    def tried():
        become(UNNAMED, UNNAMED, frozenset())
        return subprocess.run(["su", "-c", "id -u"], capture_output=True, text=True, input="").returncode != 0

    assert in_child(tried) == "True"


def test_nobody_gets_a_capability_that_he_had_not():
    require_root()

    def tried():
        become(0, 0, frozenset({CAP_SETPCAP}))
        become(0, 0, HELPER)

    assert in_child(tried).startswith("PermissionError: [Errno 1] capset")


def test_what_cannot_drop_its_bounding_set_still_ends_with_nothing_in_hand():
    """As in a container that was given CAP_NET_ADMIN and CAP_NET_RAW alone."""
    require_root()

    def became():
        become(0, 0, HELPER)
        become(0, 0, frozenset())
        return subprocess.run([PYTHON, "-c", SHOW], capture_output=True, text=True, check=True).stdout

    status = parsed(in_child(became))
    assert {name: int(status[name], 16) for name in SETS if name != "CapBnd"} == dict.fromkeys(
        set(SETS) - {"CapBnd"}, 0
    )


def test_a_kernel_that_did_not_do_it_is_found_out(monkeypatch):
    require_root()
    monkeypatch.setattr("appliance.root.privilege._set_capabilities", lambda capabilities: None)
    monkeypatch.setattr("appliance.root.privilege._PR_CAP_AMBIENT_RAISE", 1)  # only asks

    said = in_child(lambda: become(0, 0, HELPER))

    assert said.startswith(PrivilegeError.__name__)
    assert "was asked for" in said


def test_held_says_what_the_kernel_says():
    status, mine = status_of("self"), held()

    for name, found in (("CapEff", mine.effective), ("CapBnd", mine.bounding), ("CapPrm", mine.permitted)):
        assert sum(1 << bit for bit in found) == int(status[name], 16)
    assert (mine.uid, mine.gid) == (os.getuid(), os.getgid())
    assert held(os.getpid()) == mine


def test_a_process_that_is_not_there_holds_nothing():
    ended = subprocess.Popen(["true"])
    ended.wait()

    with pytest.raises(FileNotFoundError):
        held(ended.pid)


def makes_a_table() -> str:
    """A transaction of nothing but a new table."""
    kernel = Netlink()
    try:
        kernel.transact(NFTABLES, [Message(NEW_TABLE, CREATE, INET, text(NAME, "trial"))])
    except NetlinkError as fault:
        return fault.strerror
    return "done"


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("uid", "capabilities", "said"),
    [
        (UNNAMED, frozenset(), "Operation not permitted"),
        (UNNAMED, RECEIVER, "Operation not permitted"),
        (0, frozenset(), "Operation not permitted"),
        (UNNAMED, HELPER, "done"),
        (0, HELPER, "done"),
    ],
)
def test_the_helper_can_change_nftables_and_the_receiver_cannot(uid, capabilities, said):
    require_kernel()

    def tried():
        become(uid, uid, capabilities)
        return makes_a_table()

    with network() as net, net.namespace("gateway").entered():
        assert in_child(tried) == said


def test_a_child_ends_with_its_parent():
    require_root()
    code = (
        "import os, signal, sys, time\n"
        "from appliance.root.privilege import *\n"
        "parent = os.getpid()\n"
        "pid = os.fork()\n"
        "if not pid:\n"
        f"    become({UNNAMED}, {UNNAMED}, frozenset())\n"
        "    end_with_parent(parent, signal.SIGKILL)\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "os.waitpid(pid, 0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        orphan = int(parent.stdout.readline())
        parent.kill()

    deadline = time.monotonic() + SECONDS
    while is_running(orphan):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return status_of(pid)["State"][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_child_whose_parent_was_quicker_to_end_ends_too():
    pid = os.fork()
    if not pid:
        end_with_parent(1 if os.getppid() != 1 else 2, signal.SIGKILL)  # not our parent: it has ended, we have another
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
