import socket
import struct

import pytest
from namespaces import network, require_kernel

from appliance.address import parse_network
from appliance.firewall import own

IFADDR = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, 2)
DONE = struct.pack("=IHHIIi", 20, own.NLMSG_DONE, 0, 1, 0, 0)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


def test_our_end_of_a_point_to_point_link_is_ours_and_the_peer_is_not() -> None:
    pair = attribute(own.IFA_ADDRESS, bytes([192, 0, 2, 1])) + attribute(own.IFA_LOCAL, bytes([192, 0, 2, 2]))
    found: set[object] = set()
    assert own._collect(message(own.RTM_NEWADDR, IFADDR + pair), found)  # type: ignore[arg-type]
    assert found == {parse_network("192.0.2.2")}


def test_a_datagram_without_the_end_mark_asks_for_the_next() -> None:
    assert own._collect(b"", set())
    assert not own._collect(DONE, set())


@pytest.mark.parametrize("bad", [message(own.NLMSG_ERROR, bytes(4)), bytes(16)])
def test_an_answer_that_is_an_error_or_no_message_is_an_oserror(bad: bytes) -> None:
    with pytest.raises(OSError, match="refused"):
        own._collect(bad, set())


def test_broken_attributes_yield_no_address() -> None:
    for broken in (b"", bytes(4), attribute(own.IFA_ADDRESS, b"abc"), attribute(99, bytes(4))):
        found: set[object] = set()
        assert own._collect(message(own.RTM_NEWADDR, IFADDR + broken), found)  # type: ignore[arg-type]
        assert found == set()


def test_loopback_is_among_the_addresses_of_this_host() -> None:
    assert parse_network("127.0.0.1") in own.addresses()


@pytest.mark.kernel
def test_every_address_of_every_interface_is_found() -> None:
    require_kernel()
    with network() as made:
        here, there = made.namespace("here"), made.namespace("there")
        made.link(here, "eth0", there, "eth0")
        here.ip("address", "add", "192.0.2.1/24", "dev", "eth0")
        here.ip("address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
        many = [f"198.51.{high}.{low}" for high in (100, 101) for low in range(256)]
        commands = "\n".join(f"address add {address}/32 dev lo" for address in many)
        here.run("sh", "-c", f"echo '{commands}' | ip -batch -")
        with here.entered():
            found = own.addresses()
        expected = {parse_network(text) for text in (*many, "192.0.2.1", "2001:db8::1", "127.0.0.1", "::1")}
        link_local = parse_network("fe80::/10")
        assert {net for net in found if not link_local.covers(net)} == expected
