"""The kernel's switches that a gateway needs: what each mode sets, what was there before, and putting that back.

A switch is named as sysctl(8) names it and is read and written below /proc/sys.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

PROC_SYS = Path("/proc/sys")

NAME = "sysctls.before"
"""In the firewall's directory: one `name value` a line."""

WANTED: Mapping[str, Mapping[str, str]] = {
    "routed": {"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"},
    "bridge": {"net.bridge.bridge-nf-call-iptables": "1", "net.bridge.bridge-nf-call-ip6tables": "1"},
}
"""Mode of the gateway → its switches. A host that only protects itself needs none."""

KNOWN = frozenset(name for switches in WANTED.values() for name in switches)

IPV6_FORWARDING = "net.ipv6.conf.all.forwarding"


class SysctlError(Exception):
    """A switch cannot be set; the message says which, why, and what cures it."""


def wanted(mode: str | None, root: Path = PROC_SYS) -> dict[str, str]:
    """The switches of a mode; `None` stands for no gateway. A kernel without IPv6 has none for it."""
    switches = WANTED.get(mode or "", {})
    has_ipv6 = (root / "net/ipv6").is_dir()
    return {name: value for name, value in switches.items() if has_ipv6 or not name.startswith("net.ipv6.")}


def require(switches: Mapping[str, str], root: Path = PROC_SYS) -> None:
    """Raises SysctlError unless each of these is there, so that nothing is changed by half."""
    for name in switches:
        if not _path(name, root).exists():
            cure = "modprobe br_netfilter, and name br_netfilter in /etc/modules-load.d/ for the next start"
            raise SysctlError(f"the kernel has no switch {name}" + (f": {cure}" if ".bridge." in name else ""))


def current(names: Iterable[str] = KNOWN, root: Path = PROC_SYS) -> dict[str, str]:
    """The values of those that are there. Raises OSError."""
    return {name: path.read_text().strip() for name in sorted(names) if (path := _path(name, root)).exists()}


def put(switches: Mapping[str, str], root: Path = PROC_SYS) -> dict[str, str]:
    """Set those that have another value; returns these. Raises SysctlError."""
    now = current(switches, root)
    changed = {name: value for name, value in switches.items() if now.get(name) != value}
    for name, value in changed.items():
        try:
            _path(name, root).write_text(value)
        except OSError as fault:
            cure = f"outside of this container: sysctl -w {name}={value}"
            raise SysctlError(f"{name} cannot be set to {value}: {fault.strerror}; {cure}") from fault
    return changed


def told(switches: Mapping[str, str]) -> str:
    """As they are written to the file."""
    return "".join(f"{name} {value}\n" for name, value in sorted(switches.items()))


def parsed(text: str) -> dict[str, str]:
    """What the file says; lines that no switch of ours can have made are left out."""
    words = (line.split() for line in text.splitlines())
    pairs = [word for word in words if len(word) == 2]
    return {name: value for name, value in pairs if name in KNOWN and value.isdecimal()}


def deaf_to_routers(interfaces: Iterable[str], root: Path = PROC_SYS) -> list[str]:
    """Interfaces whose IPv6 default route goes away when this host begins to forward.

    A router ignores router advertisements, and forgets what it learned from them, unless accept_ra is 2
    (ip-sysctl.rst in the kernel's documentation).
    """
    if current([IPV6_FORWARDING], root).get(IPV6_FORWARDING, "1") != "0":
        return []
    conf = root / "net/ipv6/conf"
    return [name for name in interfaces if (path := conf / name / "accept_ra").exists() and path.read_text()[:1] == "1"]


def _path(name: str, root: Path) -> Path:
    return root / name.replace(".", "/")
