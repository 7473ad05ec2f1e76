"""What a process of ours may do: capabilities(7), set and read without a library.

Linux gives capabilities to a thread in five sets; `become` makes all five the same, so that nothing is left to be
taken back, not by `execve` either.
"""

import ctypes
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CAP_SETGID = 6
CAP_SETUID = 7
CAP_SETPCAP = 8
CAP_NET_BIND_SERVICE = 10
CAP_NET_ADMIN = 12
CAP_NET_RAW = 13
"""Bits of the capability sets (linux/capability.h)."""

HELPER = frozenset({CAP_NET_ADMIN, CAP_NET_RAW})
"""To change nftables and conntrack; to send the packets that end a connection."""

CHANGING_USER = frozenset({CAP_SETUID, CAP_SETGID})
"""To become somebody else. Root in a container with no more than it needs has neither."""

RECEIVER = frozenset({CAP_NET_BIND_SERVICE})
"""At the most, and only to listen at a port below `PRIVILEGED_PORTS`. What reads hostile text needs nothing else."""

PRIVILEGED_PORTS = 1024
"""net.ipv4.ip_unprivileged_port_start, unless somebody lowered it (ip(7))."""

_VERSION_3 = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3: sets of 64 bits, as two words each."""
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4
"""linux/prctl.h."""

_libc = ctypes.CDLL(None, use_errno=True)


class PrivilegeError(Exception):
    """The kernel did not take away or give what it was asked to; the message says what is different."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process is and may, as the kernel says it."""

    uid: int
    """Real, effective, saved and filesystem uid; -1 where they differ."""
    gid: int
    groups: frozenset[int]
    inheritable: frozenset[int]
    permitted: frozenset[int]
    effective: frozenset[int]
    bounding: frozenset[int]
    ambient: frozenset[int]
    no_new_privileges: bool


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Words(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def held(process: int | None = None) -> Held:
    """What this process may, or the one with that pid. Raises OSError where there is none, or no /proc."""
    text = Path(f"/proc/{process or 'thread-self'}/status").read_text(encoding="utf-8", errors="replace")
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return Held(
        uid=_only(lines["Uid"]),
        gid=_only(lines["Gid"]),
        groups=frozenset(map(int, lines["Groups"].split())),
        inheritable=_bits(lines["CapInh"]),
        permitted=_bits(lines["CapPrm"]),
        effective=_bits(lines["CapEff"]),
        bounding=_bits(lines["CapBnd"]),
        ambient=_bits(lines["CapAmb"]),
        no_new_privileges=lines["NoNewPrivs"].strip() == "1",
    )


def become(uid: int, gid: int, capabilities: frozenset[int]) -> None:
    """Be that user, with these capabilities and with no way to any other, for good.

    For a process with one thread that is about to go on or to exec. uid 0 holds nothing by being 0 afterwards,
    except that root's files are its own. Raises PrivilegeError or OSError; the process must then end.
    """
    before = held()
    if CAP_SETPCAP in before.effective:  # else the bounding set stays: without new privileges it gives nothing
        for bit in before.bounding - capabilities:
            _prctl(_PR_CAPBSET_DROP, bit)
    _prctl(_PR_SET_KEEPCAPS, 1)
    _change_user(before, uid, gid)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    _set_capabilities(capabilities)
    _prctl(_PR_SET_KEEPCAPS, 0)
    for bit in capabilities:
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, bit)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _verify(before, uid, gid, capabilities)


def end_with_parent(parent: int, number: int) -> None:
    """Have the kernel send us this signal when our parent ends; at once if it has already.

    After `become`, which the kernel takes for a reason to forget it (prctl(2), PR_SET_PDEATHSIG).
    """
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _change_user(before: Held, uid: int, gid: int) -> None:
    try:
        os.setgroups([])
    except PermissionError:  # without CAP_SETGID, or in a user namespace: who stays himself may keep his groups
        if (before.uid, before.gid) != (uid, gid):
            raise
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def _set_capabilities(capabilities: Iterable[int]) -> None:
    mask = sum(1 << bit for bit in capabilities)
    header = _Header(_VERSION_3, 0)
    words = (_Words * 2)(*(_Words(*[mask >> shift & 0xFFFF_FFFF] * 3) for shift in (0, 32)))
    if _libc.capset(ctypes.byref(header), words):
        raise _fault("capset")


def _verify(before: Held, uid: int, gid: int, capabilities: frozenset[int]) -> None:
    groups: frozenset[int] = frozenset()
    bounding = capabilities
    now = held()
    if (before.uid, before.gid) == (uid, gid):
        groups = now.groups
    if CAP_SETPCAP not in before.effective:
        bounding = before.bounding
    wanted = Held(uid, gid, groups, capabilities, capabilities, capabilities, bounding, capabilities, True)
    if now != wanted:
        raise PrivilegeError(f"the kernel says {now}, and {wanted} was asked for")


def _only(numbers: str) -> int:
    found = {int(number) for number in numbers.split()}
    return found.pop() if len(found) == 1 else -1


def _bits(mask: str) -> frozenset[int]:
    number = int(mask, 16)
    return frozenset(bit for bit in range(64) if number >> bit & 1)


def _prctl(option: int, *arguments: int) -> None:
    words = [ctypes.c_ulong(each) for each in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(ctypes.c_int(option), *words):
        raise _fault(f"prctl {option}")


def _fault(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
