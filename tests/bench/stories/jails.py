"""fail2ban as a policy: Debian's own code in a process of its own, asked after every try."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.stories.defence import Bans
from bench.stories.lines import Line
from bench.stories.script import Try

from appliance.address import Net, parse_address

PYTHON = Path("/usr/bin/python3")
PACKAGE = Path("/usr/lib/python3/dist-packages/fail2ban")
PEER = Path(__file__).parent / "fail2ban" / "peer.py"

PUBLISHED = (
    ("zimbra-account", "zimbra-published", "", ["mailbox.log"]),
    ("zimbra-audit", "zimbra-published", "", ["audit.log"]),
)
TUNED = (("zimbra", "zimbra-tuned", "", ["audit.log", "mailbox.log", "nginx.log"]),)
POSTFIX = ("postfix", "postfix", "auth", ["zimbra.log"])
"""Debian's own filter. Its default mode sees no failed login at all."""


def why_not() -> str | None:
    """What is missing to ask fail2ban."""
    return None if PYTHON.exists() and PACKAGE.exists() else "Debian's package fail2ban is not installed"


class Fail2ban:
    """Some jails with the same three figures. Every ban closes every port, and takes no time."""

    def __init__(self, filters: Sequence[tuple[str, str, str, list[str]]], tries: int, within: int, lasts: int) -> None:
        figures = {"maxretry": tries, "findtime": within, "bantime": lasts}
        jails = [
            {"name": name, "filter_name": filter_name, "mode": mode, "files": files, **figures}
            for name, filter_name, mode, files in (*filters, POSTFIX)
        ]
        self.bans = Bans()
        self.alerts: dict[str, int] = Counter()
        self._peer = subprocess.Popen(
            [PYTHON, "-B", PEER, json.dumps(jails)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TZ": "UTC"},
        )
        self.expressions: dict[str, int] = dict(self._answer())
        """How many expressions each jail loaded."""

    def refuses(self, attempt: Try, source: Net, now: float) -> bool:
        return self.bans.cover(source, now)

    def hear(self, lines: Sequence[Line], now: float) -> None:
        assert self._peer.stdin
        question = {"now": now, "lines": [(line.file, line.in_file()) for line in lines]}
        self._peer.stdin.write(json.dumps(question) + "\n")
        self._peer.stdin.flush()
        for text, until in self._answer():
            self.alerts["mail"] += 1
            if address := parse_address(text.encode()):
                self.bans.open(address, now, until)

    def pass_time(self, now: float) -> None:
        """It acts on lines only; its bans end by themselves."""

    def _answer(self) -> Any:
        assert self._peer.stdout
        if answer := self._peer.stdout.readline():
            return json.loads(answer)
        raise RuntimeError(f"fail2ban's process ended with {self._peer.wait()}")

    def close(self) -> None:
        assert self._peer.stdin
        assert self._peer.stdout
        self._peer.stdin.close()
        self._peer.stdout.close()
        self._peer.wait()
