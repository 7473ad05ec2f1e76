import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import Net, parse_network
from appliance.firewall.backend import Element
from appliance.firewall.limits import BAN_PREFIXES, LONGEST_BAN, Protected, Refusal, covering, refusal_of
from appliance.model import BAN_SCOPES, Scope

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


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), st.data())
def test_what_is_not_refused_has_a_set_an_end_and_no_bit_too_many(packed: bytes, data: st.DataObject) -> None:
    net = Net(packed, data.draw(st.sampled_from([*BAN_PREFIXES[4 if len(packed) == 4 else 6], len(packed) * 4])))
    element = Element(net, data.draw(st.integers(-1, LONGEST_BAN + 1)), data.draw(st.sampled_from(BAN_SCOPES)))
    if refusal_of(element, NOBODY, NOBODY) is None:
        assert net.prefix in BAN_PREFIXES[net.family]
        assert 1 <= element.seconds <= LONGEST_BAN
        assert ip(net).network_address.packed == packed  # which raises if host bits are set


@pytest.mark.parametrize("scope", BAN_SCOPES)
@pytest.mark.parametrize("text", ["203.0.113.9", "203.0.113.0/24", "2001:db8:1:2::/64", "2001:db8:1::/48"])
def test_every_scope_takes_hosts_of_ipv4_and_networks_of_both(text: str, scope: Scope) -> None:
    assert refusal_of(Element(parse_network(text), 60, scope), NOBODY, NOBODY) is None


@pytest.mark.parametrize(
    ("scope", "refusal"),
    [(Scope.ALL, None), (Scope.LOGIN, Refusal.PREFIX), (Scope.SMTP_IN, Refusal.PREFIX)],
)
def test_a_single_ipv6_address_is_banned_everywhere_or_not_at_all(scope: Scope, refusal: Refusal | None) -> None:
    assert refusal_of(Element(parse_network("2001:db8::1"), 60, scope), NOBODY, NOBODY) is refusal


@pytest.mark.parametrize("prefix", [0, 1, 23, 25, 31])
def test_no_other_width_of_ipv4_is_banned(prefix: int) -> None:
    net = Net(bytes([203, 0, 112, 0]), 32).widened(prefix)
    assert refusal_of(Element(net, 60), NOBODY, NOBODY) is Refusal.PREFIX


@pytest.mark.parametrize("seconds", [0, LONGEST_BAN + 1, 0xFFFF_FFFF])
def test_a_ban_without_an_end_or_beyond_the_longest_is_refused(seconds: int) -> None:
    assert refusal_of(Element(parse_network("203.0.113.9"), seconds), NOBODY, NOBODY) is Refusal.SECONDS
