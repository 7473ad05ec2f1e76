"""`make demo`: the story comes true, and nothing of it is left behind, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from aiosmtpd.smtp import Envelope
from namespaces import NAMES, require_kernel

from image.demo.__main__ import NEEDED, missing
from image.demo.pages import MOST, NEXT_PORTS, Mail, Mailbox, Page, listener_at
from image.demo.site import ROOT, hastened

DEMO = (sys.executable, "-m", "image.demo")
PATIENCE = 100.0
INTERRUPTED = 130

TOLD = (
    "A quiet morning",
    "Somebody guesses a password",
    "A telephone in a drawer has an old password",
    "A botnet besieges one mailbox",
    "A stranger gets in",
    "Somebody flushes the firewall",
    "The telephone rings at the help desk",
    "The end",
    "Banned 198.51.100.11 for 30 min: 6 points in 30 min (limit 6)",
    "The next SYN of 198.51.100.11 is dropped",
    "ZwardSiege is up at Alertmanager (warning)",
    "ZwardBreakIn is up at Alertmanager (critical)",
    "[zward] CRITICAL gateway: A stranger seems to know a password (carla@example.com)",
    "changed the table inet zward_policy; it is put back",
    "$ zward why 198.51.100.11",
    "lifted 198.51.100.11",
    "Everything is taken away again.",
)


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the demo makes its own directory: whatever it starts has it in its command line."""
    with tempfile.TemporaryDirectory(prefix="zward-h-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        yield directory


def demo(*options: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*DEMO, *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def require_demo() -> None:
    """Skip the test where this machine lacks something, or fail if it was promised to have it."""
    require_kernel()
    if lacking := missing():
        pytest.fail(lacking) if os.environ.get("ZWARD_REQUIRE_E2E") == "1" else pytest.skip(lacking)


def left_behind(pid: int, place: Path) -> list[str]:
    """Namespaces of that demo, programs that know its directory, and the directory."""
    names = [each.name for each in NAMES.glob(f"zward-demo-{pid}-*")]
    running = [each for each in Path("/proc").glob("[0-9]*/cmdline") if str(place) in text_of(each)]
    return names + [text_of(each) for each in running] + [each.name for each in place.iterdir()]


def text_of(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def machine() -> str:
    """What the machine's own network looks like: interfaces, addresses, rules."""
    looks = (("ip", "-brief", "address"), ("ip", "rule"), ("ip", "route"), ("nft", "list", "tables"))
    return "".join(subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in looks)


@pytest.mark.e2e
def test_everything_that_the_story_tells_happens_and_nothing_is_left(place: Path) -> None:
    require_demo()
    running = demo("--fast", "--no-wait", TMPDIR=str(place))
    said, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, said
    flat = " ".join(said.split())
    assert [each for each in TOLD if each not in flat] == []
    assert max(map(len, said.splitlines())) <= 80
    assert "\x1b" not in said  # no colours where no terminal is
    assert left_behind(running.pid, place) == []


@pytest.mark.e2e
@pytest.mark.parametrize("until", ["a few seconds", "Act 1", "Six wrong passwords"])
def test_whoever_ends_it_in_the_middle_finds_nothing_left(place: Path, until: str) -> None:
    require_demo()
    before = machine()
    running = demo("--fast", TMPDIR=str(place), PYTHONUNBUFFERED="1")
    said = ""
    while until not in said:
        said += running.stdout.readline() or pytest.fail(f"it ended: {said}")
    assert machine() == before
    running.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    running.send_signal(signal.SIGINT)  # whoever is impatient does not cut the cleaning up short
    rest, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == INTERRUPTED, said + rest
    assert "Traceback" not in rest
    assert left_behind(running.pid, place) == []


@pytest.mark.e2e
def test_what_a_killed_demo_left_is_gone_after_the_next(place: Path) -> None:
    require_demo()
    killed = demo("--fast", TMPDIR=str(place), PYTHONUNBUFFERED="1")
    while "Act 1" not in killed.stdout.readline():
        assert killed.poll() is None
    killed.kill()
    killed.communicate(timeout=PATIENCE)
    assert left_behind(killed.pid, place)
    after = demo("--fast", TMPDIR=str(place), PYTHONUNBUFFERED="1")
    while "http://" not in after.stdout.readline():
        assert after.poll() is None
    after.terminate()
    after.communicate(timeout=PATIENCE)
    assert [each for each in left_behind(killed.pid, place) if not each.startswith("zward-demo-")] == []
    assert not list(NAMES.glob(f"zward-demo-{killed.pid}-*"))


def test_without_root_it_says_so_and_names_the_cure() -> None:
    tried = subprocess.run(["unshare", "--user", "true"], capture_output=True)
    if os.geteuid() == 0 and tried.returncode:
        pytest.skip("no user namespace can be made")
    as_nobody = ("unshare", "--user") if os.geteuid() == 0 else ()
    done = subprocess.run([*as_nobody, *DEMO], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "sudo make demo" in done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="what is asked first is root")
def test_missing_packages_are_named_with_one_command(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("PATH", str(place))
    lacking, cure = missing().splitlines()
    assert set(NEEDED.values()) <= set(lacking.split())
    assert cure.startswith("the cure: apt-get install --no-install-recommends ")
    assert set(NEEDED.values()) <= set(cure.split())


def test_durations_are_shortened_and_nothing_else() -> None:
    assert hastened("for: 5m\nexpr: increase(a[15m]) > 50 # job:x:increase15m\nrepeat: 0s\n") == (
        "for: 5s\nexpr: increase(a[15s]) > 50 # job:x:increase15m\nrepeat: 0s\n"
    )


HOSTILE = b"""\
From: "<b>zward</b>" <a@example.com>\r
Subject: <script>alert(1)</script>\r
Content-Type: text/plain; charset=utf-8\r
\r
</pre><script>alert(2)</script>\x1b[2J\r
"""


@pytest.mark.asyncio
async def test_a_mail_is_shown_as_text_whatever_it_holds() -> None:
    heard: list[Mail] = []
    box = Mailbox(heard.append)
    envelope = Envelope()
    envelope.rcpt_tos, envelope.content = ["postmaster@example.com"], HOSTILE
    assert (await box.handle_DATA(None, None, envelope)).startswith("250")
    assert [mail.subject for mail in heard] == ["<script>alert(1)</script>"]

    page, listener = Page(box), listener_at("127.0.0.1", 0)
    await page.open(listener)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.getsockname()[1]}") as session:
            for path in ("/", "/1"):
                async with session.get(path) as answer:
                    text = await answer.text()
                assert answer.status == 200
                assert "<script" not in text
                assert "&lt;script&gt;alert(1)" in text
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
            async with session.get("/2") as answer:
                assert answer.status == 404
    finally:
        await page.close()


@pytest.mark.asyncio
async def test_the_oldest_mails_give_way() -> None:
    box, envelope = Mailbox(), Envelope()
    envelope.content = HOSTILE
    for _ in range(MOST + 1):
        await box.handle_DATA(None, None, envelope)
    assert [mail.number for mail in box.mails] == list(range(2, MOST + 2))
    assert box.last == MOST + 1


def test_a_port_that_is_taken_gives_way_to_the_next_that_is_free() -> None:
    with listener_at("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with listener_at("127.0.0.1", port) as other:
            assert port < other.getsockname()[1] <= port + NEXT_PORTS
