"""Alerts at an Alertmanager: one that answers as a test wants, and Debian's real one."""

import asyncio
import contextlib
import json
import logging
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posted import Counts, endless, hang, hurry, receiver, running, status
from running import free_port

from appliance.address import Net
from appliance.config.notify import Alertmanager
from appliance.model import Ban, Banned, Noticed, Severity
from appliance.notify.alertmanager import AlertmanagerChannel
from appliance.notify.alerts import RESOLVED
from appliance.notify.channel import ChannelError
from appliance.notify.posting import ANSWER_BYTES

BINARY = "/usr/bin/prometheus-alertmanager"
SOURCE = Net(bytes([203, 0, 113, 9]), 32)
BREAK_IN = Noticed(
    "break-in",
    "ana@example.com from 203.0.113.9",
    "203.0.113.9 logged in as ana@example.com: it failed 5 times in 24 h before",
    Severity.CRITICAL,
    SOURCE,
    "ana@example.com",
)
OUTAGE = Noticed("outage", "site", "everybody fails", Severity.CRITICAL)
OUTAGE_ENDS = Noticed("outage", "site", "logins are as usual again", over=True)
RUNBOOKS = "https://zward.example/docs/runbooks"


class Clock:
    """Stands still until a test moves it; seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def channel(*urls: str, every: float = 60.0, **more: Any) -> AlertmanagerChannel:
    config = Alertmanager(urls=urls).model_copy(update={"every": every})
    more = {"count": Counts(), "clock": Clock()} | more
    return AlertmanagerChannel(config, "gw1.example.com", RUNBOOKS, **more)


def stamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def is_over(alert: dict[str, Any], clock: Clock) -> bool:
    return stamp(alert["endsAt"]) <= clock.now


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


# What is sent


@pytest.mark.asyncio
async def test_an_alert_names_who_and_what_and_what_to_do() -> None:
    clock = Clock()
    async with receiver() as there, running(alerting := channel(there.url, clock=clock)):
        alerting.tell(BREAK_IN, clock.now)
        await there.until(lambda it: it.taken)

    assert there.paths == ["/api/v2/alerts"]
    (alert,) = there.taken[0]
    assert alert["labels"] == {
        "alertname": "ZwardBreakIn",
        "severity": "critical",
        "detector": "break-in",
        "instance": "gw1.example.com",
        "case": alerting.alerts.due(clock.now, 0, whole=True)[0].case,
        "origin": "zward",
    }
    notes = alert["annotations"]
    assert notes["summary"] == "A stranger seems to know a password."
    assert (notes["description"], notes["source"], notes["account"]) == (
        BREAK_IN.reason,
        "203.0.113.9",
        "ana@example.com",
    )
    assert "zward account ana@example.com" in notes["to_do"].splitlines()[1]
    assert notes["runbook_url"] == f"{RUNBOOKS}/ZwardBreakIn.md"
    assert (stamp(alert["startsAt"]), stamp(alert["endsAt"])) == (clock.now, clock.now + 180)


@pytest.mark.asyncio
async def test_what_is_no_alert_is_not_sent() -> None:
    counts, clock = Counts(), Clock()
    async with receiver() as there, running(alerting := channel(there.url, count=counts)):
        alerting.tell(Banned(Ban(SOURCE, 0, 1800, "guessing", "6 points")), clock.now)
        alerting.tell(Noticed("outbound", "ana@example.com", "only observed"), clock.now)
        assert (alerting.waiting, alerting.alerts_active) == (0, 0)
        alerting.tell(OUTAGE, clock.now)
        await counts.until(sent=1)

    assert [[each["labels"]["alertname"] for each in post] for post in there.posts] == [["ZwardOutage"]]
    assert counts == {"sent": 1}


@pytest.mark.asyncio
async def test_an_alert_is_sent_again_while_it_lasts_and_resolved_once() -> None:
    clock = Clock()
    clock.now += 0.8  # times are sent to the second, and 0.3 s from now must be one
    async with receiver() as there, running(alerting := channel(there.url, every=0.1, clock=clock)):
        alerting.tell(OUTAGE, clock.now)
        await there.until(lambda it: len(it.taken) >= 3)
        clock.now += 60
        alerting.tell(OUTAGE_ENDS, clock.now)
        await there.until(lambda it: stamp(it.taken[-1][0]["endsAt"]) == int(clock.now))
        resolved = len(there.taken)
        alerting.tell(BREAK_IN, clock.now)
        await there.until(lambda it: len(it.taken) >= resolved + 2)

    assert len({json.dumps(post[0]["labels"]) for post in there.taken[:resolved]}) == 1
    assert len({post[0]["startsAt"] for post in there.taken[:resolved]}) == 1
    assert {each["labels"]["alertname"] for post in there.taken[resolved:] for each in post} == {"ZwardBreakIn"}


@pytest.mark.asyncio
async def test_every_alertmanager_is_told_though_another_one_hangs() -> None:
    clock, counts = Clock(), Counts()
    async with receiver() as first, receiver() as second:
        first.answers = [hang]
        async with running(alerting := channel(first.url, second.url, clock=clock, count=counts)):
            alerting.tell(OUTAGE, clock.now)
            await second.until(lambda it: it.taken)
            alerting.tell(OUTAGE_ENDS, clock.now)
            await second.until(lambda it: is_over(it.taken[-1][0], clock))
            assert alerting.waiting == 1, "the first one does not know yet"
            await first.until(lambda it: it.taken and is_over(it.taken[-1][0], clock))

    assert counts["failed"] >= 1


@pytest.mark.asyncio
async def test_a_crowd_of_alerts_goes_out_in_batches() -> None:
    clock = Clock()
    async with receiver() as there, running(alerting := channel(there.url, clock=clock)):
        for number in range(250):
            alerting.tell(Noticed("many-places", f"u{number}@example.com", "", Severity.WARNING), clock.now)
        await there.until(lambda it: sum(map(len, it.taken)) == 250)

    assert [len(post) for post in there.taken] == [100, 100, 50]


@pytest.mark.asyncio
async def test_the_alerts_outlive_a_reload() -> None:
    clock = Clock()
    before = channel("http://127.0.0.1:1", clock=clock)
    before.tell(BREAK_IN, clock.now)
    async with receiver() as there, running(after := channel(there.url, clock=clock, alerts=before.alerts)):
        await there.until(lambda it: it.taken)

    assert after.alerts_active == 1


@pytest.mark.asyncio
async def test_a_restart_resolves_no_break_in_and_promises_no_long_outage() -> None:
    clock = Clock()
    async with receiver() as there:
        alerting = channel(there.url, clock=clock)
        alerting.tell(BREAK_IN, clock.now)
        alerting.tell(OUTAGE, clock.now)
        await alerting.close()

    ends = {each["labels"]["detector"]: stamp(each["endsAt"]) - clock.now for each in there.taken[0]}
    assert ends == {"break-in": 86400, "outage": 180}
    assert alerting.waiting == 0


@pytest.mark.asyncio
async def test_a_clock_that_was_set_back_makes_no_alert_that_ends_before_it_starts() -> None:
    clock = Clock()
    async with receiver() as there:
        alerting = channel(there.url, clock=clock)
        alerting.tell(BREAK_IN, clock.now)
        alerting.tell(OUTAGE, clock.now)
        alerting.tell(OUTAGE_ENDS, clock.now)
        clock.now -= 86400
        async with running(alerting):
            await there.until(lambda it: it.taken)

    assert all(stamp(each["startsAt"]) <= stamp(each["endsAt"]) for each in there.taken[0])
    assert sorted(is_over(each, clock) for each in there.taken[0]) == [False, True]


# What goes wrong


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "answer",
    [status(500, "out of order"), status(400, "no such label"), status(302), hang, endless],
    ids=["broken", "refused", "redirected", "hangs", "endless"],
)
async def test_whatever_it_answers_it_is_told_again_until_it_takes_it(answer: Any, caplog: Any) -> None:
    caplog.set_level(logging.WARNING)
    clock, counts = Clock(), Counts()
    async with receiver() as there:
        there.answers = [answer, answer]
        async with running(alerting := channel(there.url, clock=clock, count=counts)):
            alerting.tell(OUTAGE, clock.now)
            await counts.until(sent=1)

    assert counts == {"failed": 2, "sent": 1}
    assert set(there.paths) == {"/api/v2/alerts"}, "no redirect is followed"
    begins, works = (record.getMessage() for record in caplog.records if record.name == "appliance.notify.backoff")
    assert begins.startswith(f"Alertmanager at {there.url}: ")
    assert len(begins) < 2 * ANSWER_BYTES
    assert works == f"Alertmanager at {there.url} works again after 2 failures"


@pytest.mark.asyncio
async def test_one_that_was_away_is_told_everything_for_it_may_have_forgotten() -> None:
    counts, clock = Counts(), Clock()
    async with receiver() as there, running(alerting := channel(there.url, clock=clock, count=counts)):
        alerting.tell(BREAK_IN, clock.now)
        await counts.until(sent=1)
        there.answers = [status(503)]
        alerting.tell(OUTAGE, clock.now)
        await counts.until(sent=3)

    assert [[each["labels"]["detector"] for each in post] for post in there.posts] == [
        ["break-in"],
        ["outage"],
        ["break-in", "outage"],
    ]


@pytest.mark.asyncio
async def test_nobody_listening_is_survived_and_what_waits_is_counted() -> None:
    counts, clock = Counts(), Clock()
    url = f"http://127.0.0.1:{free_port()}"
    async with running(alerting := channel(url, count=counts)):
        alerting.tell(OUTAGE, clock.now)
        await counts.until(failed=2)
    assert alerting.waiting == 1
    await alerting.close()

    assert counts["dropped"] == 1


@pytest.mark.asyncio
async def test_a_name_that_cannot_be_looked_up_is_a_fault_like_others() -> None:
    with pytest.raises(ChannelError, match="Alertmanager at http://"):
        await channel(f"http://{'x' * 64}.invalid").check()


@pytest.mark.asyncio
async def test_the_log_shows_no_password_and_no_path(caplog: pytest.LogCaptureFixture) -> None:
    async with receiver() as there:
        there.answers = [status(500)]
        url = there.url.replace("//", "//ana:secret@") + "/hidden"
        async with running(alerting := channel(url)):
            alerting.tell(OUTAGE, 0)
            await there.until(lambda it: it.taken)

    assert there.url in caplog.text
    assert "secret" not in caplog.text
    assert "hidden" not in caplog.text


# What `zward test` does


@pytest.mark.asyncio
async def test_a_test_alert_ends_by_itself() -> None:
    clock = Clock()
    async with receiver() as there:
        said = await channel(there.url, clock=clock).check()

    (alert,) = there.taken[0]
    assert alert["labels"]["alertname"] == "ZwardTest"
    assert alert["labels"]["severity"] == "info"
    assert stamp(alert["endsAt"]) == clock.now + 60
    assert said == f"Alertmanager at {there.url}: took the alert ZwardTest, which ends in 60 s"


@pytest.mark.asyncio
async def test_a_test_that_fails_says_who_and_why() -> None:
    async with receiver() as there:
        there.answers = [status(500, "out of \x1b[31morder\n")]
        with pytest.raises(ChannelError) as failed:
            await channel(there.url).check()

    assert str(failed.value) == rf"Alertmanager at {there.url}: HTTP 500: out of \u{{1b}}[31morder"


# Floods and hostile text


def test_a_flood_is_bounded_and_cheap() -> None:
    counts, clock = Counts(), Clock()
    alerting = channel("http://127.0.0.1:1", count=counts)
    ban = Banned(Ban(SOURCE, 0, 1800, "guessing", "6 points"))
    flood = [Noticed("many-places", f"u{number}@example.com", "x", Severity.WARNING) for number in range(50_000)]
    alerting.tell(BREAK_IN, clock.now)
    for each in flood:
        alerting.tell(each, clock.now)
        alerting.tell(ban, clock.now)

    assert alerting.alerts_active == 1000
    assert counts == {"dropped": 49_001}
    assert alerting.alerts.due(clock.now, 0, whole=True)[0].detector == "break-in"
    clock.now += RESOLVED * 1000
    assert len(alerting.alerts.due(clock.now, 0, whole=True)) <= 1000


class _Said(AlertmanagerChannel):
    """Shows what would be posted."""

    def said(self, now: float) -> list[dict[str, Any]]:
        return [self._said(each, now, now + 60) for each in self.alerts.due(now, 0, whole=True)]


@given(st.text(st.characters(), max_size=254), st.text(st.characters(), max_size=254))
def test_no_text_of_a_client_breaks_an_alert(account: str, reason: str) -> None:
    alerting = _Said(Alertmanager(urls=["http://127.0.0.1:1"]), "gw1", RUNBOOKS, Counts(), Clock())
    alerting.tell(Noticed("break-in", account, reason, Severity.CRITICAL, SOURCE, account), 0)
    (alert,) = json.loads(json.dumps(alerting.said(0)))

    assert set(alert["labels"]) == {"alertname", "severity", "detector", "instance", "case", "origin"}
    assert len(alert["labels"]["case"]) == 12
    assert all(text and text.isprintable() for name, text in alert["annotations"].items() if name != "to_do")
    steps = alert["annotations"]["to_do"].splitlines()
    assert len(steps) == (4 if account else 3)
    assert all(step.isprintable() for step in steps)


# The real one


@contextlib.contextmanager
def alertmanager(directory: Path) -> Iterator[str]:
    """Debian's Alertmanager on loopback; yields where it is."""
    (directory / "alertmanager.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [
            *(BINARY, f"--config.file={directory / 'alertmanager.yml'}", f"--storage.path={directory / 'state'}"),
            *(f"--web.listen-address={url[7:]}", "--cluster.listen-address=", "--log.level=error"),
        ]
    )
    try:
        deadline = time.monotonic() + 30
        while not is_ready(url):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def is_ready(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def listed(url: str) -> list[dict[str, Any]]:
    """The alerts that it takes for active."""
    with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
        return list(json.load(answer))


async def until_listed(url: str, names: list[str]) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        while True:
            found = await asyncio.to_thread(listed, url)
            if sorted(each["labels"]["alertname"] for each in found) == names:
                return found
            await asyncio.sleep(0.05)


@pytest.mark.daemon
@pytest.mark.asyncio
@pytest.mark.skipif(not Path(BINARY).exists(), reason="Debian's prometheus-alertmanager is not installed")
async def test_the_real_alertmanager_takes_an_alert_once_keeps_it_and_resolves_it(tmp_path: Path) -> None:
    with alertmanager(tmp_path) as url:
        alerting = channel(url, every=1.0, clock=time.time)
        async with running(alerting):
            alerting.tell(BREAK_IN, time.time())
            alerting.tell(OUTAGE, time.time())
            first = await until_listed(url, ["ZwardBreakIn", "ZwardOutage"])
            alerting.tell(BREAK_IN, time.time())
            ends = max(stamp(each["endsAt"]) for each in first)
            async with asyncio.timeout(20):  # it is sent again, so that its end moves, and there is still one of each
                while min(stamp(each["endsAt"]) for each in await asyncio.to_thread(listed, url)) <= ends:
                    await asyncio.sleep(0.1)
            again = await until_listed(url, ["ZwardBreakIn", "ZwardOutage"])
            assert {each["fingerprint"] for each in again} == {each["fingerprint"] for each in first}
            broken_in = next(each for each in again if each["labels"]["detector"] == "break-in")
            assert broken_in["labels"]["severity"] == "critical"
            assert broken_in["annotations"]["account"] == "ana@example.com"
            assert broken_in["status"]["state"] == "active"
            alerting.tell(OUTAGE_ENDS, time.time())
            await until_listed(url, ["ZwardBreakIn"])
        await alerting.close()
        (kept,) = await until_listed(url, ["ZwardBreakIn"])
        assert stamp(kept["endsAt"]) > time.time() + 3600, "it outlives our restart"
        assert "took the alert ZwardTest" in await alerting.check()
        await until_listed(url, ["ZwardBreakIn", "ZwardTest"])
        alerting.tell(replace(BREAK_IN, over=True), time.time())
        await alerting.close()
        await until_listed(url, ["ZwardTest"])
