"""What runs on the gateway: `zward run`, Debian's Prometheus and Alertmanager with the files that we ship.

And what the mail host sends it: the lines of its logs.
"""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

from image.demo.pages import Mailbox
from image.demo.wires import GATEWAY, MAIL, OFFICE, PUBLIC, World

ROOT = Path(__file__).resolve().parents[2]
ZWARD = Path(sys.executable).with_name("zward")
PROMETHEUS, ALERTMANAGER, SMTP, METRICS, SYSLOG = 9090, 9093, 25, 9514, 5514
PROXY = "192.0.2.5"
TIMED = ("prometheus/prometheus.yml", "alertmanager/alertmanager.yml")
HASTE = 60
"""How much faster the clocks of rules and routes run: a minute of theirs takes a second here."""
START = 40.0
"""Seconds that all of it has to start in; it takes four."""

CONFIG = Template("""\
mode = "enforce"
[listen]
tcp = ["$gateway:$syslog"]
senders = ["$mail"]
names = { mbox1 = "$mail" }
[zimbra]
hosts = ["$mail", "$proxy"]
proxies = ["$proxy"]
[http]
listen = "127.0.0.1:$metrics"
[store]
path = "$directory/lib/zward.db"
[admin]
socket = "$directory/run/zward.sock"
[detect.siege]
grace = "2s"              # 90s at home
[detect.stale-device]
failures = 8              # 30 at home
[detect.zmauditswatch]
mode = "off"              # it counts what the others tell better
[notify]
host = "gateway"
[notify.email]
to = ["postmaster@example.com"]
server = "127.0.0.1:$smtp"
every = "1s"              # 1m at home
batch_after = "2s"        # 5m at home
batch_within = "4s"       # 15m at home
digest = "off"
[notify.alertmanager]
urls = ["http://127.0.0.1:$alertmanager"]
every = "2s"
[ladder]
jitter = 0.0              # 0.1 at home: nobody knows to the minute when it ends
[gateway]
mode = "routed"
wan = ["attackers", "people"]
lan = ["mail"]
admin = ["$office"]
""")
PUBLISHED = '[[gateway.publish]]\nscope = "{scope}"\nto = ["{to}"]\nat = ["{at}"]\n'

_DURATION = re.compile(r"(?<![\w.:-])(\d+)(s|m|h|d)(?!\w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


Ban = dict[str, Any]
"""One row of `zward bans --json`."""


class SiteError(Exception):
    """A program did not start, or has ended; the message says which, and what it said."""


def hastened(text: str) -> str:
    """A file of ours with every duration in it shorter by `HASTE`, and none shorter than a second."""

    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[1]) * _SECONDS[found[2]]
        return f"{max(1, seconds // HASTE) if seconds else 0}s"

    return "\n".join(line if "_DAY" in line else _DURATION.sub(shorter, line) for line in text.split("\n"))


class Log:
    """The mail host's forwarding of its logs (RFC 6587, octets counted)."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, tag: str, text: str) -> None:
        frame = f"<134>{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00 mbox1 {tag}: {text}".encode()
        self._writer.write(b"%d %b" % (len(frame), frame))

    def login(self, source: str, account: str, ending: str = "", level: str = "INFO ") -> None:
        """What Zimbra writes to audit.log of a login over IMAP that comes by its proxy."""
        now = datetime.now(UTC)
        self.send(
            "zimbra-audit",
            f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d} {level} [ImapSSLServer-1] "
            f"[ip={PROXY};oip={source};via={PROXY}(nginx/1.20.0);ua=Zimbra/8.8.15;cid=230;] security - "
            f"cmd=Auth; account={account}; protocol=imap;{ending}",
        )

    def failure(self, source: str, account: str) -> None:
        self.login(source, account, f" error=authentication failed for [{account}], invalid password;", "WARN ")

    def close(self) -> None:
        self._writer.close()


class Site:
    """The programs, and what one can ask them. Use it in an `async with` statement, within that of the world."""

    log: Log

    def __init__(self, world: World, directory: Path, box: Mailbox, urls: dict[int, str]) -> None:
        """`urls`: where a browser finds Prometheus and Alertmanager, which name it in what they send."""
        self._gateway, self._mail = world.gateway, world.mail
        self._directory = directory
        self._box = box
        self._urls = urls
        self.config = directory / "zward.toml"
        self.said = directory / "said"

    async def __aenter__(self) -> "Site":
        self._write_files()
        async with AsyncExitStack() as stack:
            listener = self._gateway.listen("127.0.0.1", SMTP)
            sink = await asyncio.get_running_loop().create_server(self._box.protocol, sock=listener)
            stack.callback(sink.close)
            stack.push_async_callback(self._gateway.stop)
            await self._start()
            stack.callback(self.log.close)
            self._close = stack.pop_all().aclose
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    def _write_files(self) -> None:
        places = {"directory": self._directory, "gateway": GATEWAY, "mail": MAIL, "proxy": PROXY, "office": OFFICE}
        ports = {"syslog": SYSLOG, "metrics": METRICS, "smtp": SMTP, "alertmanager": ALERTMANAGER}
        published = [PUBLISHED.format(scope=scope, to=MAIL, at=PUBLIC) for scope in ("smtp-in", "login", "web")]
        self.config.write_text(CONFIG.substitute(places, **ports) + "".join(published))
        for part in ("prometheus", "alertmanager"):
            shutil.copytree(ROOT / "grafana" / part, self._directory / part)
        rules = (self._directory / "prometheus/rules").glob("*.yml")
        for path in (*rules, *(self._directory / each for each in TIMED)):
            path.write_text(hastened(path.read_text(encoding="utf-8")), encoding="utf-8")

    async def _start(self) -> None:
        place, start = self._directory, self._gateway.start
        await start(ZWARD, "run", "--config", self.config, said=self.said, env=self._as_admin)
        await self._until("zward is ready", lambda: self._is_ready(METRICS, "/readyz"))
        await start(
            *self._program("prometheus", PROMETHEUS, "prometheus/prometheus.yml"),
            f"--storage.tsdb.path={place}/figures",
            said=self.said,
        )
        await self._until("Prometheus is ready", lambda: self._is_ready(PROMETHEUS, "/-/ready"))
        await self._until("Prometheus has read zward", self._is_calm)
        await start(
            *self._program("prometheus-alertmanager", ALERTMANAGER, "alertmanager/alertmanager.yml"),
            *(f"--storage.path={place}/alerts", "--cluster.listen-address="),
            said=self.said,
        )
        await self._until("Alertmanager is ready", lambda: self._is_ready(ALERTMANAGER, "/-/ready"))
        made = self._mail.new_socket()
        await asyncio.get_running_loop().sock_connect(made, (GATEWAY, SYSLOG))
        self.log = Log((await asyncio.open_connection(sock=made))[1])

    def _program(self, name: str, port: int, config: str) -> tuple[str, ...]:
        listen, url = f"--web.listen-address=127.0.0.1:{port}", f"--web.external-url={self._urls[port]}"
        return name, f"--config.file={self._directory}/{config}", listen, url, "--log.level=warn"

    @property
    def _as_admin(self) -> dict[str, str]:
        """Whoever runs the demo over ssh is no admin of this gateway, and zward would rather not cut him off."""
        return {"SSH_CONNECTION": f"{OFFICE} 51234 {GATEWAY} 22", "COLUMNS": "70", "NO_COLOR": "1"}

    async def _until(self, what: str, look: Callable[[], Awaitable[bool]]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START
        while not await look():
            self.check()
            if loop.time() > deadline:
                raise SiteError(f"{START:g} s were not enough until {what}\n{self.last_words()}")
            await asyncio.sleep(0.1)

    async def _is_ready(self, port: int, path: str) -> bool:
        try:
            return (await self._gateway.get(port, path))[0] == 200
        except ConnectionRefusedError:
            return False

    async def _is_calm(self) -> bool:
        """Prometheus looks for zward a few seconds after its own start, and says until then that there is none."""
        fires = 'count(ALERTS{alertname!="Watchdog", alertstate="firing"}) or vector(0)'
        return await self.figure('up{job="zward"}') == 1 and await self.figure(fires) == 0

    def check(self) -> None:
        """Raises SiteError where a program has ended."""
        if ended := self._gateway.ended():
            raise SiteError(f"{ended} has ended\n{self.last_words()}")

    def last_words(self) -> str:
        return "\n".join(self.said.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])

    async def zward(self, *words: str) -> str:
        """What `zward WORDS` prints for the operator. Raises SiteError where it fails."""
        return await self._said(ZWARD, *words, "--config", self.config)

    async def nft(self, *words: str) -> str:
        return await self._said("nft", *words)

    async def _said(self, *words: str | Path) -> str:
        code, said = await self._gateway.run(*words, env=self._as_admin)
        if code:
            raise SiteError(f"{' '.join(map(str, words))} ended with {code}: {said}")
        return said

    async def bans(self) -> dict[str, Ban]:
        """What `zward bans` lists, by address."""
        return {each["address"]: each for each in json.loads(await self.zward("bans", "--json"))}

    async def figure(self, expr: str) -> float:
        """What an expression is at Prometheus now; 0 where it has no value."""
        status, body = await self._gateway.get(PROMETHEUS, "/api/v1/query?" + urlencode({"query": expr}))
        if status != 200:
            raise SiteError(f"Prometheus refuses {expr}: {body[:200]!r}")
        found = json.loads(body)["data"]["result"]
        return float(found[0]["value"][1]) if found else 0.0

    async def alerts(self) -> list[dict[str, Any]]:
        """What Alertmanager holds up."""
        found: list[dict[str, Any]] = json.loads((await self._gateway.get(ALERTMANAGER, "/api/v2/alerts"))[1])
        return found
