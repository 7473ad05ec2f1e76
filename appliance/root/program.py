"""One program that is kept running: started with what it needs and no more, started again when it ends."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.root.identity import Identity
from appliance.root.privilege import PrivilegeError, become, end_with_parent

log = logging.getLogger(__name__)

PAUSE = 0.2
"""Seconds before a program that ended is started again; doubled while it ends at once by itself, to spare the machine.
One that is killed is back within a second, however often."""

LONGEST_PAUSE = 30.0
"""Seconds. What keeps a program from starting does not go away by itself."""

AT_ONCE = 0.5
"""Seconds. A program that ended by itself sooner than this after its start is one that cannot start."""

HEEDED = frozenset((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD))
"""Signals that the supervisor waits for. They are blocked in it, and unblocked in what it starts."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to start, as whom, and with what."""

    name: str
    command: Sequence[str]
    identity: Identity
    capabilities: frozenset[int]
    environment: Mapping[str, str]
    descriptors: Sequence[int]
    """Open files of ours that it keeps, under the same numbers."""
    if_orphaned: signal.Signals
    """What it is sent when we are killed."""
    grace: float
    """Seconds from SIGTERM to SIGKILL, when it is to end."""


class Child:
    """A program and the process that runs it now, if one does."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.due: float | None = None
        """When to start it again, on the monotonic clock; None while it runs."""
        self._process: subprocess.Popen[bytes] | None = None
        self._since = 0.0
        self._pause = PAUSE

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it in a process group of its own: Ctrl-C is for the supervisor, which ends it in its turn.

        Raises OSError where the command is not there.
        """
        program = self.program
        parent = os.getpid()
        self._process = subprocess.Popen(  # noqa: S603 - the command is our own
            program.command,
            stdin=subprocess.DEVNULL,
            env=program.environment,
            cwd="/",
            pass_fds=program.descriptors,
            process_group=0,
            preexec_fn=lambda: _settle(program, parent),  # we have one thread
        )
        self._since = time.monotonic()
        self.due = None

    def ended(self) -> int | None:
        """Its exit code, once, when it has ended; negative for the signal that killed it. It is then due again."""
        code = self._process.poll() if self._process else None
        if code is None or self._process is None:
            return None
        now = time.monotonic()
        cannot_start = code >= 0 and now - self._since < AT_ONCE
        self._pause = min(self._pause * 2, LONGEST_PAUSE) if cannot_start else PAUSE
        self.due = now + self._pause
        self._process = None
        return code

    def start_if_due(self) -> None:
        if self.due is not None and time.monotonic() >= self.due:
            try:
                self.start()
            except OSError as fault:
                log.error("the %s cannot be started: %s", self.program.name, fault)
                self._pause = min(self._pause * 2, LONGEST_PAUSE)
                self.due = time.monotonic() + self._pause

    def send(self, number: signal.Signals) -> None:
        """Nothing happens where it does not run."""
        if self._process:
            self._process.send_signal(number)

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self.due = None
        if not self._process:
            return
        self._process.terminate()
        try:
            self._process.wait(self.program.grace)
        except subprocess.TimeoutExpired:
            log.error("the %s did not end within %g s and is killed", self.program.name, self.program.grace)
            self._process.kill()
            self._process.wait()
        self._process = None


def heed_signals() -> None:
    """In a new process: take the signals that the supervisor blocks as every program does."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)


def _settle(program: Program, parent: int) -> None:
    """In the new process, before the program itself: be nobody else from here on."""
    try:
        heed_signals()
        become(program.identity.uid, program.identity.gid, program.capabilities)
        end_with_parent(parent, program.if_orphaned)
    except (OSError, PrivilegeError) as fault:  # what subprocess would tell of it is only that it happened
        os.write(sys.stderr.fileno(), f"the {program.name} cannot be started: {fault}\n".encode())
        os._exit(1)
