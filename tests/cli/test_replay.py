"""`zward replay`."""

import gzip
import json
import os
import re
import signal
import subprocess
from html.parser import HTMLParser

import pytest
from invoking import HOSTILE, acting, invoke, on_terminal
from lines import audit_failure, mailbox_failure
from oldlogs import ANA, BOB, CONFIG, NOON, SOURCE, bare, failures, lockout, sasl, success, write
from running import COMMAND

KEYS = {
    *("lines", "events", "attempts", "avoided", "bans", "alerts", "collateral", "doubtful", "lockouts", "besieged"),
    *("stale_devices", "unparsed"),
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "zward.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def log(tmp_path):
    lines = [success(NOON - 60, account=BOB), *failures(20), success(NOON + 300), lockout_line(), *hostile_lines()]
    return write(tmp_path / "logs" / "zimbra.log", lines)


def lockout_line() -> bytes:
    return b"<134>2024-05-06T12:03:10+00:00 mbox1 zimbra-audit: " + lockout(NOON + 190)


def hostile_lines() -> list[bytes]:
    """Accounts, programs and texts that act on a terminal, or on a page."""
    names = (HOSTILE, "<script>alert(1)</script>", '"><img src=x onerror=alert(2)>@x', "]]><svg onload=alert(3)>")
    lines = [audit_failure("198.51.100.66", NOON + 400 + n, name) for n, name in enumerate(names * 4)]
    lines += [mailbox_failure("198.51.100.67", NOON + 450 + n, name) for n, name in enumerate(names * 3)]
    return lines + [f"May  6 12:10:00 mbox1 <b>x</b>: login <i>{name}</i>".encode() for name in names]


def replay(config, *arguments, **options):
    return invoke("replay", "--config", config, *arguments, **options)


def test_json_has_the_keys_that_programs_rely_on(config, log):
    answer = replay(config, log, "--json")
    found = json.loads(answer.stdout)

    assert answer.exit_code == 0
    assert set(found) >= KEYS
    ban = next(ban for ban in found["bans"] if ban["source"] == SOURCE)
    assert set(ban) >= {
        "source",
        "detector",
        "at",
        "seconds",
        "reason",
        "accounts",
        "scope",
        "step",
        "proved",
        "avoided",
    }
    assert ban["at"] == "2024-05-06T12:00:50.000+00:00"
    assert all(set(alert) >= {"detector", "at", "source", "account", "reason", "severity"} for alert in found["alerts"])
    assert [(row["account"], row["refused"]) for row in found["collateral"] if row["refused"]] == [(ANA, 1)]
    assert [(row["account"], row["reached"], row["avoided"]) for row in found["lockouts"]] == [(ANA, 6, True)]


def test_the_report_fits_80_columns_and_nothing_in_it_acts(config, log):
    answer = replay(config, log)

    assert answer.exit_code == 0
    assert max(map(len, answer.stdout.splitlines())) <= 80
    assert acting(answer.stdout) == []
    for heading in ("Bans by detector", "Collateral", "The most doubtful", "Zimbra locked", "besieged", "old password"):
        assert heading in answer.stdout
    assert SOURCE in answer.stdout


class Page(HTMLParser):
    """Collects what a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= set(attrs)

    def handle_data(self, text):
        self.words += text


def test_the_page_stands_alone_and_what_stands_in_logs_stays_text(config, log, tmp_path):
    answer = replay(config, log, "--html", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "report.html" in answer.stderr
    assert page.tags <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "b", "div", "table", "thead"),
        *("tbody", "tr", "th", "td", "figure", "figcaption", "svg", "rect", "line", "text", "span", "code"),
    }
    assert {"svg", "rect"} <= page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert "url(" not in text
    assert "<script>alert(1)</script>" in page.words
    assert acting(text) == []
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_json_and_page_go_together(config, log, tmp_path):
    answer = replay(config, log, "--json", "--html", tmp_path / "report.html")

    assert set(json.loads(answer.stdout)) >= KEYS
    assert (tmp_path / "report.html").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_the_same_lines_give_the_same_bytes_in_every_process(config, log, arguments, tmp_path):
    told = []
    for seed in ("0", "1", "4242"):
        page = tmp_path / f"{seed}.html"
        command = [COMMAND, "replay", "--config", config, log, *arguments]
        env = os.environ | {"PYTHONHASHSEED": seed}
        text = subprocess.run(command, env=env, capture_output=True, check=True).stdout
        subprocess.run([*command, "--html", page], env=env, capture_output=True, check=True)
        told.append((text, page.read_bytes()))

    assert told[0][0]
    assert told[0] == told[1] == told[2]


def test_a_comparison_is_part_of_every_report(config, log, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(CONFIG + "[detect.guessing]\npoints = 3\n")
    found = json.loads(replay(config, log, "--compare", other, "--json").stdout)
    text = replay(config, log, "--compare", other, "--html", tmp_path / "report.html")

    assert found["compare"]["counts"]["other"]["avoided"] > found["compare"]["counts"]["this"]["avoided"]
    assert text.exit_code == 0
    assert "other.toml instead" in (tmp_path / "report.html").read_text()
    assert "other.toml" in replay(config, log, "--compare", other).stdout


def test_standard_input_is_read(config):
    lines = b"\n".join(sasl(NOON + number * 10) for number in range(6))
    answer = replay(config, "-", "--year", "2020", "--json", given=lines)

    assert [ban["at"] for ban in json.loads(answer.stdout)["bans"]] == ["2020-05-06T12:00:50.000+00:00"]


def test_packed_standard_input_is_read(config):
    answer = replay(config, "-", "--json", given=gzip.compress(b"\n".join(failures(6))))

    assert len(json.loads(answer.stdout)["bans"]) == 1


def test_what_is_left_out_is_said(tmp_path, log):
    path = tmp_path / "zward.toml"
    path.write_text(f'{CONFIG}[allow]\nnames = ["office.example.org"]\n')

    assert "not looked up in a replay: office.example.org" in replay(path, log).stderr
    assert "no configuration file" in invoke("replay", log, ZWARD_CONFIG="").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "Missing argument"),
        (("gone.log",), 1, "gone.log: cannot be read: No such file or directory"),
        (("empty",), 1, "empty: no log files in this directory"),
        (("plain.log.gz",), 1, "plain.log.gz: line 1: not gz, as its name says"),
        (("strange.log",), 3, "1 lines, and none of a program that zward knows"),
        (("zimbra.log", "--program", "sendmail"), 2, "no rules for sendmail; known are mailboxd, "),
        (("zimbra.log", "--since", "yesterday"), 2, "--since: yesterday is no time"),
        (("zimbra.log", "--year", "24"), 2, "Invalid value for '--year'"),
        (("zimbra.log", "--compare", "gone.toml"), 5, "gone.toml: cannot be read"),
        (("zimbra.log", "--compare", "bad.toml"), 5, "bad.toml:2"),
        (("zimbra.log", "--html", "no/such/report.html"), 1, "report.html: cannot be written"),
    ],
)
def test_faults_are_told_with_their_exit_code(config, tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "plain.log.gz", [b"x"])
    write(tmp_path / "strange.log", [b"May  6 12:00:00 mbox1 cron[1]: x"])
    write(tmp_path / "zimbra.log", failures(6))
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.toml").write_text("mode = 'observe'\nmod = 1\n")

    answer = replay(config, *arguments)

    assert answer.exit_code == code
    assert says in answer.stderr
    assert answer.stdout == ""


def test_a_file_that_is_cut_off_is_reported_up_to_there(config, tmp_path):
    whole = gzip.compress(b"\n".join(failures(20_000, every=1)))
    (tmp_path / "audit.log.gz").write_bytes(whole[: len(whole) // 2])
    answer = replay(config, tmp_path / "audit.log.gz", "--json")

    assert answer.exit_code == 0
    assert re.search(r"audit.log.gz: line \d+: it ends in the middle", answer.stderr)
    found = json.loads(answer.stdout)
    assert 1000 < found["lines"] < 20_000
    assert len(found["warnings"]) == 1


@pytest.mark.parametrize("content", [b"", b"\0" * 100_000, bytes(range(256)) * 999, b"\x1f\x8b" + b"\0" * 99])
def test_rubbish_is_no_crash(config, tmp_path, content):
    (tmp_path / "mail.log").write_bytes(content)

    answer = replay(config, tmp_path / "mail.log")

    assert answer.exit_code in (1, 3)
    assert acting(answer.stderr) == []


def test_a_bar_is_shown_on_a_terminal_only(config, log):
    shown = on_terminal("replay", "--config", config, log)

    assert "lines/s" in shown
    assert "lines/s" not in replay(config, log).stderr
    assert "Bans by detector" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)


def test_an_interrupted_replay_reports_nothing(config, tmp_path):
    os.mkfifo(tmp_path / "mail.log")
    command = [COMMAND, "replay", "--config", config, tmp_path / "mail.log"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running,
        (tmp_path / "mail.log").open("wb") as pipe,  # it is open as soon as zward reads from it
    ):
        pipe.write(b"\n".join(failures(6)) + b"\n")
        pipe.flush()
        running.send_signal(signal.SIGINT)
        told, said = running.communicate(timeout=20)

    assert running.returncode == 130
    assert told == b""
    assert b"interrupted after" in said
    assert b"Traceback" not in said


def test_a_yearless_log_of_two_winters_is_in_order(config, tmp_path):
    path = write(tmp_path / "zimbra.log.1", [sasl(NOON + day * 86400) for day in (236, 238, 240)], NOON + 250 * 86400)
    found = json.loads(replay(config, path, "--json").stdout)

    assert (found["first"][:10], found["last"][:10]) == ("2024-12-28", "2025-01-01")


def test_bare_logs_are_read_by_their_names(config, tmp_path):
    write(tmp_path / "mbox1" / "audit.log", [bare(line) for line in failures(6)])
    write(tmp_path / "mbox2" / "audit.log", [bare(line) for line in failures(6, source="203.0.113.10")])
    found = json.loads(replay(config, tmp_path, "--json").stdout)

    assert sorted(ban["source"] for ban in found["bans"]) == ["203.0.113.10", SOURCE]
