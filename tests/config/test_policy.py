"""The configuration reaches the judge: every figure of every detector."""

from dataclasses import fields

import pytest
from story import nets

from appliance.address import NetSet
from appliance.config.load import parse
from appliance.config.policy import policy_of
from appliance.config.schema import Config, names
from appliance.judge.detector import DetectorMode
from appliance.judge.policy import Ours, Policy
from appliance.model import Mode

CHANGED = """
    [ladder]
    steps = ["1h", "1d"]
    memory = "7d"
    jitter = 0.2
    [detect.guessing]
    mode = "observe"
    points = 11
    within = "11m"
    [detect.slow-guessing]
    mode = "off"
    points = 22
    within = "22h"
    [detect.spraying]
    mode = "observe"
    accounts = 33
    within = "33m"
    [detect.zmauditswatch]
    mode = "off"
    source_and_account = 44
    account = 45
    source = 46
    total = 47
    within = "48s"
"""


def policy(text: str, mode: Mode = Mode.ENFORCE) -> Policy:
    return policy_of(parse(text, "zward.toml"), mode, NetSet(), {})


def figures(each) -> dict[str, object]:
    return {field.name: getattr(each, field.name) for field in fields(each)}


def test_an_empty_configuration_judges_as_the_judge_does_by_itself():
    built, alone = policy(""), Policy(mode=Mode.ENFORCE)

    assert (built.detectors, built.tellers, built.ladder) == (alone.detectors, alone.tellers, alone.ladder)
    assert (built.mode, len(built.allowlist), dict(built.never_ban)) == (alone.mode, 0, {})


def test_each_key_reaches_its_detector():
    changed = policy(CHANGED)
    found = {each.name: figures(each) for each in (*changed.detectors, *changed.tellers)}

    assert found == {
        "guessing": {"mode": DetectorMode.OBSERVE, "points": 11, "within": 660},
        "slow-guessing": {"mode": DetectorMode.OFF, "points": 22, "within": 79200},
        "spraying": {"mode": DetectorMode.OBSERVE, "accounts": 33, "within": 1980},
        "zmauditswatch": {
            "mode": DetectorMode.OFF,
            "source_and_account": 44,
            "account": 45,
            "source": 46,
            "total": 47,
            "within": 48,
        },
    }


def test_every_table_of_detect_is_a_detector_of_the_judge():
    built = policy("")

    assert {each.name for each in (*built.detectors, *built.tellers)} == set(names(("detect",)))


def test_the_ladder_is_the_configured_one():
    ladder = policy(CHANGED).ladder

    assert (ladder.steps, ladder.memory, ladder.jitter) == ((3600, 86400), 604800, 0.2)


@pytest.mark.parametrize("mode", Mode)
def test_the_mode_is_what_can_be_done_not_what_was_wished(mode):
    assert policy('mode = "enforce"', mode).mode is mode


def test_the_lists_are_taken_as_they_are():
    built = policy_of(Config(), Mode.ENFORCE, nets("198.51.100.9"), {Ours.ROUTE: nets("192.0.2.1")})

    assert built.spares(next(iter(nets("198.51.100.9").networks))) == "198.51.100.9 is on the allowlist"
    assert built.spares(next(iter(nets("192.0.2.1").networks))) == "192.0.2.1 is the default route"


@pytest.mark.parametrize("sees_traffic", [True, False])
def test_whether_the_firewall_sees_the_traffic_is_the_operators_word(sees_traffic):
    text = f"[firewall]\nsees_traffic = {str(sees_traffic).lower()}\n"

    assert policy(text).sees_traffic is sees_traffic
    assert policy("").sees_traffic
