import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import Net
from appliance.firewall.backend import Element
from appliance.firewall.records import (
    ELEMENTS_IN_PACKET,
    FOREVER,
    MAX_PACKET,
    MAX_TEXT,
    Count,
    Malformed,
    Op,
    Reply,
    Request,
    Status,
    in_packets,
    pack_reply,
    pack_request,
    unpack_reply,
    unpack_request,
)
from appliance.model import BAN_SCOPES, Scope

SEQUENCES = st.integers(0, 0xFFFF_FFFF)
BIG = st.integers(0, 2**64 - 1)
BYTE = st.integers(0, 255)


@st.composite
def elements(draw: st.DrawFn) -> Element:
    width = draw(st.sampled_from([4, 16]))
    packed = draw(st.binary(min_size=width, max_size=width))
    net = Net(packed, draw(st.integers(0, width * 8)))
    return Element(net, draw(SEQUENCES), draw(st.sampled_from(BAN_SCOPES)))


ELEMENTS = st.lists(elements(), max_size=20).map(tuple)
COUNTS = st.lists(st.builds(Count, st.integers(0, 65_535), BYTE, BYTE, BIG, BIG), max_size=45).map(tuple)
FENCES = st.builds(Request, st.just(Op.FENCE), SEQUENCES, st.just(()), st.just(False), COUNTS)
REQUESTS = st.builds(Request, st.sampled_from(Op), SEQUENCES, ELEMENTS, st.booleans()) | FENCES
REPLIES = st.builds(
    Reply,
    st.sampled_from(Status),
    SEQUENCES,
    ELEMENTS,
    COUNTS,
    st.text(st.characters(max_codepoint=127), max_size=MAX_TEXT),
    st.booleans(),
)
ONE = Request(Op.BAN, 7, (Element(Net(bytes([203, 0, 113, 9]), 32), 60),))


@given(REQUESTS)
def test_a_request_comes_out_as_it_went_in(request_: Request) -> None:
    assert unpack_request(pack_request(request_)) == request_


@given(REPLIES)
def test_a_reply_comes_out_as_it_went_in(reply: Reply) -> None:
    assert unpack_reply(pack_reply(reply)) == reply


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_malformed(packet: bytes) -> None:
    for unpack in (unpack_request, unpack_reply):
        with contextlib.suppress(Malformed):
            assert unpack(packet).sequence == int.from_bytes(packet[4:8], "big")


@given(REQUESTS, st.data())
def test_a_changed_byte_is_malformed_or_a_packet_that_packs_to_itself(request_: Request, data: st.DataObject) -> None:
    packet = bytearray(pack_request(request_))
    packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(BYTE)
    try:
        found = unpack_request(bytes(packet))
    except Malformed:
        return
    assert without_padding(pack_request(found)) == without_padding(bytes(packet))


def without_padding(packet: bytes) -> bytes:
    """The fourth byte of the header and of each element (24 bytes from the 12th on) means nothing."""
    return bytes(byte for at, byte in enumerate(packet) if at != 3 and not (at >= 12 and (at - 12) % 24 == 3))


@pytest.mark.parametrize("op", [op for op in Op if op is not Op.FENCE])
def test_only_a_fence_is_asked_for_with_counts(op: Op) -> None:
    asked = Request(op, 7, counts=(Count(587, 0, 0, 600, 0),))
    with pytest.raises(Malformed, match="counts or text"):
        unpack_request(pack_request(asked))


def test_a_fence_is_one_packet_without_elements() -> None:
    ports = (Count(587, 0, 0, 600, 0),)
    for asked in (Request(Op.FENCE, 7, ONE.elements, False, ports), Request(Op.FENCE, 7, (), True, ports)):
        with pytest.raises(Malformed, match="counts or text"):
            unpack_request(pack_request(asked))


def test_a_full_packet_holds_as_many_elements_as_it_says() -> None:
    full = Request(Op.BAN, 1, ONE.elements * ELEMENTS_IN_PACKET)
    assert len(pack_request(full)) <= MAX_PACKET
    with pytest.raises(ValueError, match="limit is 32768"):
        pack_request(Request(Op.BAN, 1, ONE.elements * (ELEMENTS_IN_PACKET + 1)))


@pytest.mark.parametrize("count", [0, 1, ELEMENTS_IN_PACKET, ELEMENTS_IN_PACKET + 1, 5 * ELEMENTS_IN_PACKET])
def test_cut_in_packets_nothing_is_lost_and_only_the_last_says_so(count: int) -> None:
    many = [Element(Net(number.to_bytes(4, "big"), 32), 1) for number in range(count)]
    parts = list(in_packets(many))
    assert [element for part, _ in parts for element in part] == many
    assert [more for _, more in parts] == [True] * (len(parts) - 1) + [False]
    assert all(len(part) <= ELEMENTS_IN_PACKET for part, _ in parts)


PACKET = pack_request(ONE)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        PACKET[:-1],
        PACKET + b"x",
        PACKET + bytes(MAX_PACKET),
        b"\x01" + PACKET[1:],
        PACKET[:1] + b"\x63" + PACKET[2:],
        PACKET[:2] + b"\x02" + PACKET[3:],
        PACKET[:12] + b"\x05" + PACKET[13:],
        PACKET[:13] + b"\x21" + PACKET[14:],
        PACKET[:14] + b"\x03" + PACKET[15:],
        PACKET[:20] + b"\x01" + PACKET[21:],
        PACKET[:10] + b"\x00\x01" + PACKET[12:] + bytes(20),
    ],
    ids=(
        "empty",
        "short",
        "text",
        "long",
        "version",
        "operation",
        "more",
        "family",
        "prefix",
        "scope",
        "padding",
        "counts",
    ),
)
def test_what_is_not_exactly_a_record_is_malformed(packet: bytes) -> None:
    with pytest.raises(Malformed):
        unpack_request(packet)


def test_a_malformed_packet_still_tells_its_sequence() -> None:
    with pytest.raises(Malformed) as caught:
        unpack_request(PACKET[:-1])
    assert caught.value.sequence == 7


def test_the_widest_reply_fits_and_the_longest_time_travels() -> None:
    counts = [Count(65_535, 2, 6, 2**64 - 1, 2**64 - 1)] * 44
    elements_ = [Element(Net(bytes(16), 128), FOREVER, Scope.SMTP_IN)] * 1000
    reply = Reply(Status.OK, 1, tuple(elements_), tuple(counts), "x" * MAX_TEXT)
    assert unpack_reply(pack_reply(reply)) == reply


def test_a_long_text_is_cut_and_never_breaks_the_packet() -> None:
    assert unpack_reply(pack_reply(Reply(Status.FAILED, 1, text="é" + "x" * 9000))).text == "?" + "x" * (MAX_TEXT - 1)


def test_a_reply_whose_text_is_not_ascii_is_malformed() -> None:
    with pytest.raises(Malformed, match="ASCII"):
        unpack_reply(pack_reply(Reply(Status.OK, 1)) + b"\xff")


def test_a_reply_of_an_unknown_status_is_malformed() -> None:
    packet = pack_reply(Reply(Status.OK, 1))
    with pytest.raises(Malformed, match="no status 99"):
        unpack_reply(packet[:1] + b"\x63" + packet[2:])
