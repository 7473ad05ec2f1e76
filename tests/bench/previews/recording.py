"""The day as the real daemon lives through it, on a virtual clock: its metrics as Prometheus would have scraped them.

Real are everything from the sockets to the counters; stand-ins are the people, Zimbra and the kernel.
"""

import asyncio
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP
from bench.previews.firewall import StoryFirewall
from bench.previews.openmetrics import open_metrics
from bench.previews.site import SENDERS, Site, noise
from bench.previews.story import BEFORE, SHOWN, SILENT_FROM, Day
from bench.previews.virtual import Clock, VirtualLoop, follow
from bench.stories.script import HOUR
from running import free_port

from appliance import daemon as daemons
from appliance.config.load import load
from appliance.config.schema import Config
from appliance.desk import Asker
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy

SHOWN_FROM = 1_778_050_200.0
"""Seconds since the epoch: Wednesday 6 May 2026, 06:50 UTC."""
SCRAPED = 30
"""Seconds between two scrapes."""
EARLIER = 3600.0
"""Seconds before what is shown from which on it is scraped: expressions look back."""
HEAD = 60.0
"""Seconds between the daemon's start and the first line."""

CONFIG = """
mode = "enforce"
[listen]
udp = ["127.0.0.1:{port}"]
tcp = ["127.0.0.1:{port}"]
senders = ["127.0.0.0/8"]
[listen.names]
{names}
[zimbra]
hosts = ["192.0.2.0/24", "127.0.0.0/8"]
proxies = ["192.0.2.5"]
[http]
listen = "127.0.0.1:{http}"
[store]
path = "{directory}/zward.db"
[admin]
socket = "{directory}/zward.sock"
[notify.email]
to = ["postmaster@example.com"]
sender = "zward@example.com"
server = "127.0.0.1:{smtp}"
security = "none"
[notify.siem]
server = "127.0.0.1:{siem}"
[notify.zmauditswatch]
log = "{directory}/zmauditswatch.out"
"""

HATED = "198.51.100.77"
"""Whom an operator bans by hand."""


def record(day: Day, directory: Path, into: Path) -> None:
    """Live through the day, and write its scrapes down as OpenMetrics. Once in a process, whose clock it takes."""
    logging.disable(logging.WARNING)  # hundreds of bans
    clock = Clock(SHOWN_FROM - BEFORE - HEAD)
    for package in ("appliance", "prometheus_client"):
        follow(clock, package)
    StoryFirewall.clock = staticmethod(clock.time)
    vars(daemons).update(HelperBackend=StoryFirewall, Judge=_same_judge)
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        runner.run(_live(day, _config(directory), directory, clock))
    into.write_text(open_metrics(_scraped(directory), clock.start))


def _same_judge(policy: Policy, seed: bytes) -> Judge:
    """One whose bans last equally long in each recording; a daemon's own seed is secret, and new at each start."""
    return Judge(policy, b"the seed of the previews")


def _config(directory: Path) -> Config:
    ports = {name: free_port() for name in ("port", "http", "smtp", "siem")}
    names = "\n".join(f'{name} = "{address}"' for name, address in SENDERS.items())
    path = directory / "zward.toml"
    path.write_text(CONFIG.format(**ports, names=names, directory=directory))
    return load(path)


def _scraped(directory: Path) -> Iterator[tuple[float, str]]:
    for path in sorted(directory.glob("*.scrape")):
        yield float(path.stem), path.read_text()


async def _live(day: Day, config: Config, directory: Path, clock: Clock) -> None:
    assert config.notify.email
    assert config.notify.siem
    mails = await asyncio.get_running_loop().create_server(lambda: SMTP(Sink()), *config.notify.email.server)
    siem = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    siem.bind(tuple(config.notify.siem.server))
    daemon = daemons.Daemon(config, directory / "zward.toml")
    await daemon.start()
    running = asyncio.create_task(daemon.run())
    site = Site(daemon, SHOWN_FROM)
    await asyncio.gather(
        _tell(day, site, clock), _chatter(site, clock), _operate(day, daemon, clock), _scrape(daemon, clock, directory)
    )
    running.cancel()
    (ended,) = await asyncio.gather(running, return_exceptions=True)
    if isinstance(ended, Exception):
        raise ended
    await daemon.stop()
    site.close()
    mails.close()
    siem.close()


async def _until(at: float, clock: Clock) -> None:
    """Seconds since what is shown begins."""
    await asyncio.sleep(max(0.0, SHOWN_FROM + at - clock.time()))


async def _tell(day: Day, site: Site, clock: Clock) -> None:
    for attempt in day.tries:
        if attempt.at < SHOWN:
            await _until(attempt.at, clock)
            site.meet(attempt)


async def _chatter(site: Site, clock: Clock) -> None:
    """What hosts write beside logins: far the most."""
    at = -BEFORE
    while at < SHOWN:
        await _until(at, clock)
        if SILENT_FROM <= at < SILENT_FROM + SCRAPED:
            site.fall_silent("mbox2")
        for host in SENDERS:
            if host != "mbox2" or at < SILENT_FROM:
                for line in noise(host, SHOWN_FROM + at, 12 if at > -EARLIER else 1):
                    site.send(line)
        at += 4 if at > -EARLIER else 12


async def _operate(day: Day, daemon: daemons.Daemon, clock: Clock) -> None:
    acts = [(at, source) for at, source in day.unbans] + [(at, "") for at in day.reloads]
    for at, source in sorted(acts):
        await _until(at, clock)
        if source:
            await daemon.desk.unban(source, Asker("ana"), "called: it is she, abroad")
        else:
            await daemon.reload()
    await daemon.desk.ban(HATED, HOUR, "scans us for days", Asker("ana"))


async def _scrape(daemon: daemons.Daemon, clock: Clock, into: Path) -> None:
    """To files, since what lay in memory would be seen there."""
    at = -EARLIER
    while at <= SHOWN:
        await _until(at, clock)
        (into / f"{int(clock.time())}.scrape").write_bytes(daemon.metrics.exposition())
        at += SCRAPED
