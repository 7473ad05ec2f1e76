"""The table as the kernel has it is the table as the layout tells it."""

import ast
import contextlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import Namespace, network, require_kernel

from appliance.address import parse_network
from appliance.firewall import limits, records
from appliance.firewall.backend import CLOSED_PORTS, DROPS, EXPOSED_PORTS, Element, drops
from appliance.firewall.orders import Orders
from appliance.firewall.table import layout, shown
from appliance.firewall.table.features import probed
from appliance.firewall.table.kernel import Kernel
from appliance.firewall.table.netlink import Netlink
from appliance.model import BAN_SCOPES, Scope

ALL_ORDERS = [
    Orders(mark=mark, reset=reset, samples=samples, extra_ports=extra, fence=(587, 993))
    for mark, reset, samples, extra in itertools.product((False, True), (False, True), (0, 7765), ((), (22, 2222)))
]
EXTRAS = pytest.mark.parametrize("extra", [(), (22,), (22, 1111, 2222)], ids=str)


def test_what_parses_and_validates_records_is_short_and_uses_neither_patterns_nor_json() -> None:
    paths = [Path(module.__file__) for module in (records, limits)]
    assert sum(len(path.read_text().splitlines()) for path in paths) <= 300
    for path in paths:
        names = {
            alias.name if isinstance(node, ast.Import) else node.module
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not names & {"re", "json", "pickle", "marshal", "ctypes", "subprocess"}


def test_every_scope_has_a_set_for_each_width_that_may_be_banned_in_it() -> None:
    for scope, family in itertools.product(BAN_SCOPES, (4, 6)):
        prefixes = {prefix for s, f, prefix in layout.SET_OF if (s, f) == (scope, family)}
        narrow = {128} if scope is not Scope.ALL else set()
        assert prefixes == set(limits.BAN_PREFIXES[family]) - narrow


@EXTRAS
def test_names_are_unique_and_short_enough_for_the_kernel(extra: tuple[int, ...]) -> None:
    names = [each.name for each in layout.sets(extra=extra)]
    assert len(set(names)) == len(names)
    assert len(layout.PLACE_OF) == len(layout.SET_OF)
    everything = [*names, *layout.counters(extra), *(chain.name for chain in layout.chains(extra))]
    assert len(set(everything)) == len(everything)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{2,30}", name) for name in everything)


@pytest.mark.parametrize("orders", ALL_ORDERS, ids=repr)
def test_every_set_counter_and_chain_that_is_referred_to_exists_and_every_chain_is_reached(orders: Orders) -> None:
    extra = orders.extra_ports
    rules = layout.rules(orders)
    sets = {each.name for each in layout.sets(extra=extra)}
    chains = {chain.name for chain in layout.chains(extra)}
    text = "\n".join(rule.text for rule in rules)
    ports = list(layout.port_elements(extra))
    reached = set(re.findall(r"goto (\w+)", text)) | {each.chain for each in ports if each.chain}
    hooked = {chain.name for chain in layout.chains(extra) if chain.hook}
    assert set(re.findall(r"@(\w+)", text)) <= sets
    assert {each.map for each in ports} <= sets
    assert {rule.chain for rule in rules} <= chains
    assert reached <= chains
    assert {each.counter for each in ports if each.counter} == set(layout.counters(extra)) - {
        layout.RESETS,
        layout.FENCED,
    }
    assert chains - reached - hooked == (set() if orders.mark else {"first4", "first6"})
    assert all(name.encode() + b"\0" in b"".join(rule.expressions for rule in rules) for name in layout.PLACE_OF)


def test_every_port_leads_to_the_chains_of_its_scope_in_both_families() -> None:
    found = {(each.map, each.port): each.chain for each in layout.port_elements() if each.chain}
    assert {port for name, port in found if name == "ports4"} == set(EXPOSED_PORTS)
    assert (found["ports4", 25], found["served6", 25]) == ("smtp_in4", "from_smtp_in6")
    assert {found["ports6", port] for port in CLOSED_PORTS[Scope.LOGIN]} == {"login6"}


def test_sshds_ports_are_looked_at_for_bans_of_scope_all_alone() -> None:
    orders = Orders(extra_ports=(22, 2222), fence=(587,))
    found = {(each.map, each.port): each.chain for each in layout.port_elements(orders.extra_ports) if each.chain}
    assert {found["ports4", port] for port in orders.extra_ports} == {"all4"}
    assert {found["served6", 22], found["sent6", 22]} == {"from_all6", "sent_all6"}
    said = "\n".join(rule.text for rule in layout.rules(orders) if rule.chain in ("all4", "from_all4"))
    assert set(re.findall(r"@(\w+)", said)) == {"ban4", "ban4n"}


def test_where_there_are_no_extra_ports_a_packet_meets_what_it_met_before() -> None:
    assert not {chain.name for chain in layout.chains()} & {"all4", "all6", "from_all4", "sent_all6"}
    assert {each.port for each in layout.port_elements()} == set(EXPOSED_PORTS)


def test_nothing_of_the_fence_is_in_a_packets_way_while_nothing_is_fenced() -> None:
    orders = Orders(mark=True, fence=(587,))
    idle = [rule.text for rule in layout.rules(orders, fenced=False)]
    busy = [rule.text for rule in layout.rules(orders, fenced=True)]
    assert not any("fence" in text for text in idle)
    assert [text for text in busy if text.startswith("tcp dport @fence ")] == [
        "tcp dport @fence goto fenced4",
        "tcp dport @fence goto fenced6",
    ]


@EXTRAS
def test_every_drop_has_a_counter_of_its_own(extra: tuple[int, ...]) -> None:
    names = layout.counter_of(extra)
    assert set(names) == set(drops(extra))
    assert len(set(names.values())) == len(names) == len(DROPS) + 2 * len(extra)


def test_the_digest_follows_the_size_and_the_extra_ports_and_no_other_orders() -> None:
    assert layout.digest() == layout.digest(limits.SET_SIZE) != layout.digest(7)
    assert len({layout.digest(7, extra) for extra in ((), (22,), (2222,), (22, 2222))}) == 4


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as made:
        yield made.namespace("layout")


@contextlib.contextmanager
def kernel_in(namespace: Namespace, size: int = 1000, *, plain: bool = False) -> Iterator[Kernel]:
    """`plain`: as on a kernel before 6.9, on which a table belongs to nobody."""
    with namespace.entered():
        features = probed()._replace(persist=False) if plain else None
        with contextlib.closing(Kernel(Netlink(), features, size)) as kernel:
            yield kernel


@pytest.mark.kernel
@pytest.mark.parametrize("plain", [False, True], ids=["as this kernel is", "without an owner"])
def test_nft_lists_exactly_the_rules_that_the_layout_tells_in_words(namespace: Namespace, plain: bool) -> None:
    with kernel_in(namespace, plain=plain) as kernel:
        for narrow, fenced in ((False, False), (True, False), (True, True)):
            if narrow:
                kernel.ban([Element(parse_network("203.0.113.9"), 60, Scope.LOGIN)])
            if fenced:
                kernel.fence([587, 993], 600)
            for orders in [*ALL_ORDERS, *reversed(ALL_ORDERS)]:
                kernel.open(orders)
                assert rules_of(blocks(namespace), orders) == told(orders, narrow=narrow, fenced=fenced)


@pytest.mark.kernel
@pytest.mark.parametrize("extra", [(), (22, 2222)], ids=["no extra ports", "sshd"])
def test_what_is_shown_to_an_operator_can_be_loaded_by_nft_and_is_the_same_table(
    namespace: Namespace, extra: tuple[int, ...]
) -> None:
    orders = Orders(mark=True, samples=7765, extra_ports=extra, fence=(587,))
    with kernel_in(namespace, limits.SET_SIZE, plain=True) as kernel:
        kernel.open(orders)
    made = blocks(namespace)
    namespace.run("nft", "flush ruleset")
    namespace.run("nft", shown.text(orders, narrow=False, fenced=False))
    assert blocks(namespace) == made


def told(orders: Orders, *, narrow: bool, fenced: bool) -> dict[str, list[str]]:
    rules = layout.rules(orders, narrow=narrow, fenced=fenced)
    chains = layout.chains(orders.extra_ports)
    return {chain.name: [rule.text for rule in rules if rule.chain == chain.name] for chain in chains}


def rules_of(found: dict[str, dict[str, list[str]]], orders: Orders) -> dict[str, list[str]]:
    hooked = {chain.name for chain in layout.chains(orders.extra_ports) if chain.hook}
    return {name: lines[1:] if name in hooked else lines for name, lines in found["chain"].items()}


@pytest.mark.kernel
def test_the_kernel_has_the_sets_with_their_sizes_and_the_chains_at_their_hooks(namespace: Namespace) -> None:
    extra = (22, 2222)
    with kernel_in(namespace) as kernel:
        kernel.open(Orders(extra_ports=extra))
        found = blocks(namespace)
    for made in layout.sets(1000, extra):
        lines = found["set" if made.kind == "set" else "map"][made.name]
        assert lines[0].startswith(f"type ipv{made.family}_addr" if made.family else "type inet_service")
        flags = {name for name in ("timeout", "interval", "dynamic") if getattr(made, name)}
        assert {flag for line in lines for flag in line.removeprefix("flags ").split(",") if "flags" in line} == flags
        assert [line for line in lines if line.startswith("size")] == ([f"size {made.size}"] if made.size else [])
    for chain in layout.chains(extra):
        if chain.hook:
            name, offset = ("raw", chain.priority + 300) if chain.priority < -300 else ("filter", chain.priority)
            hooked = f"type filter hook {chain.hook} priority {name} - {-offset}; policy accept;"
            assert found["chain"][chain.name][0] == hooked
    assert list(found["counter"]) == layout.counters(extra)
    made_of = [layout.sets(1000, extra), layout.chains(extra), layout.counters(extra)]
    assert sum(map(len, found.values())) == sum(map(len, made_of))  # type: ignore[arg-type]


def blocks(namespace: Namespace) -> dict[str, dict[str, list[str]]]:
    """What nft prints of the table, without the values of counters: kind, then name, then lines."""
    found: dict[str, dict[str, list[str]]] = {"chain": {}, "set": {}, "map": {}, "counter": {}}
    text = namespace.run("nft", "--stateless", "list", "table", "inet", "zward")
    for kind, name, body in re.findall(r"^\t(\w+) (\w+) \{\n(.*?)^\t\}", text, re.MULTILINE | re.DOTALL):
        found[kind][name] = [line.strip() for line in body.splitlines()]
    return found
