"""Warnings: what may be meant, and should be looked at again."""

import pytest

from appliance.config.checks import warnings
from appliance.config.load import parse

SOUND = """
[listen]
udp = ["127.0.0.1:5514"]
senders = ["192.0.2.0/24", "127.0.0.0/8", "::1"]
[zimbra]
hosts = ["192.0.2.0/24", "2001:db8::/56", "127.0.0.0/8"]
proxies = ["192.0.2.5"]
"""


def told(text: str) -> list[str]:
    return warnings(parse(text, "zward.toml"))


def test_a_sound_configuration_has_no_warning() -> None:
    assert told(SOUND) == []


@pytest.mark.parametrize(
    ("points", "failures", "warned"), [(6, 10, 0), (7, 10, 1), (13, 20, 0), (14, 20, 1), (6, 0, 0)]
)
def test_guessing_acts_before_the_lockout(points: int, failures: int, warned: int) -> None:
    limits = f"detect.guessing.points = {points}\nzimbra.lockout.max_failures = {failures}\n"
    found = [warning for warning in told(limits) if warning.startswith("detect.guessing.points: ")]

    assert len(found) == warned


def test_the_lockout_warning_names_both_numbers() -> None:
    assert told(SOUND + "[detect.guessing]\npoints = 9") == [
        "detect.guessing.points: 9 is not less than 0.7 × zimbra.lockout.max_failures (10): Zimbra may lock an "
        "account before the source that tries it is banned"
    ]


def test_a_window_shorter_than_half_of_the_lockouts_is_told() -> None:
    assert told(SOUND + '[detect.guessing]\nwithin = "15m"') == []
    assert told(SOUND + '[detect.guessing]\nwithin = "14m"') == [
        "detect.guessing.within: 14m is less than half of zimbra.lockout.within (30m): who waits a little can make "
        "Zimbra lock an account unbanned"
    ]


def test_a_detector_that_is_off_has_no_limits_to_warn_of() -> None:
    assert told(SOUND + '[detect.guessing]\nmode = "off"\npoints = 99') == []


@pytest.mark.parametrize(
    ("key", "network", "warning"),
    [
        (
            "listen.senders",
            "10.0.0.0/8",
            "10.0.0.0/8 holds 16777216 addresses, and each may send log lines and is never banned; "
            "name the hosts alone",
        ),
        (
            "zimbra.hosts",
            "192.0.2.0/23",
            "192.0.2.0/23 holds 512 addresses, and each is never banned; name the hosts alone",
        ),
        (
            "zimbra.proxies",
            "2001:db8::/48",
            "2001:db8::/48 holds 65536 /64 networks, and each is believed about clients' addresses and never banned; "
            "name the hosts alone",
        ),
    ],
)
def test_a_wide_network_is_told(key: str, network: str, warning: str) -> None:
    assert f"{key}: {warning}" in told(f'{key} = ["{network}"]')


def test_a_gateway_that_hears_nobody_and_knows_no_host_is_told() -> None:
    assert told("") == [
        "listen: neither udp nor tcp is set: no log line can arrive",
        "zimbra.hosts: empty: a Zimbra host that a line blames could be banned",
    ]
