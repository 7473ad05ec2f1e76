"""What this host needs to stay alive on its network."""

import pytest

from appliance.address import parse_network
from appliance.config.load import parse
from appliance.judge.policy import Ours
from appliance.surroundings import never_ban


def texts(nets) -> set[str]:
    return {str(net) for net in nets.networks}


@pytest.fixture
def resolv_conf(tmp_path, monkeypatch):
    path = tmp_path / "resolv.conf"
    monkeypatch.setattr("appliance.surroundings.RESOLV_CONF", path)
    return path


def test_our_own_addresses_hold_loopback(resolv_conf):
    assert parse_network("127.0.0.1") in (never_ban(parse("", "empty")))[Ours.OWN]


def test_every_reason_is_answered_for(resolv_conf):
    found = never_ban(parse("", "empty"))

    assert set(found) == set(Ours) - {Ours.LOOPBACK}
    assert [len(found[label]) for label in (Ours.ZIMBRA, Ours.PROXY, Ours.SENDER)] == [0, 0, 0]


def test_what_the_configuration_names_as_ours_is_ours(resolv_conf):
    text = """
        listen = { udp = ["127.0.0.1:5514"], senders = ["192.0.2.0/28"] }
        zimbra = { hosts = ["192.0.2.16/28"], proxies = ["2001:db8::5"] }
    """
    found = never_ban(parse(text, "a"))

    assert texts(found[Ours.SENDER]) == {"192.0.2.0/28"}
    assert texts(found[Ours.ZIMBRA]) == {"192.0.2.16/28"}
    assert texts(found[Ours.PROXY]) == {"2001:db8::5"}


@pytest.mark.parametrize(
    ("text", "resolvers"),
    [
        ("nameserver 192.0.2.53\nnameserver 2001:db8::53\n", {"192.0.2.53", "2001:db8::53"}),
        ("nameserver\t192.0.2.53   # the first\n", {"192.0.2.53"}),
        ("  nameserver 192.0.2.53\r\n", {"192.0.2.53"}),
        ("nameserver fe80::1%eth0\n", {"fe80::1"}),
        ("# nameserver 192.0.2.53\n;nameserver 192.0.2.53\n", set()),
        ("nameserver\nnameserver dns.example.org\nsearch 192.0.2.53\nnameservers 192.0.2.53\n", set()),
        ("nameserver 192.0.2.53 192.0.2.54\n", {"192.0.2.53"}),
        ("", set()),
    ],
)
def test_resolvers_are_those_of_resolv_conf(resolv_conf, text, resolvers):
    resolv_conf.write_text(text)

    assert texts((never_ban(parse("", "empty")))[Ours.RESOLVER]) == resolvers


def test_a_resolv_conf_of_any_bytes_is_read(resolv_conf):
    resolv_conf.write_bytes(b"\xff\xfe\0\nnameserver 192.0.2.53\nnameserver \xff\n")

    assert texts((never_ban(parse("", "empty")))[Ours.RESOLVER]) == {"192.0.2.53"}


def test_without_a_resolv_conf_there_are_no_resolvers(resolv_conf):
    assert texts((never_ban(parse("", "empty")))[Ours.RESOLVER]) == set()


def test_own_addresses_that_cannot_be_read_are_told(resolv_conf, monkeypatch, caplog):
    def addresses():
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("appliance.surroundings.addresses", addresses)

    assert texts((never_ban(parse("", "empty")))[Ours.OWN]) == set()
    assert "this host's own addresses cannot be read: [Errno 24] Too many open files" in caplog.text
