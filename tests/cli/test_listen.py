"""`zward listen` as an operator runs it."""

import json
import os
import pty
import socket
import subprocess
import time

import pytest
from listening import COMMAND, PATIENCE, Receiver, connected, receiving, send

pytestmark = pytest.mark.daemon

LINE = b"<22>Nov 21 19:00:00 mail1 postfix/smtpd[4242]: lost connection\n"


@pytest.fixture
def receiver():
    with receiving() as running:
        yield running


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_message_is_one_json_object_with_all_its_facts(receiver: Receiver) -> None:
    send("tcp", receiver.ports["tcp"], [LINE])
    (printed,) = receiver.until_mark("tcp")
    assert printed.pop("timestamp").endswith("-11-21T19:00:00.000000Z")
    assert printed == {
        "sender": "127.0.0.1",
        "transport": "tcp",
        "facility": 2,
        "severity": 6,
        "host": "mail1",
        "app": "postfix/smtpd",
        "pid": "4242",
        "msgid": None,
        "sd": {},
        "text": "lost connection",
        "repeat": 1,
        "truncated": False,
        "faults": [],
    }


def test_no_byte_of_a_message_can_act_on_a_terminal(receiver: Receiver) -> None:
    assert receiver.child.stdout is not None
    send("udp", receiver.ports["udp"], ["<22>Nov 21 19:00:00 m t: \x1b[2J \u202egnp \u2028 \x85".encode()])
    (printed,) = receiver.until_mark("udp")
    assert printed["text"] == "\x1b[2J \u202egnp \u2028 \x85"
    assert printed["faults"] == ["control_chars"]


def test_json_is_written_in_ascii() -> None:
    with subprocess.Popen([*COMMAND, "--udp", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        port = int(child.stderr.readline().rpartition(b":")[2])
        send("udp", ("127.0.0.1", port), ["<22>Nov 21 19:00:00 m t: \x1b\u202e\xff".encode()])
        line = child.stdout.readline()
        child.terminate()
    assert all(32 <= byte < 127 for byte in line.rstrip(b"\n"))
    assert json.loads(line)["text"] == "\x1b\u202e\xff"


def test_on_a_terminal_a_message_is_a_line_with_control_and_bidi_characters_escaped() -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen([*COMMAND, "--udp", "127.0.0.1:0"], stdout=follower, stderr=subprocess.PIPE) as child:
        os.close(follower)
        assert child.stderr is not None
        port = int(child.stderr.readline().rpartition(b":")[2])
        send("udp", ("127.0.0.1", port), [b"<22>Nov 21 19:00:00 m t[1]: \x1b[2J" + "\u202eü".encode()])
        line = os.read(leader, 4096)
        child.terminate()
    os.close(leader)
    assert (
        line.decode()
        .rstrip()
        .endswith("-11-21T19:00:00.000000Z 127.0.0.1 udp m t[1]: \\u{1b}[2J\\u{202e}ü  (control_chars)")
    )


def test_what_an_open_connection_still_holds_is_printed_at_the_end(receiver: Receiver) -> None:
    with connected(receiver.ports["tcp"]) as sock:
        sock.sendall(LINE + b"<22>Nov 21 19:00:00 mail1 x: unfinished")
        receiver.until_mark("tcp")
        begin = time.monotonic()
        counted = receiver.stop()
    assert time.monotonic() - begin < 2
    assert counted["unterminated_at_close"] == 1
    assert counted["frames"] == 3  # the mark is one


def test_what_was_sent_just_before_the_end_is_printed() -> None:
    with receiving() as receiver, connected(receiver.ports["tcp"]) as sock:
        receiver.until_mark("tcp")
        sock.sendall(LINE * 2000)
        send("udp", receiver.ports["udp"], [LINE] * 50)
        counted = receiver.stop()
    assert counted["frames"] == 2051


def test_a_sender_that_is_not_listed_is_refused_on_both_transports() -> None:
    with receiving("--senders", "192.0.2.0/24", "--senders", "2001:db8::/32") as receiver:
        send("udp", receiver.ports["udp"], [LINE])
        send("tcp", receiver.ports["tcp"], [LINE])
        counted = receiver.stop()
    assert counted == {"frames": 0, "sender_refused": 2, "dropped": 0}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:70000", "localhost:514", "::1:514", "", "[::1]"])
def test_a_bad_address_is_a_usage_error_that_shows_a_good_one(address: str) -> None:
    done = run("--udp", address)
    assert done.returncode == 2
    assert "expected a" in done.stderr


def test_nothing_to_listen_on_is_a_usage_error() -> None:
    assert run().returncode == 2


def test_a_network_with_host_bits_is_a_usage_error() -> None:
    done = run("--udp", "127.0.0.1:0", "--senders", "192.0.2.1/24")
    assert done.returncode == 2
    assert "192.0.2.0/24" in done.stderr


@pytest.mark.parametrize(("option", "kind"), [("--udp", socket.SOCK_DGRAM), ("--tcp", socket.SOCK_STREAM)])
def test_a_port_in_use_is_a_failure_that_names_it(option: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        done = run(option, f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1:{port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_it_ends_when_its_reader_has_gone() -> None:
    with subprocess.Popen([*COMMAND, "--tcp", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        port = int(child.stderr.readline().rpartition(b":")[2])
        child.stdout.close()
        with connected(("127.0.0.1", port)) as sock:
            sock.sendall(LINE)
            assert child.wait(PATIENCE) == 0
        assert b"Traceback" not in child.stderr.read()
