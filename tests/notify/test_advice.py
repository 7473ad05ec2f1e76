"""What people are told to do."""

import re
import shlex
from dataclasses import fields

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.address import Net
from appliance.cli.account import account as account_command
from appliance.cli.main import group
from appliance.judge.detect.table import DETECTORS, TELLERS, Watches
from appliance.notify.advice import ADVICE, Advice, advice_of, alertname, argument

SOURCE = Net(bytes([203, 0, 113, 9]), 32)
NAMES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=254)

ROOT = click.Context(group, **group.context_settings)
"""What every command inherits: `-h` among others, which click remembers from the first context that it sees."""


def test_there_is_advice_for_every_detector_and_for_no_other() -> None:
    watches = {field.name.replace("_", "-") for field in fields(Watches)}

    assert set(ADVICE) == {*DETECTORS, *TELLERS, *watches, "operator"}


def test_an_alert_is_called_after_its_detector() -> None:
    assert alertname("break-in") == "ZwardBreakIn"
    assert alertname("zmauditswatch") == "ZwardZmauditswatch"
    assert len({alertname(detector) for detector in ADVICE}) == len(ADVICE)


@given(NAMES)
def test_an_alertname_is_one_word_whatever_a_detector_is_called(name: str) -> None:
    assert re.fullmatch(r"Zward[A-Za-z0-9]*", alertname(name))


def test_an_unknown_detector_has_advice_too() -> None:
    assert advice_of("of-tomorrow").steps(SOURCE)


@pytest.mark.parametrize("detector", ADVICE)
def test_titles_fit_a_subject_and_there_are_two_to_four_steps(detector: str) -> None:
    advice = ADVICE[detector]

    assert 0 < len(advice.title) <= 50
    assert not advice.title.endswith(".")
    assert 2 <= len(advice.to_do) <= 4
    assert advice.steps(None, None), "something is left where neither source nor account is known"


COMMANDS_NAMED = sorted(
    {word for each in ADVICE.values() for step in each.to_do for word in re.findall(r": (zward .*)", step)}
)


@pytest.mark.parametrize("step", COMMANDS_NAMED)
def test_each_command_named_is_one_that_zward_has(step: str) -> None:
    words = Advice("x", (step,)).steps(SOURCE, "ana@example.com")[0].split()[1:]
    command = group.get_command(ROOT, words[0])
    while isinstance(command, click.Group):
        words = words[1:]
        command = command.get_command(ROOT, words[0])
    assert command, step

    command.make_context(words[0], words[1:], parent=ROOT)


def test_a_step_about_an_unknown_account_is_left_out() -> None:
    advice = Advice("x", ("Look.", "zward why {source}", "zward account {account}"))

    assert advice.steps(SOURCE, None) == ("Look.", "zward why 203.0.113.9")
    assert advice.steps(None, "ana@example.com") == ("Look.", "zward account ana@example.com")


@given(NAMES)
def test_a_name_is_one_word_in_a_shell_and_on_one_line(name: str) -> None:
    step = Advice("x", ("zward account {account}",)).steps(None, name)[0]

    words = [word for word in shlex.split(step) if word != "--"] if name != "--" else ["zward", "account", "--"]
    assert len(words) == 3
    assert step.isprintable()


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=80))
@example("--json")
@example("--")
@example("-h")
@example("$(reboot)")
@example("'; reboot '")
def test_the_command_asks_about_exactly_that_account(name: str) -> None:
    words = shlex.split(argument(name))

    assert account_command.make_context("account", words, parent=ROOT).params["name"] == name


def test_an_account_cannot_stand_for_the_source() -> None:
    assert Advice("x", ("zward why {account}",)).steps(SOURCE, "{source}") == ("zward why '{source}'",)
