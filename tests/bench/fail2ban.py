"""Debian's fail2ban over the same lines: a real server that follows a file, with a filter written for speed.

The lines lie in the file as rsyslog writes them, which is fail2ban's own way in. It bans by an action that does
nothing, so reading and deciding is all that is measured.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from bench.machine import cpu_seconds
from e2e.wire import wait_until

SERVER = Path("/usr/bin/fail2ban-server")

SENTINEL = "198.51.100.77"
"""Bans come in the order of the lines: once this one is banned, all before it have been read."""

PATIENCE = 300.0
"""Seconds until all is read: a hundred times what it takes."""

_MAIN = """\
[Definition]
loglevel = NOTICE
logtarget = {0}/said
syslogsocket = auto
socket = {0}/socket
pidfile = {0}/pid
dbfile = {0}/bans.sqlite3
dbpurgeage = 1d
dbmaxmatches = 10
[Thread]
stacksize = 0
"""

_JAIL = """\
[DEFAULT]
ignoreself = false
usedns = no
logencoding = utf-8
backend = polling
maxretry = 6
findtime = 30m
bantime = 1d
action = nothing
[zimbra]
enabled = true
filter = quick
logpath = {0}/mail.log
"""

_FILTER = r"""
[Definition]
prefregex = ^\s*\S+ (?:postfix/\S*smtpd\[\d+\]: warning: |zimbra-\w+: \S+ \S+ (?:WARN|INFO)  \[[^\]]*\] )<F-CONTENT>.+</F-CONTENT>$
failregex = ^[^\[\s]*\[<ADDR>\]: SASL \w+ authentication failed:
            ^\[(?:[^\]]*;)?oip=<ADDR>;[^\]]*\] security - cmd=Auth; account=<F-USER>[^;]*</F-USER>; protocol=\w+; error=authentication failed
            ^\[(?:[^\]]*;)?oip=<ADDR>;[^\]]*\] SoapEngine - handler exception: authentication failed for
ignoreregex =
datepattern = ^%%b %%d %%H:%%M:%%S
"""  # noqa: E501 - fail2ban's expressions stand on one line each
"""Narrowed by one expression, decided by three, and a date that is looked for in one place. For measuring only: it
takes the last `oip=` of a context, which a client can write."""

_NOTHING = "[Definition]\nactionstart =\nactionstop =\nactioncheck =\nactionban =\nactionunban =\n"


def why_not() -> str | None:
    """What is missing to measure fail2ban."""
    return None if SERVER.exists() else "Debian's package fail2ban is not installed"


def in_file(lines: Iterable[bytes]) -> bytes:
    """Forwarded lines as rsyslog's traditional format writes them: without PRI, in local time, to the second."""
    return b"".join(map(_in_file, lines))


def _in_file(line: bytes) -> bytes:
    stamp, rest = line[line.index(b">") + 1 :].split(b" ", 1)
    moment = datetime.fromisoformat(stamp.decode()).astimezone()
    return f"{moment:%b %e %H:%M:%S} ".encode() + rest + b"\n"


def lines_per_cpu_second(text: bytes, count: int) -> float:
    """Have a server read `count` lines, and say how many it read in a second of its CPU time, start not counted."""
    with tempfile.TemporaryDirectory(prefix="zward-bench-") as name:
        directory = Path(name)
        log, said = directory / "mail.log", directory / "said"
        _configure(directory)
        log.touch()
        server = subprocess.Popen(
            [SERVER, "-f", "-c", name, "-s", directory / "socket", "-p", directory / "pid"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=name,
        )
        try:
            wait_until("fail2ban is up", lambda: (directory / "socket").exists(), 30)
            before = _at_rest(server.pid)
            with log.open("ab") as file:
                file.write(text + _sentinel())
            wait_until("fail2ban has read all", lambda: _has_banned(said, SENTINEL), PATIENCE)
            return count / (cpu_seconds([server.pid]) - before)
        finally:
            server.terminate()
            server.wait(60)


def _configure(directory: Path) -> None:
    for folder in ("filter.d", "action.d"):
        (directory / folder).mkdir()
    (directory / "fail2ban.conf").write_text(_MAIN.format(directory))
    (directory / "jail.conf").write_text(_JAIL.format(directory))
    (directory / "filter.d" / "quick.conf").write_text(_FILTER)
    (directory / "action.d" / "nothing.conf").write_text(_NOTHING)


def _at_rest(pid: int) -> float:
    """Its CPU seconds once a second has cost it nothing to speak of."""
    before = -1.0
    while (now := cpu_seconds([pid])) - before > 0.02:
        before = now
        time.sleep(1)
    return now


def _sentinel() -> bytes:
    now = datetime.now(UTC).astimezone()
    line = (
        f"{now:%b %e %H:%M:%S} mbox1 postfix/smtpd[4021]: warning: unknown[{SENTINEL}]: SASL LOGIN authentication "
        "failed: authentication failure\n"
    )
    return line.encode() * 20


def _has_banned(said: Path, source: str) -> bool:
    words = said.read_text("utf-8", "replace") if said.exists() else ""
    return bool(re.search(rf"\] Ban {re.escape(source)}$", words, re.MULTILINE))
