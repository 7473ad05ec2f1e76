"""`zward familiar`, against a real daemon; also over its death."""

import csv
import io
import json
import signal
import time

import pytest
from invoking import HOSTILE, acting, answering, invoke, on_terminal
from lines import audit_success
from running import running

pytestmark = pytest.mark.daemon

ANA, BOB = "ana@example.com", "bob@example.com"
HOME, OFFICE = "203.0.113.9", "198.51.100.7"


@pytest.fixture
def zward(tmp_path):
    with running(tmp_path) as started:
        started.send(*logins())
        started.until(lambda: len(listed(started)) == 3)
        yield started
        assert "Traceback" not in started.log


def logins():
    now = time.time()
    return [audit_success(HOME, now - 60), audit_success(OFFICE, now - 50), audit_success(OFFICE, now - 40, BOB)]


def familiar(zward, *arguments):
    return invoke("familiar", *arguments, "--config", zward.config)


def listed(zward, *arguments):
    answer = familiar(zward, "list", *arguments, "--json")
    return [(each["account"], each["address"]) for each in json.loads(answer.stdout)]


def test_it_lists_who_logs_in_from_where(zward):
    lines = familiar(zward, "list").stdout.splitlines()

    assert lines[0].split() == ["address", "first", "last", "account"]
    assert [line.split()[0] for line in lines[2:]] == [OFFICE, HOME, OFFICE]
    assert [line.split()[-1] for line in lines[2:]] == [ANA, ANA, BOB]
    assert listed(zward, ANA) == [(ANA, OFFICE), (ANA, HOME)]
    assert listed(zward, OFFICE) == [(ANA, OFFICE), (BOB, OFFICE)]
    assert listed(zward, "203.0.113.0/24") == [(ANA, HOME)]
    few = familiar(zward, "list", "--most", "1")
    assert few.stderr == "2 more; zward familiar export has them all\n"


def test_it_exports_all_of_it(zward):
    as_json = json.loads(familiar(zward, "export").stdout)
    as_csv = list(csv.DictReader(io.StringIO(familiar(zward, "export", "--csv").stdout)))

    assert as_csv == as_json
    assert [(each["account"], each["address"]) for each in as_json] == listed(zward)
    assert set(as_json[0]) == {"account", "address", "first", "last"}
    assert [each["account"] for each in json.loads(familiar(zward, "export", BOB, "--json").stdout)] == [BOB]


def test_it_forgets_only_when_told_twice(zward):
    asked = familiar(zward, "forget", ANA)

    assert (asked.exit_code, asked.stdout) == (6, "")
    assert asked.stderr == f"2 places of {ANA} would be forgotten; with --yes they are\n"
    assert len(listed(zward)) == 3

    done = familiar(zward, "forget", ANA, "--yes", "--reason", "left the firm")

    assert done.exit_code == 0
    assert sorted(done.stdout.splitlines()) == [f"forgotten: {ANA} at {OFFICE}", f"forgotten: {ANA} at {HOME}"]
    assert listed(zward) == [(BOB, OFFICE)]
    assert familiar(zward, "forget", ANA, "--yes").exit_code == 3
    told = json.loads(familiar(zward, "forget", OFFICE, "--yes", "--json").stdout)
    assert [each["account"] for each in told["forgotten"]] == [BOB]
    assert familiar(zward, "list").stdout == "nobody has logged in yet\n"
    assert familiar(zward, "export").stdout == "[]\n"


@pytest.mark.parametrize(
    ("whom", "code", "says"),
    [
        ("carla@example.com", 3, "carla@example.com: has logged in nowhere"),
        ("192.0.2.1", 3, "192.0.2.1: nobody logs in from there"),
        ("192.0.2.1/24", 2, 'found "192.0.2.1/24", expected '),
    ],
)
@pytest.mark.parametrize("command", [["list"], ["export"], ["forget"], ["forget", "--yes"]])
def test_of_whom_nothing_is_known_it_says_so(zward, command, whom, code, says):
    answer = familiar(zward, *command, whom)

    assert answer.exit_code == code
    assert answer.stderr.startswith(says)


def test_an_address_tells_who_logs_in_there(zward):
    assert f"  logs in   {ANA}, first 20" in invoke("why", HOME, "--config", zward.config).stdout
    told = json.loads(invoke("why", OFFICE, "--json", "--config", zward.config).stdout)
    assert [each["account"] for each in told["logins"]] == [BOB, ANA]
    assert (told["is_office"], told["probation"], told["counts"]) == (False, None, [])


def test_a_stop_loses_nobody_and_a_kill_only_the_last_seconds(tmp_path):
    with running(tmp_path) as zward:
        zward.send(*logins())
        zward.until(lambda: zward.metric("zward_frames_parsed_total") == 3)
        zward.stop()
    with running(tmp_path) as zward:
        assert len(listed(zward)) == 3, "a stop writes what waits"
        zward.send(audit_success("203.0.113.50", time.time()))
        zward.until(lambda: len(listed(zward)) == 4)  # to list it writes it
        zward.stop(signal.SIGKILL)
    with running(tmp_path) as zward:
        assert len(listed(zward)) == 4
        shown = json.loads(invoke("account", ANA, "--json", "--config", zward.config).stdout)
        assert [each["address"] for each in shown["logins"]] == ["203.0.113.50", OFFICE, HOME], "the judge knows them"


def test_a_name_cannot_act_on_the_terminal(tmp_path):
    row = {"account": HOSTILE, "address": HOME, "first": "2026-11-21T08:00:00Z", "last": "2026-11-21T08:00:00Z"}
    config = tmp_path / "zward.toml"
    config.write_text(f'[admin]\nsocket = "{tmp_path}/zward.sock"\n')

    with answering(tmp_path / "zward.sock", {"/familiar": {"number": 1, "logins": [row], "forgotten": [row]}}):
        printed = on_terminal("familiar", "list", "--config", config)
        printed += on_terminal("familiar", "forget", HOME, "--yes", "--config", config)

    assert printed.count("live") == 2
    assert acting(printed) == []
