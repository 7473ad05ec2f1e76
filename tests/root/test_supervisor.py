"""The supervisor with real processes in the places of loader, helper and receiver, which say what happens to them."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from forking import PYTHON, in_child, require_root, status_of

from appliance.config.load import parse
from appliance.root.identity import UNNAMED, named
from appliance.root.privilege import CAP_NET_ADMIN, HELPER, RECEIVER, become, held
from appliance.root.program import PAUSE
from appliance.root.supervisor import receiver_capabilities

pytestmark = pytest.mark.daemon

SECONDS = 20.0
"""How long anything may take on a loaded machine."""

CONFIG = """
mode = "enforce"
[http]
listen = "127.0.0.1:9514"
[store]
path = "{0}/lib/zward.db"
[admin]
socket = "{0}/run/zward.sock"
[firewall]
directory = "{0}/firewall"
"""

DRIVER = """
import json, logging, sys
from pathlib import Path
from appliance.config.load import load
from appliance.root.supervisor import Commands, Supervisor, SupervisorError
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
path, commands = Path(sys.argv[1]), Commands(**json.loads(sys.argv[2]))
try:
    sys.exit(Supervisor(load(path), path, commands).run(sys.argv[3:]))
except SupervisorError as fault:
    sys.exit(str(fault))
"""

STAND_IN = """
import os, signal, socket, sys, time
role, *words = sys.argv[1:]
def say(*words):
    os.write(1, (" ".join([role, str(os.getpid()), *words]) + "\\n").encode())
def heard(number, frame):
    say(signal.Signals(number).name)
    if number == signal.SIGTERM:
        sys.exit(0)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(number, heard)
if role == "helper":
    number = int(words[words.index("--netlink-fd") + 1])
    words.append("owns=%d" % socket.socket(fileno=number).getsockname()[0])
say("up", *words)
if role == "receiver":
    place = "\\0" + os.environ["NOTIFY_SOCKET"][1:]
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1\\nSTATUS=up", place)
while True:
    signal.pause()
"""


def stands_in(role: str) -> list[str]:
    return [PYTHON or sys.executable, "-I", "-S", "-c", STAND_IN, role]


def runs(code: str) -> list[str]:
    """A stand-in that does only this."""
    return [PYTHON or sys.executable, "-I", "-S", "-c", code]


SAYS_LOADED = 'import os, sys; os.write(2, " ".join(["loader", str(os.getpid()), *sys.argv[1:], "\\n"]).encode())'


@dataclass
class Supervised:
    """A supervisor that was started."""

    process: subprocess.Popen[bytes]
    place: Path

    @property
    def config(self) -> Path:
        return self.place / "zward.toml"

    @property
    def said(self) -> str:
        return (self.place / "said").read_text()

    def lines(self, role: str) -> list[list[str]]:
        """What the processes in this role have said: pid, words."""
        return [words[1:] for line in self.said.splitlines() if (words := line.split()) and words[0] == role]

    def ups(self, role: str) -> list[int]:
        """The pids of those that came up, in their order."""
        return [int(words[0]) for words in self.lines(role) if words[1] == "up"]

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.said
            assert self.process.poll() is None, self.said
            time.sleep(0.005)

    def up(self) -> "Supervised":
        self.until(lambda: self.ups("helper") and self.ups("receiver"))
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(SECONDS)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody may go into."""
    require_root()
    with tempfile.TemporaryDirectory(prefix="zward-") as made:
        path = Path(made)
        path.chmod(0o755)
        (path / "zward.toml").write_text(CONFIG.format(path))
        yield path


@pytest.fixture
def supervise(place) -> Iterator[Callable[..., Supervised]]:
    """Start a supervisor; every one is ended at the end, with what it started."""
    with contextlib.ExitStack() as ending:

        def start(*options: str, prefix: tuple[str, ...] = (), **commands: list[str]) -> Supervised:
            roles = {"loader": runs(SAYS_LOADED), "helper": stands_in("helper"), "receiver": stands_in("receiver")}
            words = [str(place / "zward.toml"), json.dumps(roles | commands), *options]
            with (place / "said").open("ab") as said:
                command = [*prefix, sys.executable, "-c", DRIVER, *words]
                process = subprocess.Popen(command, stdout=said, stderr=said)
            ending.callback(process.wait, SECONDS)
            ending.callback(process.kill)
            return Supervised(process, place)

        yield start


def gone(pid: int) -> bool:
    try:
        return status_of(pid)["State"][0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def receiver_uid() -> int:
    zward = named("zward")
    return zward.uid if zward else UNNAMED


# Start


def test_helper_and_receiver_hold_what_they_need_and_no_more(supervise):
    zward = supervise().up()

    helper, receiver = held(zward.ups("helper")[0]), held(zward.ups("receiver")[0])
    for part, capabilities in ((helper, HELPER), (receiver, frozenset())):
        assert part.effective == part.permitted == part.inheritable == part.bounding == part.ambient == capabilities
        assert part.no_new_privileges
        assert part.groups == frozenset()
    assert receiver.uid == receiver_uid()


def test_a_receiver_that_listens_at_a_low_port_may_do_so_and_nothing_else(supervise, place):
    config = place / "zward.toml"
    config.write_text(config.read_text() + '[listen]\nudp = ["127.0.0.1:514"]\nsenders = ["127.0.0.0/8"]\n')

    assert held(supervise().up().ups("receiver")[0]).effective == RECEIVER


@pytest.mark.parametrize(
    ("listen", "needed"),
    [
        ('udp = ["127.0.0.1:514"]', RECEIVER),
        ('tcp = ["[::1]:1023"]', RECEIVER),
        ('udp = ["127.0.0.1:1024"]', frozenset()),
        ('udp = ["127.0.0.1:0"]', frozenset()),
    ],
)
def test_only_a_port_below_1024_needs_a_capability(listen, needed):
    assert receiver_capabilities(parse(f'[listen]\n{listen}\nsenders = ["127.0.0.0/8"]', "x")) == needed


def test_store_and_socket_directory_belong_to_the_receiver_and_the_firewall_directory_to_root(supervise, place):
    supervise().up()

    owners = {name: (place / name).stat().st_uid for name in ("lib", "run", "firewall")}
    assert owners == {"lib": receiver_uid(), "run": receiver_uid(), "firewall": 0}
    assert place.stat().st_uid == 0


def test_the_receiver_reaches_the_helper_and_a_stranger_does_not(supervise, place):
    supervise().up()

    def connects(uid: int) -> str:
        become(uid, uid, frozenset())
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(str(place / "firewall" / "helper.sock"))
        return "connected"

    assert in_child(lambda: connects(receiver_uid())) == "connected"
    assert in_child(lambda: connects(4242)).startswith("PermissionError")


def test_the_helper_is_told_where_it_works_and_for_whom(supervise, place):
    (_pid, _up, *words) = supervise().up().lines("helper")[0]

    assert words[:4] == ["--directory", f"{place}/firewall", "--receiver", str(receiver_uid())]
    assert words[4] == "--listen-fd"
    assert words[6] == "--netlink-fd"


def test_nothing_of_roots_environment_reaches_the_receiver(supervise, monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("TZ", "Europe/Rome")

    receiver = supervise().up().ups("receiver")[0]
    environment = Path(f"/proc/{receiver}/environ").read_bytes()

    assert b"hunter2" not in environment
    assert b"TZ=Europe/Rome\0" in environment


def test_the_loader_comes_first_and_is_told_the_options(supervise):
    zward = supervise("--force", "--confirm", "1m").up()

    roles = [line.split()[0] for line in zward.said.splitlines() if line.split()[0] in ("loader", "helper", "receiver")]
    assert roles[0] == "loader"
    assert zward.lines("loader")[0][1:] == ["--force", "--confirm", "1m"]


@pytest.mark.parametrize(("does", "code"), [("raise SystemExit(1)", 1), ("raise SystemExit(6)", 6), ("os.abort()", 1)])
def test_where_the_loader_fails_nothing_is_started(supervise, does, code):
    zward = supervise(loader=runs(f"import os; {does}"))

    assert zward.process.wait(SECONDS) == code
    assert zward.ups("helper") == zward.ups("receiver") == []


@pytest.mark.parametrize("code", [1, 5])
def test_a_receiver_that_cannot_start_ends_the_whole_with_its_exit_code(supervise, place, code):
    zward = supervise(receiver=runs(f"raise SystemExit({code})"))

    assert zward.process.wait(SECONDS) == code
    assert all(gone(pid) for pid in zward.ups("helper"))
    assert not (place / "firewall" / "helper.sock").exists()


def test_files_that_only_root_reaches_make_the_receiver_root_without_any_capability_and_that_is_told(supervise, place):
    place.chmod(0o700)

    zward = supervise().up()
    receiver = held(zward.ups("receiver")[0])

    assert receiver.uid == 0
    assert receiver.effective == receiver.permitted == receiver.bounding == receiver.ambient == frozenset()
    assert receiver.no_new_privileges
    assert (
        f"THE RECEIVER RUNS AS ROOT, with no capability but with root's files in its reach: uid {UNNAMED}" in zward.said
    )
    assert f"{place} is closed to it" in zward.said
    assert "The cure: " in zward.said


def test_root_without_cap_net_admin_runs_the_receiver_alone_and_says_so(supervise):
    zward = supervise(prefix=without("net_admin"))

    zward.until(lambda: zward.ups("receiver"))
    assert CAP_NET_ADMIN not in held(zward.process.pid).effective
    assert zward.lines("helper") == zward.lines("loader") == []
    assert "root without CAP_NET_ADMIN" in zward.said


def test_root_that_cannot_become_another_user_runs_all_as_itself_and_the_receiver_holds_nothing(supervise, place):
    """As in a container that was given CAP_NET_ADMIN and CAP_NET_RAW alone."""
    zward = supervise(prefix=without("setuid", "setgid", "setpcap")).up()

    helper, receiver = held(zward.ups("helper")[0]), held(zward.ups("receiver")[0])
    assert (helper.uid, helper.permitted, helper.ambient) == (0, HELPER, HELPER)
    assert receiver.uid == 0
    assert receiver.effective == receiver.permitted == receiver.inheritable == receiver.ambient == frozenset()
    assert receiver.no_new_privileges
    assert "all of zward is root; the receiver drops its capabilities" in zward.said
    assert "THE RECEIVER RUNS AS ROOT" not in zward.said
    assert {(place / name).stat().st_uid for name in ("lib", "run")} == {0}
    assert zward.end() == 0


def test_in_a_container_a_directory_of_another_user_is_told_with_its_cure(supervise, place):
    (place / "lib").mkdir(mode=0o700)
    os.chown(place / "lib", UNNAMED, UNNAMED)

    zward = supervise(prefix=without("setuid", "setgid", "dac_override", "dac_read_search"))

    assert zward.process.wait(SECONDS) == 1
    assert f"{place}/lib belongs to uid {UNNAMED}, and this is root" in zward.said
    assert f"chown -R 0:0 {place}/lib" in zward.said


# As the first process of a container


def test_what_loses_its_parent_is_buried_and_a_sigterm_ends_it(supervise, place):
    """Nothing else would: the kernel hands orphans to process 1, and sends it no signal that it does not wait for."""
    (place / "orphan").write_text("import os, time\nif os.fork(): os._exit(0)\ntime.sleep(0.2)\n")
    leaves = STAND_IN.replace('say("up"', f'os.system("{PYTHON} {place}/orphan")\nsay("up"')
    zward = supervise(prefix=("unshare", "--pid", "--fork", "--kill-child"), receiver=[*runs(leaves), "receiver"])
    zward.until(lambda: zward.ups("helper") and zward.ups("receiver"))
    [first] = children(zward.process.pid)

    zward.until(lambda: len(children(first)) == 3)  # helper, receiver and the orphan
    zward.until(lambda: len(children(first)) == 2)

    os.kill(first, signal.SIGTERM)
    assert zward.process.wait(SECONDS) == 0


def test_a_sigterm_while_the_loader_works_is_heeded_after_it(supervise, place):
    slow = f"import os, time; os.mkdir({str(place / 'loads')!r}); time.sleep(0.5)"
    zward = supervise(prefix=("unshare", "--pid", "--fork", "--kill-child"), loader=runs(slow))
    zward.until((place / "loads").exists)
    [first] = children(zward.process.pid)

    os.kill(first, signal.SIGTERM)
    assert zward.process.wait(SECONDS) == 0


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def without(*capabilities: str) -> tuple[str, ...]:
    """Put before a command, it is root without these."""
    if not shutil.which("setpriv"):
        pytest.skip("util-linux has no setpriv here")
    less = ",".join(f"-{each}" for each in capabilities)
    return ("setpriv", f"--bounding-set={less}", f"--inh-caps={less}")


# One at a time


def test_a_second_one_is_refused_and_the_first_goes_on(supervise, place):
    first = supervise().up()
    second = supervise()

    assert second.process.wait(SECONDS) == 1
    assert f"another zward runs with {place}/firewall" in first.said
    assert (len(first.ups("helper")), len(first.ups("receiver"))) == (1, 1)
    assert not gone(first.ups("helper")[0])


def test_a_helper_of_somebody_else_there_is_another_zward_too(supervise, place):
    (place / "firewall").mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as systemds:
        systemds.bind(str(place / "firewall" / "helper.sock"))
        systemds.listen()

        assert supervise().process.wait(SECONDS) == 1
        assert (place / "firewall" / "helper.sock").exists()


def test_a_directory_that_others_can_write_in_is_refused(supervise, place):
    (place / "firewall").mkdir()
    (place / "firewall").chmod(0o777)

    zward = supervise()

    assert zward.process.wait(SECONDS) == 1
    assert f"{place}/firewall must belong to root, and nobody else may write in it" in zward.said


@pytest.mark.parametrize("why", ["everybody may write", "it holds 'foreign'"])
def test_a_directory_that_is_not_given_away_leaves_the_receiver_root_without_capabilities_and_says_so(
    supervise, place, why
):
    (place / "lib").mkdir()
    if "foreign" in why:
        (place / "lib" / "foreign").touch()
    else:
        (place / "lib").chmod(0o1777)

    zward = supervise().up()

    assert "THE RECEIVER RUNS AS ROOT" in zward.said
    assert why in zward.said
    receiver = held(zward.ups("receiver")[0])
    assert (receiver.uid, receiver.effective, receiver.no_new_privileges) == (0, frozenset(), True)
    assert (place / "lib").stat().st_uid == 0


def test_a_killed_supervisor_takes_both_with_it_and_the_next_one_starts(supervise):
    first = supervise().up()
    helper, receiver = first.ups("helper")[0], first.ups("receiver")[0]
    first.end(signal.SIGKILL)

    second = supervise()
    second.until(lambda: len(second.ups("receiver")) == 2)

    assert gone(helper)
    assert gone(receiver)
    assert [str(receiver), "SIGTERM"] in second.lines("receiver")


def test_the_next_one_waits_for_a_receiver_that_is_still_ending(supervise):
    slow = STAND_IN.replace("        sys.exit(0)", "        time.sleep(1); say('ended'); os._exit(0)")
    first = supervise(receiver=[*runs(slow), "receiver"]).up()
    first.end(signal.SIGKILL)

    second = supervise()
    second.until(lambda: len(second.ups("receiver")) == 2)

    words = [words[1] for words in second.lines("receiver")]
    assert words.index("ended") < len(words) - 1 - words[::-1].index("up")


# Run


def test_the_supervisor_loads_nothing_of_what_its_parts_load():
    code = (
        "import sys, appliance.cli.run, appliance.root.supervisor\n"
        "print({'aiohttp', 'aiosqlite', 'asyncio', 'hyperscan', 'nftables'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


def test_a_killed_helper_is_back_within_a_second_on_the_same_sockets_and_the_receiver_stays(supervise):
    zward = supervise().up()
    for number in range(1, 4):
        time.sleep(0.6)  # longer than a start that failed takes
        start = time.monotonic()
        os.kill(zward.ups("helper")[-1], signal.SIGKILL)
        zward.until(lambda number=number: len(zward.ups("helper")) == number + 1)
        assert time.monotonic() - start < 5  # the goal is 1 s; a loaded machine gets more

    assert len(zward.ups("receiver")) == 1
    assert len({words[-1] for words in zward.lines("helper")}) == 1, "each owns the same netlink socket"
    assert held(zward.ups("helper")[-1]).effective == HELPER
    assert "the helper was killed by SIGKILL; it is started again" in zward.said


def test_a_request_that_comes_while_the_helper_is_down_waits_in_its_socket(supervise, place):
    zward = supervise().up()
    os.kill(zward.ups("helper")[0], signal.SIGKILL)

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as receiver:
        receiver.connect(str(place / "firewall" / "helper.sock"))
        assert receiver.send(b"a request") == 9


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_killed_receiver_is_started_again_and_the_helper_stays(supervise, number):
    zward = supervise().up()
    os.kill(zward.ups("receiver")[0], number)
    zward.until(lambda: len(zward.ups("receiver")) == 2)

    assert len(zward.ups("helper")) == 1
    assert held(zward.ups("receiver")[1]).effective == frozenset()


def test_a_receiver_that_falls_after_it_was_up_is_started_again(supervise):
    falls = STAND_IN.replace("while True:\n    signal.pause()", "raise SystemExit(1)")
    zward = supervise(receiver=[*runs(falls), "receiver"])

    zward.until(lambda: len(zward.ups("receiver")) >= 3)
    assert "the receiver ended with 1; it is started again" in zward.said


def test_a_helper_that_cannot_start_is_tried_ever_less_often(supervise, place):
    zward = supervise(helper=runs("import os, time; os.write(1, b'helper 1 up %f\\n' % time.monotonic())"))
    zward.until(lambda: len(zward.lines("helper")) == 5)

    times = [float(words[2]) for words in zward.lines("helper")]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[-1] > 3 * pauses[0]
    assert len(zward.ups("receiver")) == 1


def test_a_helper_that_is_killed_over_and_over_is_back_each_time_as_fast(supervise):
    zward = supervise().up()
    took = []
    for number in range(6):
        began = time.monotonic()
        os.kill(zward.ups("helper")[-1], signal.SIGKILL)
        zward.until(lambda ups=number + 2: len(zward.ups("helper")) == ups)
        took.append(time.monotonic() - began)
    assert took[-1] < 2**4 * PAUSE, "a pause that doubles would be twice as long by now"


def test_a_helper_whose_program_is_gone_is_tried_again_too(supervise, place):
    program = place / "helper"
    shutil.copy(PYTHON or sys.executable, program)
    zward = supervise(helper=[str(program), *stands_in("helper")[1:]]).up()
    program.rename(place / "aside")
    os.kill(zward.ups("helper")[0], signal.SIGKILL)
    zward.until(lambda: "the helper cannot be started" in zward.said)
    (place / "aside").rename(program)

    zward.until(lambda: len(zward.ups("helper")) == 2)


# Reload


def test_a_sighup_loads_again_and_then_tells_the_receiver_alone(supervise):
    zward = supervise().up()
    zward.process.send_signal(signal.SIGHUP)
    zward.until(lambda: "SIGHUP" in zward.lines("receiver")[-1])

    assert len(zward.lines("loader")) == 2
    assert all("SIGHUP" not in words for words in zward.lines("helper"))


def test_the_options_of_the_start_are_not_those_of_a_reload(supervise):
    zward = supervise("--force").up()
    zward.process.send_signal(signal.SIGHUP)
    zward.until(lambda: "SIGHUP" in zward.lines("receiver")[-1])

    assert [words[1:] for words in zward.lines("loader")] == [["--force"], []]


def test_a_reload_that_the_loader_refuses_does_not_reach_the_receiver(supervise, place):
    refuses_from_the_second = f"import os; os.mkdir({str(place / 'once')!r})"
    zward = supervise(loader=runs(refuses_from_the_second)).up()
    zward.process.send_signal(signal.SIGHUP)
    zward.until(lambda: "not reloaded, the old configuration stays in force" in zward.said)

    assert all("SIGHUP" not in words for words in zward.lines("receiver"))
    assert zward.end() == 0


def test_a_configuration_with_faults_is_for_the_receiver_to_tell_and_not_for_the_loader(supervise):
    zward = supervise().up()
    zward.config.write_text("mode = 3\n")
    zward.process.send_signal(signal.SIGHUP)
    zward.until(lambda: "SIGHUP" in zward.lines("receiver")[-1])

    assert len(zward.lines("loader")) == 1


# Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_receiver_ends_before_the_helper(supervise, place, number):
    zward = supervise().up()

    assert zward.end(number) == 0
    ends = [line.split()[0] for line in zward.said.splitlines() if line.endswith("SIGTERM")]
    assert ends == ["receiver", "helper"]
    assert not (place / "firewall" / "helper.sock").exists()


def test_a_signal_to_the_whole_terminal_reaches_the_supervisor_alone(supervise):
    zward = supervise().up()

    assert {os.getpgid(pid) for pid in (zward.ups("helper")[0], zward.ups("receiver")[0])}.isdisjoint(
        {os.getpgid(zward.process.pid)}
    )


def test_a_helper_that_does_not_end_is_killed(supervise):
    deaf = STAND_IN.replace("        sys.exit(0)", "        pass")
    zward = supervise(helper=[*runs(deaf), "helper"]).up()

    assert zward.end() == 0
    assert gone(zward.ups("helper")[0])
    assert "the helper did not end within 2 s and is killed" in zward.said
