"""What this machine tells of itself: interfaces and addresses, the way out, its time zone, what a name resolves to."""

import os
import queue
import socket
import struct
import threading
from collections.abc import Mapping
from pathlib import Path

from appliance.address import LOOPBACK, Net, parse_address
from appliance.config.default import IPV6
from appliance.config.values import time_zone
from appliance.firewall.own import IFA_ADDRESS, IFA_LOCAL, RECEIVE_BYTES, RTM_GETADDR, RTM_NEWADDR
from appliance.firewall.table.netlink import DUMP, HEADER, NLMSG_DONE, NLMSG_ERROR, REQUEST, attributes
from appliance.root.lockout_guard import own_connection
from appliance.setup.answers import Found, Own

ANSWER_SECONDS = 10.0
"""How long a name may take: two tries of the resolver's own 5 s (resolv.conf(5))."""

ADDRESSES = 64
"""Addresses of one name that are looked at."""

ROUTES = Path("/proc/net/route")
LOCAL_TIME = Path("/etc/localtime")
ZONES = "/zoneinfo/"

_IFADDR = struct.Struct("=BBBBI")
_LINK = 253
"""RT_SCOPE_LINK: an address from here on means something on one link, or on this machine, alone (rtnetlink(7))."""


def found(environ: Mapping[str, str]) -> Found:
    """Look around. What cannot be found out is left out."""
    return Found(
        interfaces=_interfaces(),
        way_out=_way_out(),
        ssh_client=_ssh_client(),
        time_zone=_time_zone(environ),
        has_ipv6=IPV6.exists(),
    )


def _interfaces() -> dict[str, tuple[Own, ...]]:
    names = {index: name for index, name in socket.if_nameindex() if name != "lo"}
    found: dict[str, list[Own]] = {name: [] for name in names.values()}
    try:
        for index, own in _addresses():
            if index in names:
                found[names[index]].append(own)
    except OSError:
        pass  # then nothing stands in the brackets
    return {name: tuple(each) for name, each in found.items()}


def _addresses() -> list[tuple[int, Own]]:
    """Every address with the index of its interface (RTM_GETADDR: rtnetlink(7)), link-local ones left out."""
    body = bytes(_IFADDR.size)
    found: list[tuple[int, Own]] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.send(HEADER.pack(HEADER.size + len(body), RTM_GETADDR, REQUEST | DUMP, 1, 0) + body)
        while _collect(kernel.recv(RECEIVE_BYTES), found):
            pass
    return found


def _collect(datagram: bytes, found: list[tuple[int, Own]]) -> bool:
    """Add the addresses of one datagram; whether more follow."""
    at = 0
    while at + HEADER.size <= len(datagram):
        length, kind, *_ = HEADER.unpack_from(datagram, at)
        if kind in (NLMSG_DONE, NLMSG_ERROR) or length < HEADER.size:
            return False
        if kind == RTM_NEWADDR and (read := _address(datagram[at + HEADER.size : at + length])):
            found.append(read)
        at += length + 3 & ~3
    return True


def _address(message: bytes) -> tuple[int, Own] | None:
    _family, prefix, _flags, scope, index = _IFADDR.unpack_from(message)
    told = attributes(message, _IFADDR.size)
    packed = told.get(IFA_LOCAL) or told.get(IFA_ADDRESS) or b""
    if len(packed) not in (4, 16) or scope >= _LINK:
        return None
    address = Net(packed, len(packed) * 8)
    return index, Own(address, address.widened(prefix))


def _way_out() -> str | None:
    """The interface of the IPv4 default route with the least metric (proc(5))."""
    try:
        rows = [line.split() for line in ROUTES.read_text(encoding="ascii").splitlines()[1:]]
    except OSError:
        return None
    defaults = [(int(row[6]), row[0]) for row in rows if len(row) > 7 and row[1] == row[7] == "00000000"]
    return min(defaults)[1] if defaults else None


def _ssh_client() -> Net | None:
    connection = own_connection()
    return connection.client if connection and connection.client not in LOOPBACK else None


def _time_zone(environ: Mapping[str, str]) -> str:
    """The machine's zone by its name; UTC if it has none."""
    link = os.path.realpath(LOCAL_TIME)
    named = environ.get("TZ", "").removeprefix(":") or link.partition(ZONES)[2]
    try:
        zone = time_zone(named)
    except ValueError:
        return "UTC"
    return "UTC" if zone in ("Etc/UTC", "Etc/UCT", "Etc/Zulu") else zone


def resolve(name: str) -> tuple[Net, ...]:
    """The addresses of a name, IPv4 first. Raises ValueError saying why there are none."""
    answers: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(name, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise ValueError(f"no answer from the DNS in {ANSWER_SECONDS:g} s") from None
    if isinstance(answer, OSError):
        raise ValueError(answer.strerror or str(answer))
    nets = {net for text in answer[:ADDRESSES] if (net := parse_address(text.partition("%")[0].encode()))}
    return tuple(sorted(nets, key=lambda net: (net.family, net.packed)))


def _ask(name: str, answers: "queue.SimpleQueue[list[str] | OSError]") -> None:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as fault:
        answers.put(fault)
    else:
        answers.put([str(address[0]) for *_, address in found])


def way_to(host: Net) -> Net:
    """This machine's address towards a host, as its routes say; no packet is sent. Raises OSError."""
    family = socket.AF_INET if host.family == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        probe.connect((str(Net(host.packed, len(host.packed) * 8)), 514))
        name: str = probe.getsockname()[0]
    found = parse_address(name.partition("%")[0].encode())
    if found is None:
        raise OSError(f"no address towards {host}")
    return found
