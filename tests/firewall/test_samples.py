"""Packets and the kernel's messages about them, from bytes: whatever they hold, nothing raises."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import parse_address
from appliance.firewall.samples import Packet, Sample, logged, parse
from appliance.firewall.table.netlink import HEADER, attribute, be16, be32

SOURCE, SOURCE6 = parse_address(b"203.0.113.9"), parse_address(b"2001:db8:bad::9")
assert SOURCE
assert SOURCE6
UDP, TCP, HOP_BY_HOP, FRAGMENT = 17, 6, 0, 44
SYN, ACK, PSH = 0x02, 0x10, 0x08


def tcp(port: int = 25, flags: int = SYN) -> bytes:
    return struct.pack(">HHIIBBHHH", 40000, port, 1, 0, 5 << 4, flags, 1024, 0, 0)


def ipv4(payload: bytes, *, carries: int = TCP, options: bytes = b"", offset: int = 0) -> bytes:
    words = 5 + len(options) // 4
    head = struct.pack(">BBHHHBBH", 4 << 4 | words, 0, words * 4 + len(payload), 1, offset, 64, carries, 0)
    return head + SOURCE.packed + bytes([192, 0, 2, 25]) + options + payload


def ipv6(payload: bytes, *, carries: int = TCP) -> bytes:
    return struct.pack(">IHBB", 6 << 28, len(payload), carries, 64) + SOURCE6.packed + bytes(16) + payload


def message(*attributes: bytes, kind: int = 4 << 8) -> bytes:
    body = struct.pack("BB", socket.AF_INET, 0) + be16(7) + b"".join(attributes)
    return HEADER.pack(HEADER.size + len(body), kind, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("packet", "read"),
    [
        (ipv4(tcp(25)), Packet(SOURCE, 25, "SYN")),
        (ipv4(tcp(993, PSH | ACK)), Packet(SOURCE, 993, "PSH ACK")),
        (ipv4(tcp(465), options=bytes(40)), Packet(SOURCE, 465, "SYN")),
        (ipv4(tcp(65535, 0xFF)), Packet(SOURCE, 65535, "FIN SYN RST PSH ACK URG ECE CWR")),
        (ipv4(tcp(25, 0)), Packet(SOURCE, 25, "")),
        (ipv6(tcp(587)), Packet(SOURCE6, 587, "SYN")),
    ],
)
def test_source_port_and_flags_are_read(packet, read):
    assert parse(packet) == read


@pytest.mark.parametrize(
    ("packet", "source"),
    [
        (ipv4(tcp(), carries=UDP), SOURCE),
        (ipv4(tcp(), offset=1), SOURCE),
        (ipv4(tcp()[:19]), SOURCE),
        (ipv4(b""), SOURCE),
        (ipv6(tcp(), carries=HOP_BY_HOP), SOURCE6),
        (ipv6(tcp(), carries=FRAGMENT), SOURCE6),
        (ipv6(b""), SOURCE6),
    ],
    ids=["udp", "a later fragment", "cut tcp", "no tcp", "hop by hop", "fragment header", "no tcp behind ipv6"],
)
def test_without_a_tcp_header_behind_the_ip_header_there_is_no_port(packet, source):
    assert parse(packet) == Packet(source, 0, "")


def test_the_first_fragment_has_a_port():
    assert parse(ipv4(tcp(), offset=0x2000)) == Packet(SOURCE, 25, "SYN")


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        bytes(64),
        ipv4(tcp())[:19],
        bytes([0x44]) + ipv4(tcp())[1:],
        ipv4(b"", options=bytes(40))[:59],
        ipv6(tcp())[:39],
        bytes([0x55]) + ipv4(tcp())[1:],
    ],
    ids=["nothing", "zeros", "cut ipv4", "ihl 4", "cut options", "cut ipv6", "version 5"],
)
def test_without_a_whole_ip_header_there_is_no_packet(packet):
    assert parse(packet) is None


@given(st.binary(max_size=80), st.sampled_from([b"", b"\x45", b"\x4f", b"\x60"]))
def test_no_packet_makes_the_reader_raise(packet, first):
    read = parse(first + packet)

    assert read is None or (read.source.is_host and 0 <= read.port <= 65535)


def test_packet_and_interface_are_read_from_the_kernel_s_message():
    one = message(attribute(1, bytes(4)), attribute(4, be32(3)), attribute(9, ipv4(tcp(25))))
    two = message(attribute(9, ipv6(tcp(143))))

    assert logged(one + two) == [(Packet(SOURCE, 25, "SYN"), 3), (Packet(SOURCE6, 143, "SYN"), 0)]


@pytest.mark.parametrize(
    "datagram",
    [b"", message(), message(attribute(9, b"")), message(attribute(9, ipv4(tcp())), kind=3), message()[:18]],
    ids=["nothing", "no attributes", "empty packet", "another kind", "cut"],
)
def test_a_message_without_a_packet_yields_none(datagram):
    assert logged(datagram) == []


@given(st.binary(max_size=40), st.integers(0, 120), st.binary(max_size=8))
def test_no_message_makes_the_reader_raise(noise, cut, patch):
    whole = message(attribute(4, be32(3)), attribute(9, ipv4(tcp())), noise) + noise

    for datagram in (whole[:cut], whole[:cut] + patch + whole[cut + len(patch) :]):
        assert all(packet.source.is_host for packet, _device in logged(datagram))


def test_a_sample_knows_its_family():
    assert Sample(0.0, SOURCE, 25, "SYN", "wan0").family == 4
    assert Sample(0.0, SOURCE6, 25, "SYN", "wan0").family == 6
