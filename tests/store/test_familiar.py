"""Who logged in from where, on a real file."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.address import parse_network
from appliance.judge.familiar import Seen
from appliance.store.familiar import FamiliarTable
from appliance.store.store import Store

NOW = 1_700_000_000.0
DAY = 86400.0
HOME, PHONE = parse_network("203.0.113.9"), parse_network("203.0.113.10")
SITE = parse_network("2001:db8:0:7::/64")
ANA, BOB = "ana@example.com", "bob@example.com"


@asynccontextmanager
async def table(tmp_path: Path) -> AsyncIterator[FamiliarTable]:
    store = await Store.open(tmp_path / "zward.db", NOW)
    try:
        yield store.familiar
    finally:
        await store.close()


SEEN = [
    Seen(HOME, ANA, NOW - 20 * DAY, NOW - 10 * DAY),
    Seen(PHONE, ANA, NOW - DAY, NOW),
    Seen(HOME, BOB, NOW - 5 * DAY, NOW - 4 * DAY),
    Seen(SITE, BOB, NOW - 3 * DAY, NOW - 2 * DAY),
]


@pytest.mark.asyncio
async def test_what_was_learned_is_there_after_a_restart_the_latest_last(tmp_path: Path) -> None:
    async with table(tmp_path) as familiar:
        await familiar.learn(SEEN, NOW)

    async with table(tmp_path) as familiar:
        assert await familiar.fresh(NOW) == sorted(SEEN, key=lambda seen: seen.last)


@pytest.mark.asyncio
async def test_a_login_told_twice_has_the_first_and_the_last_time_in_whatever_order_they_came(tmp_path: Path) -> None:
    async with table(tmp_path) as familiar:
        await familiar.learn([Seen(HOME, ANA, NOW - 60, NOW)], NOW)
        await familiar.learn([Seen(HOME, ANA, NOW - 3600, NOW - 1800)], NOW)

        assert await familiar.fresh(NOW) == [Seen(HOME, ANA, NOW - 3600, NOW)]


@pytest.mark.asyncio
async def test_thirty_days_after_its_last_login_a_place_is_forgotten(tmp_path: Path) -> None:
    async with table(tmp_path) as familiar:
        await familiar.learn(SEEN, NOW)
        assert len(await familiar.fresh(NOW + 20 * DAY)) == 3
        assert await familiar.count(NOW + 20 * DAY) == 3
        assert len(await familiar.page(NOW + 20 * DAY)) == 3

        await familiar.learn([], NOW + 20 * DAY)
        assert len(await familiar.fresh(NOW)) == 3, "the row is gone, not only left out"


@pytest.mark.asyncio
async def test_pages_follow_one_another_without_a_gap(tmp_path: Path) -> None:
    async with table(tmp_path) as familiar:
        await familiar.learn(SEEN, NOW)
        found: list[Seen] = []
        while rows := await familiar.page(NOW, after=(found[-1].account, found[-1].source) if found else None, most=1):
            found += rows

        assert [(seen.account, str(seen.source)) for seen in found] == [
            (ANA, "203.0.113.9"),
            (ANA, "203.0.113.10"),
            (BOB, "2001:db8:0:7::/64"),
            (BOB, "203.0.113.9"),
        ]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("account", "net", "expected"),
    [
        (ANA, None, SEEN[:2]),
        (None, "203.0.113.9", [SEEN[0], SEEN[2]]),
        (None, "203.0.113.0/24", SEEN[:3]),
        (None, "2001:db8:0:7::1234", SEEN[3:]),
        (None, "2001:db8::/48", SEEN[3:]),
        (BOB, "203.0.113.0/24", SEEN[2:3]),
        (None, "203.0.112.0/24", []),
        (None, "0.0.0.0/0", SEEN[:3]),
        ("an_@example.com", None, []),
    ],
)
async def test_an_account_a_network_or_what_they_share_is_told_and_forgotten(
    tmp_path: Path, account: str | None, net: str | None, expected: list[Seen]
) -> None:
    network = None if net is None else parse_network(net)
    async with table(tmp_path) as familiar:
        await familiar.learn(SEEN, NOW)

        assert sorted(await familiar.page(NOW, account, network)) == sorted(expected)
        assert await familiar.count(NOW, account, network) == len(expected)
        assert sorted(await familiar.forget(account, network)) == sorted(expected)
        assert sorted(await familiar.fresh(NOW)) == sorted(set(SEEN) - set(expected))


@pytest.mark.asyncio
async def test_an_account_that_is_no_unicode_is_kept_and_forgotten_all_the_same(tmp_path: Path) -> None:
    async with table(tmp_path) as familiar:
        await familiar.learn([Seen(HOME, "an\udcff'; --", NOW, NOW)], NOW)

        assert [seen.account for seen in await familiar.fresh(NOW)] == ["an\\udcff'; --"]
        assert len(await familiar.forget("an\udcff'; --")) == 1


@pytest.mark.asyncio
async def test_a_start_takes_up_all_of_it_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.store.familiar.PAGE", 2)
    many = [Seen(HOME, f"user{number}", NOW - 60, NOW - number // 3) for number in range(8)]
    async with table(tmp_path) as familiar:
        await familiar.learn(many, NOW)
        found: list[Seen] = []
        while rows := await familiar.fresh(NOW, found[-1] if found else None):
            assert len(rows) <= 2
            found += rows

        assert sorted(found) == sorted(many)
        assert [seen.last for seen in found] == sorted(seen.last for seen in many)
