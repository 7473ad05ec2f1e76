"""Kernels for tests of the ban table: on this kernel, and as on older ones.

with kernels_in(namespace) as kernel_in:
    kernel = kernel_in(OLD, size=1000, orders=Orders())
"""

import contextlib
import os
from collections.abc import Callable, Iterator

import pytest
from namespaces import Namespace

from appliance.address import Net, parse_network
from appliance.firewall.backend import Element
from appliance.firewall.orders import Orders
from appliance.firewall.table.features import Features, probed
from appliance.firewall.table.kernel import Kernel
from appliance.firewall.table.netlink import Netlink
from appliance.firewall.watch import generation
from appliance.model import BAN_SCOPES, Scope

NEW, MIDDLE, OLD = Features(True, True, True), Features(False, True, False), Features(False, False, False)
EVERY_PLACE = [
    Element(parse_network(text), 3600, scope)
    for scope in BAN_SCOPES
    for text in ("203.0.113.9", "198.51.100.0/24", "2001:db8:1::9", "2001:db8:2:3::/64", "2001:db8:4::/48")
    if scope is Scope.ALL or not text.endswith("::9")
]
NET = parse_network("203.0.113.9")
HOUR = 3600

Opened = Callable[..., Kernel]


def require(features: Features) -> None:
    """Skip the test if this kernel lacks one of them. The thread is in a namespace of its own."""
    if any(features):
        lacking = [name for name, wanted, has in zip(Features._fields, features, probed(), strict=True) if wanted > has]
        if lacking:
            pytest.skip(f"Linux {os.uname().release} does not have yet what is tried here: {', '.join(lacking)}")


@contextlib.contextmanager
def kernels_in(namespace: Namespace) -> Iterator[Opened]:
    """Makes kernels there; they are closed at the end."""
    with contextlib.ExitStack() as stack:

        def made(features: Features | None = None, size: int = 100_000, orders: Orders | None = None) -> Kernel:
            """Without `features`: what this kernel can do. Skips the test where this kernel cannot do that much."""
            with namespace.entered():
                require(features or OLD)
                kernel = stack.enter_context(contextlib.closing(Kernel(Netlink(), features, size)))
            if orders:
                kernel.open(orders)
            return kernel

        yield made


def hosts(count: int, first: int = 0x0B00_0000) -> list[Net]:
    return [Net((first + number).to_bytes(4, "big"), 32) for number in range(count)]


def for_an_hour(*nets: Net) -> list[Element]:
    return [Element(net, HOUR) for net in nets]


def standing(kernel: Kernel) -> dict[Net, int]:
    return {element.net: element.seconds for element in kernel.banned()}


@contextlib.contextmanager
def generation_of(kernel: Kernel) -> Iterator[Callable[[], int]]:
    """How many transactions there were since."""
    before = generation(kernel.netlink)
    yield lambda: generation(kernel.netlink) - before
