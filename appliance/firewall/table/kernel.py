"""The table `inet zward` in the kernel: bans go in, standing bans and counts come out.

Every change is one transaction. Only the helper imports this module: what it does needs CAP_NET_ADMIN.
"""

import errno
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from appliance.address import SOURCE_PREFIX, Net
from appliance.firewall.backend import Drop, Dropped, Element
from appliance.firewall.limits import SET_SIZE, covering
from appliance.firewall.orders import Orders
from appliance.firewall.table import elements, layout, tables
from appliance.firewall.table.counters import QUESTION, counted
from appliance.firewall.table.features import Features, probed
from appliance.firewall.table.netlink import (
    CREATE,
    EXCLUSIVE,
    INET,
    NFTABLES,
    Message,
    Netlink,
    NetlinkError,
    attributes,
)
from appliance.firewall.table.ranges import bounds
from appliance.model import BAN_SCOPES, Scope

LISTINGS = 16
"""How often a set is listed again while the kernel rearranges it."""

LISTING_PAUSE = 0.02
"""Seconds between two of them."""

TIDYINGS = 8
"""How often we wait for the kernel to tidy up a full set: elements whose time is over count until then."""

TIDYING_PAUSE = 0.5
"""Seconds of each wait. The kernel tidies up once a second."""

MANY = 2000
"""Above so many networks it is cheaper to list the sets than to ask for each (0.3 s for 100,000, 4 µs each)."""

CROWD = 20
"""A set that is full gives up one in so many of its elements, the soonest to end."""

_GETSET = 10
_ELEMENT_COUNT = 20
"""NFTA_SET_COUNT: elements of a set, with those whose time is over and that are not tidied up yet (Linux 6.16)."""
_NO_SET = "none"
"""There is no set of this name: a transaction that changes it fails."""


class KernelError(Exception):
    """The kernel refused a change; nothing of it is in force. `net` is the element that it stumbled over."""

    def __init__(self, message: str, net: Net | None = None) -> None:
        super().__init__(message)
        self.net = net


class Occupied(KernelError):
    """The table belongs to another socket."""


class NoPermission(KernelError):
    """CAP_NET_ADMIN is missing."""


class Kernel:
    """One network namespace's table. Raises KernelError; not to be shared between threads."""

    def __init__(self, netlink: Netlink, features: Features | None = None, size: int = SET_SIZE) -> None:
        """`features` are found out if they are not given; `size` is how many elements a set may hold."""
        self.netlink = netlink
        self._size = size
        self._features = features or _probed()
        self._orders = Orders()
        self._narrow = self._fenced = False
        """Whether the rules look into the sets of narrow scopes, and of fenced ports."""
        self.crowded_out = 0
        """Bans that gave way because their set was full."""
        self.crowded = ""
        """Which set was full last."""

    def close(self) -> None:
        """Let go of the socket. The table stays, and belongs to nobody."""
        self.netlink.close()

    @property
    def is_owned(self) -> bool:
        """Whether nobody else can change the table while our socket is open."""
        return self._features.persist

    def open(self, orders: Orders) -> None:
        """Make the table or bring it up to date in one transaction; standing bans stay (4 ms, measured)."""
        flags = tables.OWNER | tables.PERSIST if self._features.persist else 0
        found = self._table()
        if found and found.owner not in (0, self.netlink.port):
            raise Occupied(
                f"the table inet zward belongs to another zward (netlink port {found.owner}, often its pid); "
                "end that one first"
            )
        self._narrow = bool(found) and self._is_anybody_in(layout.NARROW_SETS)
        fence = {port: left for port, left in self._fence().items() if port in orders.fence}
        extra = orders.extra_ports
        made = list(tables.built(flags, self._size, extra))
        if found and not found.fits(flags, layout.digest(self._size, extra)):
            # Made anew around its bans, within one transaction: no packet finds it missing.
            standing = elements.by_set(ban for ban in self.banned() if ban.seconds > 0) | self._familiar()
            made = [tables.removed(), *made, *elements.written(standing, self._features)]
        made += self._exactly("allow", orders.never_ban) + self._exactly("fence_from", orders.fence_from)
        self._orders = orders
        self._rule([*made, *_fencing(fence)], narrow=self._narrow, fenced=bool(fence))

    def _rule(self, made: Sequence[Message], *, narrow: bool, fenced: bool) -> None:
        """Carry this out, and have the rules look into those sets."""
        self._transact([*made, *tables.ruled(self._orders, narrow=narrow, fenced=fenced)])
        self._narrow, self._fenced = narrow, fenced

    def _table(self) -> tables.Found | None:
        found = self._asked(Message(tables.GETTABLE, 0, INET, elements.TABLE_NAME))
        return None if found is None else tables.Found(attributes(found))

    # Bans

    def ban(self, bans: Iterable[Element]) -> None:
        """Put all of these in. One that is there gets the new time; a full set loses its soonest to end."""
        wanted = list({(ban.net, ban.scope): ban for ban in bans}.values())
        if not self._narrow and any(ban.scope is not Scope.ALL for ban in wanted):
            self._rule((), narrow=True, fenced=self._fenced)
        try:
            self._put_in(wanted)
        except NetlinkError as fault:
            if fault.errno != errno.ENFILE:
                raise self._named(fault, wanted) from fault
            self._squeeze_in(wanted)

    def _put_in(self, bans: Sequence[Element]) -> None:
        """In one transaction, whether they are there or not. Raises NetlinkError.

        Before Linux 6.3 that takes three changes of each element, and 1.3 s for 100,000; where none is there, one
        change and 0.3 s (measured). So that is tried first.
        """
        if not self._features.destroy:
            try:
                self.netlink.transact(NFTABLES, elements.added(elements.by_set(bans), CREATE | EXCLUSIVE))
                return
            except NetlinkError as fault:
                if fault.errno != errno.EEXIST:
                    raise
        self.netlink.transact(NFTABLES, self._written(bans))

    def _named(self, fault: NetlinkError, wanted: Sequence[Element]) -> KernelError:
        """Send them once more, one to a message, to learn which one the kernel means.

        The last message always fails, so that nothing of it comes true.
        """
        if fault.errno in (errno.ENOENT, errno.EPERM):  # the table, then; 32,768 such answers would not fit
            return _fault(fault)
        made = elements.each_alone(wanted)
        try:
            failed = self.netlink.transact(NFTABLES, [*made, elements.emptied(_NO_SET)], every=True)
        except NetlinkError:
            return _fault(fault)
        index, number = failed[0]
        if not 0 <= index < len(made):
            return _fault(fault)
        return KernelError(f"{_words(NetlinkError(number))} ({wanted[index].net})", wanted[index].net)

    def _written(self, bans: Iterable[Element]) -> list[Message]:
        return elements.written(elements.by_set(bans), self._features)

    def _squeeze_in(self, wanted: Sequence[Element]) -> None:
        """Put these in where a set is full."""
        for _ in range(TIDYINGS):
            self._make_room(wanted)
            try:
                self.netlink.transact(NFTABLES, self._written(wanted))
                return
            except NetlinkError as fault:
                if fault.errno != errno.ENFILE:
                    raise _fault(fault) from fault
            time.sleep(TIDYING_PAUSE)
        raise KernelError(f"a set is full with {self._size} bans, and nothing can give way")

    def _make_room(self, wanted: Sequence[Element]) -> None:
        """Take the soonest to end out of each set that cannot hold these."""
        for name, entries in elements.by_set(wanted).items():
            asked = {key for key, _ in entries}
            standing = [element for element in self._listed(name) if element.net.packed not in asked]
            count = len(standing) + len(asked)
            if count <= self._size - self._size // CROWD:
                continue
            room = max(count - self._size, 0) + max(self._size // CROWD, 1)
            standing.sort(key=lambda element: element.seconds)
            leaving = [element.net for element in standing[:room]]
            self._take_out({name: leaving})
            self.crowded_out += len(leaving)
            self.crowded = f"the set {name} was full with {self._size} bans: the {len(leaving)} soonest to end gave way"

    def relax(self) -> None:
        """Stop looking into the sets of narrow scopes, and of fenced ports, if there is nothing in them any more."""
        narrow = self._narrow and self._is_anybody_in(layout.NARROW_SETS)
        fenced = self._fenced and bool(self._fence())
        if (narrow, fenced) != (self._narrow, self._fenced):
            self._rule((), narrow=narrow, fenced=fenced)

    def _is_anybody_in(self, sets: Mapping[str, int]) -> bool:
        """Whether one of these holds anything; with each name the width of its keys."""
        counts = {name: self._count(name) for name in sets}
        return any(self._entries(name, sets[name]) if count is None else count for name, count in counts.items())

    def unban(self, nets: Collection[Net]) -> list[Net]:
        """Take out every ban that covers one of these; returns what was lifted."""
        candidates = dict.fromkeys(wider for net in nets for wider in covering(net))
        found: dict[str, list[Net]] = defaultdict(list)
        if len(nets) > MANY:
            for element in self.banned():
                if element.net in candidates:
                    found[layout.SET_OF[element.scope, element.net.family, element.net.prefix]].append(element.net)
        else:
            for net in candidates:
                for scope in BAN_SCOPES:
                    name = layout.SET_OF.get((scope, net.family, net.prefix))
                    if name and self._holds(name, net.packed):
                        found[name].append(net)
        self._take_out(found)
        lifted = {net for nets in found.values() for net in nets}
        return [net for net in candidates if net in lifted]

    def _take_out(self, found: dict[str, list[Net]]) -> None:
        """Delete these elements; those whose time ended meanwhile are no fault."""
        while True:
            wanted = [(name, net) for name, nets in found.items() for net in nets]
            kind = elements.DESTROYSETELEM if self._features.destroy else elements.DELSETELEM
            made = [elements.messages(kind, 0, name, [elements.bare_key(net.packed)])[0] for name, net in wanted]
            try:
                failed = self.netlink.transact(NFTABLES, made, every=True)
            except NetlinkError as fault:
                raise _fault(fault) from fault
            if not failed:
                return
            missing = [index for index, number in failed if number == errno.ENOENT and index >= 0]
            if len(missing) < len(failed):
                raise _fault(NetlinkError(failed[0][1]))
            for index in missing:
                name, net = wanted[index]
                found[name].remove(net)

    def banned(self) -> list[Element]:
        """All standing bans with their remaining seconds: 0.5 s for 100,000, 2 s for 200,000 (measured)."""
        return [element for name in layout.PLACE_OF for element in self._listed(name)]

    def _listed(self, name: str) -> list[Element]:
        """One set's bans."""
        scope, family, prefix = layout.PLACE_OF[name]
        return [Element(Net(key, prefix), left, scope) for key, left in self._entries(name, layout.WIDTH[family] // 8)]

    def _entries(self, name: str, width: int) -> list[tuple[bytes, int]]:
        """(key, remaining seconds) of everything in a set.

        The kernel's listing goes by position. Right after a set grew it still moves the elements, and a listing
        names some twice and others never (measured: 87,495 different ones of 100,000); when it tidies up those whose
        time is over, the others move up and a listing leaves some out (3,790 of 100,000). Neither has any mark. So
        one with repetitions is taken again, and one during which the set shrank until another finds nothing new.
        """
        found: dict[bytes, int] = {}
        for _ in range(LISTINGS):
            before = self._count(name)
            listed = list(elements.remaining(self._dumped(elements.question(name)), width))
            latest = dict(listed)
            is_new = not latest.keys() <= found.keys()
            found |= latest
            if len(latest) < len(listed):
                time.sleep(LISTING_PAUSE)
            elif not is_new or (before is not None and before == self._count(name)):
                return list(found.items())
        raise KernelError(f"the set {name} changes too fast to be listed")

    def _count(self, name: str) -> int | None:
        """How many elements a set holds; None where the kernel does not say."""
        found = self._asked(Message(_GETSET, 0, INET, elements.of_set(name)))
        count = attributes(found or b"").get(_ELEMENT_COUNT)
        return None if count is None else int.from_bytes(count, "big")

    def _holds(self, name: str, key: bytes) -> bool:
        return self._asked(elements.question(name, elements.bare_key(key))) is not None

    # Who is spared, who is known, who was here

    def allow(self, nets: Collection[Net]) -> None:
        """Replace the kernel's allow list."""
        self._transact(self._exactly("allow", nets))

    def _exactly(self, what: str, nets: Collection[Net]) -> list[Message]:
        """Have these networks in the two interval sets of that name, and no other."""
        made = []
        for family, width in ((4, 4), (6, 16)):
            name = f"{what}{family}"
            packed = elements.ranges(bounds(net for net in nets if net.family == family), width)
            made.append(elements.emptied(name))
            made += elements.messages(elements.NEWSETELEM, CREATE, name, packed)
        return made

    def favour(self, sources: Collection[Element]) -> None:
        """Take these for familiar for their seconds."""
        entries: dict[str, dict[bytes, int]] = defaultdict(dict)
        for net, seconds, _ in sources:
            key = net.widened(SOURCE_PREFIX[net.family]).packed
            entries[f"familiar{net.family}"][key] = seconds
        grouped = {name: list(here.items()) for name, here in entries.items()}
        self._transact(elements.written(grouped, self._features))

    def _familiar(self) -> dict[str, list[tuple[bytes, int]]]:
        found = {name: self._entries(name, width) for name, width in layout.FAMILIAR_SETS.items()}
        return {name: lasting for name, here in found.items() if (lasting := [each for each in here if each[1] > 0])}

    def knows_anybody(self) -> bool:
        """Whether any source is familiar."""
        return self._is_anybody_in(layout.FAMILIAR_SETS)

    def fence(self, ports: Collection[int], seconds: int) -> None:
        """Let only known sources begin connections to these ports for so long; 0 seconds end it."""
        fence = {port: left for port, left in self._fence().items() if port not in ports}
        fence |= dict.fromkeys(ports, seconds) if seconds else {}
        if bool(fence) == self._fenced:
            self._transact(_fencing(fence))
        else:
            self._rule(_fencing(fence), narrow=self._narrow, fenced=bool(fence))

    def _fence(self) -> dict[int, int]:
        """The fenced ports with their remaining seconds."""
        return {int.from_bytes(key, "big"): left for key, left in self._entries(layout.FENCE, 2) if left > 0}

    def fenced(self) -> int:
        """How many packets the fence dropped."""
        return counted(self._dumped(QUESTION)).get(layout.FENCED, Dropped(0, 0)).packets

    def seen(self, sources: Iterable[Net]) -> list[Net]:
        """Which of these sources a mail host answered with data lately."""
        return [
            source
            for source in sources
            if self._holds(f"seen{source.family}", source.widened(SOURCE_PREFIX[source.family]).packed)
        ]

    # Counters

    def dropped(self) -> dict[Drop, Dropped]:
        """All drop counters in one question: 0.1 ms however many bans there are (measured)."""
        found = counted(self._dumped(QUESTION))
        names = layout.counter_of(self._orders.extra_ports)
        return {drop: found.get(name, Dropped(0, 0)) for drop, name in names.items()}

    def _asked(self, question: Message) -> bytes | None:
        try:
            return self.netlink.ask(NFTABLES, question)
        except NetlinkError as fault:
            raise _fault(fault) from fault

    def _dumped(self, question: Message) -> list[bytes]:
        try:
            return self.netlink.dump(NFTABLES, question)
        except NetlinkError as fault:
            raise _fault(fault) from fault

    def _transact(self, messages: Sequence[Message]) -> None:
        try:
            self.netlink.transact(NFTABLES, messages)
        except NetlinkError as fault:
            raise _fault(fault) from fault


def _fencing(ports: Mapping[int, int]) -> list[Message]:
    """Have these ports in the fence for their seconds, and no other."""
    entries = [(port.to_bytes(2, "big"), seconds) for port, seconds in ports.items()]
    return [elements.emptied(layout.FENCE), *elements.added({layout.FENCE: entries} if entries else {})]


def _probed() -> Features:
    try:
        return probed()
    except NetlinkError as fault:
        raise _fault(fault) from fault


def _words(fault: NetlinkError) -> str:
    if fault.errno == errno.ENOENT:
        return "the table inet zward is not complete; somebody removed it or a part of it"
    return f"the kernel refuses: {fault.strerror}"


def _fault(fault: NetlinkError) -> KernelError:
    if fault.errno == errno.EPERM:
        return NoPermission("changing nftables needs CAP_NET_ADMIN; this starts zward with it: sudo make run")
    return KernelError(_words(fault))
