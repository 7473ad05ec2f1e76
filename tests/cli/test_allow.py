"""`zward allow`, against a real daemon."""

import json
import threading
import time

import pytest
from invoking import HOSTILE, acting, invoke, on_terminal
from lines import audit_failure
from running import running

pytestmark = pytest.mark.daemon


@pytest.fixture(scope="module")
def zward(tmp_path_factory):
    with running(tmp_path_factory.mktemp("zward")) as started:
        yield started


def allow(zward, *arguments):
    return invoke("allow", *arguments, "--config", zward.config)


def ban(zward, address):
    return invoke("ban", address, "--for", "1h", "--reason", "x", "--config", zward.config)


def test_the_list_is_empty_at_first_and_then_tells_whose_each_entry_is(zward, tmp_path):
    assert allow(zward, "list").stdout == "the list is empty\n"
    assert allow(zward, "list", "--json").stdout == "[]\n"

    added = allow(zward, "add", "198.51.100.0/24", "--comment", "head office")

    assert (added.exit_code, added.stdout) == (0, "198.51.100.0/24 is never banned\n")
    rows = allow(zward, "list").stdout.splitlines()
    assert rows[0].split() == ["network", "added", "by", "comment"]
    assert rows[2].startswith("198.51.100.0/24   2")
    assert rows[2].endswith("   head office")
    (entry,) = json.loads(allow(zward, "list", "--json").stdout)
    assert (entry["network"], entry["comment"]) == ("198.51.100.0/24", "head office")
    assert entry["by"] in rows[2]

    removed = allow(zward, "remove", "198.51.100.0/24")
    assert (removed.exit_code, removed.stdout) == (0, "198.51.100.0/24 may be banned again\n")
    assert allow(zward, "list").stdout == "the list is empty\n"


def test_an_entry_lifts_what_stands_against_it_and_spares_at_once(zward):
    assert ban(zward, "203.0.113.7").exit_code == 0

    added = allow(zward, "add", "203.0.113.0/28")

    assert added.stdout == "203.0.113.0/28 is never banned\nlifted 203.0.113.7\n"
    refused = ban(zward, "203.0.113.7")
    assert refused.exit_code == 6
    assert refused.stderr == "203.0.113.7 is not banned: 203.0.113.0/28 is on the allowlist\n"
    zward.send(*[audit_failure("203.0.113.8", time.time()) for _ in range(7)])
    zward.until(lambda: zward.metric('zward_verdicts_total{detector="guessing",verdict="spared"}') >= 1)
    assert "never     is never banned: 203.0.113.0/28" in invoke("why", "203.0.113.8", "--config", zward.config).stdout

    assert allow(zward, "remove", "203.0.113.0/28").exit_code == 0
    assert ban(zward, "203.0.113.7").exit_code == 0


def test_as_json_it_tells_what_it_did(zward):
    ban(zward, "203.0.113.33")

    added = json.loads(allow(zward, "add", "203.0.113.33", "--json").stdout)
    removed = json.loads(allow(zward, "remove", "203.0.113.33", "--json").stdout)

    assert added == {"network": "203.0.113.33", "lifted": ["203.0.113.33"]}
    assert removed == {"network": "203.0.113.33"}


def test_what_is_not_on_the_list_cannot_be_taken_off(zward):
    answer = allow(zward, "remove", "192.0.2.0/24")

    assert answer.exit_code == 3
    assert (
        "192.0.2.0/24 is not on the run-time allowlist; what the configuration allows is changed there" in answer.stderr
    )


@pytest.mark.parametrize("command", ["add", "remove"])
@pytest.mark.parametrize("network", ["office", "203.0.113.7/24", ""])
def test_what_is_no_network_is_a_usage_error(zward, command, network):
    answer = allow(zward, command, network)

    assert answer.exit_code == 2
    assert f'found "{network}", expected ' in answer.stderr


def test_a_comment_cannot_act_on_the_next_ones_terminal(zward):
    allow(zward, "add", "203.0.113.44", "--comment", HOSTILE)

    printed = on_terminal("allow", "list", "--config", zward.config)

    assert "live" in printed
    assert acting(printed) == []
    assert allow(zward, "remove", "203.0.113.44").exit_code == 0


def test_of_many_operators_at_once_every_entry_counts(zward):
    addresses = [f"198.18.0.{number}" for number in range(1, 17)]
    asking = [threading.Thread(target=zward.ask, args=("allow", "add", address)) for address in addresses[:4]]
    for each in asking:
        each.start()
    for address in addresses[4:]:
        allow(zward, "add", address)
    for each in asking:
        each.join()

    listed = {entry["network"] for entry in json.loads(allow(zward, "list", "--json").stdout)}
    assert set(addresses) <= listed
    assert [ban(zward, address).exit_code for address in addresses] == [6] * len(addresses)


def test_the_list_outlives_a_restart(tmp_path):
    with running(tmp_path) as zward:
        allow(zward, "add", "203.0.113.0/24", "--comment", "head office")
        zward.stop()
    with running(tmp_path) as zward:
        assert "head office" in allow(zward, "list").stdout
        assert ban(zward, "203.0.113.7").exit_code == 6
