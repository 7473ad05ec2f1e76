"""Evidence: the counts are exact though few lines are kept, and neither one source nor all of them fill the disk."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.address import Net, parse_address, parse_network, source_of
from appliance.model import EVIDENCE_BYTES, AuthEvent, Ban, Evidence, Outcome, Protocol
from appliance.store.evidence import LINES_AN_HOUR, TEXT_CHARS, key_of, net_of, span
from appliance.store.store import Count, EvidenceLine, Store

HOUR = 1_700_002_800.0  # the beginning of an hour of the clock
HOST = parse_network("203.0.113.9")
ANA, BOB = "ana@example.com", "bob@example.com"


def line(at: float = 0.0, address: str = "203.0.113.9", account: str | None = ANA, count: int = 1) -> EvidenceLine:
    """One failed login, received a second after it happened, `at` seconds into the hour."""
    found = parse_address(address.encode())
    assert found is not None
    return EvidenceLine(
        source=source_of(found),
        address=address,
        time=HOUR + at - 1,
        received=HOUR + at,
        account=account,
        protocol="imap",
        outcome="bad_password",
        rule="audit-bad-password",
        sender="192.0.2.1",
        host="mbox1",
        program="zimbra-audit",
        line=b"cmd=Auth; error=authentication failed",
        count=count,
    )


@asynccontextmanager
async def opened(tmp_path: Path, evidence_bytes: int = 1 << 30) -> AsyncIterator[Store]:
    store = await Store.open(tmp_path / "zward.db", HOUR, evidence_bytes)
    try:
        yield store
    finally:
        await store.close()


def failures(account: str | None, count: int, first: float, last: float) -> Count:
    return Count(account, "imap", "bad_password", count, HOUR + first - 1, HOUR + last - 1)


def test_an_event_becomes_a_line_within_its_bounds() -> None:
    event = AuthEvent(
        time=HOUR,
        outcome=Outcome.BAD_PASSWORD,
        rule="audit-bad-password",
        source=parse_network("2001:db8::7"),
        account="\udcff" + "a" * 5000,
        protocol=Protocol.IMAP,
        evidence=Evidence.STRONG,
        sender="192.0.2.1",
        host=None,
        program="zimbra-audit",
        line=b"x" * 5000,
        count=3,
    )

    kept = EvidenceLine.of(event, parse_network("2001:db8::/64"), HOUR + 1)

    assert kept.source == parse_network("2001:db8::/64")
    assert (kept.address, kept.protocol, kept.outcome) == ("2001:db8::7", "imap", "bad_password")
    assert kept.account == "\\udcff" + "a" * (TEXT_CHARS - 1)
    assert (len(kept.line), kept.count, kept.host) == (EVIDENCE_BYTES, 3, None)


@pytest.mark.asyncio
async def test_what_was_kept_comes_back_newest_first(tmp_path: Path) -> None:
    lines = [line(at, account=account) for at, account in enumerate([ANA, BOB, None])]
    async with opened(tmp_path) as store:
        await store.add_evidence(lines)
        known = await store.why(HOST)

    assert known.lines == lines[::-1]
    assert known.counts == [failures(None, 1, 2, 2), failures(BOB, 1, 1, 1), failures(ANA, 1, 0, 0)]
    assert (known.unnamed, known.is_partial) == (0, False)


@pytest.mark.asyncio
async def test_why_shows_twenty_lines_and_counts_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.add_evidence([line(at) for at in range(30)])
        known = await store.why(HOST)

    assert [kept.received for kept in known.lines] == [HOUR + at for at in range(29, 9, -1)]
    assert known.counts == [failures(ANA, 30, 0, 29)]


@pytest.mark.asyncio
@pytest.mark.parametrize("batch", [1, 7, 100])
async def test_beyond_its_share_a_source_is_counted_on_a_line_that_is_alike(tmp_path: Path, batch: int) -> None:
    lines = [line(at, count=2) for at in range(100)]
    async with opened(tmp_path) as store:
        for start in range(0, 100, batch):
            await store.add_evidence(lines[start : start + batch])
        known = await store.why(HOST)
        ((rows,),) = await store._file.read("SELECT count(*) FROM evidence")

    assert rows == LINES_AN_HOUR
    assert known.counts == [failures(ANA, 200, 0, 99)]
    assert known.unnamed == 0


@pytest.mark.asyncio
async def test_beyond_its_share_a_source_that_tries_new_accounts_is_counted_without_names(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for start in (0, 50):
            await store.add_evidence([line(at, account=f"user{at}") for at in range(start, start + 50)])
        known = await store.why(HOST)

    assert len(known.counts) == LINES_AN_HOUR
    assert known.unnamed == 100 - LINES_AN_HOUR


@pytest.mark.asyncio
async def test_a_new_hour_and_another_source_have_shares_of_their_own(tmp_path: Path) -> None:
    lines = [line(at % 60) for at in range(40)] + [line(3600 + at) for at in range(40)]
    async with opened(tmp_path) as store:
        await store.add_evidence([*lines, line(address="203.0.113.10")])
        ((rows,),) = await store._file.read("SELECT count(*) FROM evidence")
        known = await store.why(HOST)

    assert rows == 2 * LINES_AN_HOUR + 1
    assert known.counts == [failures(ANA, 80, 0, 3639)]


@pytest.mark.asyncio
async def test_an_ipv6_address_is_answered_with_its_slash_64(tmp_path: Path) -> None:
    lines = [line(1, "2001:db8:0:7::1"), line(2, "2001:db8:0:7:ffff::2"), line(3, "2001:db8:0:8::1")]
    site = Ban(parse_network("2001:db8:0:7::/64"), HOUR, HOUR + 1800, "guessing", "6 of 6 points")
    async with opened(tmp_path) as store:
        await store.add_evidence(lines)
        await store.add_bans([site])
        known = await store.why(parse_network("2001:db8:0:7::5"))

    assert [kept.address for kept in known.lines] == ["2001:db8:0:7:ffff::2", "2001:db8:0:7::1"]
    assert [past.ban for past in known.bans] == [site]


@pytest.mark.asyncio
async def test_a_network_is_answered_with_all_its_sources(tmp_path: Path) -> None:
    inside = [line(1, "203.0.113.9"), line(2, "203.0.113.255"), line(3, "203.0.113.0", BOB)]
    outside = [line(4, "203.0.112.255"), line(5, "203.0.114.0"), line(6, "cb00:7109:2000::1")]  # sorts among them
    async with opened(tmp_path) as store:
        await store.add_evidence([*inside, *outside])
        known = await store.why(parse_network("203.0.113.0/24"))

    assert known.lines == inside[::-1]
    assert known.counts == [failures(ANA, 2, 1, 2), failures(BOB, 1, 3, 3)]


@pytest.mark.asyncio
async def test_an_answer_that_does_not_read_everything_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store:
        await store.add_evidence([line(at, f"203.0.113.{at}") for at in range(5)])
        await store.add_evidence([line(at, "198.51.100.1") for at in range(10)])
        site, host = parse_network("203.0.113.0/24"), parse_network("198.51.100.1")
        assert not (await store.why(site)).is_partial
        assert not (await store.why(host)).is_partial

        monkeypatch.setattr("appliance.store.evidence.SOURCES_READ", 4)
        monkeypatch.setattr("appliance.store.evidence.ROWS_READ", 8)
        assert (await store.why(site)).is_partial
        known = await store.why(host)

    assert known.is_partial
    assert known.counts == [failures(ANA, 8, 2, 9)]


@pytest.mark.asyncio
async def test_rare_accounts_beyond_those_shown_are_counted_without_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.store.evidence.COUNTS_SHOWN", 1)
    async with opened(tmp_path) as store:
        await store.add_evidence([line(0), line(1, account=BOB), line(2)])
        known = await store.why(HOST)

    assert (known.counts, known.unnamed) == ([failures(ANA, 2, 0, 2)], 1)


@pytest.mark.asyncio
async def test_the_oldest_lines_go_when_the_limit_is_reached(tmp_path: Path) -> None:
    limit = 1 << 20
    async with opened(tmp_path, limit) as store:
        for hour in range(200):
            lines = [line(hour * 3600 + at, f"203.0.113.{at}") for at in range(100)]
            await store.add_evidence([replace(each, line=b"x" * EVIDENCE_BYTES) for each in lines])
        ((oldest, rows),) = await store._file.read("SELECT min(received), count(*) FROM evidence")
        known = await store.why(HOST)

    assert oldest > HOUR + 100 * 3600
    assert rows > 1000
    assert known.lines[0].received == HOUR + 199 * 3600 + 9
    assert (tmp_path / "zward.db").stat().st_size < limit * 1.25


@pytest.mark.asyncio
async def test_a_lowered_limit_is_reached_step_by_step_and_bans_stay(tmp_path: Path) -> None:
    lines = [line(at, f"198.51.{at % 100}.{at % 250}") for at in range(8000)]
    async with opened(tmp_path) as store:
        await store.add_bans([Ban(HOST, HOUR, HOUR + 1800, "guessing", "6 of 6 points")])
        await store.add_evidence(lines)

    async with opened(tmp_path, 1 << 20) as store:
        counts = []
        for minute in range(30):
            await store.add_evidence([line(7200 + minute)])
            counts += (await store._file.read("SELECT count(*) FROM evidence"))[0]
        assert len(await store.bans_in_force(HOUR)) == 1
        ((pages, free),) = await store._file.read(
            "SELECT page_count, freelist_count FROM pragma_page_count, pragma_freelist_count"
        )

    steps = [before - after for before, after in pairwise(counts)]
    assert 0 < max(steps) < 300
    assert (1 << 20) * 0.9 < (pages - free) * 4096 <= 1 << 20
    assert steps[-1] == -1  # the limit is reached: nothing more has to go


@pytest.mark.asyncio
async def test_bare_numbers_go_with_the_lines_of_their_time(tmp_path: Path) -> None:
    async with opened(tmp_path, 1 << 18) as store:
        await store.add_evidence([line(at, account=f"user{at}") for at in range(40)])
        for hour in range(1, 100):
            await store.add_evidence([line(hour * 3600 + at, f"198.51.100.{at}") for at in range(20)])
        known = await store.why(HOST)

    assert (known.counts, known.unnamed) == ([], 0)


nets = st.one_of(
    st.builds(
        lambda packed, prefix: Net(packed, 32).widened(prefix), st.binary(min_size=4, max_size=4), st.integers(0, 32)
    ),
    st.builds(
        lambda packed, prefix: Net(packed, 128).widened(prefix),
        st.binary(min_size=16, max_size=16),
        st.integers(0, 128),
    ),
)


@settings(deadline=None)
@given(nets)
def test_a_network_survives_being_a_column(net: Net) -> None:
    assert net_of(key_of(net)) == net


@settings(deadline=None)
@given(nets, nets)
def test_the_span_of_a_network_holds_exactly_the_networks_that_begin_in_it(net: Net, other: Net) -> None:
    below, last = span(net)
    begins_inside = net.covers(Net(other.packed, len(other.packed) * 8))

    assert (below < key_of(other) <= last and len(key_of(other)) == len(last)) == begins_inside
