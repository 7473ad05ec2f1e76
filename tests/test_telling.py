"""A whole zward tells what happens by its channels, and exchanges them at a reload."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from lines import audit_failure
from running import CONFIG, running

pytestmark = pytest.mark.daemon

SOURCE, ANA = "198.51.100.7", "ana@example.com"
ATTEMPTS = 12


@pytest.fixture
def siem() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(20)
        yield listening


class Hook(HTTPServer):
    """Takes what is posted."""

    def __init__(self) -> None:
        self.posted: list[dict] = []
        super().__init__(("127.0.0.1", 0), _Taking)

    def kinds(self) -> set[tuple[str, str]]:
        return {(each["kind"], each.get("detector", "")) for each in self.posted}


class _Taking(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        self.server.posted += json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def heard(siem: socket.socket, msgid: str) -> str:
    """The first line with this MSGID that the SIEM gets."""
    while True:
        line = siem.recv(65536).decode()
        if line.split(" ")[5] == msgid:
            return line


def test_verdicts_and_acts_reach_siem_webhook_and_zmauditswatchs_log(tmp_path, siem, hook):
    told = f"""
[notify]
host = "gw1"
[notify.siem]
server = "127.0.0.1:{siem.getsockname()[1]}"
[notify.webhook]
urls = ["http://127.0.0.1:{hook.server_port}"]
[notify.zmauditswatch]
log = "{tmp_path}/zmauditswatch.out"
"""
    with running(tmp_path, CONFIG + told) as zward:
        zward.send(*(audit_failure(SOURCE, time.time()) for _ in range(ATTEMPTS)))

        would_ban = heard(siem, "WOULD_BAN")
        assert re.match(r"<85>1 \S+Z gw1 zward \d+ WOULD_BAN \[zward@32473 ", would_ban)
        assert f'source="{SOURCE}"' in would_ban
        assert heard(siem, "NOTICE")
        assert zward.ask("ban", "203.0.113.9", "--for", "1h", "--reason", "ticket 4711").returncode == 0
        act = heard(siem, "ACT")
        assert 'what="ban"' in act
        assert 'reason="ticket 4711"' in act

        zward.until(lambda: ("notice", "zmauditswatch") in hook.kinds())
        log = tmp_path / "zmauditswatch.out"
        zward.until(lambda: log.exists() and ANA in log.read_text())
        zward.until(lambda: zward.metric('zward_notifications_total{channel="webhook",result="sent"}') >= 1)
        assert zward.ask_json("status")["faults"] == []


def test_a_reload_exchanges_the_channels_and_what_does_not_get_through_is_in_the_status(tmp_path, hook):
    with running(tmp_path) as zward:
        closed = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
        closed.server_close()
        text = zward.config.read_text()
        zward.config.write_text(f'{text}\n[notify.webhook]\nurls = ["http://127.0.0.1:{closed.server_port}"]\n')
        assert zward.ask("reload").returncode == 0
        zward.send(*(audit_failure(SOURCE, time.time()) for _ in range(ATTEMPTS)))

        zward.until(lambda: any(each.startswith("notify: ") for each in zward.ask_json("status")["faults"]))
        assert zward.page("/readyz") == "ready\n"

        zward.config.write_text(f'{text}\n[notify.webhook]\nurls = ["http://127.0.0.1:{hook.server_port}"]\n')
        assert zward.ask("reload").returncode == 0
        zward.send(*(audit_failure("198.51.100.8", time.time()) for _ in range(ATTEMPTS)))
        zward.until(lambda: ("notice", "siege") in hook.kinds())
        assert zward.ask_json("status")["faults"] == []
