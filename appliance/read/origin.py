"""Who the client really was: which of the addresses on a line may be believed.

Zimbra prints `oip=` (the originating address) from whatever it was told. IMAP ID and POP3 XOIP let any client
set it before login (zm-mailbox ImapHandler.setIDFields, Pop3Handler.doXOIP), and for the web it is the raw
X-Forwarded-For text, to which our own proxy appends the address it saw. So an address counts only where one
of our own proxies vouches for it.
"""

from functools import lru_cache, partial
from typing import NamedTuple

from appliance.address import LOOPBACK, Net, NetSet, parse_address

_NOBODY = NetSet()

_ANSWERS = 65536

_LIST_LIMIT = 64
"""Entries of an X-Forwarded-For list looked at from the right; nobody chains more proxies."""


class Trust:
    """Which addresses are ours, and whose word on `oip=` is taken."""

    def __init__(self, hosts: NetSet = LOOPBACK, proxies: NetSet = _NOBODY) -> None:
        """`hosts` are Zimbra's, `proxies` those whose `oip=` is believed; both are ours and never a source."""
        self.proxies = proxies
        ours = hosts | proxies | LOOPBACK
        self.is_ours = lru_cache(maxsize=_ANSWERS)(ours.__contains__)
        """Whether an address is ours. Asked twice a line and remembered, for the same addresses come again."""
        self.of_connection = lru_cache(maxsize=_ANSWERS)(partial(of_connection, trust=self))
        self.of_request = lru_cache(maxsize=_ANSWERS)(partial(of_request, trust=self))
        self.of_peer = lru_cache(maxsize=_ANSWERS)(partial(of_peer, trust=self))
        """The questions below, their answers remembered: whoever guesses, guesses again (5 µs a line)."""


class Origin(NamedTuple):
    """The client of a line, and in words where that was read."""

    source: Net | None
    why: str
    disbelieved: Net | None = None
    """A peer that named another client in `oip` and is no proxy of ours: a client's lie, or a proxy not listed."""


def of_connection(ip: bytes | None, oip: bytes | None, trust: Trust) -> Origin:
    """IMAP and POP3: `oip` counts only where `ip` is one of our proxies, else the peer itself is the client."""
    peer = parse_address(ip) if ip else None
    if peer is None:
        return Origin(None, "the line names no peer address")
    if peer in trust.proxies:
        client = parse_address(oip) if oip else None
        if client is None:
            return Origin(None, f"proxy {peer} names no client address")
        return _unless_ours(client, f"oip, vouched for by proxy {peer}", trust)
    if oip:
        why = "ip, the peer itself; it is no proxy of ours, so its oip is not believed"
        return Origin(None if trust.is_ours(peer) else peer, why, disbelieved=peer)
    return _unless_ours(peer, "ip, the peer itself", trust)


def of_request(ip: bytes | None, oip: bytes | None, trust: Trust) -> Origin:
    """HTTP lines: a foreign `ip` is the client; else the right-most entry of `oip` that is not ours.

    Newer Zimbra leaves out `ip` where it prints `oip`; 8.0 to 8.6 print the proxy's or the loopback address.
    """
    peer = parse_address(ip) if ip else None
    if peer is not None and not trust.is_ours(peer):
        return Origin(peer, "ip, the peer itself")
    if not oip:
        return Origin(None, "only our own hosts are visible" if peer else "the line names no address")
    for entry in reversed(oip.rsplit(b",", _LIST_LIMIT)):
        address = parse_address(entry.strip())
        if address is None:
            return Origin(None, "the nearest foreign entry of oip is no address")
        if not trust.is_ours(address):
            return Origin(address, "oip, its right-most entry that is not ours")
    return Origin(None, "oip names only our own hosts")


def of_peer(text: bytes, trust: Trust) -> Origin:
    """An address that the server itself read from the socket."""
    address = parse_address(text)
    if address is None:
        return Origin(None, "the line names no address")
    return _unless_ours(address, "the peer that the server saw", trust)


def _unless_ours(address: Net, why: str, trust: Trust) -> Origin:
    if trust.is_ours(address):
        return Origin(None, f"{address} is our own host")
    return Origin(address, why)
