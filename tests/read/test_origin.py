"""Who is believed about the client: the peer itself, or a proxy of ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.address import NetSet, parse_address, parse_network
from appliance.read.origin import LOOPBACK, Origin, Trust, of_connection, of_peer, of_request

TRUST = Trust(
    NetSet([parse_network("192.0.2.0/24")]), NetSet([parse_network("192.0.2.5"), parse_network("2001:db8::5")])
)
CLIENT = parse_address(b"203.0.113.9")


def source(origin: Origin) -> str | None:
    return str(origin.source) if origin.source else None


def test_loopback_hosts_and_proxies_are_ours():
    for text in (b"127.0.0.9", b"::1", b"192.0.2.77", b"2001:db8::5"):
        address = parse_address(text)
        assert address is not None
        assert TRUST.is_ours(address)
    assert CLIENT is not None
    assert not TRUST.is_ours(CLIENT)
    assert LOOPBACK.networks == {parse_network("127.0.0.0/8"), parse_network("::1")}


@pytest.mark.parametrize(
    ("ip", "oip", "expected", "why"),
    [
        (b"203.0.113.9", None, "203.0.113.9", "ip, the peer itself"),
        (b"203.0.113.9", b"203.0.113.66", "203.0.113.9", "ip, the peer itself; it is no proxy of ours"),
        (b"192.0.2.5", b"203.0.113.9", "203.0.113.9", "oip, vouched for by proxy 192.0.2.5"),
        (b"2001:db8:0:0::5", b"[2001:db8:bad::9]", "2001:db8:bad::9", "oip, vouched for by proxy 2001:db8::5"),
        (b"192.0.2.5", None, None, "proxy 192.0.2.5 names no client address"),
        (b"192.0.2.5", b"203.0.113.66, 203.0.113.9", None, "proxy 192.0.2.5 names no client address"),
        (b"192.0.2.5", b"192.0.2.10", None, "192.0.2.10 is our own host"),
        (b"192.0.2.10", b"203.0.113.66", None, "ip, the peer itself; it is no proxy of ours"),
        (b"127.0.0.1", None, None, "127.0.0.1 is our own host"),
        (None, b"203.0.113.66", None, "the line names no peer address"),
        (b"unknown", b"203.0.113.66", None, "the line names no peer address"),
        (b"", b"", None, "the line names no peer address"),
    ],
)
def test_a_mail_connection_is_its_peers_unless_a_proxy_vouches(ip, oip, expected, why):
    origin = of_connection(ip, oip, TRUST)

    assert source(origin) == expected
    assert origin.why.startswith(why)


def test_a_peer_whose_word_was_not_taken_is_named():
    assert of_connection(b"203.0.113.9", b"203.0.113.66", TRUST).disbelieved == CLIENT
    assert str(of_connection(b"192.0.2.10", b"203.0.113.66", TRUST).disbelieved) == "192.0.2.10"
    assert of_connection(b"203.0.113.9", None, TRUST).disbelieved is None
    assert of_connection(b"192.0.2.5", b"203.0.113.9", TRUST).disbelieved is None


@pytest.mark.parametrize(
    ("ip", "oip", "expected", "why"),
    [
        (b"203.0.113.9", b"203.0.113.66", "203.0.113.9", "ip, the peer itself"),
        (None, b"203.0.113.9", "203.0.113.9", "oip, its right-most entry that is not ours"),
        (None, b"203.0.113.66, 203.0.113.9", "203.0.113.9", "oip, its right-most entry"),
        (b"127.0.0.1", b"203.0.113.66,203.0.113.9,192.0.2.5 , ::1", "203.0.113.9", "oip, its right-most entry"),
        (None, b"203.0.113.66, unknown", None, "the nearest foreign entry of oip is no address"),
        (None, b"203.0.113.66, unknown, 192.0.2.5", None, "the nearest foreign entry of oip is no address"),
        (None, b"203.0.113.66,", None, "the nearest foreign entry of oip is no address"),
        (None, b"192.0.2.10, 192.0.2.5", None, "oip names only our own hosts"),
        (b"192.0.2.5", None, None, "only our own hosts are visible"),
        (None, None, None, "the line names no address"),
        (b"unknown", b"", None, "the line names no address"),
    ],
)
def test_a_request_is_its_peers_or_the_nearest_foreign_entrys(ip, oip, expected, why):
    origin = of_request(ip, oip, TRUST)

    assert source(origin) == expected
    assert origin.why.startswith(why)


def test_a_list_is_read_from_the_right_so_far_and_no_further():
    assert source(of_request(None, b"203.0.113.66" + b", 192.0.2.5" * 64, TRUST)) == "203.0.113.66"
    assert of_request(None, b"203.0.113.66" + b", 192.0.2.5" * 65, TRUST).source is None


@given(st.binary(max_size=80))
def test_what_stands_left_of_the_clients_entry_changes_nothing(prefix):
    assert of_request(None, prefix + b", 203.0.113.9, 192.0.2.5", TRUST).source == CLIENT


@given(st.one_of(st.none(), st.binary(max_size=80)))
def test_what_a_direct_client_claims_changes_nothing(claim):
    assert of_connection(b"203.0.113.9", claim, TRUST).source == CLIENT


def test_a_peer_that_the_server_saw_counts_unless_it_is_ours():
    assert of_peer(b"203.0.113.9", TRUST).source == CLIENT
    assert of_peer(b"::ffff:203.0.113.9", TRUST).source == CLIENT
    assert of_peer(b"192.0.2.10", TRUST) == Origin(None, "192.0.2.10 is our own host")
    assert of_peer(b"unknown", TRUST) == Origin(None, "the line names no address")
