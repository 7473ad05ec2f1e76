"""The configuration reaches the judge: every figure of every detector."""

from dataclasses import fields
from pathlib import Path

import pytest
from story import nets

from appliance.address import NetSet
from appliance.config.load import load, parse
from appliance.config.policy import policy_of
from appliance.config.schema import Config, names
from appliance.judge.policy import Office, Ours, Policy
from appliance.model import Mode

FILES = Path(__file__).parent.parent / "data" / "config"

CHANGED = """
    [ladder]
    steps = ["1h", "1d"]
    memory = "7d"
    jitter = 0.2
"""


def policy(text: str, mode: Mode = Mode.ENFORCE) -> Policy:
    return policy_of(parse(text, "zward.toml"), mode, NetSet(), {})


def figures(each) -> dict[str, object]:
    return {field.name: getattr(each, field.name) for field in fields(each)}


def built(found: Policy) -> dict[str, object]:
    """Everything of the judge that has a table, by the table's name."""
    watches = {each.name.replace("_", "-"): getattr(found.watches, each.name) for each in fields(found.watches)}
    return {each.name: each for each in (*found.detectors, *found.tellers)} | watches


def test_an_empty_configuration_judges_as_the_judge_does_by_itself():
    made, alone = policy(""), Policy(mode=Mode.ENFORCE)

    assert (made.detectors, made.tellers, made.watches) == (alone.detectors, alone.tellers, alone.watches)
    assert (made.ladder, made.lockout, made.office) == (alone.ladder, alone.lockout, alone.office)
    assert (made.mode, len(made.allowlist), len(made.relays), dict(made.never_ban)) == (alone.mode, 0, 0, {})


def test_every_table_of_detect_is_a_detector_of_the_judge():
    tables = {name for name, table in names(("detect",)).items() if table}

    assert set(built(policy(""))) == tables


@pytest.mark.parametrize("name", built(Policy()))
def test_a_detector_and_its_table_have_the_same_keys_in_the_same_order_with_the_same_defaults(name):
    settings = figures(built(Policy())[name])
    table = getattr(Config().detect, name.replace("-", "_"))
    if name == "guessing":
        assert settings.pop("in_campaign") == Config().detect.campaign.points

    assert list(settings.items()) == [(key, value) for key, value in table if key != "fence"]


@pytest.mark.parametrize("name", built(Policy()))
def test_each_key_reaches_its_detector(name):
    changed, default = load(FILES / "good.toml"), Config()
    made = figures(built(policy_of(changed, Mode.ENFORCE, NetSet(), {}))[name])
    table = getattr(changed.detect, name.replace("-", "_"))

    assert made == {key: value for key, value in table if key != "fence"} | (
        {"in_campaign": changed.detect.campaign.points} if name == "guessing" else {}
    )
    assert not made.items() & figures(built(policy_of(default, Mode.ENFORCE, NetSet(), {}))[name]).items()


def test_what_an_office_may_do_zimbras_lockout_and_the_relays_reach_the_judge():
    made = policy("""
        detect.office = "ban"
        [zimbra]
        relays = ["198.51.100.0/28"]
        lockout = { max_failures = 15, within = "1h" }
    """)

    assert made.office is Office.BAN
    assert made.lockout == (15, 3600)
    assert made.relays.networks == nets("198.51.100.0/28").networks


def test_the_ladder_is_the_configured_one():
    ladder = policy(CHANGED).ladder

    assert (ladder.steps, ladder.memory, ladder.jitter) == ((3600, 86400), 604800, 0.2)


@pytest.mark.parametrize("mode", Mode)
def test_the_mode_is_what_can_be_done_not_what_was_wished(mode):
    assert policy('mode = "enforce"', mode).mode is mode


def test_the_lists_are_taken_as_they_are():
    made = policy_of(Config(), Mode.ENFORCE, nets("198.51.100.9"), {Ours.ROUTE: nets("192.0.2.1")})

    assert made.spares(next(iter(nets("198.51.100.9").networks))) == "198.51.100.9 is on the allowlist"
    assert made.spares(next(iter(nets("192.0.2.1").networks))) == "192.0.2.1 is the default route"


@pytest.mark.parametrize("sees_traffic", [True, False])
def test_whether_the_firewall_sees_the_traffic_is_the_operators_word(sees_traffic):
    text = f"[firewall]\nsees_traffic = {str(sees_traffic).lower()}\n"

    assert policy(text).sees_traffic is sees_traffic
    assert policy("").sees_traffic
