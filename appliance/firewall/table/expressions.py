"""nftables' rule expressions as netlink attributes (linux/netfilter/nf_tables.h), as many as the ban table needs.

Each function returns one expression; a rule is several of them, run in order until one does not match. Values
travel in register 1.
"""

from sys import byteorder

from appliance.firewall.table.netlink import attribute, be16, be32, be64, nested, text

IPV4, IPV6 = 2, 10
"""NFPROTO_IPV4 and NFPROTO_IPV6."""
TCP = 6

ACCEPT = 1
DROP = 0
JUMP = -3
GOTO = -4

_META_MARK, _META_NFPROTO, _META_L4PROTO = 3, 15, 16
_NETWORK, _TRANSPORT = 1, 2
_REGISTER = attribute(1, be32(1))
_ELEMENT = 1
_NOT_EQUAL = 1
_TCP_RESET = 1

SYN, RST, PSH, ACK = 0x02, 0x04, 0x08, 0x10
_TCP_FLAGS_AT = 13


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(_ELEMENT, text(1, name), nested(2, *attributes))


def _bytes(kind: int, value: bytes) -> bytes:
    return nested(kind, attribute(1, value))


def _meta(key: int) -> bytes:
    return _expression("meta", _REGISTER, attribute(2, be32(key)))


def _payload(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload", _REGISTER, attribute(2, be32(base)), attribute(3, be32(offset)), attribute(4, be32(length))
    )


def _mask(mask: bytes, xor: bytes) -> bytes:
    register = attribute(1, be32(1)) + attribute(2, be32(1))
    return _expression("bitwise", register, attribute(3, be32(len(mask))), _bytes(4, mask), _bytes(5, xor))


def _compare(value: bytes, operator: int = 0) -> bytes:
    return _expression("cmp", _REGISTER, attribute(2, be32(operator)), _bytes(3, value))


def family(protocol: int) -> bytes:
    """Match IPv4 or IPv6 packets."""
    return _meta(_META_NFPROTO) + _compare(bytes([protocol]))


def tcp() -> bytes:
    """Match TCP."""
    return _meta(_META_L4PROTO) + _compare(bytes([TCP]))


def port(direction: str) -> bytes:
    """Load the TCP port; `s` for the source's, `d` for the destination's."""
    return _payload(_TRANSPORT, 0 if direction == "s" else 2, 2)


def address(protocol: int, direction: str, prefix: int) -> bytes:
    """Load the source's or destination's address, without the bits beyond the prefix length."""
    width = 4 if protocol == IPV4 else 16
    offset = {(IPV4, "s"): 12, (IPV4, "d"): 16, (IPV6, "s"): 8, (IPV6, "d"): 24}[protocol, direction]
    loaded = _payload(_NETWORK, offset, width)
    if prefix == width * 8:
        return loaded
    mask = ((1 << prefix) - 1) << (width * 8 - prefix)
    return loaded + _mask(mask.to_bytes(width, "big"), bytes(width))


def tcp_flags(mask: int, value: int) -> bytes:
    """Match packets whose TCP flags under `mask` are `value`."""
    return _payload(_TRANSPORT, _TCP_FLAGS_AT, 1) + _mask(bytes([mask]), bytes(1)) + _compare(bytes([value]))


def tcp_flag_set(flags: int) -> bytes:
    """Match packets that carry this TCP flag, or one of these."""
    return _payload(_TRANSPORT, _TCP_FLAGS_AT, 1) + _mask(bytes([flags]), bytes(1)) + _compare(bytes(1), _NOT_EQUAL)


def in_set(name: str) -> bytes:
    """Match if what was loaded is in this set."""
    return _expression("lookup", text(1, name), attribute(2, be32(1)))


def not_in_set(name: str) -> bytes:
    """Match if what was loaded is not in this set."""
    return _expression("lookup", text(1, name), attribute(2, be32(1)), attribute(5, be32(1)))


def verdict_of(name: str) -> bytes:
    """Do what this verdict map says of what was loaded; go on where it says nothing."""
    return _expression("lookup", text(1, name), attribute(2, be32(1)), attribute(3, be32(0)))


def counter_of(name: str) -> bytes:
    """Count in the named counter that this map holds for what was loaded."""
    return _expression("objref", attribute(3, be32(1)), text(4, name))


def counter(name: str) -> bytes:
    """Count in a named counter."""
    return _expression("objref", attribute(1, be32(1)), text(2, name))


def remember(name: str, milliseconds: int) -> bytes:
    """Put what was loaded into a dynamic set for a time. Stops the rule where the set is full."""
    return _expression(
        "dynset", text(1, name), attribute(3, be32(0)), attribute(4, be32(1)), attribute(6, be64(milliseconds))
    )


def from_where_it_belongs() -> bytes:
    """Match packets whose source is routed to the interface that they came in by. In prerouting only."""
    saddr, iif, present, to_interface = 1, 8, 32, 1
    flags = attribute(3, be32(saddr | iif | present))
    return _expression("fib", _REGISTER, attribute(2, be32(to_interface)), flags) + _compare((1).to_bytes(4, byteorder))


def set_mark(bit: int) -> bytes:
    """Set one bit of the packet's mark and leave the others."""
    flipped = _mask((0xFFFF_FFFF ^ bit).to_bytes(4, byteorder), bit.to_bytes(4, byteorder))
    return _meta(_META_MARK) + flipped + _expression("meta", attribute(2, be32(_META_MARK)), attribute(3, be32(1)))


def marked(mark: int) -> bytes:
    """Match packets whose mark is exactly this one."""
    return _meta(_META_MARK) + _compare(mark.to_bytes(4, byteorder))


def notrack() -> bytes:
    """Leave connection tracking out of it."""
    return nested(_ELEMENT, text(1, "notrack"))


def at_most(each_second: int, burst: int) -> bytes:
    """Match so often only."""
    return _expression("limit", attribute(1, be64(each_second)), attribute(2, be64(1)), attribute(3, be32(burst)))


def log_to(group: int, bytes_each: int) -> bytes:
    """Send the packet's first bytes to an NFLOG group."""
    return _expression("log", attribute(1, be16(group)), attribute(3, be32(bytes_each)))


def reset() -> bytes:
    """Answer with a TCP reset and drop the packet."""
    return _expression("reject", attribute(1, be32(_TCP_RESET)), attribute(2, bytes(1)))


def verdict(code: int, chain: str = "") -> bytes:
    """End with a verdict."""
    return _expression("immediate", attribute(1, be32(0)), nested(2, verdict_value(code, chain)))


def verdict_value(code: int, chain: str = "") -> bytes:
    """A verdict as a value, for a rule or an element of a verdict map."""
    return nested(2, attribute(1, be32(code & 0xFFFF_FFFF)), text(2, chain) if chain else b"")
