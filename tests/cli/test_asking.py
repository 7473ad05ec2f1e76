"""How a command finds the daemon, and what it says where there is none."""

import contextlib
import os
import pwd
import socket
import subprocess
import sys

import pytest
from invoking import HOSTILE, acting, answering, invoke

from appliance.cli import asking
from appliance.cli.asking import Unreachable, findings

NOBODY = {"/bans": [], "/status": {"mode": "enforce"}}
CONFIG = '[admin]\nsocket = "{}"\n'


@pytest.fixture
def place(tmp_path):
    return tmp_path / "zward.sock"


@pytest.fixture
def config(tmp_path, place):
    path = tmp_path / "zward.toml"
    path.write_text(CONFIG.format(place))
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("bans",),
        ("bans", "203.0.113.7"),
        ("ban", "203.0.113.7", "--for", "1h", "--reason", "x"),
        ("unban", "203.0.113.7"),
        ("why", "203.0.113.7"),
        ("reload",),
        ("allow", "list"),
        ("allow", "add", "203.0.113.7"),
        ("allow", "remove", "203.0.113.7"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_without_a_daemon_a_command_says_what_to_do(config, place, command, form):
    answer = invoke(*command, *form, "--config", config)

    assert answer.exit_code == 4
    assert answer.stdout == ""
    expected = f"{place}: no zward answers (No such file or directory); start it with zward run, or name its --config\n"
    assert answer.stderr == expected


def test_a_socket_that_a_killed_daemon_left_is_told_alike(config, place):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))

    answer = invoke("status", "--config", config)

    assert answer.exit_code == 4
    assert "no zward answers (Connection refused)" in answer.stderr


def test_who_may_not_ask_is_told_who_may(place):
    with answering(place, {}), as_nobody(place), pytest.raises(Unreachable, match="not permitted; ask as root"):
        findings(place)


@contextlib.contextmanager
def as_nobody(place):
    """A socket that none may use; root, who still may, is nobody meanwhile."""
    place.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(user)


BROKEN = {
    "no TOML": 'mode = "observe\n' + CONFIG,
    "no TOML, and a comment": "mode = observe\n[ admin ]  # ours\n# the socket\n\tsocket='x'\nsocket = \"{}\"\n",
}


@pytest.mark.parametrize("fault", ["pionts = 3\n", 'mode = "certain"\n'])
def test_a_fault_elsewhere_in_the_configuration_is_not_looked_for(tmp_path, place, fault):
    """`zward check` and `zward reload` tell of it; whoever lifts a ban is not kept waiting."""
    path = tmp_path / "zward.toml"
    path.write_text(fault + CONFIG.format(place))

    with answering(place, NOBODY):
        bans = invoke("bans", "--config", path)

    assert (bans.exit_code, bans.stdout, bans.stderr) == (0, "nobody is banned\n", "")


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_the_socket_is_found_in_a_configuration_that_is_broken(tmp_path, place, text):
    path = tmp_path / "zward.toml"
    path.write_text(text.format(place))

    with answering(place, NOBODY):
        bans = invoke("bans", "--config", path)
        unban = invoke("unban", "203.0.113.7", "--config", path)

    assert (bans.exit_code, bans.stdout) == (0, "nobody is banned\n")
    assert unban.exit_code == 0
    assert bans.stderr.startswith(f"{path}:")
    assert bans.stderr.endswith(f"; asking the daemon at {place} all the same\n")


@pytest.mark.parametrize("text", ["", b"\xff\xfe\0[admin]", "[admin]\nsocket = 5\n", "x = " + "[" * 100_000])
def test_a_broken_configuration_that_names_no_socket_means_the_usual_one(tmp_path, monkeypatch, place, text):
    monkeypatch.setattr(asking, "ADMIN_SOCKET", place)
    path = tmp_path / "zward.toml"
    path.write_bytes(text if isinstance(text, bytes) else f"pionts = 3\n{text}".encode())

    with answering(place, NOBODY):
        assert invoke("bans", "--config", path).exit_code == 0


def test_a_configuration_that_is_not_there_means_the_usual_one_and_is_told(tmp_path, monkeypatch, place):
    monkeypatch.setattr(asking, "ADMIN_SOCKET", place)

    with answering(place, NOBODY):
        answer = invoke("bans", "--config", tmp_path / "none.toml")

    assert answer.exit_code == 0
    assert "none.toml: No such file or directory" in answer.stderr


def test_a_user_without_a_daemon_is_led_to_roots(tmp_path, monkeypatch, place):
    monkeypatch.setattr(asking, "ADMIN_SOCKET", place)
    monkeypatch.setattr(asking, "find", lambda _path: None)
    monkeypatch.setattr(asking, "default_text", lambda *_: f"[admin]\nsocket = '{tmp_path}/own.sock'\n")

    without = invoke("bans")
    with answering(place, NOBODY):
        led = invoke("bans")

    assert (without.exit_code, led.exit_code) == (4, 0)
    assert f"{tmp_path}/own.sock" in without.stderr


@pytest.mark.parametrize(
    ("status", "code"), [(400, 2), (403, 6), (404, 3), (413, 2), (422, 5), (500, 1), (503, 1), (405, 1)]
)
def test_a_no_of_the_daemon_becomes_an_exit_code_and_its_words_are_shown(config, place, status, code):
    with answering(place, {"/bans": {"error": f"because {HOSTILE}"}}, status):
        answer = invoke("bans", "--config", config)

    assert answer.exit_code == code
    assert answer.stdout == ""
    assert answer.stderr.startswith("because ")
    assert acting(answer.stderr) == []


def test_an_answer_without_words_leads_to_the_log(config, place):
    with answering(place, {"/bans": b"500 Internal Server Error", "/doctor": b""}, 500):
        assert "zward answered 500; its log says why" in invoke("bans", "--config", config).stderr
        with pytest.raises(Unreachable, match="answered 500"):
            findings(place)


def test_asking_does_not_load_the_daemon(tmp_path):
    heavy = {"aiohttp", "hyperscan", "pydantic"}
    code = f"import sys, appliance.cli.ask; print([name for name in sys.modules if name in {heavy}])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
