import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import Net, parse_network
from appliance.firewall.backend import Element
from appliance.firewall.limits import BAN_PREFIXES, Protected, Refusal, covering, refusal_of

NOBODY = Protected()


@st.composite
def nets(draw: st.DrawFn) -> Net:
    """Networks that often overlap: few distinct addresses, every prefix length."""
    width = draw(st.sampled_from([4, 16]))
    packed = bytes([10]) + draw(st.binary(min_size=width - 1, max_size=width - 1))
    packed = draw(st.sampled_from([packed, bytes([10]) + bytes(width - 1)]))
    return Net(packed, width * 8).widened(draw(st.integers(0, width * 8)))


def ip(net: Net) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network((net.packed, net.prefix))


@given(st.lists(nets(), max_size=12), nets())
def test_protected_touches_exactly_what_overlaps(protected: list[Net], asked: Net) -> None:
    overlaps = [
        each
        for each in protected
        if each.family == asked.family and ip(each).overlaps(ip(asked))  # type: ignore[arg-type]
    ]
    assert Protected(protected).touches(asked) == bool(overlaps)


@given(nets())
def test_covering_holds_every_bannable_network_around_it_and_nothing_else(net: Net) -> None:
    found = covering(net)
    assert all(each.covers(net) for each in found)
    assert [each.prefix for each in found] == [p for p in BAN_PREFIXES[net.family] if p <= net.prefix]


def test_a_refusal_says_why_in_words() -> None:
    assert all(refusal.words for refusal in Refusal)


@pytest.mark.parametrize("text", ["::ffff:192.0.2.1", "::192.0.2.1", "240.0.0.1", "0.1.2.3"])
def test_reserved_ranges_are_special(text: str) -> None:
    net = Net(ipaddress.ip_address(text).packed, ipaddress.ip_address(text).max_prefixlen)
    assert refusal_of(Element(net, 60), NOBODY, NOBODY) is Refusal.SPECIAL


def test_an_ordinary_address_is_not_refused() -> None:
    assert refusal_of(Element(parse_network("203.0.113.9"), 60), NOBODY, NOBODY) is None


def test_allowed_stands_before_own_and_both_are_refused() -> None:
    net = parse_network("203.0.113.9")
    other = Protected([parse_network("203.0.113.0/24")])
    assert refusal_of(Element(net, 60), other, other) is Refusal.ALLOWED
    assert refusal_of(Element(net, 60), NOBODY, other) is Refusal.OWN
