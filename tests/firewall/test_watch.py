"""What the kernel tells of transactions, from bytes as it writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.firewall.table.netlink import HEADER, NFTABLES, attribute, be32, text
from appliance.firewall.watch import NOTHING, Changes, Events, printable

OURS = frozenset({"zward", "zward_policy"})
NEWTABLE, DELTABLE, NEWRULE, DELSETELEM, NEWGEN = 0, 2, 6, 14, 15
INET, IPV4 = 1, 2


def message(kind: int, family: int, body: bytes) -> bytes:
    content = bytes([family, 0, 0, 7]) + body
    return HEADER.pack(HEADER.size + len(content), NFTABLES << 8 | kind, 0, 5, 4711) + content


def event(kind: int, table: str, family: int = INET) -> bytes:
    return message(kind, family, text(1, table) + text(2, "zward"))


def committed(name: bytes = b"nft\0", pid: int = 4711) -> bytes:
    return message(NEWGEN, 0, attribute(1, be32(99)) + attribute(2, be32(pid)) + attribute(3, name))


def test_what_a_transaction_changed_is_told_at_its_end_with_its_author():
    events = Events(OURS)

    assert events.take(event(NEWRULE, "zward") + event(DELSETELEM, "zward")) == NOTHING
    assert events.unfinished
    assert events.take(event(DELTABLE, "zward_policy")) == NOTHING
    assert events.take(committed()) == Changes(OURS, "nft (pid 4711)", 4711)
    assert not events.unfinished


def test_the_next_transaction_is_told_for_itself():
    events = Events(OURS)
    events.take(event(DELSETELEM, "zward"))
    events.take(committed())
    events.take(event(NEWTABLE, "zward_policy"))

    told = events.take(committed(b"zward\0", 12))

    assert told == Changes(frozenset({"zward_policy"}), "zward (pid 12)", 12)


@pytest.mark.parametrize(
    ("table", "family"),
    [("other", INET), ("zward", IPV4), ("zwar", INET), ("zward2", INET), ("", INET)],
)
def test_other_tables_are_nobody_s_business_here(table, family):
    events = Events(OURS)

    assert events.take(event(DELTABLE, table, family)) == NOTHING
    assert not events.unfinished
    assert events.take(committed()) == NOTHING


def test_an_event_of_another_subsystem_is_not_ours():
    events = Events(OURS)
    conntrack = bytearray(event(DELTABLE, "zward"))
    conntrack[5] = 1

    assert events.take(bytes(conntrack)) == NOTHING
    assert not events.unfinished


def test_what_is_forgotten_is_not_told():
    events = Events(OURS)
    events.take(event(DELTABLE, "zward"))
    events.forget()

    assert events.take(committed()) == NOTHING


def test_an_author_without_a_name_still_has_a_number():
    events = Events(OURS)
    events.take(event(DELTABLE, "zward"))

    assert events.take(committed(b"\0", 8)).by == "an unnamed program (pid 8)"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"nft", "nft"),
        (b"a b(c)", "a b(c)"),
        (b"\x1b[31mred\r\n", "?[31mred??"),
        ("näft".encode(), "n??ft"),
        (b"x" * 40, "x" * 16),
    ],
)
def test_a_program_s_name_can_be_shown_anywhere(name, shown):
    assert printable(name) == shown


PIECES = st.sampled_from([event(DELTABLE, "zward"), event(NEWRULE, "other"), committed(), committed(b"\xff" * 40)])


@given(st.lists(st.one_of(st.binary(max_size=64), PIECES), max_size=6), st.integers(0, 300), st.binary(max_size=8))
def test_no_bytes_make_the_reader_raise(pieces, cut, patch):
    events = Events(OURS)
    datagram = b"".join(pieces)
    for taken in (datagram, datagram[:cut], datagram[:cut] + patch + datagram[cut + len(patch) :]):
        told = events.take(taken)

        assert told.tables <= OURS
        assert told.by.isprintable()
        assert told.by.isascii()
        assert not told.lost
