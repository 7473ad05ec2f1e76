"""Old logs for tests of `zward replay`: lines as they lie in files, and a replay of them in this process."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lines import audit_failure, audit_success, stamp

from appliance.config.load import parse
from appliance.config.rule_files import load_rules
from appliance.replay.files import find_logs
from appliance.replay.replay import Replay

RULES = load_rules()
NOON = datetime(2024, 5, 6, 12, tzinfo=UTC).timestamp()
ANA, BOB = "ana@example.com", "bob@example.com"
SOURCE = "203.0.113.9"
CONFIG = """mode = "observe"
[zimbra]
hosts = ["192.0.2.0/24"]
proxies = ["192.0.2.5"]
"""


def headed(frame: bytes) -> bytes:
    """A forwarded line as rsyslog's traditional file format writes it: no PRI, no year."""
    time, _, rest = frame.partition(b">")[2].partition(b" ")
    moment = datetime.fromisoformat(time.decode())
    return f"{moment:%b} {moment.day:2} {moment:%H:%M:%S} ".encode() + rest


def bare(frame: bytes) -> bytes:
    """The same line as it stands in the program's own log."""
    return frame.partition(b": ")[2]


def failures(
    count: int, at: float = NOON, every: float = 10.0, source: str = SOURCE, account: str = ANA
) -> list[bytes]:
    return [audit_failure(source, at + number * every, account) for number in range(count)]


def success(at: float, source: str = SOURCE, account: str = ANA) -> bytes:
    return audit_success(source, at, account)


def sasl(at: float, source: str = SOURCE) -> bytes:
    """A wrong password over SMTP, in a file without years."""
    moment = datetime.fromtimestamp(at, UTC)
    return (
        f"{moment:%b} {moment.day:2} {moment:%H:%M:%S} mx1 postfix/submission/smtpd[7]: warning: "
        f"unknown[{source}]: SASL LOGIN authentication failed: authentication failure"
    ).encode()


def lockout(at: float, account: str = ANA, source: str = SOURCE) -> bytes:
    return (
        f"{stamp(at)} INFO  [ImapServer-7] [ip={source};cid=1;] security - cmd=Auth; account={account}; "
        "error=account lockout due to too many failed logins;"
    ).encode()


def write(path: Path, lines: Sequence[bytes], mtime: float = NOON + 86400) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    os.utime(path, (mtime, mtime))
    return path


def replayed(*paths: Path, config: str = CONFIG, other: str | None = None, **options: Any) -> Mapping[str, Any]:
    """What a replay of these files finds."""
    configs = [parse(text, "test") for text in (config, other) if text is not None]
    replay = Replay(find_logs([str(path) for path in paths], NOON), RULES, configs, **options)
    replay.go()
    return replay.findings(None if other is None else "other.toml")


def bans(found: Mapping[str, Any]) -> list[tuple[str, str, str, int]]:
    return [(ban["source"], ban["detector"], ban["at"], ban["seconds"]) for ban in found["bans"]]
