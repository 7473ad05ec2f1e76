"""What a person types is taken, or answered with what was found and what was expected."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from setup_site import APPLIANCE, nets, resolve

from appliance.model import Scope
from appliance.setup import reading
from appliance.setup.answers import Around, Host

MBOX = Host("mbox1", nets("10.0.0.10", "2001:db8::10"))
PROXY = Host("proxy1", nets("10.0.0.12"))
BARE = Host(None, nets("10.0.0.13"))
HOSTS = (MBOX, PROXY, BARE)


def test_hosts_are_names_and_addresses_between_spaces_and_commas():
    assert reading.hosts("mbox1.example.org, 10.0.0.13  mx=10.0.0.14+2001:db8::14", resolve) == (
        MBOX,
        BARE,
        Host("mx", nets("10.0.0.14", "2001:db8::14")),
    )


def test_a_host_that_was_written_out_is_read_back_as_it_was():
    assert reading.hosts(" ".join(map(str, HOSTS)), resolve) == HOSTS


def test_a_network_of_hosts_is_taken_as_it_is_in_the_configuration():
    assert reading.hosts("10.0.0.0/28", resolve) == (Host(None, nets("10.0.0.0/28")),)


def test_of_two_hosts_with_one_name_the_second_has_none():
    found = reading.hosts("a.example.org a.example.net", lambda name: nets("10.0.0.1" if "org" in name else "10.0.0.2"))

    assert [host.name for host in found] == ["a", None]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "found nothing, expected at least one host: its name or its address"),
        ("none", "found nothing, expected at least one host: its name or its address"),
        ("10.0.0.1 10.0.0.1/32 x=10.0.0.1", "found 10.0.0.1 twice, expected each address at one host"),
        ("10.0.0.300", 'found "10.0.0.300", expected a network such as "192.0.2.0/24", or one address'),
        ("10.0.0.1/24", 'found "10.0.0.1/24", expected "10.0.0.0/24", or "10.0.0.1" for the one address'),
        ("127.0.0.1", "not this machine's own loopback"),
        ("0.0.0.0/0", "not this machine's own loopback"),
        ("224.0.0.1", "not one that no host has"),
        ("fe80::1", "not one that no host has"),
        ("fe80::1%eth0", "an address without a scope id"),
        ("here.example.org", "found 127.0.1.1 for here.example.org, expected the address of a host on the network"),
        ("nobody.example.org", "found no address of nobody.example.org (Name or service not known), expected"),
        ('mail"]', 'found "mail\\"]", expected a name such as "mbox1.example.org"'),
        ("Mbox=10.0.0.1", "names of 1 to 32 of a-z 0-9 . _ -"),
        ("all=10.0.0.1", "another name: all means something as an answer"),
        ("=10.0.0.1", "names of 1 to 32"),
        ("x=", "expected a network such as"),
        ("a=b=10.0.0.1", 'found "a=b", expected'),
        (" ".join(f"10.0.1.{number}" for number in range(65)), "found 65 hosts, expected at most 64"),
        ("x=" + "+".join(f"10.0.1.{number}" for number in range(17)), "at most 16 addresses of one host"),
    ],
)
def test_what_cannot_be_a_host_is_said(typed, says):
    with pytest.raises(ValueError) as fault:
        reading.hosts(typed, resolve)

    assert says in str(fault.value)
    assert str(fault.value).startswith("found ")


@pytest.mark.parametrize(
    ("typed", "host"),
    [("mbox1", MBOX), ("mbox1.example.org", MBOX), ("2001:DB8::10", MBOX), ("2", PROXY), ("10.0.0.13", BARE)],
)
def test_a_host_is_called_by_name_address_or_number(typed, host):
    assert reading.one_of(typed, HOSTS) is host


def test_a_longer_name_is_not_taken_for_the_shorter_one():
    longer = Host("mbox1.example", nets("10.0.0.99"))

    assert reading.one_of("mbox1.example", (MBOX, longer)) is longer


def test_some_of_the_hosts():
    assert reading.among("all", HOSTS) == HOSTS
    assert reading.among("none", HOSTS) == ()
    assert reading.among("2, mbox1", HOSTS) == (PROXY, MBOX)
    with pytest.raises(ValueError, match='found "mbox9", expected one of mbox1, proxy1, 10.0.0.13'):
        reading.among("mbox9", HOSTS)


def test_a_destination_for_each_scope():
    scopes = (Scope.SMTP_IN, Scope.WEB)

    assert reading.destinations("web=2 smtp-in=mbox1", scopes, HOSTS) == {Scope.SMTP_IN: MBOX, Scope.WEB: PROXY}
    assert reading.destinations("proxy1", scopes, HOSTS) == dict.fromkeys(scopes, PROXY)
    with pytest.raises(ValueError, match='found "login", expected one of smtp-in, web'):
        reading.destinations("login=1", scopes, HOSTS)
    with pytest.raises(ValueError, match="found no host for smtp-in, expected one for each scope"):
        reading.destinations("web=1", scopes, HOSTS)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("203.0.113.0/24", 'one address such as "203.0.113.1"'),
        ("10.0.0.12", "an address of this gateway, not the mail host's own"),
        ("2001:db8::1", "no published host has an IPv6 address to stand behind it"),
        ("127.0.0.1", "loopback"),
    ],
)
def test_a_public_address_must_lead_to_somebody(typed, says):
    assert reading.public(["203.0.113.1", "none-of-it"][0], [PROXY]) == nets("203.0.113.1")
    with pytest.raises(ValueError, match=says):
        reading.public(typed, [PROXY])


def test_scopes_interfaces_and_the_policy():
    assert reading.scopes("web, smtp-in", may_keep=False) == (Scope.WEB, Scope.SMTP_IN)
    assert reading.scopes("keep", may_keep=True) is None
    assert reading.scopes("none", may_keep=True) == ()
    with pytest.raises(ValueError, match='found "keep", expected one of smtp-in, login, web, admin, none'):
        reading.scopes("keep", may_keep=False)
    assert reading.interfaces("wan", APPLIANCE) == ("wan",)
    with pytest.raises(ValueError, match=r"an interface of this machine \(wan, lan\)"):
        reading.interfaces("eth0", APPLIANCE)
    with pytest.raises(ValueError, match=r"found nothing, expected an interface of this machine \(wan, lan\)"):
        reading.interfaces("none", APPLIANCE)
    assert reading.around("Routed", [Around.ROUTED]) is Around.ROUTED
    with pytest.raises(ValueError, match='found "bridge", expected one of routed, none'):
        reading.around("bridge", [Around.ROUTED, Around.NONE])


def test_zone_and_mail():
    assert reading.zone(" Europe/Rome ") == "Europe/Rome"
    with pytest.raises(ValueError, match='did you mean "Europe/Rome"'):
        reading.zone("Europe/Roma")
    assert reading.recipients("a@example.org;b@example.org") == ("a@example.org", "b@example.org")
    with pytest.raises(ValueError, match='found "a@", expected a mail address'):
        reading.recipients("a@")
    assert reading.mail_server("2001:db8::25") == "[2001:db8::25]:25"
    assert reading.mail_server("mail.example.org") == "mail.example.org:25"
    assert reading.mail_server("192.0.2.25:587") == "192.0.2.25:587"
    with pytest.raises(ValueError, match="found .*, expected a host and a port"):
        reading.mail_server("mail server")


READERS = [
    lambda text: reading.hosts(text, resolve),
    lambda text: reading.among(text, HOSTS),
    lambda text: reading.destinations(text, [Scope.WEB, Scope.LOGIN], HOSTS),
    reading.networks,
    lambda text: reading.public(text, HOSTS),
    lambda text: reading.scopes(text, may_keep=True),
    lambda text: reading.interfaces(text, APPLIANCE),
    lambda text: reading.around(text, [*Around]),
    reading.zone,
    reading.recipients,
    reading.mail_server,
]


@given(st.text(max_size=60) | st.from_regex(r"[a-z0-9=+.,:/ -]{0,40}", fullmatch=True))
@example("\x00")
@example("\ud800")
@example("1" * 5000)
@example("../../etc/passwd")
def test_whatever_is_typed_is_taken_or_answered_in_words(text):
    for read in READERS:
        said = _refusal(read, text)
        assert said is None or (said.startswith("found ") and "expected" in said), read


def _refusal(read, text):
    try:
        read(text)
    except ValueError as fault:
        return str(fault)
    return None
