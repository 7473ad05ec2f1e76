"""`zward check`."""

import json

import pytest
from invoking import HOSTILE, acting, invoke

from appliance.cli import check as module

GOOD = """
[listen]
udp = ["127.0.0.1:5514"]
senders = ["192.0.2.10"]
[zimbra]
hosts = ["192.0.2.10"]
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "zward.toml"
    path.write_text(GOOD)
    return path


def test_a_good_file_and_rules_that_know_their_samples_are_said_so(config):
    answer = invoke("check", config)

    valid, acts, rules = answer.stdout.splitlines()
    assert answer.exit_code == 0
    assert valid == f"{config}: valid, 0 warnings"
    assert acts == (
        'would act, with mode = "enforce", at 6 failures of one stranger: '
        "before Zimbra's lockout (10 in 30m) and invalid-login filter (10)"
    )
    number, _, good, _, all_of_them, *_ = rules.split()
    assert int(number) >= 50
    assert good == all_of_them
    assert answer.stderr == ""


def test_the_same_as_json(config):
    told = json.loads(invoke("check", "--json", "--config", config).stdout)

    assert (told["config"], told["faults"], told["warnings"]) == (str(config), [], [])
    assert told["acts"].startswith('would act, with mode = "enforce", at 6 failures')
    assert told["samples"] >= 2 * told["rules"] >= 100, "each rule has a sample that it matches and one that it ignores"


def test_without_a_file_the_built_in_configuration_is_checked(monkeypatch):
    monkeypatch.setattr(module, "find", lambda _path: None)

    assert "built-in configuration: valid, " in invoke("check").stdout


def test_a_warning_is_no_fault(config):
    config.write_text(GOOD + "[detect.guessing]\npoints = 9\n")

    answer = invoke("check", config)
    told = json.loads(invoke("check", "--json", config).stdout)

    assert answer.exit_code == 0
    assert answer.stderr.startswith("warning: detect.guessing.points: 9 is not less than 0.7 ×")
    assert "valid, 1 warning\n" in answer.stdout
    assert len(told["warnings"]) == 1


def test_every_fault_is_told_with_file_line_and_key(config):
    config.write_text(GOOD + '[detect.guessing]\npionts = 3\nwithin = "soon"\n')

    answer = invoke("check", config)

    assert (answer.exit_code, answer.stdout) == (5, "")
    first, second = answer.stderr.splitlines()
    assert first == f"{config}:8: detect.guessing.pionts: unknown key; did you mean points?"
    assert second.startswith(f"{config}:9: detect.guessing.within: ")
    as_json = invoke("check", "--json", config)
    assert as_json.exit_code == 5
    assert json.loads(as_json.stdout) == {"config": str(config), "faults": [first, second], "warnings": []}


def test_a_file_that_is_no_toml_names_the_line(config):
    config.write_text(GOOD + 'mode = "observe\n')

    answer = invoke("check", config)

    assert answer.exit_code == 5
    assert answer.stderr.startswith(f"{config}:7: not TOML: ")


def test_what_stands_in_a_file_cannot_act_on_the_terminal(config):
    config.write_text(
        GOOD + f'[allow]\nnetworks = ["{HOSTILE.encode("unicode_escape").decode()}"]\n'.replace("\\x", "\\u00")
    )

    answer = invoke("check", config)

    assert answer.exit_code == 5
    assert "allow.networks" in answer.stderr
    assert acting(answer.stderr) == []


def test_a_rule_that_does_not_know_its_sample_fails(config, monkeypatch):
    monkeypatch.setattr(module, "prove", lambda _files: ["rules/x.toml: rule a: its sample is none"])

    answer = invoke("check", config)
    as_json = invoke("check", "--json", config)

    assert answer.exit_code == as_json.exit_code == 1
    assert answer.stderr == "rules/x.toml: rule a: its sample is none\n"
    assert json.loads(as_json.stdout)["faults"] == ["rules/x.toml: rule a: its sample is none"]
