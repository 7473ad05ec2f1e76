"""What the commands share."""

import pytest
from invoking import HOSTILE, acting, invoke

from appliance.cli.options import leave
from appliance.judge.words import visible

GOOD = '[admin]\nsocket = "{}/zward.sock"\n'


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.toml"
    path.write_text(GOOD.format(tmp_path))
    return path


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("[detect.guessing]\npionts = 3\n")
    return path


def test_the_configuration_can_be_named_before_and_behind_the_command(good):
    before = invoke("--config", good, "check")
    behind = invoke("check", "--config", good)

    assert before.exit_code == behind.exit_code == 0
    assert before.stdout == behind.stdout
    assert f"{good}: valid" in before.stdout


def test_of_two_the_one_behind_the_command_counts(good, bad):
    assert invoke("--config", bad, "check", "--config", good).exit_code == 0
    assert invoke("--config", good, "check", "--config", bad).exit_code == 5


def test_the_environment_names_it_where_no_option_does(good, bad):
    assert f"{good}: valid" in invoke("check", ZWARD_CONFIG=str(good)).stdout
    assert invoke("check", ZWARD_CONFIG=str(bad)).exit_code == 5
    assert invoke("check", "--config", good, ZWARD_CONFIG=str(bad)).exit_code == 0


def test_a_command_inside_a_group_takes_it_from_the_front_too(good, tmp_path):
    answer = invoke("--config", good, "allow", "list")

    assert answer.exit_code == 4
    assert f"{tmp_path}/zward.sock" in answer.stderr


@pytest.mark.parametrize("command", ["check", "explain", "doctor", "run"])
def test_a_broken_configuration_ends_a_command_that_needs_it_with_its_place(command, bad):
    answer = invoke(command, "--config", bad)

    assert answer.exit_code == 5
    assert f"{bad}:2: detect.guessing.pionts: unknown key; did you mean points?" in answer.output


def test_a_file_that_is_not_there_is_a_broken_configuration(tmp_path):
    answer = invoke("explain", "--config", tmp_path / "none.toml")

    assert answer.exit_code == 5
    assert f"{tmp_path}/none.toml: cannot be read: No such file or directory" in answer.stderr


def test_what_a_terminal_acts_on_is_written_as_an_escape():
    assert visible("plain ü 漢 text") == "plain ü 漢 text"
    assert visible("\x1b[2J\u202e\x9b\n\ud800") == r"\u{1b}[2J\u{202e}\u{9b}\u{a}\u{d800}"
    assert acting(visible(HOSTILE)) == []


def test_a_last_message_keeps_its_lines_and_nothing_else(capsys):
    with pytest.raises(SystemExit) as end:
        leave(f"one\ntwo {HOSTILE}", 6)

    assert end.value.code == 6
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 2
    assert acting(said) == []
