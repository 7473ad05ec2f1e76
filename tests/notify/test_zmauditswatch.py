"""zmauditswatch's phrases in a file."""

import asyncio
import os
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posted import Counts, hurry, running
from story import ENFORCE, Story, line

from appliance.address import Net
from appliance.config.notify import ZmauditswatchLog
from appliance.judge.words import shown
from appliance.model import AuthEvent, Noticed, Severity
from appliance.notify.channel import ChannelError
from appliance.notify.zmauditswatch import BATCH, WAITING, ZmauditswatchChannel, append, phrase

SOURCE = Net(bytes([203, 0, 113, 9]), 32)
PHRASES = (
    r"IP:Acct failure threshold exceeded: 203\.0\.113\.9 \S+",
    r"Account failure threshold exceeded: 203\.0\.113\.9 \S+",
    r"IP failure threshold exceeded: 203\.0\.113\.9 exceeded threshold on failure for \S+",
    r"Excessive authentication failures detected\.",
)
"""As Zimbra's auditswatchrc has them."""


def told(subject: str, account: str | None = "ana@example.com", source: Net | None = SOURCE) -> Noticed:
    return Noticed("zmauditswatch", subject, "10 failed logins in 60 s", Severity.NOTICE, source, account)


PAIR = told("ana@example.com from 203.0.113.9")


def channel(path: Path, count: Counts | None = None) -> ZmauditswatchChannel:
    return ZmauditswatchChannel(ZmauditswatchLog(log=str(path)), "gw1", Counts() if count is None else count, lambda: 0)


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


# The words


def test_each_threshold_has_zimbras_words() -> None:
    assert phrase(PAIR) == "IP:Acct failure threshold exceeded: 203.0.113.9 ana@example.com\n"
    assert phrase(told("ana@example.com")) == "Account failure threshold exceeded: 203.0.113.9 ana@example.com\n"
    assert phrase(told("203.0.113.9")) == (
        "IP failure threshold exceeded: 203.0.113.9 exceeded threshold on failure for ana@example.com\n"
    )
    assert phrase(told("site")) == "Excessive authentication failures detected.\n"


def test_a_name_that_is_not_known_is_a_dash() -> None:
    assert phrase(told("203.0.113.9", None)) == (
        "IP failure threshold exceeded: 203.0.113.9 exceeded threshold on failure for -\n"
    )
    assert phrase(told("ana@example.com", source=None)) == "Account failure threshold exceeded: - ana@example.com\n"


SITE_WIDE = [line(each / 2, source=f"198.51.100.{each}", account=f"user{each}@example.com") for each in range(100)]


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([line(each) for each in range(10)], {0, 1}),
        ([line(each, account=f"user{each}@example.com") for each in range(20)], {2}),
        (SITE_WIDE, {3}),
    ],
    ids=["pair and account", "source", "site"],
)
def test_what_the_judge_tells_becomes_the_phrase_of_its_threshold(
    failures: list[AuthEvent], expected: set[int]
) -> None:
    told = Story(replace(ENFORCE, detectors=())).notices(failures)
    lines = [phrase(each) for each in told]

    assert {
        number for number, words in enumerate(PHRASES) for each in lines if re.fullmatch(words, each[:-1])
    } == expected
    assert len(lines) == len(expected)


@given(st.text(st.characters(), min_size=1, max_size=254))
def test_no_account_can_write_a_phrase_or_a_line(account: str) -> None:
    for subject in (f"{shown(account)} from {SOURCE}", shown(account), str(SOURCE), "site"):
        written = phrase(told(subject, account))
        assert any(re.fullmatch(words + "\n", written) for words in PHRASES)
        assert written.rstrip("\n").isprintable()


def test_an_account_that_is_a_phrase_is_one_word() -> None:
    hostile = "x IP failure threshold exceeded: 198.51.100.1"

    assert phrase(told("203.0.113.9", hostile)).count("threshold exceeded: ") == 1


# The file


@pytest.mark.asyncio
async def test_lines_are_added_to_the_file(tmp_path: Path) -> None:
    log, counts = tmp_path / "zmauditswatch.out", Counts()
    log.write_text("before\n")
    async with running(writing := channel(log, counts)):
        writing.tell(PAIR, 0)
        writing.tell(Noticed("break-in", "site", "another detector's", Severity.CRITICAL), 0)
        writing.tell(replace(PAIR, over=True), 0)
        await counts.until(sent=1)

    assert log.read_text() == f"before\n{phrase(PAIR)}"
    assert writing.waiting == 0


@pytest.mark.asyncio
async def test_a_file_that_logrotate_took_away_is_made_again(tmp_path: Path) -> None:
    log, counts = tmp_path / "zmauditswatch.out", Counts()
    async with running(writing := channel(log, counts)):
        writing.tell(PAIR, 0)
        await counts.until(sent=1)
        log.rename(tmp_path / "zmauditswatch.out.1")
        writing.tell(told("site"), 0)
        await counts.until(sent=2)

    assert log.read_text() == phrase(told("site"))
    assert stat.S_IMODE(log.stat().st_mode) & ~0o640 == 0


@pytest.mark.asyncio
async def test_a_directory_that_is_missing_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log, counts = tmp_path / "later" / "zmauditswatch.out", Counts()
    async with running(writing := channel(log, counts)):
        writing.tell(PAIR, 0)
        writing.tell(told("site"), 0)
        await counts.until(failed=2)
        log.parent.mkdir()
        await counts.until(sent=2)

    assert log.read_text() == phrase(PAIR) + phrase(told("site"))
    assert f"zmauditswatch's log {log}: No such file or directory" in caplog.text


@pytest.mark.asyncio
async def test_a_cancel_while_it_fails_ends_it(tmp_path: Path) -> None:
    counts = Counts()
    writing = channel(tmp_path / "missing" / "log", counts)
    writing.tell(PAIR, 0)
    task = asyncio.create_task(writing.run())
    await counts.until(failed=1)
    task.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await task
    await writing.close()

    assert counts["dropped"] == 1


@pytest.mark.asyncio
async def test_a_full_disk_tears_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, counts = tmp_path / "log", Counts()
    write = os.write
    monkeypatch.setattr(os, "write", lambda opened, text: write(opened, text[:7]))
    writing = channel(log, counts)
    for _ in range(3):
        writing.tell(PAIR, 0)
    await writing.close()

    assert log.read_text() == phrase(PAIR) * 3
    assert counts == {"sent": 3}


@pytest.mark.parametrize("what", ["link", "pipe", "directory"])
def test_only_a_file_is_written_to(tmp_path: Path, what: str) -> None:
    log = tmp_path / "log"
    match what:
        case "link":
            (tmp_path / "other").write_text("")
            log.symlink_to(tmp_path / "other")
        case "pipe":
            os.mkfifo(log)
        case _:
            log.mkdir()

    with pytest.raises(OSError):
        append(log, b"x\n")


def test_a_pipe_that_somebody_reads_is_no_file_either(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    reading = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OSError, match="is no file"):
            append(tmp_path / "log", b"x\n")
    finally:
        os.close(reading)


@pytest.mark.asyncio
async def test_a_flood_is_bounded(tmp_path: Path) -> None:
    counts = Counts()
    writing = channel(tmp_path / "log", counts)
    for _ in range(100_000):
        writing.tell(PAIR, 0)
    assert writing.waiting == WAITING
    await writing.close()

    assert counts == {"sent": WAITING, "dropped": 100_000 - WAITING}
    assert (tmp_path / "log").read_text() == phrase(PAIR) * WAITING
    assert WAITING > BATCH


# What `zward test` does


@pytest.mark.asyncio
async def test_a_test_writes_a_line_without_a_phrase(tmp_path: Path) -> None:
    said = await channel(tmp_path / "log").check()

    assert said == f"{tmp_path / 'log'}: took a line"
    assert (tmp_path / "log").read_text() == "zward on gw1: somebody ran `zward test`\n"


@pytest.mark.asyncio
async def test_a_test_that_fails_says_where_and_why(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="No such file or directory"):
        await channel(tmp_path / "missing" / "log").check()
