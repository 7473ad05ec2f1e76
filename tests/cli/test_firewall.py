"""`zward firewall`, as far as it goes without the kernel; tests/kernel/test_loading.py has the rest."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from invoking import invoke

from appliance.cli.firewall import firewall as command
from appliance.root import files
from appliance.root.privilege import held

GATEWAY = """
[gateway]
mode = "routed"
wan = ["wan0"]
lan = ["lan0"]
admin = ["198.51.100.0/28"]
[[gateway.publish]]
scope = "smtp-in"
to = ["10.20.0.10"]
at = ["203.0.113.1"]
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "zward.toml"
    path.write_text(f'[firewall]\ndirectory = "{tmp_path}/run"\n[store]\npath = "{tmp_path}/zward.db"\n')
    return path


def zward(config, *words, given=None):
    return invoke("firewall", *words, "--config", config, given=given)


@pytest.mark.parametrize("words", [["load"], ["confirm"], ["diff"], ["clear", "--yes"]])
def test_an_ordinary_user_is_told_that_only_root_may(config, monkeypatch, words):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(files, "held", lambda: replace(held(), effective=frozenset()))

    done = zward(config, *words)

    assert done.exit_code == 1
    typed = f"zward firewall {words[0]}"
    assert done.stderr == f"{typed} changes the kernel's firewall, which only root may: sudo {typed}\n"


def test_show_prints_both_tables_to_anybody(config, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    config.write_text(config.read_text() + GATEWAY)

    shown = zward(config, "show")
    told = json.loads(zward(config, "show", "--json").stdout)

    assert shown.exit_code == 0
    assert "table inet zward {" in shown.stdout
    assert "table inet zward_policy {" in shown.stdout
    assert "198.51.100.0/28" in told["zward_policy"]
    assert list(told) == ["zward", "zward_policy"]
    assert told["zward"] in shown.stdout


def test_without_a_gateway_show_says_that_there_is_no_policy(config):
    shown = zward(config, "show")

    assert shown.stdout.splitlines()[-1] == "# no table inet zward_policy: the configuration has no [gateway]"
    assert json.loads(zward(config, "show", "--json").stdout)["zward_policy"] is None


@pytest.mark.parametrize("within", ["60", "0s", "2h", "soon"])
def test_a_time_to_confirm_in_that_makes_no_sense_is_a_slip_of_usage(config, within):
    done = zward(config, "load", "--confirm", within)

    assert done.exit_code == 2
    assert "--confirm" in done.stderr


def test_every_command_explains_itself():
    for name in command.commands:
        said = invoke("firewall", name, "--help")
        assert said.exit_code == 0
        assert said.stdout.count("\n") > 8
    assert "Exit code 0 if they are the same, 1 if they differ" in " ".join(
        invoke("firewall", "diff", "--help").stdout.split()
    )


def test_at_a_first_boot_there_is_nothing_to_restore_and_no_helper_is_asked(config):
    done = zward(config, "restore")

    assert (done.exit_code, done.stdout) == (0, "there is no store yet: no ban to restore\n")
    assert not (config.parent / "zward.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files to others needs root (sudo make test)")
def test_the_store_of_another_user_is_not_opened_as_root(config):
    store = config.parent / "zward.db"
    store.touch()
    os.chown(store, 1000, 1000)

    done = zward(config, "restore")

    assert done.exit_code == 6
    assert f"{store} belongs to uid 1000: restore its bans as that user" in done.stderr


def test_without_a_helper_restoring_fails(config):
    (config.parent / "zward.db").touch()

    done = zward(config, "restore")

    assert done.exit_code == 1
    assert "helper" in done.stderr


def test_what_loads_the_bindings_of_nftables_never_loads_aiohttp():
    program = (
        "import appliance.cli.firewall, appliance.root.rollback, sys; print({'aiohttp', 'nftables'} & set(sys.modules))"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert said.stdout == "{'nftables'}\n"
