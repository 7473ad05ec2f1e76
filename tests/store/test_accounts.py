"""What was tried on an account, as the kept evidence tells it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.address import parse_address, source_of
from appliance.store.evidence import LINES_AN_HOUR
from appliance.store.store import EvidenceLine, Store

HOUR = 1_700_002_800.0  # the beginning of an hour of the clock
ANA, BOB = "ana@example.com", "bob@example.com"


def line(at: float, address: str = "203.0.113.9", account: str | None = ANA, **facts: object) -> EvidenceLine:
    """One failed login, received a second after it happened, `at` seconds into the hour."""
    found = parse_address(address.encode())
    assert found is not None
    told: dict[str, object] = {"protocol": "imap", "outcome": "bad_password", "count": 1} | facts
    return EvidenceLine(
        source=source_of(found),
        address=address,
        time=HOUR + at - 1,
        received=HOUR + at,
        account=account,
        rule="audit-bad-password",
        sender="192.0.2.1",
        host="mbox1",
        program="zimbra-audit",
        line=b"",
        **told,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "zward.db", HOUR)
    try:
        yield store
    finally:
        await store.close()


async def told(store: Store, *names: str, since: float = 0) -> list[tuple[str, str, str, int]]:
    trials = await store.tried(names, since)
    return [(str(each.source), each.account, each.protocol, each.count) for each in trials.tried]


@pytest.mark.asyncio
async def test_failures_are_told_by_source_and_protocol_the_latest_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add_evidence(
            [
                line(1),
                line(2, account=BOB),
                line(3, "2001:db8:0:7::1"),
                line(4),
                line(5, "2001:db8:0:7::2", protocol="smtp"),
                line(6, account=None),
            ]
        )

        assert await told(store, ANA) == [
            ("2001:db8:0:7::/64", ANA, "smtp", 1),
            ("203.0.113.9", ANA, "imap", 2),
            ("2001:db8:0:7::/64", ANA, "imap", 1),
        ]


@pytest.mark.asyncio
async def test_an_account_is_found_by_each_of_its_names_however_they_were_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add_evidence([line(1, account="Ana@Example.com"), line(2, account="ANA"), line(3, account="an")])

        assert sorted(await told(store, ANA, "ana")) == [
            ("203.0.113.9", "ANA", "imap", 1),
            ("203.0.113.9", "Ana@Example.com", "imap", 1),
        ]


@pytest.mark.asyncio
async def test_only_what_happened_since_then_is_told_with_what_was_counted_on_a_kept_line(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add_evidence([line(at) for at in range(LINES_AN_HOUR)])
        await store.add_evidence([line(3000, count=100)])

        assert await told(store, ANA) == [("203.0.113.9", ANA, "imap", LINES_AN_HOUR + 100)]
        assert await told(store, ANA, since=HOUR + 2999) != [], "the line that counted it is of the same hour"
        assert await told(store, ANA, since=HOUR + 3001) == []


@pytest.mark.asyncio
async def test_it_says_when_there_is_more_than_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store:
        await store.add_evidence([line(1), line(2), line(3, "203.0.113.10")])
        assert not (await store.tried([ANA], 0)).is_partial

        monkeypatch.setattr("appliance.store.accounts.ROWS_READ", 2)
        trials = await store.tried([ANA], 0)
        assert trials.is_partial
        assert sum(each.count for each in trials.tried) == 2


@pytest.mark.asyncio
async def test_an_index_finds_an_account_among_many(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        plan = await store._file.read(
            "EXPLAIN QUERY PLAN SELECT 1 FROM evidence WHERE account COLLATE NOCASE IN (?, ?) AND received >= ?",
            (ANA, "ana", 0),
        )

        assert "evidence_account" in plan[0][3]
