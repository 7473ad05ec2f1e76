"""The only door to libnftables. Only the helper may import this module: it is what holds the privilege.

Every command is one transaction: all of it comes true, or nothing.
"""

import ctypes
import os
from collections.abc import Iterable, Iterator, Sequence

import nftables

from appliance.address import Net
from appliance.firewall import listing, ruleset
from appliance.firewall.backend import Element, LibnftablesMissing, NotPermitted
from appliance.firewall.limits import SET_SIZE

LIBRARY = "libnftables.so.1"

LIFT_AT_ONCE = 64
"""Networks in one transaction of `unban`: for each missing one libnftables prints the whole command."""

WORDS = {
    "No such file or directory": "the table inet zward is not complete; somebody removed it or a part of it",
    "Too many open files in system": f"the set is full: it holds {SET_SIZE} elements",
}
"""What errors of the C library mean here."""


class NftError(Exception):
    """The kernel or libnftables refused a command; nothing of it is in force."""

    def __init__(self, reason: str, columns: tuple[int, ...] = (), net: Net | None = None) -> None:
        super().__init__(f"{reason} ({WORDS[reason]})" if reason in WORDS else reason)
        self.reason = reason
        """In the words of the C library: `No such file or directory`."""
        self.columns = columns
        """Where in the command each fault lies, counted from 0."""
        self.net = net
        """The element at the first of them."""


class Nft:
    """The table `inet zward` in the kernel. Raises LibnftablesMissing, NotPermitted, NftError."""

    def __init__(self, release: str = "") -> None:
        """`release` is the kernel's, as `uname -r` prints it; this kernel's own if empty."""
        try:
            ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise LibnftablesMissing(
                f"{LIBRARY} is not installed; this installs it: apt-get install libnftables1"
            ) from error
        self._nft = nftables.Nftables()
        self._nft.set_numeric_time_output(True)
        self._portable = kernel_of(release or os.uname().release) < (6, 12)

    def load(self) -> None:
        """Make the table or bring its rules up to date: 2 ms, and 0.5 ms if it is there (measured)."""
        self._run(ruleset.load())

    def ban(self, elements: Sequence[Element]) -> None:
        """Put all of these in; no network may stand twice among them."""
        command = ruleset.ban(elements, self._portable)
        try:
            self._run(command)
        except NftError as error:
            net = ruleset.element_at(command, error.columns[0]) if error.columns else None
            raise NftError(error.reason, error.columns, net) from error

    def unban(self, nets: Sequence[Net]) -> list[Net]:
        """Take these out; returns those that were there.

        libnftables has no cheap way to ask (`get element` reads the whole set first: 0.8 s at 100,000), but
        a failed transaction names every missing element, so the second one holds only what is there.
        """
        lifted: list[Net] = []
        for start in range(0, len(nets), LIFT_AT_ONCE):
            lifted += self._lift(nets[start : start + LIFT_AT_ONCE])
        return lifted

    def _lift(self, nets: Sequence[Net]) -> Sequence[Net]:
        while nets:
            command = ruleset.unban(nets)
            try:
                self._run(command)
            except NftError as error:
                missing = {ruleset.element_at(command, column) for column in error.columns}
                if error.reason != "No such file or directory" or missing.isdisjoint(nets):
                    raise
                nets = [net for net in nets if net not in missing]
            else:
                return nets
        return []

    def allow(self, nets: Iterable[Net]) -> None:
        """Replace the allow list of the kernel."""
        self._run(ruleset.allow(nets))

    def banned(self) -> Iterator[list[tuple[Net, int]]]:
        """All elements with their remaining seconds, a set at a time: 1.0 s for 100,000 (measured)."""
        for name in ruleset.PREFIX_OF:
            yield listing.elements_of(name, self._run(f"list set {ruleset.TABLE} {name}"))

    def dropped(self) -> dict[int, int]:
        """Packets dropped, for each port: 0.4 ms with 100,000 elements (measured).

        `list counters`, `list chain` and `list table` of nftables 1.0.6 read every element of every set
        first (0.6 s); a terse listing of the whole ruleset does not.
        """
        self._nft.set_terse_output(True)
        try:
            return listing.counters_of(self._run("list ruleset inet"))
        finally:
            self._nft.set_terse_output(False)

    def _run(self, command: str) -> bytes:
        """Run one command; returns what it prints."""
        code, output, error = self._nft.cmd(command.encode("ascii"))
        if code:
            raise _fault(error)
        return bytes(output)


def kernel_of(release: str) -> tuple[int, int]:
    """Major and minor number of `6.1.0-18-amd64`; (0, 0), the careful answer, if it is written otherwise."""
    major, _, rest = release.partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return (int(major), int(minor)) if major.isdecimal() and minor else (0, 0)


def _fault(printed: bytes) -> NftError | NotPermitted:
    """What went wrong, from three lines a fault: the reason, the command, a caret under the place."""
    lines = printed.split(b"\n")
    first = lines[0].decode("ascii", "replace")
    if "Operation not permitted" in first:
        return NotPermitted("changing nftables needs CAP_NET_ADMIN; this starts zward with it: sudo make run")
    carets = (line for line in lines if line.lstrip(b" ")[:1] == b"^")
    return NftError(first.rpartition(": ")[2], tuple(line.index(b"^") for line in carets))
