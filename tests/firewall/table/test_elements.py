"""Elements as the kernel packs them, against the general attribute codec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.firewall.records import FOREVER
from appliance.firewall.table import elements
from appliance.firewall.table.netlink import attribute, attributes, be32, be64, each_attribute, nested

WIDTHS = pytest.mark.parametrize("width", [2, 4, 16])
SECONDS = st.integers(1, 0xFFFF_FFFF)


def dumped(key: bytes, timeout: int, left: int) -> bytes:
    """One element as the kernel tells it; milliseconds."""
    return nested(1, nested(1, attribute(1, key)), attribute(4, be64(timeout)), attribute(5, be64(left)))


def listing(*packed: bytes) -> bytes:
    return attribute(1, b"zward\0") + attribute(2, b"ban4\0") + nested(3, *packed)


@WIDTHS
@given(st.data())
def test_the_template_writes_what_the_codec_would_write(width: int, data: st.DataObject) -> None:
    key, seconds = data.draw(st.binary(min_size=width, max_size=width)), data.draw(SECONDS)
    [timed], [bare] = elements.timed([(key, seconds)], width), elements.bare([key], width)
    whole, left = attribute(4, be64(seconds * 1000)), attribute(5, be64(seconds * 1000))
    assert timed == nested(1, nested(1, attribute(1, key)), whole, left)
    assert bare == nested(1, nested(1, attribute(1, key)))


@WIDTHS
@given(st.data())
def test_what_the_kernel_tells_is_read_in_order_with_whole_seconds(width: int, data: st.DataObject) -> None:
    told = data.draw(st.lists(st.tuples(st.binary(min_size=width, max_size=width), st.integers(0, 2**40)), max_size=30))
    message = listing(*(dumped(key, 2**41, left) for key, left in told))
    expected = [(key, min(left // 1000, FOREVER)) for key, left in told]
    assert list(elements.remaining([message, message], width)) == expected * 2


def test_an_element_written_by_hand_is_read_like_the_others() -> None:
    key = nested(1, attribute(1, bytes([203, 0, 113, 9])))
    comment = attribute(6, b"\0\x06hand\0\0")
    timed = attribute(4, be64(90_000)) + attribute(5, be64(60_500))
    by_hand = [nested(1, key, timed, comment), nested(1, key), dumped(bytes(4), 90_000, 2**62)]
    assert [left for _, left in elements.remaining([listing(*by_hand)], 4)] == [60, FOREVER, FOREVER]


def test_the_end_of_an_interval_is_no_element() -> None:
    end = nested(1, nested(1, attribute(1, bytes(4))), attribute(3, be32(1)))
    assert list(elements.remaining([listing(end, nested(1, nested(1, attribute(1, b"\1\2\3\4"))))], 4)) == [
        (b"\1\2\3\4", FOREVER)
    ]


@given(st.binary(max_size=120))
def test_whatever_a_listing_holds_it_is_read_without_a_fault(body: bytes) -> None:
    assert all(left <= FOREVER for _, left in elements.remaining([listing(body), body], 4))


def test_a_transaction_is_cut_into_messages_that_netlink_can_carry() -> None:
    packed = elements.timed([(n.to_bytes(16, "big"), 60) for n in range(2_500)], 16)
    made = elements.messages(elements.NEWSETELEM, 0, "ban6n48_smtp_in", packed)
    found = [list(each_attribute(attributes(message.body)[3])) for message in made]
    assert [len(each) for each in found] == [1000, 1000, 500]
    assert all(len(attributes(message.body)[3]) < 65_535 for message in made)
    assert b"".join(attribute(kind | 0x8000, body) for each in found for kind, body in each) == b"".join(packed)


def test_a_range_has_a_begin_and_an_end_but_for_the_last_of_the_address_space() -> None:
    made = elements.ranges([(0x0A00_0000, 0x0AFF_FFFF), (0xE000_0000, 0xFFFF_FFFF)], 4)
    read = [attributes(body) for each in made for _, body in each_attribute(each)]
    assert [(attributes(each[1])[1], 3 in each) for each in read] == [
        (bytes([10, 0, 0, 0]), False),
        (bytes([11, 0, 0, 0]), True),
        (bytes([224, 0, 0, 0]), False),
    ]
