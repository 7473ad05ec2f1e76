"""Wires the parts; start, reload, stop. The only place that builds them."""

import asyncio
import contextlib
import itertools
import logging
import os
import platform
import signal
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.address import NetSet
from appliance.config.changes import needs_load, needs_restart
from appliance.config.faults import ConfigError
from appliance.config.kept import keep_in_force
from appliance.config.load import load
from appliance.config.policy import policy_of
from appliance.config.rule_files import RuleError, rules_for
from appliance.config.schema import Config
from appliance.daily import Daily
from appliance.desk import Desk
from appliance.drift import DriftWatch
from appliance.fencer import Fencer
from appliance.firewall.backend import Backend, BackendError
from appliance.firewall.client import HelperBackend
from appliance.firewall.observe import ObserveBackend
from appliance.firewall.places import SOCKET
from appliance.gate import Gate
from appliance.gauges import Gauges
from appliance.judge.bans import OPERATOR
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.keeper import Keeper
from appliance.learner import Learner
from appliance.listen.listeners import Listeners, open_listeners
from appliance.listen.passed import Passed
from appliance.listen.sockets import Limits
from appliance.metrics.declared import KINDS
from appliance.metrics.metrics import Metrics
from appliance.model import Ban, Mode
from appliance.names import Names
from appliance.notify.alerts import Alerts
from appliance.notify.channel import Channel
from appliance.notify.channels import channels_of, host_of
from appliance.notify.herald import Herald
from appliance.overview import Overview
from appliance.people import People
from appliance.read.origin import Trust
from appliance.read.reader import Reader
from appliance.read.rules import RuleSet
from appliance.recovery import take_up_bans
from appliance.store.store import Store, StoreError
from appliance.surroundings import never_ban
from appliance.systemd import inherited
from appliance.version import VERSION
from appliance.web.admin import admin_app
from appliance.web.pages import public_app

log = logging.getLogger(__name__)

REFRESH_EVERY = 300.0
"""Seconds between two looks at names, own addresses, routes and resolvers."""


class StartError(Exception):
    """The daemon cannot start; the message says what is missing."""


class Daemon:
    """One running zward."""

    def __init__(self, config: Config, path: Path | None) -> None:
        """`path` is the file that a reload reads; None for the built-in configuration."""
        self.config = config
        self.path = path
        self.metrics = Metrics()
        self.herald = Herald()
        self._alerts = Alerts(hold=0.0)
        """What is held up at Alertmanager; how long, its channel says."""
        self.not_enforced = ""
        """Why nothing is enforced although the configuration asks for it, and what cures it; "" where all is well."""
        self._allowed_at_run_time = NetSet()
        self._names = Names()
        self._allowed_by_name = NetSet()
        self._open = contextlib.AsyncExitStack()
        """What is open, to be closed in the reverse order."""
        self._stopping = asyncio.Event()
        self._reload_asked = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._adopting = asyncio.Lock()

    # Start

    async def start(self) -> None:
        """Open everything in the order in which it is needed. Raises StartError, with nothing left open."""
        self._heed_signals()
        try:
            await self._open_store()
            self.gate = await self._built_gate()
            self.learner = Learner(self.gate.judge, self._store, self.metrics, time.time)
            await take_up_bans(self.gate, self._store, time.time())
            await self.learner.load()
            self.keeper = Keeper(self.gate, self._store, self.config.store.path, time.time)
            await self.keeper.load()
            self.desk = Desk(self.gate, self._store, time.time, self.mode_in_force, self._adopt_allowlist)
            self.people = People(
                self.gate.judge, self.learner, self._store, time.time, self.mode_in_force, self.herald.tell
            )
            self._listeners = await self._opened_listeners()
            self._drift = DriftWatch(self.gate.enforcer, self._reconnects)
            self._fencer = Fencer(self.gate, self._drift, lambda: self.config.detect.siege.fence, time.time)
            self.overview = Overview(
                *(self.gate, self.learner, self._listeners, self._drift),
                *(self.mode_in_force, lambda: self.not_enforced, self._dropped_packets, lambda: self.herald.fault),
            )
            self.gauges = Gauges(
                *(self.gate, self.learner, self._listeners, self._drift, self.herald),
                *(self.config.store.path, self.overview.what_is_missing),
            )
            self.daily = Daily(
                *(self.gate.judge, self._store, self._listeners.senders.facts, lambda: self.config.listen.names),
                *(self.gate.funnel, self._dropped_packets, self.mode_in_force, time.time),
            )
            self.herald.adopt(self._channels())
            self.gate.tell = self.herald.tell
            await self._open_sites()
        except (OSError, RuleError, StoreError, BackendError) as fault:
            await self._open.aclose()
            raise StartError(str(fault)) from fault
        except BaseException:  # a fault of ours: the store's thread would keep a dead daemon alive
            await self._open.aclose()
            raise
        self.metrics.build.info({"version": VERSION, "python": platform.python_version()})
        self._count_config()
        self.metrics.watch(self.gauges.readings)
        self._keep_config()

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_asked.set)

    async def _open_store(self) -> None:
        self._store = await Store.open(self.config.store.path, time.time(), self.config.store.evidence_bytes)
        self._open.push_async_callback(self._store.close)
        if aside := self._store.quarantined:
            log.error("the store was damaged and lies in %s; a new one begins, the kernel's bans stay", aside)
        self._allowed_at_run_time = NetSet(entry.net for entry in await self._store.allow_list())

    async def _built_gate(self) -> Gate:
        rules = rules_for(self.config)
        await self._resolve_names()
        backend = await self._opened_backend(self.config.mode)
        policy = await self._policy(_mode_of(backend))
        self.metrics.start_detectors(
            {each.name: ("host",) for each in policy.detectors}
            | {policy.watches.neighbourhood.name: ("network",), OPERATOR: KINDS},
            [each.name for each in (*policy.tellers, *policy.watches)],
        )
        self.metrics.start_programs(program.stem for program in rules.programs)
        judge = Judge(policy, seed=os.urandom(32))
        gate = Gate(_reader(rules, self.config), judge, backend, self._store, self.metrics, time.time)
        self._open.push_async_callback(lambda: gate.enforcer.backend.close())  # whichever it is by then
        return gate

    async def _opened_backend(self, mode: Mode) -> Backend:
        """The kernel if it is to be enforced and can be; else one that only writes down."""
        self.not_enforced = ""
        if mode is Mode.ENFORCE:
            backend = HelperBackend(self.config.firewall_directory / SOCKET)
            try:
                await backend.open()
                return backend
            except BackendError as fault:
                self.not_enforced = str(fault)
                log.error("observing only: %s", fault)
        return ObserveBackend(time.monotonic)

    async def _opened_listeners(self) -> Listeners:
        listen = self.config.listen
        limits = Limits(
            frame_bytes=listen.frame_limit,
            frame_seconds=listen.frame_timeout,
            connections_each=listen.connections_per_sender,
            connections=listen.connections,
        )
        networks, passed = NetSet(listen.senders), Passed(itertools.chain.from_iterable(inherited().values()))
        opened = await open_listeners(
            listen.udp, listen.tcp, networks, self._receive, self._count_fault, limits, passed
        )
        opened.senders.names = _sender_names(self.config)
        return opened

    async def _open_sites(self) -> None:
        public = await self._site(public_app(self.metrics, self.overview.what_is_missing))
        host, port = self.config.http.listen
        await web.TCPSite(public, host, port).start()
        path = self.config.admin.socket
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        app = admin_app(self.desk, self.people, self.overview.status, self.overview.findings, self.reload)
        admin = await self._site(app)
        await web.UnixSite(admin, str(path)).start()
        path.chmod(0o660)
        self._open.callback(path.unlink, missing_ok=True)

    async def _site(self, app: web.Application) -> web.AppRunner:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        self._open.push_async_callback(runner.cleanup)
        return runner

    # Run and stop

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reloads."""
        works = [
            self.gate.run(),
            self.learner.run(),
            self.keeper.run(),
            self._reloads(),
            self.gauges.run(),
            self.herald.run(),
            self._drift.run(),
            self._fencer.run(),
            self._refresh_lists(),
        ]
        tasks = [asyncio.create_task(work) for work in works]
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopping):
            task.cancel()
        results = await asyncio.gather(*tasks, stopping, return_exceptions=True)
        await self.stop()
        for result in results:  # a fault of ours: fall, be restarted; the kernel's bans stand
            if isinstance(result, Exception):
                raise result

    async def stop(self) -> None:
        """Take no more, hand on what came, write what waits, and leave the kernel's bans in place."""
        await self._listeners.close()
        await self.gate.recorder.flush()
        await self.learner.flush()
        await self.keeper.keep()
        await self.herald.close()
        await self._open.aclose()

    # Reload

    async def reload(self) -> dict[str, Any]:
        """Take up the configuration and the rules as they are on disk now: all of it, or, with a fault, nothing.

        Answers with the bans that it lifted, and the keys that take effect at the next start only. Raises
        ConfigError, RuleError, or OSError where a new address cannot be listened on.
        """
        async with self._reloading:
            try:
                config = load(self.path)
                rules = rules_for(config)
                listen = config.listen
                await self._listeners.adopt(listen.udp, listen.tcp, NetSet(listen.senders))
            except (ConfigError, RuleError, OSError):
                self._reload_counted(success=False)
                raise
            old, self.config = self.config, config
            self.gate.reader = _reader(rules, config)
            self._listeners.senders.names = _sender_names(config)
            if (old.notify, old.time_zone) != (config.notify, config.time_zone):
                self.herald.adopt(self._channels())
            await self._resolve_names()
            if config.mode is not old.mode or self.not_enforced:
                await self._change_backend(config.mode)
            lifted = await self._adopt()
            self._reload_counted(success=True)
            self._keep_config()
            return {
                "lifted": list(dict.fromkeys(str(ban.net) for ban in lifted)),
                "needs_restart": needs_restart(old, config),
                "needs_load": needs_load(old, config),
            }

    async def _reloads(self) -> None:
        """Do the reloads that SIGHUPs ask for; their outcome goes to the log."""
        while True:
            await self._reload_asked.wait()
            self._reload_asked.clear()
            try:
                reloaded = await self.reload()
            except (ConfigError, RuleError, OSError) as fault:
                log.error("not reloaded, the old configuration stays in force:\n%s", fault)
                continue
            log.warning("reloaded")
            for key in reloaded["needs_restart"]:
                log.warning("%s takes effect at the next start", key)

    def _keep_config(self) -> None:
        if self.path:
            keep_in_force(self.path, self.config, time.time())

    def _reload_counted(self, *, success: bool) -> None:
        self.metrics.reloads.labels("success" if success else "failure").inc()
        if success:
            self._count_config()
        else:
            self.metrics.reload_ok.set(0)

    def _count_config(self) -> None:
        """A configuration was taken up."""
        self.metrics.reload_ok.set(1)
        self.metrics.reloaded.set_to_current_time()
        self.metrics.set_mode(self.mode_in_force())
        self.metrics.degraded.labels("enforce").set(bool(self.not_enforced))

    async def _change_backend(self, mode: Mode) -> None:
        before = self.gate.enforcer.backend
        self.gate.enforcer.backend = await self._opened_backend(mode)
        await before.close()
        self.gate.enforcer.put_back(self.gate.judge.bans_in_force(time.time()))

    # The policy

    async def _policy(self, mode: Mode) -> Policy:
        allowed = NetSet(self.config.allow.networks) | self._allowed_at_run_time | self._allowed_by_name
        return policy_of(self.config, mode, allowed, never_ban(self.config))

    async def _adopt(self) -> list[Ban]:
        """Judge by the configuration and the allowlist as they are now; the bans that this ended."""
        async with self._adopting:  # a reload, an operator and the clock may all ask at once
            return await self._adopt_now()

    async def _adopt_now(self) -> list[Ban]:
        ended = self.gate.judge.adopt(await self._policy(self.mode_in_force()))
        if ended:
            await self._store.lift([ban.net for ban in ended], time.time(), "zward", "spared by the lists as they are")
        await self.gate.enforcer.protect()
        await self.gate.enforcer.lift(ban.net for ban in ended)
        return ended

    async def _adopt_allowlist(self, allowed: NetSet) -> list[Ban]:
        self._allowed_at_run_time = allowed
        return await self._adopt()

    # Beside the gate

    def _receive(self, *arguments: Any) -> None:
        self.gate.receive(*arguments)

    def _count_fault(self, reason: str, number: int = 1) -> None:
        self.metrics.faults.labels(reason).inc(number)

    async def _refresh_lists(self) -> None:
        """Follow what changes under us: the addresses of [allow] names, our own, routes and resolvers."""
        while True:
            await asyncio.sleep(REFRESH_EVERY)
            try:
                await self._resolve_names()
                await self._adopt()
            except StoreError as fault:
                log.error("the lists of who is spared are not renewed: %s", fault)

    async def _resolve_names(self) -> None:
        self._allowed_by_name = await self._names.resolve(self.config.allow.names)

    def _channels(self) -> list[Channel]:
        host, notified = host_of(self.config), self.metrics.notified
        return channels_of(self.config, host, self.daily.day, notified, time.time, self._alerts)

    def _dropped_packets(self) -> int:
        return sum(number.packets for number in self.gauges.dropped.values())

    def _reconnects(self) -> int:
        backend = self.gate.enforcer.backend
        return backend.reconnects if isinstance(backend, HelperBackend) else 0

    def mode_in_force(self) -> Mode:
        """What really happens: observe, where the configuration asks for more than can be done."""
        return _mode_of(self.gate.enforcer.backend)


def _mode_of(backend: Backend) -> Mode:
    return Mode.OBSERVE if isinstance(backend, ObserveBackend) else Mode.ENFORCE


def _sender_names(config: Config) -> dict[str, str]:
    return {str(host): name for name, host in config.listen.names.items()}


def _reader(rules: RuleSet, config: Config) -> Reader:
    return Reader(rules, Trust(NetSet(config.zimbra.hosts), NetSet(config.zimbra.proxies)), config.zone)
