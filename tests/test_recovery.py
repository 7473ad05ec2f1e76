"""What a start makes of the kernel's bans and the store's."""

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.address import Net, NetSet, parse_network
from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.firewall.backend import Element, Place
from appliance.firewall.observe import ObserveBackend
from appliance.gate import Gate
from appliance.judge.judge import Judge
from appliance.judge.policy import Policy
from appliance.metrics.metrics import Metrics
from appliance.model import Ban, Mode, Scope
from appliance.read.reader import Reader
from appliance.recovery import LOST_RECORD, take_up_bans
from appliance.store.store import Store

RULES = load_rules().rules
NOW = time.time()
HOST, AROUND = parse_network("203.0.113.9"), parse_network("203.0.113.0/24")
SITE = parse_network("2001:db8:0:7::/64")


@dataclass
class World:
    gate: Gate
    store: Store
    kernel: ObserveBackend

    async def starts(self) -> set[Place]:
        """The book after a start, when what it wants has reached the kernel."""
        await take_up_bans(self.gate, self.store, NOW)
        enforcer = self.gate.enforcer
        wanted = [each.ban for each in enforcer._wanted.values()]
        await self.kernel.ban([Element(ban.net, 60, ban.scope) for ban in wanted])
        return {Place(ban.net, ban.scope) for ban in self.gate.judge.bans_in_force(NOW)}


@contextlib.asynccontextmanager
async def world(path: Path, **policy: object) -> AsyncIterator[World]:
    kernel = ObserveBackend(lambda: NOW)
    store = await Store.open(path / "zward.db", NOW)
    judge = Judge(Policy(mode=Mode.ENFORCE, **policy), b"seed")
    gate = Gate(Reader(RULES, SAMPLE_TRUST), judge, kernel, store, Metrics(), lambda: NOW)
    try:
        yield World(gate, store, kernel)
    finally:
        await gate.recorder.flush()
        await store.close()


def ban(net: Net = HOST, scope: Scope = Scope.ALL, since: float = NOW - 60, seconds: float = 3600) -> Ban:
    return Ban(net, since, since + seconds, "guessing", "6 points", scope=scope)


@pytest.mark.asyncio
async def test_what_the_store_alone_knows_goes_into_the_kernel_in_its_scope(tmp_path):
    async with world(tmp_path) as it:
        await it.store.add_bans([ban(scope=Scope.LOGIN), ban(SITE)])

        assert await it.starts() == {Place(HOST, Scope.LOGIN), Place(SITE)}
        assert set(await it.kernel.banned()) == {Place(HOST, Scope.LOGIN), Place(SITE)}


@pytest.mark.asyncio
async def test_what_the_kernel_alone_knows_is_written_down_in_its_scope(tmp_path):
    async with world(tmp_path) as it:
        await it.kernel.ban([Element(HOST, 600, Scope.SMTP_IN)])

        assert await it.starts() == {Place(HOST, Scope.SMTP_IN)}
        await it.gate.recorder.flush()
        (written,) = await it.store.bans_in_force(NOW)
        assert (written.net, written.scope, written.reason) == (HOST, Scope.SMTP_IN, LOST_RECORD)


@pytest.mark.asyncio
async def test_where_they_differ_in_scope_both_bans_go_on(tmp_path):
    async with world(tmp_path) as it:
        await it.store.add_bans([ban(scope=Scope.LOGIN)])
        await it.kernel.ban([Element(HOST, 600)])

        assert await it.starts() == {Place(HOST), Place(HOST, Scope.LOGIN)}
        assert set(await it.kernel.banned()) == {Place(HOST), Place(HOST, Scope.LOGIN)}
        await it.gate.recorder.flush()
        reasons = {each.scope: each.reason for each in await it.store.bans_in_force(NOW)}
        assert reasons == {Scope.LOGIN: "6 points", Scope.ALL: LOST_RECORD}


@pytest.mark.asyncio
async def test_a_restart_keeps_the_bans_of_every_scope_with_their_reasons_and_ends(tmp_path):
    mail, login = ban(scope=Scope.SMTP_IN, seconds=600), ban(scope=Scope.LOGIN, seconds=7200)
    async with world(tmp_path) as it:
        it.gate.recorder.ban(mail)
        it.gate.recorder.ban(login)
        await it.gate.recorder.flush()
    async with world(tmp_path) as it:
        assert await it.starts() == {Place(HOST, Scope.SMTP_IN), Place(HOST, Scope.LOGIN)}
        assert set(it.gate.judge.bans_in_force(NOW)) == {mail, login}
        assert set(await it.kernel.banned()) == {Place(HOST, Scope.SMTP_IN), Place(HOST, Scope.LOGIN)}


@pytest.mark.asyncio
async def test_of_two_bans_in_the_record_the_longer_of_one_scope_goes_on_beside_that_of_another(tmp_path):
    wide, narrow = ban(since=NOW - 120, seconds=600), ban(scope=Scope.LOGIN, seconds=7200)
    longer = ban(SITE, since=NOW - 90)
    async with world(tmp_path) as it:
        await it.store.add_bans([wide, narrow, longer, ban(SITE, seconds=90)])

        assert await it.starts() == {Place(HOST), Place(HOST, Scope.LOGIN), Place(SITE)}
        assert set(it.gate.judge.bans_in_force(NOW)) == {wide, narrow, longer}


@pytest.mark.asyncio
async def test_a_lifted_ban_does_not_come_back_in_any_scope_and_its_neighbours_stay(tmp_path):
    async with world(tmp_path) as it:
        await it.store.add_bans([ban(), ban(AROUND, Scope.LOGIN)])
        await it.store.lift([HOST], NOW, "ana", "")
        await it.kernel.ban([Element(HOST, 600), Element(HOST, 600, Scope.SMTP_IN), Element(AROUND, 600, Scope.LOGIN)])

        assert await it.starts() == {Place(AROUND, Scope.LOGIN)}
        assert set(await it.kernel.banned()) == {Place(AROUND, Scope.LOGIN)}


@pytest.mark.asyncio
async def test_whoever_is_spared_now_is_let_in(tmp_path):
    async with world(tmp_path, allowlist=NetSet([HOST])) as it:
        await it.store.add_bans([ban(SITE)])
        await it.kernel.ban([Element(HOST, 600, Scope.LOGIN)])

        assert await it.starts() == {Place(SITE)}
        assert set(await it.kernel.banned()) == {Place(SITE)}
