"""The packet's bytes; what a mail host makes of it is tried in tests/kernel/test_sessions.py."""

import struct

import pytest

from appliance.address import parse_network
from appliance.firewall.sessions.conntrack import Ends
from appliance.firewall.sessions.forged import syn

V4 = Ends(parse_network("203.0.113.9").packed, 40_000, parse_network("192.0.2.25").packed, 993)
V6 = Ends(parse_network("2001:db8:bad:1::9").packed, 40_000, parse_network("2001:db8:25::25").packed, 993)


def folded(octets: bytes) -> int:
    """The ones' complement sum; 0xFFFF over anything that holds its own right checksum (RFC 1071)."""
    return (sum(struct.unpack(f"!{len(octets) // 2}H", octets)) - 1) % 0xFFFF + 1


def test_an_ipv4_packet_says_who_to_whom_and_that_it_is_a_syn() -> None:
    packet = syn(V4, 0xDEADBEEF)
    assert packet[:4] == bytes([0x45, 0, 0, 40])
    assert packet[9] == 6
    assert (packet[12:16], packet[16:20]) == (V4.source, V4.target)
    assert struct.unpack_from("!HHIIBB", packet, 20) == (40_000, 993, 0xDEADBEEF, 0, 0x50, 0x02)


def test_an_ipv6_packet_says_the_same() -> None:
    packet = syn(V6, 7)
    assert struct.unpack_from("!IHB", packet) == (0x60000000, 20, 6)
    assert (packet[8:24], packet[24:40]) == (V6.source, V6.target)
    assert struct.unpack_from("!HHIIBB", packet, 40) == (40_000, 993, 7, 0, 0x50, 0x02)


@pytest.mark.parametrize("sequence", [0, 1, 0x8000_0000, 0xFFFF_FFFF, 0x1234_5678])
@pytest.mark.parametrize("ends", [V4, V6], ids=["ipv4", "ipv6"])
def test_its_checksums_are_right(ends: Ends, sequence: int) -> None:
    packet = syn(ends, sequence)
    head = 20 if len(ends.source) == 4 else 40
    assert folded(ends.source + ends.target + struct.pack("!II", 20, 6) + packet[head:]) == 0xFFFF
    if head == 20:
        assert folded(packet[:20]) == 0xFFFF
