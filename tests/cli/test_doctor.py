"""`zward doctor`, with and without a daemon."""

import json
import time
from dataclasses import asdict

import pytest
from invoking import HOSTILE, acting, answering, invoke, on_terminal
from lines import audit_failure
from running import CONFIG, running

from appliance.cli import doctor as module
from appliance.doctor import Finding

pytestmark = pytest.mark.daemon

QUIET = '[zimbra]\nproxies = ["192.0.2.5"]\n[admin]\nsocket = "{}/zward.sock"\n'


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "zward.toml"
    path.write_text(QUIET.format(tmp_path))
    return path


def test_without_a_daemon_the_machine_is_looked_at_all_the_same(config, tmp_path):
    answer = invoke("doctor", "--config", config)
    told = json.loads(invoke("doctor", "--json", "--config", config).stdout)

    assert answer.exit_code == 1
    assert "  fine      proxies: 1 configured\n" in answer.stdout
    assert f"  look      daemon: {tmp_path}/zward.sock: no zward answers" in answer.stdout
    assert [finding["topic"] for finding in told] == ["libnftables", "helper", "proxies", "daemon"]
    assert told[-1]["is_fine"] is False


def test_a_socket_that_nobody_serves_is_told_beside_the_rest(config, tmp_path):
    (tmp_path / "zward.sock").touch()

    answer = invoke("doctor", "--config", config)

    assert answer.exit_code == 1
    assert "libnftables: " in answer.stdout
    assert "no zward answers (Connection refused)" in answer.stdout


def test_where_all_is_well_it_ends_with_0(config, tmp_path):
    with answering(tmp_path / "zward.sock", {"/doctor": [asdict(Finding("senders", True, "all are there"))]}):
        answer = invoke("doctor", "--config", config)

    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[-1] == "  fine      senders: all are there"
    assert "look" not in answer.stdout


def test_a_cure_stands_under_its_finding_and_long_ones_fold(config, tmp_path):
    finding = Finding(
        "clock", False, "lines of zimbra-audit from 192.0.2.10 are 2 h late, which is corrected", "set it"
    )
    with answering(tmp_path / "zward.sock", {"/doctor": [asdict(finding)]}):
        lines = invoke("doctor", "--config", config, columns=80).stdout.splitlines()

    assert lines[-3:] == [
        "  look      clock: lines of zimbra-audit from 192.0.2.10 are 2 h late, which is",
        "            corrected",
        "            → set it",
    ]


def test_what_a_sender_wrote_cannot_act_on_the_terminal(config, tmp_path):
    finding = Finding("clock", False, f"lines of {HOSTILE} are late", HOSTILE)
    with answering(tmp_path / "zward.sock", {"/doctor": [asdict(finding)]}):
        printed = on_terminal("doctor", "--config", config)

    assert "live" in printed
    assert acting(printed) == []


def test_a_machine_that_cannot_enforce_is_told_what_cures_it(config, monkeypatch):
    sick = [Finding("privilege", False, "no CAP_NET_ADMIN", "run it as root")]
    monkeypatch.setattr(module, "of_machine", lambda _settings: sick)

    printed = invoke("doctor", "--config", config).stdout

    assert printed.startswith("  look      privilege: no CAP_NET_ADMIN\n            → run it as root\n")


def test_a_real_daemon_tells_of_missing_senders_then_of_lies_about_the_client(tmp_path):
    with running(tmp_path, CONFIG.replace('"192.0.2.5"', '"192.0.2.6"')) as zward:
        nobody = invoke("doctor", "--config", zward.config)
        zward.send(audit_failure("192.0.2.5;oip=203.0.113.9", time.time()))
        zward.until(lambda: zward.metric("zward_frames_parsed_total") == 1)
        told = invoke("doctor", "--config", zward.config)

    assert nobody.exit_code == told.exit_code == 1
    assert "  look      senders: no host has sent a line yet\n            → zward setup rsyslog prints" in nobody.stdout
    assert "  fine      senders: 127.0.0.1 sent 1 lines" in told.stdout
    assert "  look      proxies: 192.0.2.5 sent 1 lines with an oip= that is not believed" in told.stdout
    assert '→ if so, [zimbra] proxies = ["192.0.2.5"]' in told.stdout
