"""What the store tells of a day: bans by detector, what was lifted, accounts under attack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.address import Net, parse_address, parse_network, source_of
from appliance.model import Act, Ban, Scope
from appliance.store import days
from appliance.store.days import AccountDay, PairDay
from appliance.store.store import EvidenceLine, Store

NOW = 1_700_000_000.0
DAY = 86400.0
SINCE = NOW - DAY
ANA, BOB = "ana@example.com", "bob@example.com"
GUESSER, OTHER = parse_network("203.0.113.9"), parse_network("198.51.100.7")


def line(at: float, address: str = "203.0.113.9", account: str | None = ANA, **facts: object) -> EvidenceLine:
    """One failed login, `at` seconds after `NOW`."""
    found = parse_address(address.encode())
    assert found is not None
    told: dict[str, object] = {"protocol": "imap", "outcome": "bad_password", "count": 1} | facts
    fixed = {"rule": "audit-bad-password", "sender": "192.0.2.1", "host": "mbox1", "program": "zimbra-audit"}
    where = {"source": source_of(found), "address": address, "account": account}
    return EvidenceLine(time=NOW + at, received=NOW + at, line=b"", **where, **fixed, **told)  # type: ignore[arg-type]


def ban(net: Net, at: float, detector: str = "guessing", seconds: float = 1800.0, scope: Scope = Scope.ALL) -> Ban:
    return Ban(net, NOW + at, NOW + at + seconds, detector, "6 points", scope=scope)


def source(number: int) -> Net:
    return Net((0xC6120000 + number).to_bytes(4, "big"), 32)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    store = await Store.open(path / "zward.db", NOW)
    try:
        yield store
    finally:
        await store.close()


@pytest.mark.asyncio
async def test_failures_are_counted_by_account_and_by_source_the_most_first(tmp_path):
    async with opened(tmp_path) as store:
        await store.add_evidence(
            [
                *(line(-at) for at in range(5)),
                line(-10, account="Ana@Example.com", protocol="smtp", count=4),
                line(-20, "198.51.100.7"),
                line(-30, "198.51.100.7", BOB),
                line(-40, account=None),
            ]
        )

        found = await store.days.failures(SINCE)

        assert found.accounts == [AccountDay("Ana@Example.com", 10, 2), AccountDay(BOB, 1, 1)]
        assert (found.accounts_in_all, found.is_partial) == (2, False)
        assert found.pairs[0] == PairDay(GUESSER, "Ana@Example.com", ("imap", "smtp"), 9, NOW - 10, NOW)
        assert len(found.pairs) == 3


@pytest.mark.asyncio
async def test_invented_names_guessed_recipients_and_the_day_before_do_not_count(tmp_path):
    async with opened(tmp_path) as store:
        await store.add_evidence(
            [
                line(-DAY - 5000),
                line(-5, outcome="unknown_account"),
                line(-6, outcome="recipient_unknown"),
                line(-7, outcome="account_locked"),
            ]
        )

        found = await store.days.failures(SINCE)

        assert found.accounts == [AccountDay(ANA, 1, 1)]


@pytest.mark.asyncio
async def test_an_empty_store_has_nothing_to_tell(tmp_path):
    async with opened(tmp_path) as store:
        found = await store.days.failures(SINCE)

        assert (found.accounts, found.accounts_in_all, found.pairs, found.is_partial) == ([], 0, [], False)
        assert await store.days.pair(GUESSER, ANA, SINCE) is None
        assert await store.days.bans(SINCE) == {}
        assert await store.days.bans_page(SINCE) == ([], days.NEWEST)
        assert await store.days.lifted(SINCE) == []
        assert await store.days.unbans(SINCE) == 0


@pytest.mark.asyncio
async def test_only_the_newest_lines_are_read_and_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(days, "LINES_READ", 10)
    async with opened(tmp_path) as store:
        await store.add_evidence([line(-100 + each, f"203.0.113.{each}") for each in range(25)])

        found = await store.days.failures(SINCE)

        assert (found.accounts[0].failures, found.is_partial) == (10, True)
        assert not (await store.days.failures(NOW - 50)).is_partial


@pytest.mark.asyncio
async def test_more_accounts_than_are_told_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(days, "ACCOUNTS", 3)
    monkeypatch.setattr(days, "PAIRS", 2)
    async with opened(tmp_path) as store:
        await store.add_evidence([line(-each, account=f"{each}@example.com") for each in range(9)])

        found = await store.days.failures(SINCE)

        assert (len(found.accounts), found.accounts_in_all, len(found.pairs)) == (3, 9, 2)


@pytest.mark.asyncio
async def test_a_pair_is_followed_back_to_when_it_began(tmp_path):
    async with opened(tmp_path) as store:
        await store.add_evidence(
            [line(-3 * DAY), line(-20 * DAY), line(0, account="ANA@example.com"), line(0, account=BOB)]
        )

        assert await store.days.pair(GUESSER, ANA, NOW - 14 * DAY) == PairDay(
            GUESSER, ANA, ("imap",), 2, NOW - 3 * DAY, NOW
        )


@pytest.mark.asyncio
async def test_bans_of_the_day_are_counted_by_detector(tmp_path):
    async with opened(tmp_path) as store:
        await store.add_bans(
            [
                ban(GUESSER, -60),
                ban(OTHER, -60, "siege"),
                ban(OTHER, -30, "siege", scope=Scope.LOGIN),
                ban(GUESSER, -2 * DAY, seconds=9 * DAY),
            ]
        )

        assert await store.days.bans(SINCE) == {"guessing": 1, "siege": 2}


@pytest.mark.asyncio
async def test_bans_come_by_pages_the_newest_first(tmp_path, monkeypatch):
    monkeypatch.setattr(days, "BANS_PAGE", 4)
    async with opened(tmp_path) as store:
        made = [ban(source(each), -2000 + each) for each in range(10)]
        await store.add_bans([ban(GUESSER, -3 * DAY), *made])

        found, before = [], days.NEWEST
        while True:
            page, before = await store.days.bans_page(SINCE, before)
            if not page:
                break
            assert len(page) <= 4
            found += page

        assert found == made[::-1]


@pytest.mark.asyncio
async def test_what_operators_lifted_is_told_and_what_a_list_lifted_is_not(tmp_path):
    async with opened(tmp_path) as store:
        await store.add_bans([ban(GUESSER, -600), ban(OTHER, -600), ban(source(1), -3 * DAY)])
        await store.lift([GUESSER], NOW - 300, "bruno", "a customer called")
        await store.lift([OTHER], NOW - 200, days.ZWARD, "spared by the lists as they are")
        await store.lift([source(1)], NOW - 100, "bruno", "long over")
        await store.add_act(Act(NOW - 300, "bruno", "unban", str(GUESSER), "a customer called"))
        await store.add_act(Act(NOW - 100, "bruno", "unban", "198.18.0.1", "long over"))
        await store.add_act(Act(NOW - 2 * DAY, "bruno", "unban", "x", ""))
        await store.add_act(Act(NOW, "bruno", "ban", "x", ""))

        (lifted,) = await store.days.lifted(SINCE)

        assert (lifted.ban.net, lifted.time, lifted.who, lifted.reason) == (
            *(GUESSER, NOW - 300, "bruno", "a customer called"),
        )
        assert await store.days.unbans(SINCE) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("query", [days._ACCOUNTS, days._PAIRS], ids=["accounts", "pairs"])
async def test_the_newest_lines_are_found_without_reading_the_whole_table(tmp_path, query):
    async with opened(tmp_path) as store:
        asked = {"lines": 1, "since": SINCE, "most": 1}
        plan = [row[-1] for row in await store.days._file.read(f"EXPLAIN QUERY PLAN {query}", asked)]

        assert "SEARCH evidence USING INTEGER PRIMARY KEY (rowid>?)" in plan
        assert not [step for step in plan if step.startswith("SCAN evidence")]
