"""Debian's Prometheus and Alertmanager with the files that we ship, and a mail server that keeps what it gets.

All of them run in the gateway's namespace, on its loopback.
"""

import contextlib
import http.client
import json
import mailbox
import re
import shutil
import sys
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import promql_parser as promql
from e2e.wire import Host, wait_until

GRAFANA = Path(__file__).parents[2] / "grafana"
PROMETHEUS, ALERTMANAGER, SMTP = 9090, 9093, 2525
HASTE = 60
"""How much faster the clocks of rules and routes run: a minute of theirs takes a second here."""

COMPARING = ("and", "or", "unless", "==", "!=", "<", ">", "<=", ">=")
_DURATION = re.compile(r"(?<![\w.:-])(\d+)(s|m|h|d)(?!\w)")
_OFFSET = re.compile(r" offset \d+[smhd]")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def hastened(text: str) -> str:
    """A file of ours with every duration in it shorter by `HASTE`, and none shorter than a second."""

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[1]) * _SECONDS[found[2]]
        return f"{max(1, seconds // HASTE) if seconds else 0}s"

    return "\n".join(line if "_DAY" in line else _DURATION.sub(shorter, line) for line in text.split("\n"))


class Monitoring:
    """Use it in a `with` statement."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self._directory = directory
        self._mails = directory / "mails"
        self._running = []

    def __enter__(self) -> Self:
        try:
            self._write_files()
            self._start(sys.executable, "-m", "aiosmtpd", "-n", "-c", "aiosmtpd.handlers.Mailbox", self._mails,
                        "-l", f"127.0.0.1:{SMTP}")  # fmt: skip
            self._start("prometheus-alertmanager", f"--config.file={self._directory}/alertmanager/alertmanager.yml",
                        f"--storage.path={self._directory}/am", f"--web.listen-address=127.0.0.1:{ALERTMANAGER}",
                        "--cluster.listen-address=", "--log.level=warn")  # fmt: skip
            self._start("prometheus", f"--config.file={self._directory}/prometheus/prometheus.yml",
                        f"--storage.tsdb.path={self._directory}/tsdb", f"--web.listen-address=127.0.0.1:{PROMETHEUS}",
                        "--log.level=warn")  # fmt: skip
            for port in (PROMETHEUS, ALERTMANAGER):
                wait_until(f"port {port} is ready", lambda port=port: self._is_ready(port), 30)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        for running in self._running:
            running.terminate()
        for running in self._running:
            running.wait(20)

    def _write_files(self) -> None:
        for part in ("prometheus", "alertmanager"):
            shutil.copytree(GRAFANA / part, self._directory / part)
        rules = self._directory / "prometheus"
        for path in (rules / "prometheus.yml", *(rules / "rules").glob("*.yml")):
            path.write_text(hastened(path.read_text()))
        routes = self._directory / "alertmanager/alertmanager.yml"
        routes.write_text(hastened(routes.read_text()).replace("127.0.0.1:25", f"127.0.0.1:{SMTP}"))

    def _start(self, *words: str | Path) -> None:
        self._running.append(self.host.start(*words, said=self._directory / "monitoring.out"))

    def _is_ready(self, port: int) -> bool:
        assert all(each.poll() is None for each in self._running), (self._directory / "monitoring.out").read_text()
        with contextlib.suppress(ConnectionRefusedError):
            return self._get(port, "/-/ready")[0] == 200
        return False

    def _get(self, port: int, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.sock = self.host.new_socket("127.0.0.1")
        with contextlib.closing(connection):
            connection.sock.settimeout(10)
            connection.sock.connect(("127.0.0.1", port))
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def queried(self, expr: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        status, body = self._get(PROMETHEUS, "/api/v1/query?" + urlencode({"query": expr}))
        answer = json.loads(body)
        assert status == 200, (expr, answer["error"])
        data = answer["data"]
        series: list[dict[str, Any]] = [data["result"]] if data["resultType"] == "scalar" else data["result"]
        return series

    def alerts(self, name: str) -> list[dict[str, Any]]:
        """What Alertmanager holds up under a name."""
        held: list[dict[str, Any]] = json.loads(self._get(ALERTMANAGER, "/api/v2/alerts")[1])
        return [alert for alert in held if alert["labels"]["alertname"] == name]

    def mails(self, *words: str) -> list[Message]:
        """The mails that came so far, with all these words in subject or text."""
        if not (self._mails / "new").is_dir():
            return []
        kept = mailbox.Maildir(self._mails)
        return [mail for mail in kept if all(word in f"{subject_of(mail)}\n{text_of(mail)}" for word in words)]


def subject_of(mail: Message) -> str:

    return str(make_header(decode_header(mail["Subject"])))


def text_of(mail: Message) -> str:
    """What a reader of plain text sees, its lines joined."""
    plain = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    payload = plain.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return " ".join(payload.decode().split())


def quantities(expr: str) -> Iterator[str]:
    """What an alert or an annotation compares, as it is now: it is there before the alert is."""
    node = promql.parse(_OFFSET.sub("", expr))
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    if isinstance(node, promql.BinaryExpr) and str(node.op) in (
        "and",
        "or",
        "unless",
        "==",
        "!=",
        "<",
        ">",
        "<=",
        ">=",
    ):
        yield from quantities(node.lhs.prettify())
        if not isinstance(node.rhs, promql.NumberLiteral):
            yield from quantities(node.rhs.prettify())
    elif isinstance(node, promql.Call) and node.func.name == "absent":
        yield from quantities(node.args[0].prettify())
    else:
        yield node.prettify()
