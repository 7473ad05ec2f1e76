"""`[sshd]`: ports as a text or a list, and what is no port of it."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from appliance.config.faults import ConfigError
from appliance.config.load import parse
from appliance.config.sshd import Sshd

EXPECTED = 'expected one port from 1 to 65535, or several: "22", "1111,2222", [1111, 2222]'


@pytest.mark.parametrize(
    ("written", "ports"),
    [
        ('"22"', (22,)),
        ('"1111,2222"', (1111, 2222)),
        ('" 1111 , 2222 "', (1111, 2222)),
        ("[22]", (22,)),
        ("[2222, 1111]", (2222, 1111)),
        ('"1,2,3,4,5,6,7,65535"', (1, 2, 3, 4, 5, 6, 7, 65535)),
    ],
)
def test_ports_are_a_text_or_a_list(written, ports):
    assert parse(f"[sshd]\nports = {written}\n", "x").sshd.ports == ports


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("22", f"found 22, {EXPECTED}"),
        ('""', f'found "", {EXPECTED}'),
        ('"22,"', f'found "22,", {EXPECTED}'),
        ('"0"', f'found "0", {EXPECTED}'),
        ('"65536"', f'found "65536", {EXPECTED}'),
        ('"²"', EXPECTED),
        ('"-22"', f'found "-22", {EXPECTED}'),
        ('"1000000000000000000000000"', EXPECTED),
        ("[true]", f"found [true], {EXPECTED}"),
        ('["22"]', EXPECTED),
        ("[70000]", f"found [70000], {EXPECTED}"),
        ("[]", "found [], expected at least one port, each once"),
        ('"22,22"', 'found "22,22", expected at least one port, each once'),
        ("[1, 2, 3, 4, 5, 6, 7, 8, 9]", "expected at most 8 ports, not 9"),
        ('"22,443"', "expected ports that are sshd's alone; 443 is one of scope web"),
        ("[7071]", "expected ports that are sshd's alone; 7071 is one of scope admin"),
        ("[25]", "expected ports that are sshd's alone; 25 is one of scope smtp-in"),
        ("[993]", "expected ports that are sshd's alone; 993 is one of scope login"),
    ],
)
def test_what_is_no_port_of_it_is_told(written, fault):
    with pytest.raises(ConfigError) as raised:
        parse(f"[sshd]\nports = {written}\n", "x")

    assert str(raised.value).startswith("x:2: sshd.ports: ")
    assert fault in str(raised.value)


def test_it_is_off_unless_asked_for_and_its_port_is_22():
    assert (Sshd().enabled, Sshd().ports) == (False, (22,))
    with pytest.raises(ValidationError):
        Sshd(enabled="yes")


def test_a_port_is_told_as_a_number_in_json():
    assert parse('[sshd]\nports = "1111,2222"\n', "x").sshd.model_dump(mode="json")["ports"] == [1111, 2222]


def test_what_the_page_on_senders_shows_is_taken():
    page = (Path(__file__).parents[2] / "docs" / "senders.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)

    assert parse(shown, "docs/senders.md").sshd == Sshd(enabled=True, ports=(22,))
