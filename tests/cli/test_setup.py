"""`zward setup`: the wizard on a real terminal and without anybody, and the snippet for the Zimbra hosts."""

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoking import invoke
from running import COMMAND
from setup_site import APPLIANCE, SERVER, nets, resolve

from appliance.cli import setup as command
from appliance.config.load import load
from appliance.model import Mode
from appliance.setup import machine

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path):
    return tmp_path / "zward.toml"


@pytest.fixture(autouse=True)
def site(monkeypatch):
    """The same machine and DNS for every test in this process."""
    monkeypatch.setattr(machine, "found", lambda environ: SERVER)
    monkeypatch.setattr(machine, "resolve", resolve)
    monkeypatch.setattr(command, "own_connection", lambda: None)


def wizard(config, *words, given=None):
    return invoke("setup", "wizard", "--config", config, *words, given=given)


def test_the_wizard_writes_what_check_takes(config):
    done = wizard(config, given="mbox1.example.org\n\n\n\n\n\n")

    assert done.exit_code == 0, done.output
    assert "Write it? [Y/n]: " in done.stdout
    assert f"written: {config}" in done.stdout
    assert "zward setup rsyslog" in done.stdout
    assert load(config).mode is Mode.OBSERVE
    assert load(config).zimbra.hosts == nets("127.0.0.0/8", "::1", "10.0.0.10", "2001:db8::10")
    checked = invoke("check", config)
    assert checked.exit_code == 0
    assert "valid, 0 warnings" in checked.stdout


@pytest.mark.parametrize(
    "typed", ["", "mbox1.example.org\n", "mbox1.example.org\n\n\n\n\n", "mbox1.example.org\n\n\n\n\nn\n"]
)
def test_who_leaves_before_agreeing_has_written_nothing(config, typed):
    done = wizard(config, given=typed)

    assert done.exit_code == 1
    assert done.stderr.strip() == "nothing was written"
    assert not config.exists()


def test_the_file_before_is_shown_in_its_differences_and_kept(config):
    config.write_text('# mine\nmode = "enforce" # at last\n[zimbra]\nhosts = ["10.0.0.10"]\n')

    done = wizard(config, given="\nnone\n\n\n\n\n")

    assert done.exit_code == 0, done.output
    assert "@@" not in done.stdout
    assert '\n\n   # mine\n  -mode = "enforce" # at last\n' in done.stdout
    assert '  +mode = "observe"                  # at last' in done.stdout
    assert "warning: mode: goes back from" in done.stdout
    [kept] = config.parent.glob("zward.toml.before-*")
    assert kept.read_text().startswith('# mine\nmode = "enforce"')
    assert f"the one before: {kept}" in done.stdout
    assert config.read_text().startswith('# mine\nmode = "observe"')


def test_a_second_run_has_nothing_to_write(config):
    wizard(config, "--yes", "--hosts", "mbox1.example.org")
    before = config.stat().st_mtime_ns

    done = wizard(config, given="\n\n\n\n\n")

    assert done.exit_code == 0
    assert f"{config} says all this already." in done.stdout
    assert config.stat().st_mtime_ns == before
    assert [path.name for path in config.parent.iterdir()] == ["zward.toml"]


def test_answers_from_a_file_need_nobody(config, tmp_path):
    answers = tmp_path / "answers.toml"
    answers.write_text('hosts = ["mbox1.example.org"]\nmail_to = "a@example.org"\n')

    done = wizard(config, "--answers", answers, "--json", "--mail-to", "b@example.org")

    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert told["written"] is True
    assert told["kept"] is None
    assert told["text"] == config.read_text()
    assert told["warnings"] == []
    email = load(config).notify.email
    assert email is not None
    assert email.to == ("b@example.org",), "an option wins over the file"
    assert email.sender == "b@example.org"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--yes"], 2, "hosts: found nothing, expected at least one host"),
        (["--yes", "--hosts", "10.0.0.300"], 2, 'hosts: found "10.0.0.300", expected'),
        (["--yes", "--hosts", "10.0.0.10", "--public", "203.0.113.1"], 2, "public: means nothing here"),
        (["--answers", "/nowhere/answers.toml"], 1, "/nowhere/answers.toml: No such file or directory"),
        (["--answers", ROOT / "image/zward.toml"], 5, "mode: unknown key"),
        (["--answers", ROOT / "LICENSE"], 5, "not TOML"),
    ],
)
def test_what_is_wrong_with_the_answers_is_said_and_nothing_written(config, words, code, says):
    done = wizard(config, *words)

    assert done.exit_code == code
    assert says in done.stderr
    assert not config.exists()


@pytest.mark.parametrize("text", [b"mode = 1\n", b"mode = \n", b"\xff\n"])
def test_a_faulty_file_is_not_touched(config, text):
    config.write_bytes(text)

    done = wizard(config, "--yes", "--hosts", "10.0.0.10")

    assert done.exit_code == 5
    assert "move" in done.stderr
    assert config.read_bytes() == text


def test_a_dry_run_shows_and_writes_nothing(config):
    done = wizard(config, "--dry-run", "--yes", "--hosts", "10.0.0.10")

    assert done.exit_code == 0
    assert '  hosts = ["127.0.0.0/8", "::1", "10.0.0.10"]' in done.stdout
    assert "Next:" not in done.stdout
    assert not config.exists()


def test_whoever_may_not_write_is_told_before_any_question(config, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)

    done = wizard(config, given="mbox1.example.org\n")

    assert done.exit_code == 1
    assert done.stdout == ""
    assert "cannot be written by you" in done.stderr


def test_a_full_disk_leaves_the_old_file(config, monkeypatch):
    config.write_text('[zimbra]\nhosts = ["10.0.0.10"]\n')

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = wizard(config, "--yes")

    assert done.exit_code == 1
    assert done.stderr == f"{config}: not written: No space left on device\n"
    assert config.read_text() == '[zimbra]\nhosts = ["10.0.0.10"]\n'
    assert [path.name for path in config.parent.iterdir()] == ["zward.toml"]


@pytest.mark.parametrize(("code", "says"), [(0, None), (1, "written, and not taken up: systemctl status")])
def test_zward_takes_it_up_if_that_is_wanted(config, tmp_path, monkeypatch, code, says):
    (tmp_path / "bin").mkdir()
    systemctl = tmp_path / "bin/systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nexit {code}\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")

    done = wizard(config, "--yes", "--hosts", "10.0.0.10", "--reload")

    assert (tmp_path / "asked").read_text() == "reload-or-restart zward-firewall zward\n"
    assert done.exit_code == code
    assert config.exists()
    assert says is None or says in done.stderr


def test_without_systemd_it_is_said(config, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    done = wizard(config, "--yes", "--hosts", "10.0.0.10", "--reload")

    assert done.exit_code == 1
    assert "no systemctl here" in done.stderr


def test_on_the_appliance_a_gateway_is_written(config, monkeypatch):
    monkeypatch.setattr(machine, "found", lambda environ: APPLIANCE)

    done = wizard(config, "--yes", "--hosts", "mbox1.example.org proxy1.example.org", "--admin", "198.51.100.0/28")

    gateway = load(config).gateway
    assert done.exit_code == 0, done.output
    assert gateway is not None
    assert gateway.mode == "routed"
    assert {str(each.scope): [str(net) for net in each.to] for each in gateway.publish} == {
        "smtp-in": ["10.0.0.10", "2001:db8::10"],
        "login": ["10.0.0.12", "2001:db8::12"],
        "web": ["10.0.0.12", "2001:db8::12"],
    }
    assert invoke("firewall", "show", "--config", config).exit_code == 0


@contextlib.contextmanager
def terminal(*words: str | Path) -> Iterator["Terminal"]:
    """A wizard of its own on a terminal of its own."""
    ours, its = pty.openpty()
    env = os.environ | {"TERM": "vt100"}
    with subprocess.Popen(
        [COMMAND, "setup", "wizard", *map(str, words)],
        stdin=its,
        stdout=its,
        stderr=its,
        env=env,
        start_new_session=True,
        preexec_fn=lambda: _control(0),
    ) as process:
        os.close(its)
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
            os.close(ours)


def _control(descriptor: int) -> None:
    """Make the terminal the process's own, so that Ctrl-C typed there is a signal."""
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


class Terminal:
    """Its other end: where a person sits."""

    def __init__(self, descriptor: int, process: "subprocess.Popen[bytes]") -> None:
        self._descriptor = descriptor
        self.process = process
        self.seen = ""

    def until(self, text: str, seconds: float = 20) -> None:
        """Read until this stands there."""
        end = time.monotonic() + seconds
        while text not in self.seen.replace("\r", ""):
            assert select.select([self._descriptor], [], [], max(0, end - time.monotonic()))[0], self.seen
            self._read()

    def _read(self) -> bool:
        try:
            part = os.read(self._descriptor, 65536)
        except OSError:  # EIO: the last one has closed it
            return False
        self.seen += part.decode()
        return bool(part)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def rest(self) -> int:
        while self._read():
            pass
        return self.process.wait(20)


@pytest.mark.daemon
@pytest.mark.parametrize("leave", ["\x03", "\x04"], ids=["ctrl-c", "end-of-input"])
@pytest.mark.parametrize("at", ["Zimbra hosts: ", "Write it? [Y/n]: "])
def test_on_a_terminal_leaving_writes_nothing(config, leave, at):
    with terminal("--config", config) as person:
        person.until("Zimbra hosts: ")
        if at != "Zimbra hosts: ":
            person.type("192.0.2.10\n" + "\n" * 4)
            person.until(at)
        person.type(leave)
        code = person.rest()

    assert code == 1
    assert "nothing was written" in person.seen
    assert "Traceback" not in person.seen
    assert not config.exists()


@pytest.mark.daemon
def test_on_a_terminal_a_person_mistypes_and_gets_there(config):
    with terminal("--config", config) as person:
        person.until("Zimbra hosts: ")
        person.type("192.0.2.300\n")
        person.until('found "192.0.2.300"')
        person.type("?\n")
        person.until("mbox1=192.0.2.10+2001:db8::10")
        person.type("mbx=192.0.2.1\x7f0\n")  # the delete key works
        person.until("1  mbx: 192.0.2.0\n")
        person.type("\n" * 4)
        person.until("Write it? [Y/n]: ")
        person.type("y\n")
        code = person.rest()

    assert code == 0, person.seen
    assert load(config).zimbra.hosts == nets("127.0.0.0/8", "::1", "192.0.2.0")


@pytest.mark.daemon
def test_a_signal_to_end_writes_nothing(config):
    with terminal("--config", config) as person:
        person.until("Zimbra hosts: ")
        person.process.send_signal(signal.SIGTERM)
        person.rest()

    assert not config.exists()


SITE = """
[listen]
tcp = ["192.0.2.1:5514"]
udp = ["0.0.0.0:514"]
senders = ["10.0.0.10", "10.0.0.11", "10.0.0.64/28"]
names = { mbox1 = "10.0.0.10" }
[zimbra]
hosts = ["10.0.0.10", "10.0.0.11"]
"""


def rsyslog(config, *words):
    return invoke("setup", "rsyslog", "--config", config, *words)


@pytest.fixture
def site_config(config, monkeypatch):
    config.write_text(SITE)
    ways = dict(zip(nets("10.0.0.10", "10.0.0.11", "10.0.0.70"), nets("10.0.0.1", "10.0.0.2", "10.0.0.3"), strict=True))
    monkeypatch.setattr(machine, "way_to", ways.__getitem__)
    return config


def test_the_snippet_names_where_the_configuration_listens(site_config):
    done = rsyslog(site_config)

    assert done.exit_code == 0
    assert done.stdout == (ROOT / "image/rsyslog/zward.conf").read_text()


@pytest.mark.parametrize(
    ("words", "target"),
    [
        (["--transport", "udp", "--for", "mbox1"], ("10.0.0.1", 514)),
        (["--transport", "udp", "--for", "10.0.0.11"], ("10.0.0.2", 514)),
        (["--transport", "udp", "--for", "10.0.0.70"], ("10.0.0.3", 514)),
        (["--gateway", "192.0.2.1"], ("192.0.2.1", 5514)),
        (["--gateway", "[2001:db8::1]", "--port", "6514"], ("2001:db8::1", 6514)),
        (["--for", "mbox1", "--port", "601"], ("192.0.2.1", 601)),
    ],
)
def test_the_snippet_for_one_host(site_config, words, target):
    told = json.loads(rsyslog(site_config, *words, "--json").stdout)

    assert (told["gateway"], told["port"]) == target
    assert f'target="{target[0]}" port="{target[1]}" protocol="{told["transport"]}"' in told["text"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--transport", "udp"], 1, "they do not all send to one address (mbox1 to 10.0.0.1, 10.0.0.11 to 10.0.0.2)"),
        (["--for", "mbox9"], 3, 'found "mbox9", expected one of mbox1, 10.0.0.11'),
        (["--for", "10.9.9.9"], 3, "nobody else is in listen.senders"),
        (["--gateway", "2001:db8::1"], 1, "nothing takes IPv6; name the port: --port"),
        (["--gateway", 'x"y'], 2, "is no address such as"),
        (["--port", "0"], 2, "0 is not in the range"),
        (["--output", "/nowhere/60-zward.conf"], 1, "/nowhere/60-zward.conf: not written: No such file or directory"),
    ],
)
def test_what_keeps_the_snippet_from_being_made_is_said(site_config, words, code, says):
    done = rsyslog(site_config, *words)

    assert done.exit_code == code
    assert says in done.stderr
    assert done.stdout == ""


def test_without_a_host_there_is_nobody_to_print_for(config):
    config.write_text('mode = "observe"\n')

    done = rsyslog(config)

    assert done.exit_code == 3
    assert "zward setup wizard" in done.stderr


def test_the_snippet_goes_into_a_file(site_config, tmp_path):
    done = rsyslog(site_config, "--output", tmp_path / "60-zward.conf")

    assert done.stdout == f"written: {tmp_path}/60-zward.conf (to 192.0.2.1, port 5514, tcp)\n"
    assert (tmp_path / "60-zward.conf").read_text() == (ROOT / "image/rsyslog/zward.conf").read_text()
