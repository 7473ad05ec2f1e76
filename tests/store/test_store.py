"""What the store remembers of bans and operators, on real files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.address import Net, parse_network
from appliance.model import Act, Ban, Scope
from appliance.store.store import Allowed, Lift, Store

NOW = 1_700_000_000.0
DAY = 86400.0
HOST = parse_network("203.0.113.9")
SITE = parse_network("2001:db8:0:7::/64")


def ban(net: Net = HOST, since: float = NOW, seconds: float = 1800.0, step: int = 0) -> Ban:
    return Ban(net, since, since + seconds, "guessing", "6 of 6 points in 30 min", step)


@asynccontextmanager
async def opened(path: Path, now: float = NOW) -> AsyncIterator[Store]:
    store = await Store.open(path, now)
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "zward.db"


# Bans


@pytest.mark.asyncio
async def test_a_ban_is_in_force_until_it_ends(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(), ban(SITE, seconds=7200.0)])

        assert await store.bans_in_force(NOW + 1799) == [ban(), ban(SITE, seconds=7200.0)]
        assert await store.bans_in_force(NOW + 1800) == [ban(SITE, seconds=7200.0)]


@pytest.mark.asyncio
async def test_bans_are_there_after_a_restart(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(step=3)])

    async with opened(path) as store:
        assert await store.bans_in_force(NOW) == [ban(step=3)]
        assert store.quarantined is None


@pytest.mark.asyncio
async def test_a_ban_keeps_its_scope_over_a_restart_and_when_it_is_lifted(path: Path) -> None:
    narrow = replace(ban(), scope=Scope.SMTP_IN)
    async with opened(path) as store:
        await store.add_bans([narrow])

    async with opened(path) as store:
        assert await store.bans_in_force(NOW) == [narrow]
        assert await store.history(NOW) == [narrow]
        await store.lift([HOST], NOW + 60, "ana", "the office")
        (past,) = await store.verdicts(HOST)
        assert (past.ban, past.lift) == (narrow, Lift(NOW + 60, "ana", "the office"))
        assert await store.bans_in_force(NOW + 61) == []


@pytest.mark.asyncio
async def test_history_is_told_as_it_was_decided_though_a_clock_was_set_back(path: Path) -> None:
    wide, narrow = ban(seconds=60), replace(ban(since=NOW - 3600, seconds=7200), scope=Scope.LOGIN)
    async with opened(path) as store:
        await store.add_bans([wide])
        await store.add_bans([narrow])

        assert await store.history(NOW) == [wide, narrow]


@pytest.mark.asyncio
async def test_a_ban_written_twice_is_not_doubled(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban()])
        await store.add_bans([ban(), ban()])

        assert [past.ban for past in await store.verdicts(HOST)] == [ban()]


@pytest.mark.asyncio
async def test_of_overlapping_bans_of_one_network_the_longest_is_in_force(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(seconds=7200.0), ban(since=NOW + 60, seconds=600.0)])

        assert await store.bans_in_force(NOW + 100) == [ban(seconds=7200.0)]


@pytest.mark.asyncio
async def test_bans_of_two_scopes_that_begin_at_one_instant_are_both_kept(path: Path) -> None:
    login, mail = (replace(ban(), scope=scope) for scope in (Scope.LOGIN, Scope.SMTP_IN))
    async with opened(path) as store:
        await store.add_bans([login, mail])
        await store.add_bans([mail])

    async with opened(path) as store:
        assert await store.bans_in_force(NOW) == [login, mail]
        assert await store.history(NOW) == [login, mail]
        assert {past.ban for past in await store.verdicts(HOST)} == {login, mail}
        await store.lift([HOST], NOW + 60, "ana", "the office")
        assert await store.bans_in_force(NOW + 61) == []
        assert [past.lift and past.lift.by for past in await store.verdicts(HOST)] == ["ana", "ana"]


@pytest.mark.asyncio
async def test_of_each_scope_the_longest_ban_is_in_force(path: Path) -> None:
    long, short = ban(seconds=7200.0), ban(since=NOW + 60, seconds=600.0)
    mail = replace(short, scope=Scope.SMTP_IN)
    async with opened(path) as store:
        await store.add_bans([long, short, mail])

        assert set(await store.bans_in_force(NOW + 100)) == {long, mail}


@pytest.mark.asyncio
async def test_a_lifted_ban_is_over_and_a_later_one_counts(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(), ban(SITE)])
        await store.lift([HOST], NOW + 60, "ana", "the office")
        assert await store.bans_in_force(NOW + 61) == [ban(SITE)]

        await store.add_bans([ban(since=NOW + 120)])
        assert ban(since=NOW + 120) in await store.bans_in_force(NOW + 121)


@pytest.mark.asyncio
async def test_a_tombstone_holds_for_a_ban_that_reaches_the_disk_after_it(path: Path) -> None:
    async with opened(path) as store:
        await store.lift([HOST], NOW + 60, "ana", "the office")
        await store.add_bans([ban()])

        assert await store.bans_in_force(NOW + 61) == []


@pytest.mark.asyncio
async def test_a_clock_set_back_does_not_make_a_lift_void(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban()])
        await store.lift([HOST], NOW - 3600, "ana", "the office")

        assert await store.bans_in_force(NOW - 3599) == []


@pytest.mark.asyncio
async def test_lifted_names_the_networks_whose_ban_would_still_stand(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(HOST), ban(SITE, seconds=60)])
        await store.lift([HOST, SITE], NOW + 30, "ana", "")
        assert await store.lifted(NOW + 31) == {HOST, SITE}
        assert await store.lifted(NOW + 61) == {HOST}

        await store.add_bans([ban(HOST, since=NOW + 40, seconds=50)])
        assert [each.net for each in await store.bans_in_force(NOW + 50)] == [HOST]


@pytest.mark.asyncio
async def test_history_holds_what_the_ladder_remembers_and_no_lifted_ban(path: Path) -> None:
    old, ended, lifted, standing = (
        ban(since=NOW - 40 * DAY),
        ban(since=NOW - 20 * DAY),
        ban(SITE, since=NOW - 10 * DAY),
        ban(since=NOW),
    )
    async with opened(path) as store:
        await store.add_bans([old, ended, lifted, standing])
        await store.lift([SITE], NOW - 10 * DAY + 60, "ana", "")

        assert await store.history(NOW - 30 * DAY) == [ended, standing]


@pytest.mark.asyncio
async def test_verdicts_are_the_bans_of_every_network_around_and_inside(path: Path) -> None:
    around, beside = parse_network("203.0.113.0/24"), parse_network("203.0.113.10")
    bans = [ban(HOST, NOW), ban(around, NOW + 1), ban(beside, NOW + 2), ban(SITE, NOW + 3)]
    async with opened(path) as store:
        await store.add_bans(bans)

        assert [past.ban for past in await store.verdicts(HOST)] == [bans[1], bans[0]]
        assert [past.ban for past in await store.verdicts(around)] == [bans[2], bans[1], bans[0]]
        assert [past.ban for past in await store.verdicts(parse_network("0.0.0.0/0"))] == bans[2::-1]
        assert [past.ban for past in await store.verdicts(parse_network("2001:db8:0:7::1"))] == [bans[3]]


@pytest.mark.asyncio
async def test_verdicts_name_who_lifted_which_ban(path: Path) -> None:
    async with opened(path) as store:
        await store.add_bans([ban(since=NOW - DAY), ban()])
        await store.lift([HOST], NOW + 60, "ana", "the office")

        newest, oldest = await store.verdicts(HOST)

    assert newest.lift == Lift(NOW + 60, "ana", "the office")
    assert oldest.lift is None  # it had ended by itself


@pytest.mark.asyncio
async def test_ended_bans_beyond_the_limit_are_forgotten_and_standing_ones_never(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.store.store.BANS_KEPT", 2)
    async with opened(path) as store:
        await store.add_bans([ban(SITE, seconds=30 * DAY)])
        for day in range(1, 6):
            await store.add_bans([ban(since=NOW + day * DAY)])

        kept = [past.ban for past in await store.verdicts(HOST)]
        assert kept == [ban(since=NOW + 5 * DAY), ban(since=NOW + 4 * DAY)]
        assert await store.bans_in_force(NOW + 5 * DAY + 3600) == [ban(SITE, seconds=30 * DAY)]


# Operators


@pytest.mark.asyncio
async def test_the_run_time_allowlist_grows_and_shrinks(path: Path) -> None:
    async with opened(path) as store:
        await store.allow_add(HOST, "uptime probe", "ana", NOW)
        await store.allow_add(SITE, "office", "bob", NOW + 1)
        await store.allow_add(HOST, "the new probe", "bob", NOW + 2)

        assert await store.allow_list() == [
            Allowed(SITE, "office", "bob", NOW + 1),
            Allowed(HOST, "the new probe", "bob", NOW + 2),
        ]
        assert await store.allow_remove(SITE)
        assert not await store.allow_remove(SITE)
        assert [entry.net for entry in await store.allow_list()] == [HOST]


@pytest.mark.asyncio
async def test_acts_are_told_newest_first(path: Path) -> None:
    async with opened(path) as store:
        await store.add_act(Act(NOW, "ana", "ban", "203.0.113.9", "phoned by the provider"))
        await store.add_act(Act(NOW + 1, "bob", "unban", "203.0.113.9", ""))

        assert await store.acts(1) == [Act(NOW + 1, "bob", "unban", "203.0.113.9", "")]
        assert len(await store.acts()) == 2


@pytest.mark.asyncio
async def test_text_with_quotes_zeros_and_broken_unicode_comes_back_harmless(path: Path) -> None:
    reason = "'); DROP TABLE bans; --\0\udcff"
    async with opened(path) as store:
        await store.add_act(Act(NOW, "ana", "ban", "203.0.113.9", reason))

        (act,) = await store.acts()
        assert act.reason == "'); DROP TABLE bans; --\0\\udcff"
