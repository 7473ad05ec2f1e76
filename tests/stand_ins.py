"""Stand-ins for what the firewall helper talks to: a kernel that only writes down, sessions that never were."""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext

from appliance.address import Net
from appliance.firewall.backend import DROPS, Drop, Dropped, Element
from appliance.firewall.orders import Orders


class Kernel:
    """Has the methods of `kernel.Kernel`, and no kernel."""

    netlink = None

    def __init__(self) -> None:
        self.orders: list[Orders] = []
        self.bans: list[list[Element]] = []
        self.standing: list[Element] = []
        self.allowed: frozenset[Net] = frozenset()
        self.favoured: list[Element] = []
        self.fences: list[tuple[list[int], int]] = []
        self.proved: set[Net] = set()
        self.relaxed = 0
        self.crowded_out = 0
        self.crowded = ""
        self.fault: Exception | None = None

    def open(self, orders: Orders) -> None:
        self._fail()
        self.orders.append(orders)
        self.allowed = orders.never_ban

    def ban(self, bans: Iterable[Element]) -> None:
        self._fail()
        self.bans.append(list(bans))

    def unban(self, nets: Collection[Net]) -> list[Net]:
        self._fail()
        return list(nets)

    def banned(self) -> list[Element]:
        self._fail()
        return self.standing

    def allow(self, nets: Collection[Net]) -> None:
        self._fail()
        self.allowed = frozenset(nets)

    def favour(self, sources: Collection[Element]) -> None:
        self._fail()
        self.favoured = list(sources)

    def fence(self, ports: Collection[int], seconds: int) -> None:
        self._fail()
        self.fences.append((list(ports), seconds))

    def knows_anybody(self) -> bool:
        self._fail()
        return bool(self.favoured)

    def fenced(self) -> int:
        self._fail()
        return 9

    def seen(self, sources: Iterable[Net]) -> list[Net]:
        self._fail()
        return [net for net in sources if net in self.proved]

    def dropped(self) -> dict[Drop, Dropped]:
        self._fail()
        return {drop: Dropped(number, 2**40 + number) for number, drop in enumerate(DROPS)}

    def relax(self) -> None:
        self._fail()
        self.relaxed += 1

    def _fail(self) -> None:
        if self.fault:
            raise self.fault


class Sessions:
    """Has the methods of `sessions.Sessions`, and ends nobody's."""

    ended = 7
    extra_ports: tuple[int, ...] = ()

    def __init__(self, spares: Callable[[Net], bool]) -> None:
        self.spares = spares
        self.told: list[Element] = []

    def end(self, elements: Collection[Element]) -> None:
        self.told += elements

    def close(self) -> None:
        """There is nothing to let go of."""


class Samples:
    """Has the attributes of `samples.Samples`; no packet is ever sampled but what a test puts in."""

    def __init__(self, group: int) -> None:
        self.group = group
        self.recent: deque[object] = deque()
        self.closed = False

    def close(self) -> None:
        self.closed = True


def apart(_netlink: object) -> AbstractContextManager[None]:
    return nullcontext()
