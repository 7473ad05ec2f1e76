import ipaddress
import itertools

from hypothesis import given
from hypothesis import strategies as st

from appliance.address import Net, parse_network
from appliance.firewall.table.ranges import bounds

PACKED = st.builds(lambda last: bytes([198, 51, 100, last]), st.integers(0, 255))
NETS = st.lists(st.builds(lambda packed, prefix: Net(packed, 32).widened(prefix), PACKED, st.integers(20, 32)))


@given(NETS)
def test_the_ranges_cover_exactly_the_networks_and_never_touch_each_other(nets: list[Net]) -> None:
    found = bounds(nets)
    covered = {number for first, last in found for number in range(first, last + 1)}
    assert covered == {int(each) for net in nets for each in ipaddress.ip_network((net.packed, net.prefix))}
    assert all(end + 1 < begin for (_, end), (begin, _) in itertools.pairwise(found))


def test_the_whole_address_space_is_one_range() -> None:
    assert bounds([parse_network("0.0.0.0/0"), parse_network("192.0.2.1")]) == [(0, 2**32 - 1)]
    assert bounds([parse_network("::/0")]) == [(0, 2**128 - 1)]


def test_neighbours_become_one() -> None:
    nets = [parse_network("2001:db8::8000:0:0:0/65"), parse_network("2001:db8::/65")]
    whole = parse_network("2001:db8::/64")
    assert bounds(nets) == bounds([whole])


def test_nothing_has_no_range() -> None:
    assert bounds([]) == []
