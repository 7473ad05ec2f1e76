"""The messages that make the table `inet zward` from its layout (linux/netfilter/nf_tables.h)."""

from collections.abc import Iterator

from appliance.firewall.orders import Orders
from appliance.firewall.table import layout
from appliance.firewall.table.elements import TABLE_NAME
from appliance.firewall.table.expressions import GOTO, JUMP, verdict_value
from appliance.firewall.table.netlink import APPEND, CREATE, INET, Message, attribute, be32, nested, text

NEWTABLE, GETTABLE, DELTABLE = 0, 1, 2
NEWCHAIN = 3
NEWRULE, DELRULE = 6, 8
NEWSET = 9
NEWSETELEM = 12
NEWOBJ = 18

OWNER, PERSIST = 0x2, 0x4
"""Flags of a table: only our socket may change it; it stays when that socket is closed (Linux 6.9)."""

_INTERVAL, _MAP, _TIMEOUT, _DYNAMIC, _OBJECTS = 0x4, 0x8, 0x10, 0x20, 0x40
_TYPES = {4: (7, 4), 6: (8, 16), 0: (13, 2)}
"""What nft calls ipv4_addr, ipv6_addr and inet_service: number and bytes."""
_VERDICTS = 0xFFFF_FF00
_COUNTERS = 1
_ACCEPT_POLICY = 1
_HOOKS = {"prerouting": 0, "forward": 2, "output": 3}
_COMMENT = 0
"""Type of the userdata that nft shows as a comment."""


class Found:
    """What the kernel says of the table."""

    def __init__(self, found: dict[int, bytes]) -> None:
        self.flags = int.from_bytes(found.get(2, b""), "big")
        self.owner = int.from_bytes(found.get(7, b""), "big")
        self.digest = digest_in(found.get(6, b""))

    def fits(self, flags: int, digest: str) -> bool:
        """Whether it can be brought up to date, and need not be made anew."""
        is_orphan = self.flags == PERSIST  # the kernel takes the other flag away with the owner
        return digest == self.digest and (self.flags == flags or (is_orphan and bool(flags)))


def built(flags: int, size: int, extra: layout.Extra) -> Iterator[Message]:
    """Make the table, or do nothing to one that is there: sets, counters and their contents survive. No rules yet."""
    yield newtable(flags, layout.digest(size, extra))
    yield from (_set(number, each) for number, each in enumerate(layout.sets(size, extra), 1))
    yield from (_counter(name) for name in layout.counters(extra))
    yield from (_chain(chain) for chain in layout.chains(extra))
    yield from (_port_element(element) for element in layout.port_elements(extra))


def ruled(orders: Orders, *, narrow: bool, fenced: bool) -> Iterator[Message]:
    """Take all rules away and put these in. Within one transaction, so no packet sees a chain empty."""
    yield Message(DELRULE, 0, INET, TABLE_NAME)
    yield from (_rule(rule) for rule in layout.rules(orders, narrow=narrow, fenced=fenced))


def newtable(flags: int, digest: str) -> Message:
    comment = digest.encode() + b"\0"
    userdata = attribute(6, bytes([_COMMENT, len(comment)]) + comment)
    return Message(NEWTABLE, CREATE, INET, TABLE_NAME + attribute(2, be32(flags)) + userdata)


def digest_in(userdata: bytes) -> str:
    """The digest of the layout that a table was made from; "" if it was not made by us."""
    return userdata[2:].rstrip(b"\0").decode("ascii", "replace")


def removed() -> Message:
    """Take the table away with everything in it."""
    return Message(DELTABLE, 0, INET, TABLE_NAME)


def _set(number: int, made: layout.Set) -> Message:
    kind, width = _TYPES[made.family]
    flags = (
        (_TIMEOUT if made.timeout else 0)
        | (_INTERVAL if made.interval else 0)
        | (_DYNAMIC if made.dynamic else 0)
        | {"set": 0, "verdict": _MAP, "counter": _OBJECTS}[made.kind]
    )
    body = TABLE_NAME + text(2, made.name) + attribute(3, be32(flags))
    body += attribute(4, be32(kind)) + attribute(5, be32(width))
    if made.kind == "verdict":
        body += attribute(6, be32(_VERDICTS)) + attribute(7, be32(0))
    if made.kind == "counter":
        body += attribute(15, be32(_COUNTERS))
    if made.size:
        body += nested(9, attribute(1, be32(made.size)))
    return Message(NEWSET, CREATE, INET, body + attribute(10, be32(number)))


def _counter(name: str) -> Message:
    return Message(NEWOBJ, CREATE, INET, TABLE_NAME + text(2, name) + attribute(3, be32(_COUNTERS)) + nested(4))


def _chain(chain: layout.Chain) -> Message:
    body = TABLE_NAME + text(3, chain.name)
    if chain.hook:
        body += nested(4, attribute(1, be32(_HOOKS[chain.hook])), attribute(2, be32(chain.priority & 0xFFFF_FFFF)))
        body += attribute(5, be32(_ACCEPT_POLICY)) + text(7, "filter")
    return Message(NEWCHAIN, CREATE, INET, body)


def _port_element(element: layout.PortElement) -> Message:
    key = nested(1, attribute(1, element.port.to_bytes(2, "big")))
    code = JUMP if element.jump else GOTO
    value = nested(2, verdict_value(code, element.chain)) if element.chain else text(9, element.counter)
    body = TABLE_NAME + text(2, element.map) + nested(3, nested(1, key, value))
    return Message(NEWSETELEM, CREATE, INET, body)


def _rule(rule: layout.Rule) -> Message:
    body = TABLE_NAME + text(2, rule.chain) + nested(4, rule.expressions)
    return Message(NEWRULE, CREATE | APPEND, INET, body)
