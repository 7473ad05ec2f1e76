"""A real rsyslogd takes every line whole over UDP, TCP and TLS, with its structured data."""

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from notify.siem.siems import Certificates, Counts, until
from running import free_port

from appliance.address import parse_network
from appliance.config.notify import Siem, Transport
from appliance.judge.words import visible
from appliance.model import Act, Ban, Banned, Cause, Noticed, Scope, Severity, Spared, Watched
from appliance.notify.channel import Told
from appliance.notify.siem import siem as module
from appliance.notify.siem.siem import SiemChannel
from appliance.read.structured import read_structured

TLS_DRIVERS = list(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so"))

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.skipif(not shutil.which("rsyslogd"), reason="needs Debian's rsyslog"),
]

NOW = 1_795_329_000.0
SOURCE = parse_network("203.0.113.9")
HOSTILE = 'a"b]c\\d\n<85>1 e\t\0ü,[x@1 y="z"]\u2028\u202e'

TOLD: list[Told] = [
    Banned(Ban(SOURCE, NOW, NOW + 60, "guessing", f"10 points: {HOSTILE}", 2, Scope.ALL), (HOSTILE, "ana@example.com")),
    Watched(SOURCE, "guessing", "10 of 10", would_ban=True),
    Spared(SOURCE, "spraying", "the office", Cause.OFFICE),
    Noticed("break-in", "ana@example.com", "logged in", Severity.CRITICAL, SOURCE, HOSTILE),
    Noticed("outage", "site", "logins are as usual again", over=True),
    Act(NOW, "eve", "unban", "203.0.113.9", HOSTILE),
    Noticed("break-in", "x", "y" * 5000),
]
MSGIDS = ["BAN", "WOULD_BAN", "SPARED", "NOTICE", "OVER", "ACT", "NOTICE"]

RSYSLOG = """
global(workDirectory="{directory}"{tls})
module(load="mmpstrucdata")
template(name="all" type="list" option.jsonf="on") {{
    property(outname="pri" name="pri" format="jsonf")
    property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="pid" name="procid" format="jsonf")
    property(outname="msgid" name="msgid" format="jsonf")
    property(outname="written" name="structured-data" format="jsonf")
    property(outname="fields" name="$!rfc5424-sd!zward@32473" format="jsonf")
    property(outname="text" name="msg" format="jsonf")
}}
ruleset(name="take") {{
    action(type="mmpstrucdata")
    action(type="omfile" file="{directory}/taken" template="all")
}}
{input}
"""
INPUT = {
    Transport.UDP: 'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}" ruleset="take")',
    Transport.TCP: 'module(load="imptcp")\ninput(type="imptcp" address="127.0.0.1" port="{port}" ruleset="take")',
    Transport.TLS: 'module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")\n'
    'input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="take")',
}


@dataclass
class Rsyslogd:
    """One that can be stopped and started again."""

    directory: Path
    config: Siem
    process: subprocess.Popen[bytes] | None = None

    @property
    def taken(self) -> list[dict[str, object]]:
        file = self.directory / "taken"
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        return [json.loads(row) for row in text.split("\n")[:-1]]

    async def start(self) -> None:
        words = ("-n", "-C", "-f", str(self.directory / "conf"), "-i", str(self.directory / "pid"))
        self.process = subprocess.Popen(["rsyslogd", *words])
        await until(lambda: self._listens())

    def _listens(self) -> bool:
        assert self.process
        assert self.process.poll() is None, "rsyslogd ended"
        table = "/proc/net/udp" if self.config.transport is Transport.UDP else "/proc/net/tcp"
        return f"0100007F:{self.config.server.port:04X} 00000000:0000" in Path(table).read_text()

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)


@contextlib.asynccontextmanager
async def rsyslogd(directory: Path, transport: Transport) -> AsyncIterator[Rsyslogd]:
    tls, authority, port = "", None, free_port()
    if transport is Transport.TLS:
        if not TLS_DRIVERS:
            pytest.skip("needs Debian's rsyslog-openssl")
        certificates = Certificates(directory)
        certificates.issue("siem", "IP:127.0.0.1")
        authority = str(certificates.authority)
        tls = "".join(
            f' defaultNetstreamDriver{name}="{directory / file}"'
            for name, file in (("CAFile", "ca.pem"), ("CertFile", "siem.crt"), ("KeyFile", "siem.key"))
        )
    config = Siem.model_validate({"server": f"127.0.0.1:{port}", "transport": transport, "ca_file": authority})
    text = RSYSLOG.format(directory=directory, tls=tls, input=INPUT[transport].format(port=port))
    (directory / "conf").write_text(text)
    running = Rsyslogd(directory, config)
    await running.start()
    try:
        yield running
    finally:
        running.stop()


@contextlib.asynccontextmanager
async def telling(config: Siem) -> AsyncIterator[tuple[SiemChannel, Counts]]:
    counts = Counts()
    teller = SiemChannel(config, "gw1.example.com", counts, lambda: NOW)
    task = asyncio.create_task(teller.run())
    try:
        yield teller, counts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await teller.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", Transport)
async def test_rsyslogd_takes_every_kind_whole(transport: Transport, tmp_path: Path) -> None:
    async with rsyslogd(tmp_path, transport) as siem, telling(siem.config) as (teller, counts):
        for what in TOLD:
            teller.tell(what, NOW)
        await until(lambda: len(siem.taken) == len(TOLD))

        taken = siem.taken
        assert [row["msgid"] for row in taken] == MSGIDS
        assert {(row["host"], row["app"], row["time"]) for row in taken} == {
            ("gw1.example.com", "zward", "2026-11-22T06:30:00.000000Z")
        }
        assert counts == {"sent": len(TOLD)}
        fields = [fields_of(row) for row in taken]
        assert fields[0] == {
            "detector": "guessing",
            "source": "203.0.113.9",
            "scope": "all",
            "until": "2026-11-22T06:31:00Z",
            "step": "2",
            "accounts": visible(HOSTILE).replace(",", "\\u{2c}") + ",ana@example.com",
        }
        assert fields[3]["account"] == visible(HOSTILE)
        assert fields[5]["reason"] == visible(HOSTILE)
        assert str(taken[6]["text"]).endswith("y...")
        assert fields[6]["cut"] == "text"


def fields_of(row: dict[str, object]) -> dict[str, str]:
    """What rsyslog makes of the structured data; zward's own reader makes the same of what was written."""
    fields: dict[str, str] = json.loads(str(row["fields"]))
    written = str(row["written"]).encode()
    read = read_structured(written, 0)
    assert read == ({"zward@32473": {name: [value] for name, value in fields.items()}}, len(written))
    return fields


@pytest.mark.asyncio
@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
async def test_nothing_is_lost_while_rsyslogd_restarts(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.1)
    async with rsyslogd(tmp_path, transport) as siem, telling(siem.config) as (teller, counts):
        for number in range(300):
            teller.tell(Noticed("break-in", str(number), "x"), NOW)
            if number == 100:
                await until(lambda: len(siem.taken) >= 101)
                siem.stop()
            if number == 200:
                await until(lambda: counts["failed"] >= 1)
                await siem.start()
        everyone = {str(number) for number in range(300)}
        await until(lambda: {fields_of(row)["subject"] for row in siem.taken} == everyone)

        assert (counts["sent"], counts["dropped"]) == (300, 0)
        assert counts["failed"] >= 1
