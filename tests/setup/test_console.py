"""The conversation: what is typed, what is said, and that nothing typed acts on the terminal."""

import io

import pytest
from invoking import HOSTILE
from setup_site import SERVER, scene

from appliance.setup.answers import Answers, SoFar
from appliance.setup.console import LINE_BYTES, Console, Left
from appliance.setup.questions import QUESTIONS, walk

HOSTS = QUESTIONS[0]


def talk(typed: bytes) -> tuple[Console, list[str]]:
    said: list[str] = []
    return Console(io.BytesIO(typed), lambda text, ends: said.append(text + "\n" * ends)), said


def test_bad_input_is_answered_and_asked_again():
    console, said = talk(b"10.0.0.300\n?\nmbox1.example.org\n")

    taken = console.ask(HOSTS, SoFar(Answers(), scene()))

    assert [str(host) for host in taken.hosts] == ["mbox1=10.0.0.10+2001:db8::10"]
    told = "".join(said)
    assert told.count("Zimbra hosts: ") == 3
    assert '  found "10.0.0.300", expected a network such as' in told
    assert HOSTS.explains in told


def test_named_hosts_are_shown_with_all_their_addresses():
    console, said = talk(b"mbox1.example.org 10.0.0.11\n")

    console.ask(HOSTS, SoFar(Answers(), scene()))

    assert "".join(said).endswith("  1  mbox1: 10.0.0.10, 2001:db8::10\n  2  10.0.0.11\n")


def test_an_empty_line_takes_what_stands_in_the_brackets():
    console, said = talk(b"192.0.2.10\n" + b"\n" * 4)

    answers = walk(scene(SERVER), {}, console.ask)

    assert answers == walk(scene(SERVER), {"hosts": "192.0.2.10"})
    assert "Proxies among them [all]: " in said


def test_the_end_of_input_is_not_an_answer():
    console, _ = talk(b"192.0.2.10\n")

    with pytest.raises(Left):
        walk(scene(SERVER), {}, console.ask)


def test_what_is_typed_does_not_act_on_the_terminal():
    console, said = talk(HOSTILE.encode() + b"\n\xff\xfe\n192.0.2.10\n")

    console.ask(HOSTS, SoFar(Answers(), scene()))

    assert all(letter.isprintable() or letter == "\n" for letter in "".join(said))


def test_a_line_without_an_end_is_cut():
    console, said = talk(b"1" * (LINE_BYTES + 10) + b"\n192.0.2.10\n")

    console.ask(HOSTS, SoFar(Answers(), scene()))

    assert len("".join(said)) < LINE_BYTES


@pytest.mark.parametrize(
    ("typed", "agrees"), [(b"\n", True), (b"Yes\n", True), (b"n\n", False), (b"?\nmaybe\nno\n", False)]
)
def test_yes_or_no(typed, agrees):
    assert talk(typed)[0].agrees("Write it?") is agrees
