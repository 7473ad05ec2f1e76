"""What a machine tells of itself, asked in a network namespace of the test's own."""

import pytest
from namespaces import network, why_not
from setup_site import nets, own

from appliance.setup import machine


@pytest.fixture
def gateway():
    """A gateway with wan and lan, and a mail host behind it."""
    if reason := why_not():
        pytest.skip(reason)
    with network() as net:
        ours, mail, world = (net.namespace(name) for name in ("gateway", "mail", "world"))
        net.link(ours, "wan", world, "eth0")
        net.link(ours, "lan", mail, "eth0")
        ours.ip("address", "add", "203.0.113.1/24", "dev", "wan")
        ours.ip("address", "add", "203.0.113.2/24", "dev", "wan")
        ours.ip("address", "add", "10.0.0.1/24", "dev", "lan")
        ours.ip("address", "add", "2001:db8::1/64", "dev", "lan")
        ours.ip("route", "add", "default", "via", "203.0.113.254", "metric", "200")
        ours.ip("route", "add", "default", "via", "10.0.0.254", "metric", "300")
        yield ours


@pytest.mark.kernel
def test_interfaces_addresses_and_the_way_out(gateway):
    with gateway.entered():
        found = machine.found({})

    assert found.interfaces == {
        "wan": (own("203.0.113.1", 24), own("203.0.113.2", 24)),
        "lan": (own("10.0.0.1", 24), own("2001:db8::1", 64)),
    }
    assert found.is_appliance
    assert found.way_out == "wan"


@pytest.mark.kernel
def test_our_address_towards_a_host(gateway):
    with gateway.entered():
        towards = [machine.way_to(host) for host in nets("10.0.0.10", "198.51.100.7", "2001:db8::10", "10.0.0.0/28")]
        with pytest.raises(OSError, match="unreachable"):
            machine.way_to(*nets("2001:db8:9::9"))

    assert towards == list(nets("10.0.0.1", "203.0.113.1", "2001:db8::1", "10.0.0.1"))


def test_a_machine_that_tells_nothing_leaves_brackets_empty(monkeypatch, tmp_path):
    def refuse():
        raise OSError(1, "not permitted")

    monkeypatch.setattr(machine, "_addresses", refuse)
    monkeypatch.setattr(machine, "ROUTES", tmp_path / "none")

    found = machine.found({})

    assert found.own == frozenset()
    assert found.way_out is None


@pytest.mark.parametrize(
    ("link", "variable", "zone"),
    [
        ("/usr/share/zoneinfo/Europe/Rome", "", "Europe/Rome"),
        ("/usr/share/zoneinfo/Etc/UTC", "", "UTC"),
        ("/usr/share/zoneinfo/Mars/Olympus", "", "UTC"),
        ("/etc/something", "", "UTC"),
        ("/usr/share/zoneinfo/Europe/Rome", ":America/New_York", "America/New_York"),
        ("/usr/share/zoneinfo/Europe/Rome", "../../etc/shadow", "UTC"),
    ],
)
def test_the_time_zone_is_the_machines(tmp_path, monkeypatch, link, variable, zone):
    (tmp_path / "localtime").symlink_to(link)
    monkeypatch.setattr(machine, "LOCAL_TIME", tmp_path / "localtime")

    assert machine.found({"TZ": variable}).time_zone == zone


def test_a_name_is_resolved_or_it_is_said_why_not(monkeypatch):
    assert set(machine.resolve("localhost")) <= set(nets("127.0.0.1", "::1"))
    with pytest.raises(ValueError, match=r"\w"):
        machine.resolve("nobody.invalid")

    answers = [("203.0.113.9", 0), ("2001:db8::9%eth0", 0), ("10.0.0.9", 0), ("10.0.0.9", 0)]
    monkeypatch.setattr(machine.socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", each) for each in answers])
    assert machine.resolve("x") == nets("10.0.0.9", "203.0.113.9", "2001:db8::9")


def test_a_dns_that_does_not_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(machine, "_ask", lambda name, answers: None)
    monkeypatch.setattr(machine, "ANSWER_SECONDS", 0.01)

    with pytest.raises(ValueError, match=r"no answer from the DNS in 0.01 s"):
        machine.resolve("x")
