"""`zward drops`, against a daemon that is made up."""

import json

import pytest
from invoking import HOSTILE, acting, answering, invoke

DROP = {
    "time": "2026-11-21T20:49:00+00:00",
    "source": "203.0.113.9",
    "port": 993,
    "family": 4,
    "flags": "syn",
    "device": "wan0",
}


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "zward.toml"
    path.write_text(f'[admin]\nsocket = "{tmp_path}/zward.sock"\n')
    return path


def drops(config, answer, *words):
    with answering(config.parent / "zward.sock", {"/drops": answer}):
        told = invoke("drops", *words, "--config", config)
    (config.parent / "zward.sock").unlink()
    return told


def test_samples_are_a_table(config):
    told = drops(config, [DROP, DROP | {"source": "2001:db8::9", "family": 6}])

    assert told.exit_code == 0
    heading, _, first, second = told.stdout.splitlines()
    assert heading.split() == ["time", "source", "port", "family", "flags", "device"]
    assert first.split()[2:] == ["203.0.113.9", "993", "4", "syn", "wan0"]
    assert second.split()[2] == "2001:db8::9"


def test_without_any_it_ends_with_nothing_found(config):
    told = drops(config, [])

    assert (told.exit_code, told.stdout) == (3, "no dropped packet was seen lately\n")


def test_as_json_it_is_what_the_daemon_said(config):
    told = drops(config, [DROP], "--json")

    assert json.loads(told.stdout) == [DROP]
    empty = drops(config, [], "--json")
    assert (empty.exit_code, empty.stdout) == (3, "[]\n")


def test_an_interface_with_a_hostile_name_acts_on_no_terminal(config):
    assert acting(drops(config, [DROP | {"device": HOSTILE}]).stdout) == []
