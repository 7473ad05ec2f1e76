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
from appliance.firewall.backend import CLOSED_PORTS, DROPS, EXPOSED_PORTS, Element
from appliance.firewall.orders import Orders
from appliance.firewall.table import layout
from appliance.firewall.table.features import Features
from appliance.firewall.table.kernel import Kernel
from appliance.firewall.table.netlink import Netlink
from appliance.model import BAN_SCOPES, Scope

ALL_ORDERS = [
    Orders(mark=mark, reset=reset, samples=samples)
    for mark, reset, samples in itertools.product((False, True), (False, True), (0, 7765))
]
PLAIN = Features(persist=False, destroy=True, updates=True)


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


def test_names_are_unique_and_short_enough_for_the_kernel() -> None:
    names = [each.name for each in layout.sets()]
    assert len(set(names)) == len(names)
    assert len(layout.PLACE_OF) == len(layout.SET_OF)
    everything = [*names, *layout.counters(), *(chain.name for chain in layout.chains())]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{2,30}", name) for name in everything)


@pytest.mark.parametrize("orders", ALL_ORDERS, ids=repr)
def test_every_set_counter_and_chain_that_is_referred_to_exists_and_every_chain_is_reached(orders: Orders) -> None:
    rules = layout.rules(orders)
    sets = {each.name for each in layout.sets()}
    chains = {chain.name for chain in layout.chains()}
    text = "\n".join(rule.text for rule in rules)
    ports = list(layout.port_elements())
    reached = set(re.findall(r"goto (\w+)", text)) | {each.chain for each in ports if each.chain}
    hooked = {chain.name for chain in layout.chains() if chain.hook}
    assert set(re.findall(r"@(\w+)", text)) <= sets
    assert {each.map for each in ports} <= sets
    assert {rule.chain for rule in rules} <= chains
    assert reached <= chains
    assert {each.counter for each in ports if each.counter} == set(layout.counters()) - {layout.RESETS}
    assert chains - reached - hooked == (set() if orders.mark else {"first4", "first6"})
    assert all(name.encode() + b"\0" in b"".join(rule.expressions for rule in rules) for name in layout.PLACE_OF)


def test_every_port_leads_to_the_chains_of_its_scope_in_both_families() -> None:
    found = {(each.map, each.port): each.chain for each in layout.port_elements() if each.chain}
    assert {port for name, port in found if name == "ports4"} == set(EXPOSED_PORTS)
    assert (found["ports4", 25], found["served6", 25]) == ("smtp_in4", "from_smtp_in6")
    assert {found["ports6", port] for port in CLOSED_PORTS[Scope.LOGIN]} == {"login6"}


def test_every_drop_has_a_counter_of_its_own() -> None:
    assert set(layout.COUNTER_OF) == set(DROPS)
    assert len(layout.DROP_OF) == len(DROPS)


def test_the_digest_follows_the_size_and_not_the_orders() -> None:
    assert layout.digest() == layout.digest(limits.SET_SIZE) != layout.digest(7)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    require_kernel()
    with network() as made:
        yield made.namespace("layout")


@contextlib.contextmanager
def kernel_in(namespace: Namespace, features: Features | None = None, size: int = 1000) -> Iterator[Kernel]:
    with namespace.entered(), contextlib.closing(Kernel(Netlink(), features, size)) as kernel:
        yield kernel


@pytest.mark.kernel
@pytest.mark.parametrize("features", [None, PLAIN], ids=["as this kernel is", "without an owner"])
def test_nft_lists_exactly_the_rules_that_the_layout_tells_in_words(
    namespace: Namespace, features: Features | None
) -> None:
    with kernel_in(namespace, features) as kernel:
        for narrow in (False, True):
            for orders in [*ALL_ORDERS, *reversed(ALL_ORDERS)]:
                kernel.open(orders)
                assert rules_of(blocks(namespace)) == told(orders, narrow=narrow)
            kernel.ban([Element(parse_network("203.0.113.9"), 60, Scope.LOGIN)])


@pytest.mark.kernel
def test_what_is_shown_to_an_operator_can_be_loaded_by_nft_and_is_the_same_table(namespace: Namespace) -> None:
    with kernel_in(namespace, PLAIN, limits.SET_SIZE) as kernel:
        kernel.open(Orders(mark=True, samples=7765))
    made = blocks(namespace)
    namespace.run("nft", "flush ruleset")
    namespace.run("nft", layout.text(Orders(mark=True, samples=7765), narrow=False))
    assert blocks(namespace) == made


def told(orders: Orders, *, narrow: bool) -> dict[str, list[str]]:
    rules = layout.rules(orders, narrow=narrow)
    return {chain.name: [rule.text for rule in rules if rule.chain == chain.name] for chain in layout.chains()}


def rules_of(found: dict[str, dict[str, list[str]]]) -> dict[str, list[str]]:
    hooked = {chain.name for chain in layout.chains() if chain.hook}
    return {name: lines[1:] if name in hooked else lines for name, lines in found["chain"].items()}


@pytest.mark.kernel
def test_the_kernel_has_the_sets_with_their_sizes_and_the_chains_at_their_hooks(namespace: Namespace) -> None:
    with kernel_in(namespace) as kernel:
        kernel.open(Orders())
        found = blocks(namespace)
    for made in layout.sets(1000):
        lines = found["set" if made.kind == "set" else "map"][made.name]
        assert lines[0].startswith(f"type ipv{made.family}_addr" if made.family else "type inet_service : ")
        flags = {name for name in ("timeout", "interval", "dynamic") if getattr(made, name)}
        assert {flag for line in lines for flag in line.removeprefix("flags ").split(",") if "flags" in line} == flags
        assert [line for line in lines if line.startswith("size")] == ([f"size {made.size}"] if made.size else [])
    for chain in layout.chains():
        if chain.hook:
            name, offset = ("raw", chain.priority + 300) if chain.priority < -300 else ("filter", chain.priority)
            hooked = f"type filter hook {chain.hook} priority {name} - {-offset}; policy accept;"
            assert found["chain"][chain.name][0] == hooked
    assert list(found["counter"]) == layout.counters()
    assert sum(map(len, found.values())) == len(layout.sets() + layout.chains()) + len(layout.counters())  # type: ignore[operator]


def blocks(namespace: Namespace) -> dict[str, dict[str, list[str]]]:
    """What nft prints of the table, without the values of counters: kind, then name, then lines."""
    found: dict[str, dict[str, list[str]]] = {"chain": {}, "set": {}, "map": {}, "counter": {}}
    text = namespace.run("nft", "--stateless", "list", "table", "inet", "zward")
    for kind, name, body in re.findall(r"^\t(\w+) (\w+) \{\n(.*?)^\t\}", text, re.MULTILINE | re.DOTALL):
        found[kind][name] = [line.strip() for line in body.splitlines()]
    return found
