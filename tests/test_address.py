"""Addresses and networks: what is read, what is refused, and agreement with `ipaddress`."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import Net, NetSet, parse_address, parse_network, source_of

ADDRESSES = st.ip_addresses()
NETWORKS = st.one_of(
    st.builds(lambda a, p: ipaddress.ip_network((a, p), strict=False), st.ip_addresses(v=4), st.integers(0, 32)),
    st.builds(lambda a, p: ipaddress.ip_network((a, p), strict=False), st.ip_addresses(v=6), st.integers(0, 128)),
)
NEAR = st.builds(
    lambda low, prefix: ipaddress.ip_network((0xC0000200 | low, prefix), strict=False),
    st.integers(0, 255),
    st.integers(22, 32),
)
"""Networks in and around 192.0.2.0/24: random ones hardly ever overlap."""


def net(network) -> Net:
    return Net(network.network_address.packed, network.prefixlen)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (b"203.0.113.9", "203.0.113.9"),
        (b"2001:DB8:0:0:0:0:0:9", "2001:db8::9"),
        (b"[2001:db8::9]", "2001:db8::9"),
        (b"::ffff:203.0.113.9", "203.0.113.9"),
        (b"[::ffff:cb00:7109]", "203.0.113.9"),
        (b"::203.0.113.9", "::cb00:7109"),
    ],
)
def test_an_address_is_read_as_logs_write_it(text, read):
    assert str(parse_address(text)) == read


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"[]", b"unknown", b"203.0.113", b"203.0.113.256", b"203.0.113.09", b"0xcb.0.113.9", b"3405803785"),
        *(b" 203.0.113.9", b"203.0.113.9\n", b"203.0.113.9:51234", b"203.0.113.0/24", b"[203.0.113.9", b"[[::1]]"),
        *(b"fe80::1%eth0", b"::1%1; nft flush ruleset", b"2001:db8:::9", "２０３.0.113.9".encode(), b"\xff\xfe"),
        b"0" * 48,
    ],
)
def test_what_is_no_plain_address_is_none(text):
    assert parse_address(text) is None


@given(st.binary(max_size=60))
def test_no_bytes_make_reading_an_address_raise(text):
    parse_address(text)


@given(ADDRESSES)
def test_every_address_is_read_as_ipaddress_reads_it(address):
    found = parse_address(str(address).encode())

    assert found is not None
    assert found.is_host
    expected = getattr(address, "ipv4_mapped", None) or address
    assert (str(found), found.family) == (str(expected), expected.version)
    assert parse_address(address.exploded.encode()) == found


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        (" 192.0.2.5 ", "192.0.2.5"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::fffe:0:0/95", "::fffe:0:0/95"),  # wider than the mapped addresses: it stays IPv6
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_network_is_read_as_an_operator_writes_it(text, read):
    assert str(parse_network(text)) == read


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("fe80::1%eth0", "scope id"),
        ("192.0.2.5/24", "host bits set"),
        ("192.0.2.0/33", "'192.0.2.0/33' does not appear to be"),
        ("mail.example.com", "does not appear to be"),
        ("", "does not appear to be"),
    ],
)
def test_a_bad_network_is_refused_with_what_is_wrong(text, fault):
    with pytest.raises(ValueError, match=fault):
        parse_network(text)


@given(NETWORKS)
def test_a_network_prints_as_it_is_read(network):
    assert parse_network(str(net(network))) == parse_network(str(network))


def test_one_source_is_an_ipv4_address_or_an_ipv6_64():
    assert str(source_of(Net(bytes([203, 0, 113, 9]), 32))) == "203.0.113.9"
    found = parse_address(b"2001:db8:1:2:3:4:5:6")
    assert found is not None
    assert str(source_of(found)) == "2001:db8:1:2::/64"
    assert source_of(source_of(found)) == source_of(found)


@given(st.one_of(NETWORKS, NEAR), st.integers(0, 128))
def test_widening_agrees_with_ipaddress(network, prefix):
    prefix = min(prefix, network.max_prefixlen)
    expected = network if network.prefixlen <= prefix else network.supernet(new_prefix=prefix)

    assert net(network).widened(prefix) == net(expected)


def is_inside(inner, outer) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)


@given(st.one_of(NETWORKS, NEAR), st.one_of(NETWORKS, NEAR))
def test_covering_agrees_with_ipaddress(one, other):
    assert net(one).covers(net(other)) == is_inside(other, one)


@given(st.lists(st.one_of(NETWORKS, NEAR), max_size=8), st.one_of(NETWORKS, NEAR, ADDRESSES.map(ipaddress.ip_network)))
def test_a_set_holds_and_touches_what_ipaddress_says(networks, asked):
    held = NetSet(map(net, networks))
    around = {net(each) for each in networks if is_inside(asked, each)}
    overlapping = {net(each) for each in networks if each.version == asked.version and each.overlaps(asked)}

    assert (held.holding(net(asked)) in around) if around else held.holding(net(asked)) is None
    assert (held.touching(net(asked)) in overlapping) if overlapping else held.touching(net(asked)) is None
    assert (net(asked) in held) == bool(around)


def test_two_sets_become_one():
    both = NetSet([parse_network("192.0.2.0/24")]) | NetSet(
        [parse_network("2001:db8::/32"), parse_network("192.0.2.0/24")]
    )

    assert len(both) == 2
    assert parse_network("2001:db8::1") in both
    assert not NetSet()
