"""Bans and notices as JSON."""

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posted import Counts, endless, hang, hurry, receiver, running, status

from appliance.address import Net
from appliance.config.notify import Webhook
from appliance.model import Act, Ban, Banned, Noticed, Scope, Severity, Spared, Watched
from appliance.notify import webhook
from appliance.notify.channel import ChannelError
from appliance.notify.webhook import BATCH, WAITING, WebhookChannel

T = 1_800_000_000.0
SOURCE = Net(bytes([203, 0, 113, 9]), 32)
BAN = Banned(Ban(SOURCE, T, T + 1800, "guessing", "6 of 6 points in 30 min", 1, Scope.LOGIN), ("ana@example.com",))
BREAK_IN = Noticed("break-in", "ana from 203.0.113.9", "got in", Severity.CRITICAL, SOURCE, "ana@example.com")


def channel(*urls: str, count: Counts | None = None, at_least: Severity = Severity.NOTICE) -> WebhookChannel:
    config = Webhook(urls=urls, at_least=at_least)
    return WebhookChannel(config, "gw1.example.com", Counts() if count is None else count, lambda: T)


def events(posts: list[Any]) -> list[dict[str, Any]]:
    return [event for post in posts for event in post]


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


# What is sent


@pytest.mark.asyncio
async def test_a_ban_and_a_notice_go_out_together() -> None:
    counts = Counts()
    async with receiver() as there, running(calling := channel(there.url + "/hook", count=counts)):
        calling.tell(BAN, T)
        calling.tell(BREAK_IN, T + 1)
        await counts.until(sent=2)

    assert there.paths == ["/hook"]
    ban, notice = there.taken[0]
    assert ban == {
        "version": 1,
        "host": "gw1.example.com",
        "time": "2027-01-15T08:00:00Z",
        "kind": "ban",
        "source": "203.0.113.9",
        "accounts": ["ana@example.com"],
        "since": "2027-01-15T08:00:00Z",
        "until": "2027-01-15T08:30:00Z",
        "scope": "login",
        "step": 1,
        "detector": "guessing",
        "reason": "6 of 6 points in 30 min",
        "title": "Passwords are being guessed",
        "to_do": ban["to_do"],
    }
    assert "Let it in if it is one of yours: zward unban 203.0.113.9" in ban["to_do"]
    assert {"kind": "notice", "severity": "critical", "over": False, "account": "ana@example.com"}.items() <= (
        notice.items()
    )


@pytest.mark.asyncio
async def test_only_bans_and_grave_enough_notices_are_told_and_what_ends_something() -> None:
    counts = Counts()
    async with receiver() as there, running(calling := channel(there.url, count=counts, at_least=Severity.CRITICAL)):
        for what in (
            Spared(SOURCE, "guessing", "listed"),
            Watched(SOURCE, "guessing", "would be banned", would_ban=True),
            Act(T, "ana", "unban", "203.0.113.9", ""),
            Noticed("many-places", "ana", "7 networks", Severity.WARNING),
        ):
            calling.tell(what, T)
        assert calling.waiting == 0
        calling.tell(BAN, T)
        calling.tell(BREAK_IN, T)
        calling.tell(Noticed("outage", "site", "all is well", over=True), T)
        await counts.until(sent=3)

    assert [event["detector"] for event in events(there.taken)] == ["guessing", "break-in", "outage"]


@pytest.mark.asyncio
async def test_a_crowd_goes_out_in_order_and_in_batches() -> None:
    counts = Counts()
    async with receiver() as there, running(calling := channel(there.url, count=counts)):
        for number in range(250):
            calling.tell(Noticed("guessing", str(number), "x"), T)
        await counts.until(sent=250)

    assert [len(post) for post in there.taken] == [BATCH, BATCH, 50]
    assert [event["subject"] for event in events(there.taken)] == [str(number) for number in range(250)]


@pytest.mark.asyncio
async def test_there_is_a_pause_between_two_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = []
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(webhook, "EVERY", 1.0)
    counts = Counts()
    async with receiver() as there:
        calling = channel(there.url, count=counts)
        for number in range(3 * BATCH):
            calling.tell(Noticed("guessing", str(number), "x"), T)
        monkeypatch.setattr(asyncio, "sleep", noted)
        task = asyncio.create_task(calling.run())
        await there.until(lambda it: len(it.taken) == 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert pauses[:3] == [1.0, 1.0, 1.0]


@pytest.mark.asyncio
async def test_what_waits_at_the_end_is_sent() -> None:
    counts = Counts()
    async with receiver() as there:
        calling = channel(there.url, count=counts)
        for _ in range(BATCH + 1):
            calling.tell(BAN, T)
        await calling.close()

    assert counts == {"sent": BATCH + 1}


# What goes wrong


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [status(500), status(429), status(302), hang, endless],
    ids=["broken", "busy", "redirected", "hangs", "endless"],
)
async def test_what_was_not_taken_is_sent_again_and_nothing_twice(answer: Any) -> None:
    counts = Counts()
    async with receiver() as there:
        there.answers = [answer, answer]
        async with running(calling := channel(there.url, count=counts)):
            calling.tell(BAN, T)
            await there.until(lambda it: it.posts)
            calling.tell(BREAK_IN, T)
            await counts.until(sent=2)

    assert counts == {"failed": 2, "sent": 2}
    assert [event["kind"] for event in events(there.taken)] == ["ban", "notice"]


@pytest.mark.asyncio
async def test_what_is_refused_is_lost_logged_once_and_told_with_the_next(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    counts = Counts()
    async with receiver() as there:
        there.answers = [status(400, "bad key"), status(404)]
        async with running(calling := channel(there.url, count=counts)):
            calling.tell(BAN, T)
            await counts.until(dropped=1)
            calling.tell(BAN, T)
            await counts.until(dropped=2)
            calling.tell(BREAK_IN, T)
            await counts.until(sent=1)
            calling.tell(BAN, T)
            await counts.until(sent=2)

    assert counts == {"dropped": 2, "sent": 2}
    (lost, notice), bans = there.taken
    assert (lost["kind"], lost["dropped"], notice["kind"]) == ("dropped", 2, "notice")
    assert [event["kind"] for event in bans] == ["ban"], "what is lost is told once"
    assert [record.getMessage() for record in caplog.records if record.name == "appliance.notify.backoff"] == [
        f"webhook at {there.url}: HTTP 400: bad key; tried again until it works",
        f"webhook at {there.url} works again after 2 failures",
    ]


@pytest.mark.asyncio
async def test_one_receiver_that_hangs_keeps_nothing_from_another() -> None:
    counts = Counts()
    async with receiver() as first, receiver() as second:
        first.answers = [hang]
        async with running(calling := channel(first.url, second.url, count=counts)):
            calling.tell(BAN, T)
            await second.until(lambda it: it.taken)
            await counts.until(sent=2)

    assert len(events(first.taken)) == len(events(second.taken)) == 1


@pytest.mark.asyncio
async def test_what_cannot_be_sent_at_the_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "CLOSING", 0.1)
    counts = Counts()
    async with receiver() as there:
        there.answers = [hang]
        calling = channel(there.url, count=counts)
        calling.tell(BAN, T)
        calling.tell(BREAK_IN, T)
        await calling.close()

    assert counts["dropped"] == 2


# A flood, and hostile text


@pytest.mark.asyncio
async def test_a_flood_is_bounded_loses_no_grave_notice_and_is_told_in_few_posts() -> None:
    counts = Counts()
    async with receiver() as there:
        calling = channel(there.url, count=counts)
        for number in range(100_000):
            calling.tell(BAN, T)
            if number % 10_000 == 9_999:
                calling.tell(BREAK_IN, T)
        assert calling.waiting == WAITING
        async with running(calling):
            await counts.until(sent=WAITING)

    assert counts == {"sent": WAITING, "dropped": 100_010 - WAITING}
    assert len(there.taken) == WAITING / BATCH
    assert there.taken[0][0]["dropped"] == 100_010 - WAITING
    assert sum(event["kind"] == "notice" for event in events(there.taken)) == 10


class _Said(WebhookChannel):
    """Shows what would be posted."""

    def said(self, what: Banned | Noticed) -> Any:
        return json.loads(json.dumps(self._said(what, T)))


TEXT = st.text(st.characters(), max_size=254)


@given(TEXT, TEXT)
def test_no_text_of_a_client_breaks_an_event(account: str, reason: str) -> None:
    calling = _Said(Webhook(urls=["http://127.0.0.1:1"]), "gw1", Counts(), lambda: T)
    notice = calling.said(Noticed("break-in", account, reason, Severity.CRITICAL, SOURCE, account))
    ban = calling.said(Banned(Ban(SOURCE, T, T + 1, "guessing", reason), (account,)))

    texts = [notice["subject"], notice["reason"], notice["account"] or "", *notice["to_do"], *ban["accounts"]]
    assert all(text.isprintable() for text in texts)
    assert (notice["kind"], ban["kind"]) == ("notice", "ban")


# What `zward test` does


@pytest.mark.asyncio
async def test_a_test_is_an_event_of_its_own_kind() -> None:
    async with receiver() as there:
        said = await channel(there.url).check()

    assert [event["kind"] for event in events(there.taken)] == ["test"]
    assert said == f"webhook at {there.url}: took an event of kind test"


@pytest.mark.asyncio
async def test_a_test_that_fails_says_who_and_why() -> None:
    async with receiver() as there:
        there.answers = [status(403, "no")]
        with pytest.raises(ChannelError, match=rf"^webhook at {there.url}: HTTP 403: no$"):
            await channel(there.url).check()
