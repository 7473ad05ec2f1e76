"""The kinds of value that a configuration holds: from what TOML gave to what the program uses.

Each reader takes anything and raises ValueError whose text is what was expected; `faults` puts in front of it
what was found. They are written by hand, so that every message names the bounds and shows a good example.
"""

import ipaddress
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from pydantic import PlainValidator

from appliance.address import Net, parse_network
from appliance.config.durations import seconds

SOCKET_PATH_BYTES = 107
"""What fits into sockaddr_un.sun_path (108 bytes) with its closing zero: unix(7)."""

NAMED = 64
"""Hosts with a name: each has a few series in Prometheus, and a site has tens of them."""

_ENDPOINT = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})")
_SIZE = re.compile(r"([0-9]{1,12})(B|KiB|MiB|GiB)")
_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")  # 15: IFNAMSIZ without its closing zero
_ACCOUNT = re.compile(r"[^\s\x00-\x1f\x7f]{1,254}")  # RFC 5321 4.5.3.1.3, less the brackets
_LABEL_VALUE = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123 2.1
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}\.?")


class Endpoint(NamedTuple):
    """Where to listen."""

    host: str
    """An IPv4 or IPv6 address without brackets."""
    port: int
    """0 lets the kernel choose one."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def network(found: object) -> Net:
    """`192.0.2.0/24`, `2001:db8::/32` or a single address."""
    if isinstance(found, str):
        if "%" in found:
            raise ValueError("an address without a scope id (the part from % on)")
        try:
            return parse_network(found)
        except ValueError:
            raise ValueError(_nearest_network(found)) from None
    raise ValueError('a network such as "192.0.2.0/24", or one address')


def _nearest_network(found: str) -> str:
    try:
        meant = ipaddress.ip_interface(found.strip())
    except ValueError:
        return 'a network such as "192.0.2.0/24", or one address'
    return f'"{meant.network}", or "{meant.ip}" for the one address: bits behind the prefix are set'


def address(found: object) -> Net:
    """One address, not a network."""
    try:
        net = network(found)
    except ValueError:
        net = None
    if net is None or not net.is_host:
        raise ValueError('one address such as "192.0.2.10" or "2001:db8::10"')
    return net


def interface(found: object) -> str:
    """The name of a network interface."""
    if not isinstance(found, str) or not _INTERFACE.fullmatch(found) or found in (".", "..", "lo"):
        raise ValueError('the name of an interface such as "eth0": 1 to 15 of A-Z a-z 0-9 _ . -')
    return found


def endpoint(found: object) -> Endpoint:
    """`192.0.2.1:5514` or `[2001:db8::1]:5514`. No host names: what is listened on must not hang on DNS."""
    expected = 'an address and a port, "192.0.2.1:5514" or "[2001:db8::1]:5514"'
    parts = _ENDPOINT.fullmatch(found) if isinstance(found, str) else None
    if not parts:
        raise ValueError(expected)
    six, four, port = parts.groups()
    try:
        host = str(ipaddress.IPv6Address(six) if six else ipaddress.IPv4Address(four))
    except ValueError:
        raise ValueError(expected) from None
    if int(port) > 65535:
        raise ValueError("a port from 0 to 65535")
    return Endpoint(host, int(port))


def host_name(found: object) -> str:
    """A DNS name, in lower case and without its last dot."""
    if not isinstance(found, str) or len(found) > 254 or not _NAME.fullmatch(found):
        raise ValueError('a DNS name such as "office.example.org" (international names in their xn-- form)')
    name = found.rstrip(".").lower()
    if name.rpartition(".")[2].isdigit():
        raise ValueError("a DNS name; an address belongs into allow.networks")
    return name


def named_hosts(found: object) -> Mapping[str, Net]:
    """Names for hosts, `{ mbox1 = "192.0.2.10" }`; no host twice."""
    if not isinstance(found, Mapping) or len(found) > NAMED:
        raise ValueError(f'at most {NAMED} names with one address each, such as {{ mbox1 = "192.0.2.10" }}')
    for name in found:
        if not _LABEL_VALUE.fullmatch(name) or name.replace(".", "").isdigit():
            raise ValueError(f"names of 1 to 32 of a-z 0-9 . _ -, and no address; not {name[:40]!r}")
    hosts = {name: address(each) for name, each in found.items()}
    if len(set(hosts.values())) != len(hosts):
        raise ValueError("each address under one name")
    return hosts


def account_name(found: object) -> str:
    """A login name as the judge compares it: in lower case, and no longer than an address can be."""
    if not isinstance(found, str) or not _ACCOUNT.fullmatch(found):
        raise ValueError('a login name such as "old-admin@example.org": 1 to 254 characters without spaces')
    return found.lower()


def time_zone(found: object) -> str:
    """An IANA name. `UTC` is known without the system's time zone data."""
    if found == "UTC":
        return "UTC"
    if isinstance(found, str):
        try:
            return ZoneInfo(found).key
        except (KeyError, ValueError, OSError):  # unknown; no name at all; the name of a directory
            raise ValueError(_nearest_zone(found)) from None
    raise ValueError('an IANA name such as "Europe/Rome"')


def _nearest_zone(found: str) -> str:
    known = available_timezones()
    if not known:
        return 'only "UTC" here: this system has no time zone data (Debian: apt install tzdata)'
    near = get_close_matches(found[:64], known, n=1)
    return f'an IANA name; did you mean "{near[0]}"?' if near else 'an IANA name such as "Europe/Rome"'


def absolute_path(found: object) -> Path:
    """A path from the root, since a daemon's working directory says nothing."""
    if not isinstance(found, str) or not found.startswith("/") or not found.isprintable():
        raise ValueError('a path from the root, such as "/var/lib/zward/zward.db"')
    return Path(found)


def socket_path(found: object) -> Path:
    """A path that a Unix socket can have."""
    path = absolute_path(found)
    if len(bytes(path)) > SOCKET_PATH_BYTES:
        raise ValueError(f"at most {SOCKET_PATH_BYTES} bytes, the kernel's limit for a socket's path")
    return path


def socket_directory(found: object) -> Path:
    """A directory that the helper's Unix socket fits into."""
    path = absolute_path(found)
    if len(bytes(path)) + len("/helper.sock") > SOCKET_PATH_BYTES:
        raise ValueError(f"at most {SOCKET_PATH_BYTES - len('/helper.sock')} bytes, so that a socket in it has a path")
    return path


def duration(least: str, most: str) -> PlainValidator:
    """A length of time within bounds, as seconds."""

    def read(found: object) -> float:
        try:
            length = seconds(found) if isinstance(found, str) else None
        except ValueError:
            length = None
        if length is None or not seconds(least) <= length <= seconds(most):
            raise ValueError(f'a duration from {least} to {most}, such as "30m"')
        return length

    return PlainValidator(read)


def whole(least: int, most: int) -> PlainValidator:
    """A whole number within bounds."""

    def read(found: object) -> int:
        if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return found

    return PlainValidator(read)


def share(least: float, most: float) -> PlainValidator:
    """A number within bounds, fractions allowed."""

    def read(found: object) -> float:
        if not isinstance(found, int | float) or isinstance(found, bool) or not least <= found <= most:
            raise ValueError(f"a number from {least} to {most}")
        return float(found)

    return PlainValidator(read)


def size(least: str, most: str) -> PlainValidator:
    """A number of bytes within bounds: `2GiB`, `512MiB`, or a whole number."""

    def count(found: object) -> int | None:
        if isinstance(found, int) and not isinstance(found, bool):
            return found
        parts = _SIZE.fullmatch(found) if isinstance(found, str) else None
        return int(parts[1]) * _SIZES[parts[2]] if parts else None

    def read(found: object) -> int:
        bound, number, limit = count(least), count(found), count(most)
        if number is None or bound is None or limit is None or not bound <= number <= limit:
            raise ValueError(f'a size from {least} to {most}, such as "2GiB" or "512MiB"')
        return number

    return PlainValidator(read)
