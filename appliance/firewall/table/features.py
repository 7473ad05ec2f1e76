"""What this kernel's nftables can do, found out by trying."""

import contextlib
import errno
from typing import NamedTuple

from appliance.firewall.table.netlink import (
    CREATE,
    INET,
    NFTABLES,
    Message,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    be32,
    be64,
    each_attribute,
    nested,
    text,
)

_TABLE = "zward_probe"
_NAME = text(1, _TABLE)
_PERSIST = 0x6
_TIMEOUT = 0x10


class Features(NamedTuple):
    """Three things that came late."""

    persist: bool
    """A table can belong to one socket and stay when that is closed: `owner` and `persist`, Linux 6.9."""
    destroy: bool
    """An element that may be missing can be deleted: Linux 6.3."""
    updates: bool
    """Adding an element again changes its time: Linux 6.12. Kernels before that answer success, and ignore it."""


def probed() -> Features:
    """Try each of them in a table of our own, which is gone afterwards. Raises NetlinkError, EPERM above all."""
    kernel = Netlink()
    try:
        persist = _has_persist(kernel)
        try:
            return Features(persist, _has_destroy(kernel), _has_updates(kernel))
        finally:
            kernel.transact(NFTABLES, [Message(2, 0, INET, _NAME)])
    finally:
        kernel.close()


def _has_persist(kernel: Netlink) -> bool:
    with contextlib.suppress(NetlinkError):  # one that a killed probe left
        kernel.transact(NFTABLES, [Message(2, 0, INET, _NAME)])
    try:
        kernel.transact(NFTABLES, [Message(0, CREATE, INET, _NAME + attribute(2, be32(_PERSIST)))])
    except NetlinkError as fault:
        if fault.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        kernel.transact(NFTABLES, [Message(0, CREATE, INET, _NAME)])
        return False
    return True


def _has_updates(kernel: Netlink) -> bool:
    made = _NAME + text(2, "probe") + attribute(3, be32(_TIMEOUT)) + attribute(4, be32(7)) + attribute(5, be32(4))
    kernel.transact(NFTABLES, [Message(9, CREATE, INET, made + attribute(10, be32(1)))])
    for seconds in (60, 120):
        kernel.transact(NFTABLES, [Message(12, CREATE, INET, _element(attribute(4, be64(seconds * 1000))))])
    answer = kernel.ask(NFTABLES, Message(13, 0, INET, _element()))
    found = attributes(answer or b"").get(3, b"")
    return any(attributes(element).get(4) == be64(120_000) for _, element in each_attribute(found))


def _has_destroy(kernel: Netlink) -> bool:
    gone = text(1, f"{_TABLE}_missing")
    try:
        kernel.transact(NFTABLES, [Message(26, 0, INET, gone)])
    except NetlinkError:
        return False
    return True


def _element(*more: bytes) -> bytes:
    key = nested(1, attribute(1, bytes(4)))
    return _NAME + text(2, "probe") + nested(3, nested(1, key, *more))
