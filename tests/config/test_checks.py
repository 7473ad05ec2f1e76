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

BANNING = ("guessing", "slow-guessing", "siege", "spraying", "admin-door", "probing", "harvesting")


def told(text: str) -> list[str]:
    return warnings(parse(text, "zward.toml"))


def test_a_sound_configuration_has_no_warning() -> None:
    assert told(SOUND) == []


def test_a_zward_that_is_to_ban_and_can_not_is_told() -> None:
    modes = "".join(f'[detect.{name}]\nmode = "observe"\n' for name in BANNING)
    warning = 'mode: "enforce", but no detector that bans is in mode "enforce": nobody is banned'

    assert warning in told('mode = "enforce"\n' + modes)
    assert warning not in told('mode = "observe"\n' + modes)
    assert warning not in told('mode = "enforce"\n' + modes.replace("observe", "enforce", 1))


def test_a_stranger_who_may_try_more_accounts_than_an_office_is_told() -> None:
    assert told(SOUND + "[detect.spraying]\naccounts = 3") == []
    assert told(SOUND + "[detect.spraying]\naccounts = 4\nstrangers = 5") == [
        "detect.spraying.strangers: 5 is more than detect.spraying.accounts (4): a stranger may try more accounts than "
        "a known source; set it to 4 at most"
    ]


def test_trap_names_that_are_no_addresses_are_told() -> None:
    assert told(SOUND + '[detect.trap]\naccounts = ["old@example.org"]') == []
    assert told(SOUND + '[detect.trap]\naccounts = ["Guest", "old@example.org", "info", "@example.org", "a@b"]') == [
        'detect.trap.accounts: "guest" and 1 more without a domain: such a name is a trap at every domain of yours',
        'detect.trap.accounts: "@example.org" and 1 more: no address, so nobody is trapped by it',
    ]


def test_a_fence_that_nobody_passes_is_told() -> None:
    fence = "[detect.siege.fence]\nenabled = true\n"

    assert told(SOUND + fence) == []
    assert told(SOUND + fence + "[firewall]\nsees_traffic = false") == [
        "detect.siege.fence.enabled: firewall.sees_traffic is false: a fence on this host stops nobody who does not "
        "pass it"
    ]


def test_what_shuts_travellers_out_for_long_is_told() -> None:
    assert told(SOUND + "[detect.guessing]\npoints = 3") == []
    assert told(SOUND + '[ladder]\nsteps = ["12h"]') == []
    assert told(SOUND + '[detect.guessing]\npoints = 3\n[ladder]\nsteps = ["12h"]') == [
        "detect.guessing.points: 3, with ladder.steps that begin at 12h: a traveller who mistypes the password 3 times "
        "at a new place is shut out for 12h"
    ]
    assert told(SOUND + "[detect.spraying]\nstrangers = 2") == [
        "detect.spraying.strangers: 2: a couple on a journey who each mistype once where nobody ever logged in are "
        "shut out for 2d; set it to 3 at least"
    ]


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


def test_a_channel_that_may_not_get_through_or_tells_too_many_is_told() -> None:
    mail = '[notify.email]\nto = ["postmaster@example.com"]\n'
    assert told(SOUND + mail) == []
    assert told(SOUND + mail + 'server = "mail.example.com:25"') == [
        "notify.email.sender: absent, so mails come from zward@ and this machine's name, which many servers refuse; "
        "name an address that exists"
    ]
    named = mail + 'server = "mail.example.com:25"\nsender = "zward@example.com"\n'
    assert told(SOUND + named) == []
    login = 'security = "none"\nuser = "zward"\npassword_file = "/etc/zward/mail-password"'
    assert told(SOUND + named + login) == [
        'notify.email.security: "none" sends the password over the network for everybody on the way to read'
    ]
    hooks = (
        '[notify.webhook]\nurls = ["http://127.0.0.1:8080/x", "https://a.example", "http://b.example/in?key=secret"]'
    )
    assert told(SOUND + hooks) == [
        "notify.webhook.urls: http://b.example/in is not encrypted, and what is posted names accounts"
    ]
