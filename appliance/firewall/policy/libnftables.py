"""The one door to libnftables, for rules alone: bans go through `netlink`, which is five times faster.

The loader and the helper come through here, and nobody else: the bindings are GPL-2.0, which does not go together
with what the receiver imports. Every text is one transaction: all of it comes true, or nothing.

libnftables looks up names and opens the files that a text includes, as root. A text is therefore only ever one that
`policy` or `layout` rendered from addresses and numbers, or a listing of it, and `include` is refused.
"""

import ctypes
import os
import re

import nftables

from appliance.firewall.backend import BackendError, NotPermitted

LIBRARY = "libnftables.so.1"

_FAULT = re.compile(r"(?:/proc/self/fd/\d+:(\d+):[\d-]+: |netlink: )?Error: (.*)")

_ELEMENTS = re.compile(r"^\t\telements = \{[^}]*\}\n", re.MULTILINE)
_PASSING = re.compile(r"^\t\tflags .*\b(?:timeout|dynamic)\b", re.MULTILINE)
"""Of a set whose elements come and go by themselves."""

_INCLUDE = re.compile(r"\binclude\b")

NOT_PERMITTED = (
    "Operation not permitted: changing nftables needs root (CAP_NET_ADMIN), and a table that a running helper owns "
    "can be changed by that helper alone"
)


class LibnftablesMissing(BackendError):
    """The library is not installed; the message says how it is."""


class NftError(Exception):
    """libnftables or the kernel refused a text; nothing of it is in force."""

    def __init__(self, reason: str, number: int = 0, line: str = "") -> None:
        super().__init__(f"nftables refuses line {number}, {line!r}: {reason}" if number else f"nftables: {reason}")
        self.reason = reason
        """In its own words: `No such file or directory`, `conflicting intervals specified`."""
        self.number = number
        """Of the line that it means, counted from 1; 0 where it names none."""
        self.line = line


def run(text: str, *, check: bool = False, terse: bool = False, stateless: bool = False) -> str:
    """Run one text in this thread's network namespace; returns what it lists.

    `check` lets the kernel look at it and changes nothing. A `terse` listing is without the elements of sets, a
    `stateless` one without the values of counters. Raises LibnftablesMissing, NotPermitted, NftError.
    """
    if _INCLUDE.search(text):
        raise NftError("the text wants to include a file; ours never does")
    library = _library()
    context = nftables.Nftables()
    context.set_numeric_time_output(True)
    context.set_terse_output(terse)
    context.set_stateless_output(stateless)
    inner = context._Nftables__ctx
    library.nft_ctx_set_dry_run(inner, check)
    descriptor = os.memfd_create("ruleset")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(text.encode("ascii") + b"\n")
        # from a file, since of a buffer it tells neither the number nor the text of the line that is wrong
        failed = library.nft_run_cmd_from_filename(inner, b"/proc/self/fd/%d" % descriptor)
    finally:
        os.close(descriptor)
    output: bytes = context.nft_ctx_get_output_buffer(inner)
    if failed:
        raise _fault(context.nft_ctx_get_error_buffer(inner).decode("utf-8", "replace"), text)
    return output.decode("utf-8", "replace")


def tables() -> set[str]:
    """The names of the tables of family inet."""
    return {line.rpartition(" ")[2] for line in run("list tables inet\n").splitlines()}


def settled(table: str, *, stateless: bool = True) -> str:
    """A table of family inet as it stays while packets pass: without elements that come and go by themselves.

    `stateless` leaves the values of counters out as well, so that two listings can be compared. Raises NftError where
    there is no such table.
    """
    return without_passing_elements(run(f"list table inet {table}\n", stateless=stateless))


def without_passing_elements(listing: str) -> str:
    """A listing, or a part of one, without the elements of sets that fill themselves."""
    blocks = listing.split("\n\n")
    return "\n\n".join(_ELEMENTS.sub("", block) if _PASSING.search(block) else block for block in blocks)


def _library() -> ctypes.CDLL:
    """Two functions that the bindings leave out."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as fault:
        cure = "this installs it: apt-get install libnftables1"
        raise LibnftablesMissing(f"{LIBRARY} is not installed; {cure}") from fault
    library.nft_ctx_set_dry_run.argtypes = [ctypes.c_void_p, ctypes.c_bool]
    library.nft_ctx_set_dry_run.restype = None
    library.nft_run_cmd_from_filename.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def _fault(printed: str, text: str) -> NftError | NotPermitted:
    """What went wrong, by the first of the faults that it printed."""
    found = next(filter(None, map(_FAULT.match, printed.splitlines())), None)
    if found is None:
        return NftError(printed.strip() or "it gave no reason")
    if "Operation not permitted" in found[2]:
        return NotPermitted(NOT_PERMITTED)
    reason = found[2].removeprefix("Could not process rule: ")
    if found[1] is None:
        return NftError(reason)
    number = int(found[1])
    return NftError(reason, number, text.splitlines()[number - 1].strip())
