"""A new policy is taken back by itself unless somebody confirms that he can still get in.

`begin` starts a process of its own that remembers what was in force before and listens on `DIR/confirm.sock`, to
root alone. It does not die with the terminal or the ssh session that it was started from: a hang-up means nothing to
it, and SIGTERM makes it put everything back at once. It is the only one to decide, so nothing is confirmed and taken
back at the same moment.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import syslog
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from appliance.firewall import places
from appliance.firewall.backend import BackendError
from appliance.firewall.policy import libnftables
from appliance.firewall.policy.libnftables import NftError
from appliance.firewall.policy.policy import TABLE as POLICY
from appliance.root import sysctls
from appliance.root.files import Refusal, loading, put, read
from appliance.root.sysctls import SysctlError

SOCKET = "confirm.sock"

CONFIRM, UNDO, WAIT = b"confirm", b"undo", b"wait"
"""What may be asked; the answer is a sentence, for `WAIT` at the end."""
CONFIRMED = "confirmed: the policy stays"

FILES = (places.ORDERS, places.POLICY, places.LISTING, sysctls.NAME)
"""What a load writes into the firewall's directory."""

START_LIMIT = 20.0
"""Seconds until the process that waits is up; it takes half a second."""

ANSWER_LIMIT = 60.0
"""Seconds for an answer: putting a policy back takes some milliseconds, on a loaded machine more."""

MOST_ASKING = 8
"""Connections at once; one is the prompt's, one that of `zward firewall confirm`."""


@dataclass(frozen=True, slots=True)
class Before:
    """What was in force before a load."""

    policy: str | None
    """One transaction that makes the table `inet zward_policy` what it was; None where there was none."""
    files: dict[str, str | None]
    switches: dict[str, str]

    def restore(self, directory: Path) -> None:
        """Put it back. Raises OSError, SysctlError, BackendError, NftError.

        A switch is closed before the policy and opened after it: the host must not forward for a moment what no
        policy looks at.
        """
        with loading(directory):
            for name, content in self.files.items():
                put(directory / name, content)
            sysctls.put({name: value for name, value in self.switches.items() if value == "0"})
            if text := self.policy or removing():
                libnftables.run(text)
            sysctls.put(self.switches)


def remember(directory: Path) -> Before:
    """What is in force now. Raises Refusal where that could not be put back, and OSError, BackendError, NftError."""
    policy = None
    if POLICY in libnftables.tables():
        listing = libnftables.settled(POLICY, stateless=False)
        policy = f"add table inet {POLICY}\ndelete table inet {POLICY}\n{listing}"
        try:
            libnftables.run(policy, check=True)
        except NftError as fault:
            raise Refusal(f"the policy now in force could not be put back as it is listed ({fault})") from fault
    return Before(policy, {name: read(directory / name) for name in FILES}, sysctls.current())


def removing() -> str:
    """What removes the policy; "" where there is none."""
    return f"delete table inet {POLICY}\n" if POLICY in libnftables.tables() else ""


def begin(directory: Path, before: Before, seconds: float) -> None:
    """Start the process that puts `before` back after that time. Raises Refusal where none can be started."""
    command = [sys.executable, "-I", "-m", "appliance.root.rollback", str(directory), f"{seconds:g}"]
    terminal = None if sys.stderr.isatty() else subprocess.PIPE
    try:
        done = subprocess.run(  # noqa: S603 - this program itself
            command,
            input=json.dumps(asdict(before)).encode(),
            stdout=subprocess.PIPE,
            stderr=terminal,
            start_new_session=True,
            timeout=START_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise Refusal(f"nothing would take the policy back: {fault}") from fault
    if done.returncode:
        raise Refusal(f"nothing would take the policy back: {(done.stderr or b'').decode(errors='replace').strip()}")


def waiting(directory: Path) -> socket.socket | None:
    """A connection to the process that waits; None where none does. Raises OSError."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        made.connect(str(directory / SOCKET))
    except (FileNotFoundError, ConnectionRefusedError):
        made.close()
        return None
    except OSError:
        made.close()
        raise
    return made


def ask(directory: Path, word: bytes) -> str | None:
    """Ask the process that waits; its answer, or None where none waits. Raises OSError."""
    connection = waiting(directory)
    if connection is None:
        return None
    with connection:
        connection.settimeout(ANSWER_LIMIT)
        connection.send(word)
        return answer(connection)


def answer(connection: socket.socket) -> str | None:
    """What the process that waits has to say; None if it ended without a word."""
    try:
        return connection.recv(4096).decode("utf-8", "replace") or None
    except ConnectionResetError:
        return None


class _Terminated(Exception):
    """SIGTERM came: the session, or the system, is being taken down."""


def main() -> None:
    """`python -m appliance.root.rollback DIR SECONDS`, what was before on standard input; ends once it waits."""
    directory, seconds = Path(sys.argv[1]), float(sys.argv[2])
    before = Before(**json.load(sys.stdin))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    path = directory / SOCKET
    if running := waiting(directory):
        running.close()
        sys.exit("another policy waits to be confirmed: zward firewall confirm")
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.umask(0o177)  # the socket is root's alone
    listening.bind(str(path))
    listening.listen(MOST_ASKING)
    if os.fork():
        os._exit(0)
    _detach()
    _wait(listening, directory, before, time.monotonic() + seconds)


def _detach() -> None:
    """Let go of the standard input and output; what is told goes to the terminal, if there is one, and to syslog."""
    os.umask(0o022)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1) if os.isatty(2) else (0, 1, 2):
        os.dup2(nowhere, descriptor)


def _wait(listening: socket.socket, directory: Path, before: Before, deadline: float) -> NoReturn:
    """Wait for one word or for the deadline, do what follows from it, tell everybody and end."""
    asking: list[socket.socket] = []

    def terminated(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Terminated

    signal.signal(signal.SIGTERM, terminated)
    try:
        reason = _asked(listening, asking, deadline)
    except _Terminated:
        reason = "it was told to end"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    says = _taken_back(directory, before, reason) if reason else CONFIRMED
    (directory / SOCKET).unlink(missing_ok=True)
    for connection in asking:
        try:
            connection.send(says.encode())
        except OSError:
            continue  # he has hung up
    _tell(says, to_terminal=not asking)
    os._exit(0)


def _asked(listening: socket.socket, asking: list[socket.socket], deadline: float) -> str:
    """Why everything has to be put back; "" if it was confirmed."""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([listening, *asking], [], [], left)
        for one in ready:
            if one is listening:
                connection, _ = listening.accept()
                if len(asking) < MOST_ASKING:
                    asking.append(connection)
                else:
                    connection.close()
                continue
            try:
                word = one.recv(64)
            except ConnectionResetError:
                word = b""
            if word == CONFIRM:
                return ""
            if word == UNDO:
                return "it was not confirmed"
            if word != WAIT:
                asking.remove(one)
                one.close()
    return "nobody confirmed it in time"


def _taken_back(directory: Path, before: Before, reason: str) -> str:
    try:
        before.restore(directory)
    except (OSError, SysctlError, BackendError, NftError) as fault:
        return f"taking the policy back has failed: {fault}; look with: zward firewall diff"
    return f"taken back, since {reason}: what was in force before is in force again"


def _tell(says: str, to_terminal: bool) -> None:
    """To the journal; and to the terminal, which may be gone, if nobody sits there and asks."""
    syslog.openlog("zward", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_WARNING, f"firewall policy: {says}")
    try:
        if to_terminal:
            os.write(2, f"\r\nzward: firewall policy {says}\r\n".encode())
    except OSError:
        return


if __name__ == "__main__":
    main()
