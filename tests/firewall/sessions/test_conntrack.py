"""Flows as the kernel shows them; the real kernel is asked in tests/kernel/test_sessions.py."""

import errno
from collections.abc import Iterator

import pytest

from appliance.address import Net, NetSet, parse_network
from appliance.firewall.sessions import conntrack
from appliance.firewall.sessions.conntrack import Conntrack, Ends, Flow, read, tuple_of
from appliance.firewall.table.netlink import NetlinkError, attribute, attributes, nested

CLIENT, OTHER, PUBLIC, MAILHOST = (
    parse_network(text).packed for text in ("203.0.113.9", "203.0.113.77", "192.0.2.129", "192.0.2.25")
)
CLIENT6, MAILHOST6 = (parse_network(text).packed for text in ("2001:db8:bad:1::9", "2001:db8:25::25"))
ID = b"\x01\x02\x03\x04"

Questions = list[tuple[int, bytes]]


def shown(original: Ends, reply: Ends, state: int = 3) -> bytes:
    """One entry of the table, as the kernel writes it."""
    family = 2 if len(original.source) == 4 else 10
    return (
        bytes([family, 0, 0, 0])
        + tuple_of(conntrack.CTA_TUPLE_ORIG, original)
        + tuple_of(conntrack.CTA_TUPLE_REPLY, reply)
        + attribute(3, bytes(4))
        + nested(conntrack.CTA_PROTOINFO, nested(1, attribute(1, bytes([state]))))
        + attribute(conntrack.CTA_ID, ID)
    )


def entry(source: bytes, port: int = 40_000) -> bytes:
    ends = Ends(source, port, MAILHOST if len(source) == 4 else MAILHOST6, 993)
    return shown(ends, ends.turned())


class Table:
    """Stands in for the kernel: shows what it holds, refuses what it is told to."""

    def __init__(self, *entries: bytes, refuses: int = 0) -> None:
        self.entries = entries
        self.refuses = refuses
        self.asked: Questions = []
        self.ordered: Questions = []

    def each(self, kind: int, payload: bytes) -> Iterator[bytes]:
        self.asked.append((kind, payload))
        if self.refuses and conntrack.CTA_FILTER in attributes(payload, 4):
            raise NetlinkError(self.refuses)
        yield from (entry for entry in self.entries if entry[0] == payload[0])

    def order(self, kind: int, payload: bytes) -> bool:
        self.ordered.append((kind, payload))
        return True


def asking(table: Table) -> Conntrack:
    with Conntrack() as made:
        pass
    made._asking = table  # type: ignore[assignment]
    return made


def nets(*texts: str) -> NetSet:
    return NetSet(map(parse_network, texts))


def clients(flows: list[Flow]) -> set[str]:
    return {str(flow.client) for flow in flows}


def test_behind_dnat_the_reply_names_the_mail_host() -> None:
    original, reply = Ends(CLIENT, 40_000, PUBLIC, 2525), Ends(MAILHOST, 25, CLIENT, 40_000)
    flow = read(shown(original, reply))
    assert flow == Flow(original, reply, 3, ID)
    assert flow.client == Net(CLIENT, 32)
    assert flow.ports == (2525, 25)
    assert flow.reply.turned() == Ends(CLIENT, 40_000, MAILHOST, 25)


@pytest.mark.parametrize(
    ("state", "live"), [(0, False), (1, False), (2, True), (3, True), (6, True), (7, False), (8, False)]
)
def test_a_flow_lives_from_the_servers_first_answer_to_its_last(state: int, live: bool) -> None:
    ends = Ends(CLIENT, 40_000, MAILHOST, 993)
    flow = read(shown(ends, ends.turned(), state))
    assert flow is not None
    assert flow.live is live


def test_a_flow_without_a_tcp_state_is_not_live() -> None:
    ends = Ends(CLIENT, 40_000, MAILHOST, 993)
    flow = read(bytes([2, 0, 0, 0]) + tuple_of(1, ends) + tuple_of(2, ends.turned()))
    assert flow is not None
    assert not flow.live


def test_what_is_not_tcp_is_no_flow() -> None:
    assert read(entry(CLIENT).replace(attribute(1, bytes([6])), attribute(1, bytes([17])))) is None


def test_an_entry_cut_anywhere_is_no_flow_or_a_whole_one() -> None:
    whole = entry(CLIENT)
    for length in range(len(whole)):
        flow = read(whole[:length])
        assert flow is None or flow.original == Ends(CLIENT, 40_000, MAILHOST, 993)


def test_single_ipv4_addresses_are_asked_for_by_the_kernels_filter_and_looked_at_again() -> None:
    table = Table(entry(CLIENT), entry(OTHER), entry(CLIENT6))
    found = asking(table).flows(nets("203.0.113.9", "198.51.100.1"))
    assert clients(found) == {"203.0.113.9"}
    assert len(table.asked) == 2
    for _, question in table.asked:
        parts = attributes(question, 4)
        assert attributes(attributes(parts[conntrack.CTA_TUPLE_ORIG])[conntrack.CTA_TUPLE_IP])
        assert attributes(parts[conntrack.CTA_FILTER])[1] == (9).to_bytes(4, "little")


@pytest.mark.parametrize("refusal", [errno.EOPNOTSUPP, errno.EINVAL])
def test_where_the_kernel_refuses_the_filter_all_are_looked_through(refusal: int) -> None:
    table = Table(entry(CLIENT), entry(OTHER), refuses=refusal)
    assert clients(asking(table).flows(nets("203.0.113.9"))) == {"203.0.113.9"}
    assert table.asked[-1] == (conntrack.GET, bytes([2, 0, 0, 0]))


def test_any_other_refusal_is_told() -> None:
    with pytest.raises(NetlinkError):
        asking(Table(refuses=errno.EPERM)).flows(nets("203.0.113.9"))


def test_many_addresses_and_networks_take_one_reading_of_each_family() -> None:
    table = Table(entry(CLIENT), entry(OTHER), entry(CLIENT6), entry(PUBLIC))
    wanted = nets("203.0.113.0/24", "192.0.2.129", "2001:db8:bad:1::/64")
    assert clients(asking(table).flows(wanted)) == {"203.0.113.9", "203.0.113.77", "192.0.2.129", "2001:db8:bad:1::9"}
    many = nets(*(f"198.51.100.{number}" for number in range(conntrack.FEW)), "203.0.113.9")
    assert clients(asking(table).flows(many)) == {"203.0.113.9"}
    assert len(table.asked) == 3


def test_an_ipv6_address_is_never_given_to_the_kernels_filter() -> None:
    """Which shows everybody else instead (kernels 5.8 to 6.18 at least)."""
    table = Table(entry(CLIENT6))
    assert clients(asking(table).flows(nets("2001:db8:bad:1::9"))) == {"2001:db8:bad:1::9"}
    ((_, question),) = table.asked
    assert attributes(attributes(question, 4)[conntrack.CTA_FILTER])[1] == (8).to_bytes(4, "little")


@pytest.mark.parametrize("net", ["203.0.113.8/29", "203.0.112.0/22", "203.0.113.9", "0.0.0.0/1", "128.0.0.0/1"])
def test_networks_of_any_length_hold_exactly_their_addresses(net: str) -> None:
    sources = [bytes([203, 0, 113, last]) for last in (7, 8, 9, 15, 16)] + [bytes([203, 0, 111, 9]), bytes([9] * 4)]
    wanted = nets(net)
    found = asking(Table(*map(entry, sources))).flows(NetSet([*wanted.networks, parse_network("192.0.2.0/24")]))
    assert clients(found) == {str(Net(source, 32)) for source in sources if Net(source, 32) in wanted}


def test_flows_are_found_in_whichever_order_the_kernel_writes_them() -> None:
    ends = Ends(CLIENT, 40_000, MAILHOST, 993)
    odd = bytes([2, 0, 0, 0]) + attribute(3, bytes(4)) + tuple_of(2, ends.turned()) + tuple_of(1, ends)
    assert clients(asking(Table(odd)).flows(nets("203.0.113.0/24"))) == {"203.0.113.9"}


def test_a_flow_is_forgotten_by_its_own_ends_and_number() -> None:
    table = Table(entry(CLIENT))
    made = asking(table)
    (flow,) = made.flows(nets("203.0.113.9"))
    assert made.delete(flow)
    expected = bytes([2, 0, 0, 0]) + tuple_of(conntrack.CTA_TUPLE_ORIG, flow.original) + attribute(12, ID)
    assert table.ordered == [(conntrack.DELETE, expected)]
