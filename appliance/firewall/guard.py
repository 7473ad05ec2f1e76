"""Keeps what root loaded as root loaded it: notices who changes our tables, and puts them back."""

import contextlib
import fcntl
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from appliance.firewall.backend import BackendError
from appliance.firewall.firewall import Firewall
from appliance.firewall.orders import OrdersError
from appliance.firewall.places import LISTING, LOCK, POLICY
from appliance.firewall.policy.policy import TABLE as POLICY_TABLE
from appliance.firewall.table.kernel import KernelError
from appliance.firewall.table.layout import TABLE
from appliance.firewall.watch import Watch

RELAX_EVERY = 60.0
"""Seconds between two looks whether anybody is still banned in a narrow scope."""

SETTLE = 0.1
"""Seconds between a change of the policy and the look at it: one command may be several transactions."""


class Guard:
    """Looks when the kernel tells of a change, and does nothing otherwise."""

    def __init__(self, firewall: Firewall, directory: Path, own_port: int) -> None:
        """`own_port` is the netlink port whose changes are our own. Raises OSError."""
        self._firewall = firewall
        self._directory = directory
        self._watch = Watch(own_port, frozenset({TABLE, POLICY_TABLE}))
        firewall.aside = self._watch.aside
        self._relaxed = time.monotonic()
        self._suspect_since: float | None = None
        self._suspect = ""

    def descriptors(self) -> list[int]:
        """What is to be waited for."""
        samples = self._firewall.samples
        return [self._watch.fileno(), *([samples.fileno()] if samples else [])]

    def look(self, ready: Collection[int]) -> None:
        """Read what came on these descriptors."""
        samples = self._firewall.samples
        if samples and samples.fileno() in ready:
            samples.read()
        self._follow_changes()  # 2 µs where there are none; after a large transaction of ours nothing wakes us

    def _follow_changes(self) -> None:
        changes = self._watch.read()
        by = changes.by or "somebody"
        if TABLE in changes.tables or changes.lost:
            self._mend(f"{by} changed the table inet {TABLE}; it is put back")
        if POLICY_TABLE in changes.tables or changes.lost:
            self._suspect_since, self._suspect = time.monotonic(), by

    def _mend(self, told: str) -> None:
        try:
            self._firewall.repaired(told)
        except (KernelError, OrdersError) as fault:
            self._firewall.tell(f"{told}, but that failed: {fault}")

    def glance(self) -> None:
        """Take up new orders, and look at a policy that somebody touched."""
        try:
            self._firewall.heed_orders()
        except (KernelError, OrdersError) as fault:
            self._firewall.tell(f"root's new orders are not taken up: {fault}")
        if time.monotonic() - self._relaxed > RELAX_EVERY:
            self._relaxed = time.monotonic()
            with contextlib.suppress(KernelError):
                self._firewall.relax()
        if self._suspect_since is not None and time.monotonic() - self._suspect_since > SETTLE:
            self._check_policy()

    def _check_policy(self) -> None:
        """Put the policy back if it is not what the loader left. While a loader works, look again later."""
        from appliance.firewall.policy import libnftables  # a C library that is needed in this one case only

        with self._unless_loading() as free:
            if not free:
                return
            self._suspect_since = None
            try:
                wanted = (self._directory / LISTING).read_text(encoding="utf-8")
                policy = (self._directory / POLICY).read_text(encoding="utf-8")
            except FileNotFoundError:
                return  # there is to be none
            try:
                if _listed() != wanted:
                    libnftables.run(policy)
                    self._firewall.repairs += 1
                    self._firewall.tell(f"{self._suspect} changed the table inet {POLICY_TABLE}; it is put back")
            except (libnftables.NftError, BackendError) as fault:
                self._firewall.tell(f"the table inet {POLICY_TABLE} cannot be put back: {fault}")

    @contextlib.contextmanager
    def _unless_loading(self) -> Iterator[bool]:
        """Whether no loader works at this moment; none begins meanwhile."""
        try:
            descriptor = os.open(self._directory / LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            yield True
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(descriptor)


def _listed() -> str:
    """The policy as the kernel has it; "" if it is gone."""
    from appliance.firewall.policy import libnftables

    try:
        return libnftables.settled(POLICY_TABLE)
    except libnftables.NftError:
        return ""
