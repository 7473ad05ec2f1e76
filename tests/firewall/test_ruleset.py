import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import Net, parse_network
from appliance.firewall import ruleset
from appliance.firewall.backend import EXPOSED_PORTS, Element
from appliance.firewall.limits import BAN_PREFIXES

NETS = ("192.0.2.1", "198.51.100.0/24", "2001:db8::1", "2001:db8:0:1::/64", "2001:db8:2::/48")
ELEMENTS = [Element(parse_network(text), 60) for text in NETS]


def test_every_bannable_prefix_length_has_a_set() -> None:
    assert set(ruleset.SET_OF) == {(f, p) for f, prefixes in BAN_PREFIXES.items() for p in prefixes}


def test_loading_touches_no_other_table_and_flushes_only_chains() -> None:
    for line in ruleset.load().split("\n"):
        verb, kind, family, table, *_ = line.split()
        assert (family, table) == ("inet", "zward")
        assert verb == "add" or (verb, kind) == ("flush", "chain")


def test_every_exposed_port_is_matched_and_counted() -> None:
    text = ruleset.load()
    assert all(f"dropped_{port}" in text for port in EXPOSED_PORTS)
    (dispatch,) = (line for line in text.split("\n") if "add rule inet zward early" in line)
    assert all(str(port) in dispatch for port in EXPOSED_PORTS)


def test_a_packet_pays_for_at_most_four_ban_lookups() -> None:
    lines = ruleset.load().split("\n")
    for chain in ("exposed4", "exposed6"):
        rules = [line for line in lines if line.startswith(f"add rule inet zward {chain} ")]
        assert sum("@ban" in rule for rule in rules) <= 4
        assert "@allow" in rules[0]


def test_every_element_is_given_a_timeout() -> None:
    for portable in (True, False):
        added = [part for part in ruleset.ban(ELEMENTS, portable).split("; ") if part.startswith("add")]
        assert all(part.count("timeout 60s") == part.count(",") + 1 for part in added)


def test_the_element_at_a_column_of_a_list_to_delete_is_found() -> None:
    pair = [Element(parse_network(text), 60) for text in ("192.0.2.1", "192.0.2.22")]
    command = ruleset.ban(pair, portable=True)
    deleted = command.index("delete")
    for net, _ in pair:
        assert ruleset.element_at(command, command.index(str(net), deleted)) == net


def test_the_portable_text_adds_deletes_and_adds_again() -> None:
    assert ruleset.ban(ELEMENTS[:1], portable=True) == (
        "add element inet zward ban4 { 192.0.2.1 timeout 60s }; "
        "delete element inet zward ban4 { 192.0.2.1 }; "
        "add element inet zward ban4 { 192.0.2.1 timeout 60s }"
    )
    assert "delete" not in ruleset.ban(ELEMENTS, portable=False)


@pytest.mark.parametrize("portable", [True, False])
def test_the_element_at_a_column_is_found(portable: bool) -> None:
    command = ruleset.ban([*ELEMENTS, Element(parse_network("192.0.2.2"), 9)], portable)
    for net, _ in ELEMENTS:
        assert ruleset.element_at(command, command.index(str(net).partition("/")[0] + " ")) == net
    lifted = ruleset.unban([net for net, _ in ELEMENTS])
    for net, _ in ELEMENTS:
        assert ruleset.element_at(lifted, lifted.index(str(net).partition("/")[0] + " ")) == net


@pytest.mark.parametrize("column", [0, 5, 18, 20, 24, 27, 10_000])
def test_a_column_without_an_element_is_nobody(column: int) -> None:
    assert ruleset.element_at(ruleset.ban(ELEMENTS, portable=False), column) is None


@given(st.lists(st.tuples(st.sampled_from([4, 16]), st.integers(0, 2**128 - 1)), max_size=20))
def test_text_from_packed_bytes_holds_no_other_characters(rows: list[tuple[int, int]]) -> None:
    nets = [Net((n % 2 ** (width * 8)).to_bytes(width, "big"), width * 8) for width, n in rows]
    text = ruleset.ban([Element(net, 60) for net in nets], portable=True) + ruleset.allow(nets)
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789.:/{},; ")


def test_the_allow_list_is_replaced_whole_and_without_overlaps() -> None:
    text = ruleset.allow([parse_network(net) for net in ("192.0.2.0/25", "192.0.2.128/25", "192.0.2.7")])
    assert text == (
        "flush set inet zward allow4; flush set inet zward allow6; add element inet zward allow4 { 192.0.2.0/24 }"
    )
    assert ruleset.allow([]) == "flush set inet zward allow4; flush set inet zward allow6"
    assert str(ipaddress.ip_network("::/0")) in ruleset.allow([parse_network("::/0")])
