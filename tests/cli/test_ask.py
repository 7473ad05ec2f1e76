"""The commands that ask, against a real daemon that observes."""

import json
import re
import time

import pytest
from invoking import HOSTILE, acting, answering, invoke, on_terminal, unstyled
from lines import audit_failure, mailbox_failure
from running import running

pytestmark = pytest.mark.daemon

GUESSER = "198.51.100.7"
MARK = "198.51.100.250"
OWN_MODE = "the mode is observe: it is written down and nothing is blocked"


@pytest.fixture(scope="module")
def zward(tmp_path_factory):
    with running(tmp_path_factory.mktemp("zward")) as started:
        yield started


@pytest.fixture(scope="module")
def guessed(zward):
    """A guesser with a hostile name of an account, and a host that is none of Zimbra's by its name."""
    now = time.time()
    lines = [audit_failure(GUESSER, now - 600 + 60 * number) for number in range(7)]
    lines += [audit_failure(GUESSER, now, f"{HOSTILE}@example.com").replace(b"mbox1", "mb\u202ex1".encode())]
    lines += [mailbox_failure("2001:db8:1:2:3::4", now, HOSTILE)]
    zward.send(*lines, audit_failure(MARK, now))
    zward.until(lambda: invoke("why", MARK, "--config", zward.config).exit_code == 0)
    return zward


def test_status_says_in_words_how_it_is(guessed):
    answer = invoke("status", "--config", guessed.config)

    assert answer.exit_code == 0
    assert answer.stdout.startswith("zward 0.1.0, mode observe, up ")
    assert f"  listening udp 127.0.0.1:{guessed.port}, tcp 127.0.0.1:{guessed.port}, " in answer.stdout
    assert "  frames    10 received, 10 read, 10 events\n" in answer.stdout
    assert "  bans      0 in force, 0 packets dropped\n" in answer.stdout
    assert re.search(r"  sender    unnamed-[0-9a-f]{6} \(127\.0\.0\.1\): 10 frames, the last ", answer.stdout)


def test_status_as_json_has_the_same(guessed):
    told = json.loads(invoke("status", "--json", "--config", guessed.config).stdout)

    assert told["mode"] == "observe"
    assert told["frames"] == {"received": 10, "parsed": 10, "events": 10}
    assert [sender["address"] for sender in told["senders"]] == ["127.0.0.1"]
    assert (told["faults"], told["doubts"]) == ([], [])


def test_status_shows_what_does_not_work_and_what_was_not_understood(tmp_path):
    (tmp_path / "zward.toml").write_text(f'[admin]\nsocket = "{tmp_path}/zward.sock"\n')
    status = {
        "version": "1",
        "mode": "observe",
        "uptime": 3,
        "faults": [f"enforce: {HOSTILE}"],
        "listening": [],
        "conditions": {"siege": f"strangers besiege {HOSTILE}"},
        "alerts": [
            {
                "at": "2026-05-06T10:20:31Z",
                "severity": "critical",
                "detector": "break-in",
                "reason": f"{HOSTILE} got in",
            }
        ],
        "frames": {"received": 0, "parsed": 0, "events": 0},
        "bans": 0,
        "dropped_packets": 0,
        "senders": [],
        "doubts": [f"KeyError: {HOSTILE}"],
    }
    with answering(tmp_path / "zward.sock", {"/status": status}):
        printed = on_terminal("status", "--config", tmp_path / "zward.toml")

    assert "degraded  enforce:" in printed
    assert "doubtful  KeyError:" in printed
    assert "siege     strangers besiege" in printed
    assert "critical  2026-05-06T10:20:31Z break-in:" in printed
    assert "no host has sent a line yet" in printed
    assert "listening nowhere" in printed
    assert acting(printed) == []


def test_a_daemon_that_does_what_it_is_asked_is_healthy(zward):
    text, as_json = (invoke("health", *form, "--config", zward.config) for form in ((), ("--json",)))

    assert (text.exit_code, text.stdout) == (0, "ready\n")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, {"ready": True, "missing": ""})


def test_one_that_does_not_says_what_is_missing(tmp_path):
    (tmp_path / "zward.toml").write_text(f'[admin]\nsocket = "{tmp_path}/zward.sock"\n')
    with answering(tmp_path / "zward.sock", {"/status": {"missing": f"no helper {HOSTILE}"}}):
        answer = invoke("health", "--config", tmp_path / "zward.toml")
        printed = on_terminal("health", "--config", tmp_path / "zward.toml")

    assert (answer.exit_code, answer.stdout[:9]) == (1, "no helper")
    assert acting(printed) == []


def test_where_none_answers_health_is_exit_code_4(tmp_path):
    (tmp_path / "zward.toml").write_text(f'[admin]\nsocket = "{tmp_path}/zward.sock"\n')

    assert invoke("health", "--config", tmp_path / "zward.toml").exit_code == 4


def test_why_tells_who_was_tried_when_and_shows_the_lines(guessed):
    lines = invoke("why", GUESSER, "--config", guessed.config).stdout.splitlines()

    assert lines[0] == f"{GUESSER}  not banned"
    assert lines[1].startswith("  observed  would be banned until ")
    assert lines[1].endswith("(limit 6): 6 bad passwords on ana@example.com over imap")
    assert lines[2] == "  logs in   nobody: in 30 days no login came from there"
    assert lines[3].startswith("  did       7 bad passwords over imap on ana@example.com, ")
    assert lines[4].startswith("  did       1 bad password over imap on ")
    assert len([line for line in lines if line.startswith("  line ")]) == 5
    assert lines[-1] == "            3 more with --lines 8"


def test_why_shows_as_many_lines_as_it_is_asked_for(guessed):
    none = invoke("why", GUESSER, "--lines", "0", "--config", guessed.config).stdout
    all_of_them = invoke("why", GUESSER, "--lines", "20", "--config", guessed.config).stdout

    assert "invalid password;" not in none
    assert all_of_them.count("invalid password;") == 8
    assert "more with" not in all_of_them


def test_why_of_an_ipv6_address_is_about_its_64(guessed):
    assert "1 unknown account over soap" in invoke("why", "2001:db8:1:2::9", "--config", guessed.config).stdout


@pytest.mark.parametrize("address", [GUESSER, "2001:db8:1:2:3::4"])
def test_no_name_that_a_client_typed_acts_on_the_terminal(guessed, address):
    for printed in (
        on_terminal("why", address, "--lines", "20", "--config", guessed.config),
        invoke("why", address, "--config", guessed.config).stdout,
        invoke("why", address, "--json", "--config", guessed.config).stdout,
    ):
        assert "live" in printed
        assert acting(printed) == []


def test_why_as_json_keeps_every_byte_of_it(guessed):
    told = json.loads(invoke("why", GUESSER, "--json", "--config", guessed.config).stdout)

    assert told["banned"] is None
    assert told["would_be_banned"]["detector"] == "guessing"
    assert {count["account"] for count in told["counts"]} == {"ana@example.com", f"{HOSTILE}@example.com"}
    assert HOSTILE in told["lines"][0]["line"]


def test_nothing_known_of_an_address_is_exit_code_3(zward):
    answer = invoke("why", "203.0.113.99", "--config", zward.config)

    assert (answer.exit_code, answer.stdout) == (3, "")
    assert answer.stderr == "203.0.113.99: no failures, no bans, nothing known\n"


def test_why_says_that_an_address_is_ours(zward):
    answer = invoke("why", "192.0.2.25", "--config", zward.config)

    assert answer.stdout == "192.0.2.25  not banned\n  never     is never banned: 192.0.2.0/24 is a Zimbra host\n"


# Bans by hand. Each test bans in a network of its own: the daemon is the same.


def ban(zward, address, *more, reason="ticket 4711", seconds="1h"):
    return invoke("ban", address, "--for", seconds, "--reason", reason, *more, "--config", zward.config)


def test_a_ban_by_hand_is_told_listed_explained_and_lifted(zward):
    said = ban(zward, "203.0.113.7")

    assert said.exit_code == 0
    assert said.stdout.startswith("203.0.113.7 is banned until 2")
    assert said.stdout.endswith(f"{OWN_MODE}\n")

    listed = invoke("bans", "203.0.113.7", "--config", zward.config, columns=80)
    rows = listed.stdout.splitlines()
    assert listed.stderr == f"{OWN_MODE}\n"
    assert rows[0].split() == ["address", "for", "another", "detector", "reason"]
    assert rows[2].split("  ")[0] == "203.0.113.7"
    assert rows[2].endswith("operator   ticket 4711")
    assert len(rows) == 3

    why = invoke("why", "203.0.113.7", "--config", zward.config).stdout.splitlines()
    assert why[0].startswith("203.0.113.7  BANNED until 2")
    assert why[1:] == [
        "  why       ticket 4711 (operator)",
        f"  but       {OWN_MODE}",
        "  lift      zward unban 203.0.113.7",
    ]

    lifted = invoke("unban", "203.0.113.7", "--reason", "it was a mistake", "--config", zward.config)
    assert (lifted.exit_code, lifted.stdout) == (0, "lifted 203.0.113.7: ticket 4711\n")
    assert invoke("bans", "203.0.113.7", "--config", zward.config).exit_code == 3
    past = invoke("why", "203.0.113.7", "--config", zward.config).stdout.splitlines()
    assert past[0] == "203.0.113.7  not banned"
    assert past[1].startswith("  before    banned 2")
    assert past[1].endswith(" (it was a mistake): ticket 4711")


def test_the_same_as_json(zward):
    said = json.loads(ban(zward, "203.0.113.8", "--json").stdout)
    (listed,) = json.loads(invoke("bans", "203.0.113.8", "--json", "--config", zward.config).stdout)
    known = json.loads(invoke("why", "203.0.113.8", "--json", "--config", zward.config).stdout)
    (lifted,) = json.loads(invoke("unban", "203.0.113.8", "--json", "--config", zward.config).stdout)

    assert (said["mode"], said["fault"]) == ("observe", "")
    for told in (said, listed, known["banned"], lifted):
        assert told["address"] == "203.0.113.8"
        assert told["scope"] == "all"
        assert told["reason"] == "ticket 4711"
        assert told["by_hand"] is True
        assert 3500 < told["remaining"] <= 3600


def test_a_ban_of_some_ports_is_told_as_such_and_the_table_says_so_only_then(zward):
    said = ban(zward, "198.18.4.9", "--scope", "smtp-in")
    ban(zward, "198.18.4.10")

    assert said.stdout.splitlines()[0].endswith(" in scope smtp-in")
    rows = invoke("bans", "198.18.4.0/24", "--config", zward.config).stdout.splitlines()
    assert rows[0].split() == ["address", "for", "another", "scope", "detector", "reason"]
    assert [row.split("  ")[0] for row in rows[2:] if " smtp-in " in row] == ["198.18.4.9"]
    alone = invoke("bans", "198.18.4.10", "--config", zward.config).stdout.splitlines()
    assert alone[0].split() == ["address", "for", "another", "detector", "reason"]
    why = invoke("why", "198.18.4.9", "--config", zward.config).stdout
    assert "  ports     smtp-in: 25; the others are open to it\n" in why
    invoke("unban", "198.18.4.9", "--config", zward.config)
    assert "banned in scope smtp-in 2" in invoke("why", "198.18.4.9", "--config", zward.config).stdout


def test_bans_of_two_scopes_are_told_side_by_side_and_lifted_together(zward):
    ban(zward, "198.18.4.12", "--scope", "smtp-in", reason="harvests", seconds="2h")
    ban(zward, "198.18.4.12", "--scope", "login", reason="guesses")

    assert len(json.loads(invoke("bans", "198.18.4.12", "--json", "--config", zward.config).stdout)) == 2
    why = invoke("why", "198.18.4.12", "--config", zward.config).stdout.splitlines()
    assert "  ports     smtp-in: 25; others are closed as well, see below" in why
    (also,) = (line for line in why if line.startswith("  also"))
    assert also.startswith("  also      banned in scope login 2")
    assert also.endswith(": guesses")
    lifted = invoke("unban", "198.18.4.12", "--config", zward.config).stdout
    assert set(lifted.splitlines()) == {
        "lifted 198.18.4.12 in scope smtp-in: harvests",
        "lifted 198.18.4.12 in scope login: guesses",
    }
    assert invoke("bans", "198.18.4.12", "--config", zward.config).exit_code == 3


def test_a_scope_that_no_ban_has_is_a_usage_error(zward):
    answer = ban(zward, "198.18.4.11", "--scope", "web")

    assert answer.exit_code == 2
    assert "'web' is not one of 'all', 'login', 'smtp-in'" in answer.stderr


def test_the_help_says_which_ports_a_scope_closes():
    said = " ".join(invoke("ban", "--help", columns=80).stdout.split())

    assert "login: 80, 110, 143, 443, 465, 587, 993, 995, 7071, 9071; smtp-in: 25." in said


def test_of_an_address_every_ban_is_told_that_touches_it(zward):
    ban(zward, "198.18.1.0/24", reason="the whole lot")
    ban(zward, "198.18.1.9", seconds="3h")

    one = invoke("why", "198.18.1.9", "--config", zward.config).stdout
    neighbour = invoke("why", "198.18.1.10", "--config", zward.config).stdout
    lot = invoke("why", "198.18.1.0/24", "--config", zward.config).stdout

    assert "BANNED until" in one.splitlines()[0]
    assert "  why       ticket 4711 (operator)" in one, "the ban that lasts longest comes first"
    assert "  also      198.18.1.0/24 banned 2" in one
    assert "  why       the whole lot (operator)" in neighbour
    assert "198.18.1.9" not in neighbour
    assert "  also      198.18.1.9 banned 2" in lot
    assert len(json.loads(invoke("bans", "198.18.1.9", "--json", "--config", zward.config).stdout)) == 2
    assert invoke("unban", "198.18.1.9", "--config", zward.config).stdout.count("lifted ") == 2


def test_who_looks_into_a_network_finds_bans_inside_but_it_is_not_banned(zward):
    ban(zward, "198.18.2.9")

    assert "not banned" in invoke("why", "198.18.2.0/24", "--config", zward.config).stdout.splitlines()[0]
    assert invoke("bans", "198.18.2.0/24", "--config", zward.config).exit_code == 0


def test_a_shorter_ban_does_not_shorten_one_that_stands(zward):
    first = json.loads(ban(zward, "198.18.3.9", "--json", seconds="3h").stdout)
    second = ban(zward, "198.18.3.9")

    (standing,) = json.loads(invoke("bans", "198.18.3.9", "--json", "--config", zward.config).stdout)
    assert standing["until"] == first["until"]
    assert second.exit_code == 0
    assert "banned for longer already, and stays so" in second.stdout


def test_an_ipv6_network_fits_a_terminal_and_a_long_reason_folds(zward):
    ban(zward, "2001:db8:1234:5678::/64", reason="a reason that is long enough to need a second line " * 2)

    printed = on_terminal("bans", "2001:db8:1234:5678::1", "--config", zward.config)

    lines = unstyled(printed)
    assert all(len(line) <= 80 for line in lines)
    assert lines[2].startswith("2001:db8:1234:5678::/64   ")
    assert lines[3].startswith(" " * 50)


def test_what_an_operator_types_does_not_act_on_the_next_ones_terminal(zward):
    address = "203.0.113.66"
    assert ban(zward, address, reason=f"see {HOSTILE}\nsecond line").exit_code == 0

    for command in (["bans"], ["bans", address], ["why", address], ["unban", address], ["bans", HOSTILE]):
        printed = on_terminal(*command, "--config", zward.config)
        assert "live" in printed
        assert acting(printed) == []


def test_bytes_that_are_no_text_are_taken_and_harm_nothing(zward):
    assert ban(zward, "203.0.113.67", reason="\udcff").exit_code == 0
    assert "\\u{dcff}" in invoke("bans", "203.0.113.67", "--config", zward.config).stdout
    assert invoke("status", "--config", zward.config).exit_code == 0


@pytest.mark.parametrize(
    ("address", "because"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("192.0.2.5", "192.0.2.0/24 is a Zimbra host"),
        ("224.0.0.1", "never banned"),
        ("169.254.1.1", "never banned"),
        ("fe80::1", "never banned"),
    ],
)
def test_what_must_not_be_banned_is_refused(zward, address, because):
    answer = ban(zward, address)

    assert answer.exit_code == 6
    assert answer.stderr.startswith(f"{address} is not banned: ")
    assert because in answer.stderr
    assert invoke("bans", address, "--config", zward.config).exit_code == 3


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("abc", 'found "abc", expected a network such as "192.0.2.0/24", or one address'),
        ("", 'found "", expected a network'),
        ("203.0.113.7/24", 'expected "203.0.113.0/24", or "203.0.113.7" for the one address'),
        ("fe80::1%eth0", "without a scope id"),
        ("198.16.0.0/16", "198.16.0.0/16 is a /16; only /32 and /24 can be banned"),
        ("2001:db8::/32", "only /128, /64 and /48 can be banned"),
    ],
)
def test_what_is_no_address_is_a_usage_error_that_shows_one(zward, address, expected):
    answer = ban(zward, address)

    assert answer.exit_code == 2
    assert expected in answer.stderr


@pytest.mark.parametrize("address", ["abc", "", "203.0.113.7/24"])
@pytest.mark.parametrize("command", ["bans", "why", "unban"])
def test_every_command_says_what_an_address_is(zward, command, address):
    answer = invoke(command, address, "--config", zward.config)

    assert answer.exit_code == 2
    assert f'found "{address}", expected ' in answer.stderr


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ("soon", "'soon' is no duration; write it as 90s, 30m, 2h, 7d or 1h30m"),
        ("90", "'90' is no duration"),
        ("0s", "a ban of 0 s; expected 1 s to 45 d"),
        ("100d", "a ban of 100 d; expected 1 s to 45 d"),
    ],
)
def test_a_duration_that_is_none_is_a_usage_error(zward, seconds, expected):
    answer = ban(zward, "203.0.113.9", seconds=seconds)

    assert answer.exit_code == 2
    assert expected in answer.stderr


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_ban_without_a_reason_is_a_usage_error(zward, reason):
    assert ban(zward, "203.0.113.9", reason=reason).exit_code == 2


def test_a_reason_beyond_all_measure_is_a_usage_error(zward):
    answer = ban(zward, "203.0.113.9", reason="x" * 70_000)

    assert answer.exit_code == 2
    assert "Maximum request body size 65536 exceeded" in answer.stderr


def test_to_lift_what_is_not_banned_is_exit_code_3(zward):
    answer = invoke("unban", "203.0.113.98", "--config", zward.config)

    assert (answer.exit_code, answer.stdout) == (3, "")
    assert answer.stderr == "203.0.113.98 is not banned\n"


def test_nobody_and_not_this_one_are_different_answers(zward):
    one = invoke("bans", "203.0.113.98", "--config", zward.config)
    as_json = invoke("bans", "203.0.113.98", "--json", "--config", zward.config)

    assert (one.exit_code, one.stdout) == (3, "203.0.113.98 is not banned\n")
    assert (as_json.exit_code, as_json.stdout) == (3, "[]\n")


def test_a_reload_says_what_it_changed(zward):
    before = zward.config.read_text()
    ban(zward, "198.18.9.9")
    zward.config.write_text(before.replace(f":{zward.http}", ":1") + '[allow]\nnetworks = ["198.18.9.0/24"]\n')
    try:
        changed = invoke("reload", "--config", zward.config)
    finally:
        zward.config.write_text(before)
    same = invoke("reload", "--json", "--config", zward.config)

    assert changed.stdout.splitlines() == [
        "reloaded",
        "lifted 198.18.9.9: it may no longer be banned",
        "http.listen takes effect at the next start",
    ]
    assert json.loads(same.stdout) == {"lifted": [], "needs_restart": ["http.listen"], "needs_load": []}


def test_a_broken_configuration_keeps_nobody_from_looking_and_lifting(zward):
    before = zward.config.read_text()
    ban(zward, "198.18.10.9")
    zward.config.write_text(before + "[detect.guessing]\npionts = 3\n")
    try:
        status = invoke("status", "--config", zward.config)
        lifted = invoke("unban", "198.18.10.9", "--config", zward.config)
        reload = invoke("reload", "--json", "--config", zward.config)
    finally:
        zward.config.write_text(before)

    assert (status.exit_code, lifted.exit_code, reload.exit_code) == (0, 0, 5)
    assert lifted.stdout == "lifted 198.18.10.9: ticket 4711\n"
    place = f"{zward.config}:{before.count(chr(10)) + 2}: detect.guessing.pionts: unknown key; did you mean points?"
    assert status.stderr == ""
    assert reload.stderr.splitlines()[-1] == place


def test_a_ban_by_hand_outlives_a_restart(tmp_path):
    with running(tmp_path) as zward:
        until = json.loads(ban(zward, "203.0.113.7", "--json").stdout)["until"]
        ban(zward, "203.0.113.8")
        invoke("unban", "203.0.113.8", "--config", zward.config)
        zward.stop()
    with running(tmp_path) as zward:
        (standing,) = json.loads(invoke("bans", "--json", "--config", zward.config).stdout)

    assert (standing["address"], standing["until"], standing["reason"]) == ("203.0.113.7", until, "ticket 4711")
    assert standing["by_hand"] is True


@pytest.mark.parametrize(
    ("mode", "more"), [("enforce", "\n"), ("observe", ", since the mode is observe; zward bans --observed ")]
)
def test_where_nobody_is_banned_it_says_whether_anybody_could_be(tmp_path, mode, more):
    (tmp_path / "zward.toml").write_text(f'[admin]\nsocket = "{tmp_path}/zward.sock"\n')
    with answering(tmp_path / "zward.sock", {"/bans": [], "/status": {"mode": mode}}):
        text = invoke("bans", "--config", tmp_path / "zward.toml")
        as_json = invoke("bans", "--json", "--config", tmp_path / "zward.toml")

    assert (text.exit_code, as_json.exit_code) == (0, 0)
    assert text.stdout.startswith(f"nobody is banned{more}")
    assert as_json.stdout == "[]\n"


def test_a_daemon_that_enforces_is_not_said_to_observe(tmp_path):
    ban = {"address": "203.0.113.7", "remaining": 60, "scope": "all", "detector": "operator", "reason": "x"}
    (tmp_path / "zward.toml").write_text(f'[admin]\nsocket = "{tmp_path}/zward.sock"\n')
    with answering(tmp_path / "zward.sock", {"/bans": [ban], "/status": {"mode": "enforce"}}):
        answer = invoke("bans", "--config", tmp_path / "zward.toml")

    assert (answer.exit_code, answer.stderr) == (0, "")
    assert answer.stdout.splitlines()[-1] == "203.0.113.7   1 min         operator   x"
