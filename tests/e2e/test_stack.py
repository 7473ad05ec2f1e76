"""The stand-in for the world outside works, zward apart: daemons write, rsyslog forwards, ports answer."""

import re
from functools import partial

import pytest
from e2e.mailhost import AUTH_FAILED, MailHost
from e2e.receiver import Receiver
from e2e.wire import CLIENT, MAIL, PORTS, World, wait_until

pytestmark = pytest.mark.e2e

FIRST_BYTES = {
    "udp": rb"<\d+>20\d\d-",
    "tcp-octet-counted": rb"\d+ <\d+>20\d\d-",
    "tcp-lf": rb"<\d+>20\d\d-",
}


SERVICES = ("postfix/smtpd", "postfix/smtps/smtpd", "postfix/submission/smtpd")


def search(receiver: Receiver, shape: str) -> bool:
    return re.search(shape.encode(), receiver.bytes) is not None


@pytest.mark.parametrize("family", [4, 6])
def test_every_port_is_open_to_everybody_while_nobody_is_banned(world: World, mailhost: MailHost, family: int) -> None:
    attacker = world.new_attacker(family)
    assert world.attacker.open_ports(attacker, MAIL[family]) == set(PORTS)
    assert world.client.open_ports(CLIENT[family], MAIL[family]) == set(PORTS)


def test_what_the_daemons_log_arrives_at_the_gateway(world: World, mailhost: MailHost) -> None:
    attacker = world.new_attacker()
    with Receiver(world.gateway) as receiver:
        assert {mailhost.guess(attacker, port) for port in (25, 465, 587)} == {AUTH_FAILED}
        mailhost.audit_failure("2001:db8:a:66::66")
        expected = [
            *(rf" {service}\[\d+\]: warning: unknown\[{attacker}\]: SASL LOGIN auth" for service in SERVICES),
            r"saslauthd\[\d+\]: .*: auth failure: \[user=ana",
            r"<134>\S+ mbox1 zimbra-audit: .*;oip=2001:db8:a:66::66;.*invalid password;",
        ]
        for shape in expected:
            wait_until(f"{shape} has arrived", partial(search, receiver, shape))
        assert bool(receiver.datagrams) == (mailhost.transport == "udp")
        assert bool(receiver.streams) == mailhost.transport.startswith("tcp")
        for first in receiver.datagrams or receiver.streams.values():
            assert re.match(FIRST_BYTES[mailhost.transport], first)
