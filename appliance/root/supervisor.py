"""`zward run` as root where no systemd does it: loads the firewall, starts helper and receiver, keeps them running.

In a container it may be another user with CAP_NET_ADMIN, or root with no other capability; then all three are the
same user, and the receiver alone holds nothing.

It holds open what must outlive them: the socket that the helper listens on, so that the receiver never finds
nobody there, and the netlink socket that owns the table, so that it never loses its owner. It reads the
configuration and nothing that comes from outside.
"""

import contextlib
import fcntl
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from appliance.config.faults import ConfigError
from appliance.config.load import load as read_config
from appliance.config.schema import Config
from appliance.firewall.places import SOCKET
from appliance.firewall.table.netlink import Netlink
from appliance.model import Mode
from appliance.root.identity import (
    GivingError,
    Identity,
    Need,
    current,
    give,
    named,
    obstacle,
    obstacle_to_giving,
    receiver_identity,
)
from appliance.root.privilege import CAP_NET_ADMIN, CHANGING_USER, HELPER, PRIVILEGED_PORTS, RECEIVER, held
from appliance.root.program import HEEDED, Child, Program, heed_signals

log = logging.getLogger(__name__)

CODE = Path(__file__).parent

HELPER_USER = "zward-firewall"

HELPER_GRACE = 2.0
RECEIVER_GRACE = 20.0
"""Seconds from SIGTERM to SIGKILL. The receiver hands on what came and writes what waits; its goal is 2 s."""

BACKLOG = 4
"""Connections that wait for the helper: there is one receiver, and `zward firewall restore` at a boot."""

LEFTOVERS = 10.0
"""Seconds to wait for the receiver of a supervisor that was killed: it is ending."""

IDLE = 60.0
"""Seconds. Nothing is due; a signal wakes us sooner."""

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""All that helper and receiver learn of ours, but for `PASSED`."""

PASSED = ("TZ",)

ROOTS_PLACES = {"XDG_STATE_HOME": "/var/lib", "XDG_RUNTIME_DIR": "/run"}
"""With these the built-in configuration names the same files to the receiver as it does to root."""

ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
"""waitid(2): who has ended, if anybody has, without taking note of it."""

LOAD_LIMIT = 60.0
"""Seconds for the loader at a reload, when nobody is asked anything; it takes half of one."""


class SupervisorError(Exception):
    """zward cannot be started; the message says why."""


@dataclass(frozen=True, slots=True)
class Commands:
    """What the three parts are started with."""

    loader: Sequence[str]
    """Root's one-shot, `zward firewall load`. libnftables is loaded there and never in the supervisor."""
    receiver: Sequence[str]
    helper: Sequence[str] = (sys.executable, "-I", "-m", "appliance.firewall.helper")


class Supervisor:
    """One running zward, seen from its root."""

    def __init__(self, config: Config, path: Path | None, commands: Commands) -> None:
        """`path` is the file that a SIGHUP reads again; None for the built-in configuration."""
        self._config = config
        self._path = path
        self._commands = commands
        self._directory = config.firewall_directory
        self._open = ExitStack()
        """What is open, to be closed in the reverse order."""
        self._lock = -1
        self._helper: Child | None = None
        self._receiver: Child
        self._notices: socket.socket
        """Where the receiver says that it is up, as it would to systemd."""
        self._was_ready = False

    # Start

    def run(self, options: Sequence[str] = ()) -> int:
        """Serve until SIGTERM or SIGINT; SIGHUP loads again. Returns the exit code. Raises SupervisorError.

        `options` are the loader's, at this start only: --force, --confirm. These signals stay blocked afterwards: a
        second Ctrl-C does not cut the end short.
        """
        with self._open:
            try:
                return self._run(options)
            except (OSError, GivingError) as fault:
                raise SupervisorError(str(fault)) from fault

    def _run(self, options: Sequence[str]) -> int:
        if os.getpid() == 1:  # what comes while the loader works waits for us: nobody else ends a container well
            signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        capable = held().permitted
        changes_user = capable >= CHANGING_USER
        identity = self._settled_identity() if changes_user else self._own_identity()
        helper = (named(HELPER_USER) if changes_user else None) or current()
        self._claim(helper)
        if CAP_NET_ADMIN in capable:
            loader = subprocess.run(  # noqa: S603 - the command is our own
                (*self._commands.loader, *options), stdout=sys.stderr, preexec_fn=heed_signals, check=False
            )
            if loader.returncode:
                return max(loader.returncode, 1)  # it has said why; negative is a signal
            self._helper = Child(self._helper_program(helper, identity, capable))
        elif self._config.mode is Mode.ENFORCE:
            log.error("root without CAP_NET_ADMIN, as in most containers (--cap-add NET_ADMIN): no firewall is loaded")
        self._receiver = Child(self._receiver_program(identity, capable))
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        for child in self._children():
            self._open.callback(child.stop)  # the last one first
            child.start()
        return self._watch()

    def _children(self) -> Iterator[Child]:
        if self._helper:
            yield self._helper
        yield self._receiver

    def _settled_identity(self) -> Identity:
        """The receiver's user, with the directories that are the receiver's in its hands."""
        directories = self._directories()
        needs = [*self._needs(self._commands.receiver), *((each, os.F_OK) for each in directories)]
        if self._path:
            needs.append((self._path.absolute(), os.R_OK))
        identity, why = receiver_identity(CODE, needs)
        for directory, names in directories.items():
            if not why and (reason := obstacle_to_giving(directory, identity, names)):
                identity, why = current(), reason
        if why:
            log.warning(
                "THE RECEIVER RUNS AS ROOT, with no capability but with root's files in its reach: %s. "
                "The cure: program, configuration and store where everybody may go, such as /opt, /etc and /var/lib, "
                "with a directory of its own for the store and one for the admin socket",
                why,
            )
        for directory, names in directories.items():
            if not obstacle_to_giving(directory, identity, names):
                give(directory, identity, names)
        return identity

    def _own_identity(self) -> Identity:
        """Ourselves: nobody else can be the receiver without CAP_SETUID, which a container need not have."""
        me = current()
        for directory in self._directories():
            if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                owner = directory.stat().st_uid
                cure = f"start it as that user, or give it to this one: chown -R {me.uid}:{me.gid} {directory}"
                raise SupervisorError(f"{directory} belongs to uid {owner}, and this is {me.name}; {cure}")
        log.info(
            "without CAP_SETUID, as in a container, all of zward is %s; the receiver drops its capabilities", me.name
        )
        return me

    def _directories(self) -> dict[Path, list[str]]:
        """Those that the receiver writes in, made where they are not there, with its files in them."""
        socket, store = self._config.admin.socket, self._config.store.path
        directories: dict[Path, list[str]] = {}
        for path, mode in ((socket, 0o755), (store, 0o700)):
            path.parent.mkdir(mode=mode, parents=True, exist_ok=True)
            directories.setdefault(path.parent, []).append(path.name)
        return directories

    def _needs(self, command: Sequence[str]) -> list[Need]:
        """What a part of zward must be able to read to be zward at all."""
        readable = os.R_OK | os.X_OK
        depends = Path(click.__file__).parent  # as everything that we depend on
        return [(Path(command[0]), os.X_OK), (depends, readable), (CODE, readable)]

    def _claim(self, helper: Identity) -> None:
        """Be the only zward with this directory. The lock lives as long as we or anything that we started."""
        directory = self._directory
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._open.callback(os.close, self._lock)
        found = os.fstat(self._lock)
        if found.st_uid not in (0, helper.uid) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise SupervisorError(f"{directory} must belong to root, and nobody else may write in it")
        deadline = time.monotonic() + LEFTOVERS
        while True:
            if _is_listened_on(directory / SOCKET):
                raise SupervisorError(f"another zward runs with {directory}")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SupervisorError(f"another zward runs with {directory}, or has not ended yet") from None
            time.sleep(0.05)

    def _helper_program(self, helper: Identity, receiver: Identity, capable: frozenset[int]) -> Program:
        if found := obstacle(helper, self._needs(self._commands.helper)):
            user = current()
            log.warning(
                "the helper runs as %s, with its capabilities only: %s cannot: %s", user.name, helper.name, found
            )
            helper = user
        listener = self._listening_socket(receiver)
        netlink = self._open.enter_context(contextlib.closing(Netlink())).socket
        numbers = (listener.fileno(), netlink.fileno())
        words = ("--directory", self._directory, "--receiver", receiver.uid)
        command = (*self._commands.helper, *words, "--listen-fd", numbers[0], "--netlink-fd", numbers[1])
        return Program(
            name="helper",
            command=tuple(map(str, command)),
            identity=helper,
            capabilities=HELPER & capable,
            environment=ENVIRONMENT,
            descriptors=(self._lock, *numbers),
            if_orphaned=signal.SIGKILL,  # it has nothing to write down
            grace=HELPER_GRACE,
        )

    def _listening_socket(self, receiver: Identity) -> socket.socket:
        """The receiver's own, so that it may connect, and nobody else but root may."""
        path = self._directory / SOCKET
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        self._open.callback(listener.close)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        self._open.callback(path.unlink, missing_ok=True)
        if receiver.uid != os.geteuid():
            os.chown(path, receiver.uid, 0, follow_symlinks=False)
        listener.listen(BACKLOG)
        return listener

    def _receiver_program(self, identity: Identity, capable: frozenset[int]) -> Program:
        self._notices = self._open.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC))
        self._notices.bind("")  # the kernel chooses an abstract name (unix(7), autobind)
        place = self._notices.getsockname()[1:].decode("ascii")
        environment = ENVIRONMENT | ROOTS_PLACES | {"NOTIFY_SOCKET": f"@{place}"}
        return Program(
            name="receiver",
            command=self._commands.receiver,
            identity=identity,
            capabilities=receiver_capabilities(self._config) & capable,
            environment=environment | {name: os.environ[name] for name in PASSED if name in os.environ},
            descriptors=(self._lock,),
            if_orphaned=signal.SIGTERM,
            grace=RECEIVER_GRACE,
        )

    # Run

    def _watch(self) -> int:
        while True:
            due = [child.due for child in self._children() if child.due is not None]
            wait = max(min(due) - time.monotonic(), 0) if due else IDLE
            woken = signal.sigtimedwait(HEEDED, wait)
            match woken.si_signo if woken else None:
                case signal.SIGTERM | signal.SIGINT:
                    return 0
                case signal.SIGHUP:
                    self._reload()
            for child in self._children():
                if (code := child.ended()) is not None:
                    if child is self._receiver and code > 0 and not self._has_been_up():
                        return code  # it has said why it does not start
                    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
                    log.error("the %s %s; it is started again", child.program.name, how)
                child.start_if_due()
            self._bury()

    def _bury(self) -> None:
        """Take note of ended processes whose own parent ended before: they fall to the first one of a container."""
        ours = {child.pid for child in self._children()}
        with contextlib.suppress(ChildProcessError):  # there is none at all
            while (ended := os.waitid(os.P_ALL, 0, ENDED)) and ended.si_pid not in ours:
                os.waitpid(ended.si_pid, 0)

    def _has_been_up(self) -> bool:
        """Whether the receiver has ever said so."""
        with contextlib.suppress(BlockingIOError):
            while notice := self._notices.recv(4096, socket.MSG_DONTWAIT):
                self._was_ready = self._was_ready or b"READY=1" in notice.split(b"\n")
        return self._was_ready

    def _reload(self) -> None:
        """Take up the configuration as it is on disk now; with a fault the old one stays, in the kernel too."""
        try:
            read_config(self._path)
        except ConfigError:
            self._receiver.send(signal.SIGHUP)  # it will say what is wrong, and count it
            return
        if self._helper and not self._loaded_again():
            log.error("not reloaded, the old configuration stays in force")
            return
        self._receiver.send(signal.SIGHUP)

    def _loaded_again(self) -> bool:
        try:
            loader = subprocess.run(  # noqa: S603 - the command is our own
                self._commands.loader,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                preexec_fn=heed_signals,
                timeout=LOAD_LIMIT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as fault:
            log.error("the firewall is not loaded: %s", fault)
            return False
        return loader.returncode == 0


def receiver_capabilities(config: Config) -> frozenset[int]:
    """What the receiver needs by this configuration."""
    endpoints = (*config.listen.udp, *config.listen.tcp, config.http.listen)
    return RECEIVER if any(0 < each.port < PRIVILEGED_PORTS for each in endpoints) else frozenset()


def _is_listened_on(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:  # so many wait for it already
            return True
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True
