"""`zward account`, against a real daemon, and what it prints of answers that are made up."""

import json
import time

import pytest
from invoking import HOSTILE, acting, answering, invoke, on_terminal
from lines import audit_failure, audit_success
from running import running

pytestmark = pytest.mark.daemon

ANA = "ana@example.com"
HOME, GUESSER = "203.0.113.9", "198.51.100.7"


@pytest.fixture(scope="module")
def zward(tmp_path_factory):
    with running(tmp_path_factory.mktemp("zward")) as started:
        now = time.time()
        lines = [audit_success(HOME, now - 900)]
        lines += [audit_failure(GUESSER, now - 600 + each) for each in range(3)]
        lines += [audit_failure(GUESSER, now - 100, f"{HOSTILE}@example.com"), audit_failure(HOME, now - 50)]
        started.send(*lines)
        started.until(lambda: account(started, ANA, "--json").stdout.count("bad_password") == 2)
        yield started
        assert "Traceback" not in started.log


def account(zward, *arguments, columns=None):
    return invoke("account", *arguments, "--config", zward.config, columns=columns)


def test_it_tells_who_fails_and_where_the_owner_logs_in(zward):
    lines = account(zward, ANA).stdout.splitlines()

    assert lines[0] == "ana@example.com  not under siege"
    assert any(line.startswith("  lockout   4 of 10 in 30 min (") for line in lines)
    assert any(line.startswith(f"  logs in   {HOME}: first 20") for line in lines)
    failed = [line for line in lines if line.startswith("  failed ")]
    assert failed[0].startswith(f"  failed    {HOME}, where its owner logs in: 1 bad password over imap, 20")
    assert failed[1].startswith(f"  failed    {GUESSER}, a stranger: 3 bad passwords over imap, 20")


def test_it_says_who_is_banned_and_how_to_let_it_in(zward):
    invoke("ban", HOME, "--for", "1h", "--reason", "by hand", "--config", zward.config)

    lines = account(zward, ANA).stdout.splitlines()

    assert lines.count(f"  let in    zward unban {HOME}") == 2, "as a place to log in from, and as one that fails"
    assert any("BANNED for another " in line and line.endswith(": by hand") for line in lines)
    invoke("unban", HOME, "--config", zward.config)
    assert "let in" not in account(zward, ANA).stdout


def test_it_fits_a_terminal(zward):
    printed = account(zward, ANA, columns=80).stdout

    assert all(len(line) <= 80 for line in printed.splitlines())
    assert GUESSER in printed


def test_as_json_it_has_the_same(zward):
    told = json.loads(account(zward, ANA, "--json").stdout)

    assert (told["account"], told["failures"], told["besieged_since"]) == (ANA, 4, None)
    assert [each["address"] for each in told["sources"]] == [HOME, GUESSER]
    assert told["budget"]["of"] == 10


def test_a_shorter_look_back_leaves_out_what_is_older(zward):
    told = json.loads(account(zward, ANA, "--since", "5m", "--json").stdout)

    assert [each["address"] for each in told["sources"]] == [HOME]


def test_of_an_account_that_nobody_knows_it_says_so(zward):
    answer = account(zward, "carla@example.com")

    assert (answer.exit_code, answer.stdout) == (3, "")
    assert answer.stderr == "carla@example.com: no failures, no logins, nothing known\n"


@pytest.mark.parametrize("since", ["soon", "0s", "-1h"])
def test_a_time_that_is_none_is_a_usage_error(zward, since):
    assert account(zward, ANA, "--since", since).exit_code == 2


def test_an_accounts_name_cannot_act_on_the_terminal(zward):
    printed = on_terminal("account", f"{HOSTILE}@example.com", "--config", zward.config)

    assert f"{GUESSER}, a stranger" in printed.replace("\r", "")
    assert "live" in printed
    assert acting(printed) == []


BAN = {
    "address": "198.51.100.0/24",
    "remaining": 5400,
    "scope": "login",
    "reason": HOSTILE,
}
SOURCE = {
    "address": GUESSER,
    "number": 1,
    "first": "2026-11-21T08:00:00Z",
    "last": "2026-11-21T08:10:00Z",
    "is_familiar": False,
    "is_stranger": True,
    "is_office": False,
    "banned": BAN,
    "kinds": [{"account": "ANA", "protocol": "smtp", "outcome": "bad_password", "number": 1}],
}
ANSWER = {
    "account": ANA,
    "mode": "enforce",
    "asked": "2026-11-21T09:00:00Z",
    "since": "2026-11-20T09:00:00Z",
    "budget": {"used": 10, "of": 10, "within": 1800, "strangers": 9, "known": 1, "words": "10 of 10 in 30 min (9)"},
    "besieged_since": "2026-11-21T08:00:00Z",
    "failures": 12,
    "sources": [SOURCE] * 12,
    "beyond": 100,
    "logins": [],
    "is_partial": True,
}


def told(directory, answer, *arguments):
    (directory / "zward.toml").write_text(f'[admin]\nsocket = "{directory}/zward.sock"\n')
    with answering(directory / "zward.sock", {"/account": answer}):
        return invoke("account", ANA, *arguments, "--config", directory / "zward.toml", TZ="UTC").stdout


def test_an_account_under_siege_reads_so(tmp_path):
    lines = told(tmp_path, ANSWER, "--sources", "1").splitlines()

    assert lines[0] == "ana@example.com  UNDER SIEGE since 2026-11-21 08:00:00"
    assert lines[2] == "  lockout   10 of 10 in 30 min (9)"
    assert lines[3].startswith("  but       Zimbra has locked it by now, if ")
    assert lines[4] == "  logs in   from nowhere that is known: no login in 30 days"
    assert lines[5].startswith(
        f"  failed    {GUESSER}, a stranger: 1 bad password over smtp as ANA, 2026-11-21 08:00:00 to"
    )
    assert lines[6].startswith("            BANNED for another 1 h 30 min, scope login: \\u{1b}c")
    assert lines[7] == "            the ban is of 198.51.100.0/24"
    assert lines[8] == f"  let in    zward unban {GUESSER}"
    assert lines[9] == "            and 111 more sources; zward account --sources 112 shows them"
    assert lines[10] == "            there is more on disk than one answer reads: these numbers are too low"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"is_familiar": True, "is_office": True}, "where its owner logs in"),
        ({"is_office": True, "is_stranger": False}, "an office where it never logged in"),
        ({"is_stranger": False}, "where others log in"),
    ],
)
def test_it_says_whose_place_it_is(tmp_path, facts, words):
    assert f"{GUESSER}, {words}: " in told(tmp_path, ANSWER | {"sources": [SOURCE | facts]})
