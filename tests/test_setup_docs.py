"""docs/setup.md shows what the wizard says, word for word, and answers that it takes."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from setup_site import APPLIANCE, resolve

from appliance.cli import setup as command
from appliance.cli.main import group
from appliance.config.load import load
from appliance.setup import machine, telling
from appliance.setup.given import KEYS
from appliance.setup.questions import QUESTIONS

PAGE = (Path(__file__).parent.parent / "docs/setup.md").read_text()
TALKS = re.findall(r"^```text\n\$ (.*?)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ANSWERS = re.search(r"^```text\n(hosts = .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PLACE = "/etc/zward/zward.toml"


@pytest.fixture(autouse=True)
def site(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "found", lambda environ: APPLIANCE)
    monkeypatch.setattr(machine, "resolve", resolve)
    monkeypatch.setattr(command, "own_connection", lambda: None)
    monkeypatch.setattr(telling, "INSTALLED", tmp_path / "zward.toml")


def said(config: Path, words: str, typed: str) -> str:
    done = CliRunner(echo_stdin=True).invoke(group, [*words.split(), "--config", str(config)], typed)
    assert done.exit_code == 0, done.output
    return done.stdout.replace(str(config), PLACE)


def typed_in(talk: str) -> str:
    """What the person types: what stands behind each prompt."""
    prompts = "|".join(re.escape(words) for words in [*(question.asks for question in QUESTIONS), "Write it?"])
    return "".join(f"{answer}\n" for answer in re.findall(rf"^(?:{prompts})(?: \[.*\])?: (.*)$", talk, re.MULTILINE))


def test_the_conversation_is_what_the_wizard_says(tmp_path):
    [(words, talk)] = TALKS

    assert said(tmp_path / "zward.toml", words.removeprefix("zward "), typed_in(talk)) == talk
    assert all(len(line) <= 80 for line in talk.splitlines())


def test_the_answers_are_taken(tmp_path):
    assert ANSWERS is not None
    (tmp_path / "answers.toml").write_text(ANSWERS[1])

    said(tmp_path / "zward.toml", f"setup wizard --answers {tmp_path}/answers.toml", "")

    gateway = load(tmp_path / "zward.toml").gateway
    assert gateway is not None
    assert [str(publish.scope) for publish in gateway.publish] == ["smtp-in", "login", "web", "admin"]


def test_every_key_of_the_answers_is_explained():
    assert re.findall(r"^\| `([a-z_]+)` \|", PAGE, re.MULTILINE) == [*KEYS]
