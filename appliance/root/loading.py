"""What root does to the firewall: `zward firewall load` and `clear`, and `zward run` as root at its start.

Everything comes from root's configuration and nothing from the receiver. The ban table itself is the helper's; the
loader writes down for it what it has to keep to, and loads the policy of the gateway.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from appliance.address import NetSet
from appliance.config.ruleset import ruleset_of
from appliance.config.schema import Config
from appliance.firewall import places
from appliance.firewall.backend import BackendError, NotPermitted
from appliance.firewall.limits import MAX_ALLOWED
from appliance.firewall.orders import Orders
from appliance.firewall.orders import write as write_orders
from appliance.firewall.policy import libnftables
from appliance.firewall.policy.libnftables import LibnftablesMissing, NftError
from appliance.firewall.policy.policy import transaction
from appliance.root import last_good, rollback, sysctls
from appliance.root.files import LoadError, Refusal, loading, prepare, put, read, require_root, require_roots_own
from appliance.root.last_good import Plan
from appliance.root.lockout_guard import objection, own_connection
from appliance.root.rollback import Before
from appliance.root.rulesets import BANS, POLICY, orders_of
from appliance.root.sysctls import SysctlError

__all__ = [
    *("Cleared", "LoadError", "Loaded", "Refusal"),
    *("clear", "confirmed", "load", "load_last_good", "running_helpers"),
]

PROC = Path("/proc")
HELPER = b"appliance.firewall.helper"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a load."""

    directory: Path
    mode: str | None
    """Of the gateway; None where only the ban table is wanted."""
    removed_policy: bool
    """Whether a policy stood that the configuration no longer asks for."""
    never_ban: int
    """Networks that the helper will never ban."""
    switches: dict[str, str]
    """The kernel's switches that were changed, with their new values."""
    warnings: tuple[str, ...] = ()
    last_good: datetime | None = None
    """Set where the configuration has faults: this was loaded then, and is in force again."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was ours in the kernel."""

    tables: tuple[str, ...]
    switches: dict[str, str]
    """Those that were put back, with their values of before."""


def load(
    config: Config,
    path: Path | None,
    *,
    force: bool = False,
    confirm: float | None = None,
    keep: Path | None = None,
) -> Loaded:
    """Write the helper's orders and put the policy in force, or remove it where there is no `[gateway]`.

    `path` is the configuration's file, None for the built-in one. `confirm`: seconds after which everything is taken
    back unless somebody confirms it (see `rollback`). `keep`: where to keep what was loaded (see `last_good`). Either
    all of it is done or nothing. Raises Refusal, LoadError.
    """
    require_root("zward firewall load")
    with _faults_in_words():
        if path:
            require_roots_own(path)
        plan = _plan(config)
        if config.gateway and not force and (objects := objection(config.gateway, own_connection())):
            raise Refusal(objects)
        warnings = tuple(_warnings(config, plan.orders))
        loaded = _in_force(plan, confirm, warnings)
    return _kept(keep, plan, loaded, waits=confirm is not None)


def load_last_good(place: Path) -> Loaded:
    """Put in force what was loaded last and is kept there: the configuration has faults. Raises Refusal, LoadError."""
    require_root("zward firewall load")
    with _faults_in_words():
        plan, when = last_good.kept(place)
        return replace(_in_force(plan, None, ()), last_good=when)


def confirmed(directory: Path) -> None:
    """What was loaded with `confirm` stays; keep it, where what is loaded is kept. Raises LoadError."""
    with _faults_in_words():
        if place := last_good.place_of(directory):
            last_good.settle(place)


def clear(config: Config) -> Cleared:
    """Remove both tables, bans included, put the kernel's switches back, and remove the files.

    Raises LoadError, also where a helper lives that would make its table again.
    """
    require_root("zward firewall clear")
    if helpers := running_helpers():
        raise LoadError(f"zward runs; end it first: {', '.join(helpers)}. Nothing was removed")
    directory = config.firewall_directory
    with _faults_in_words():
        ours = sorted({BANS, POLICY} & libnftables.tables())
        text = "".join(f"delete table inet {name}\n" for name in ours)
        try:
            libnftables.run(text, check=True)
        except NotPermitted as fault:
            raise LoadError(f"{fault}. End whatever is left of zward, its services too. Nothing was removed") from fault
        rollback.ask(directory, rollback.CONFIRM)  # nothing may come back afterwards
        switches = sysctls.put(_earlier(directory))
        libnftables.run(text)
        for name in (*rollback.FILES, places.LOCK):
            put(directory / name, None)
        if place := last_good.place_of(directory):
            last_good.forget(place)
    return Cleared(tuple(ours), switches)


def running_helpers(proc: Path = PROC) -> list[str]:
    """The firewall helpers of this network namespace, and what would start them again: `zward run (pid 4021)`."""
    found = []
    for entry in proc.glob("[0-9]*"):
        words = _words(entry)
        if HELPER not in words or not _is_here(entry, proc):
            continue
        parent = _parent(entry)
        if b"run" in _words(proc / parent)[1:]:
            found.append(f"zward run (pid {parent})")
        else:
            found.append(f"the firewall helper (pid {entry.name}), with the service that it belongs to")
    return found


@contextlib.contextmanager
def _faults_in_words() -> Iterator[None]:
    """Whatever the kernel, its library or the disk refuse becomes a LoadError."""
    try:
        yield
    except (OSError, SysctlError, BackendError, NftError) as fault:
        raise LoadError(str(fault)) from fault


def _refuse_two(directory: Path) -> None:
    if waiting := rollback.waiting(directory):
        waiting.close()
        raise Refusal("a policy loaded before waits to be confirmed: zward firewall confirm, or let it be taken back")


def _in_force(plan: Plan, confirm: float | None, warnings: tuple[str, ...]) -> Loaded:
    """Carry it out: all of it, or nothing."""
    if plan.policy is not None:
        libnftables.run(transaction(plan.policy, None), check=True)
    sysctls.require(plan.switches)
    prepare(plan.directory)
    _refuse_two(plan.directory)
    before = _before(plan)
    if before and confirm is not None:
        rollback.begin(plan.directory, before, confirm)
    try:
        switches = _carry_out(plan, before is not None)
    except BaseException:
        if before and rollback.ask(plan.directory, rollback.UNDO) is None:
            before.restore(plan.directory)
        raise
    removed = before is not None and before.policy is not None and plan.policy is None
    return Loaded(plan.directory, plan.mode, removed, len(plan.orders.never_ban), switches, warnings)


def _kept(place: Path | None, plan: Plan, loaded: Loaded, *, waits: bool) -> Loaded:
    """Keep what is in force now; if that fails it is in force all the same."""
    place = place or last_good.place_of(plan.directory)
    if place is None:
        return loaded
    try:
        last_good.keep(place, plan, time.time(), waits=waits)
    except (OSError, LoadError, Refusal) as fault:
        warning = f"it is not kept for a boot at which the configuration has faults: {fault}"
        return replace(loaded, warnings=(*loaded.warnings, warning))
    return loaded


def _plan(config: Config) -> Plan:
    orders = orders_of(config)
    for nets, what in ((orders.never_ban, "never to be banned"), (orders.fence_from, "let in by the fence")):
        if len(nets) > MAX_ALLOWED:
            raise LoadError(f"{len(nets)} networks are {what}; the limit is {MAX_ALLOWED}")
    mode = str(config.gateway.mode) if config.gateway else None
    return Plan(config.firewall_directory, orders, ruleset_of(config), mode, sysctls.wanted(mode))


def _before(plan: Plan) -> Before | None:
    """What is in force now; None where no policy was ever there and none is wanted, and no library either."""
    try:
        return rollback.remember(plan.directory)
    except LibnftablesMissing:
        if plan.policy is not None or (plan.directory / places.POLICY).exists():
            raise
        return None


def _carry_out(plan: Plan, has_library: bool) -> dict[str, str]:
    """Write the orders, put the policy in force or remove it; returns the switches that changed.

    A switch is opened after the policy and closed before it: nothing is forwarded that no policy looks at.
    """
    with loading(plan.directory):
        write_orders(plan.directory / places.ORDERS, plan.orders)
        if not has_library:
            return {}
        earlier = _earlier(plan.directory)
        closed = {name: value for name, value in earlier.items() if name not in plan.switches}
        if plan.policy is None:
            changed = sysctls.put(closed)
            _put_policy(plan.directory, None)
            put(plan.directory / sysctls.NAME, None)
            return changed
        _put_policy(plan.directory, plan.policy)
        first = sysctls.current(plan.switches) | {name: earlier[name] for name in plan.switches if name in earlier}
        put(plan.directory / sysctls.NAME, sysctls.told(first) if first else None)
        return sysctls.put(closed | plan.switches)


def _put_policy(directory: Path, text: str | None) -> None:
    """In one transaction; and write down what the helper puts back if somebody removes it."""
    if text is None:
        if removal := rollback.removing():
            libnftables.run(removal)
    else:
        libnftables.run(transaction(text, _standing(directory)))
    put(directory / places.POLICY, None if text is None else transaction(text, None))
    put(directory / places.LISTING, None if text is None else libnftables.settled(POLICY))


def _standing(directory: Path) -> str | None:
    """The policy in force, if it is as an earlier load left it: then its limits go on counting."""
    listing, text = read(directory / places.LISTING), read(directory / places.POLICY)
    if text is None or POLICY not in libnftables.tables() or libnftables.settled(POLICY) != listing:
        return None
    return text.removeprefix(transaction("", None))


def _earlier(directory: Path) -> dict[str, str]:
    """The switches as they were before any policy of ours."""
    return sysctls.parsed(read(directory / sysctls.NAME) or "")


def _warnings(config: Config, orders: Orders) -> Iterator[str]:
    gateway = config.gateway
    if orders.extra_ports and (own := own_connection()) and not NetSet(orders.never_ban).touching(own.client):
        yield f"you are connected from {own.client}, and a few mistyped passwords at sshd could ban it: allow.networks"
    if gateway and gateway.mode == "routed":
        for name in sysctls.deaf_to_routers((*gateway.wan, *gateway.lan)):
            cure = f"sysctl -w net.ipv6.conf.{name}.accept_ra=2"
            yield f"{name} learns its IPv6 default route from a router, which ends with forwarding; first: {cure}"


def _words(entry: Path) -> list[bytes]:
    try:
        return (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:  # it has just ended
        return []


def _parent(entry: Path) -> str:
    try:
        status = (entry / "status").read_bytes()
    except OSError:
        return "0"
    return next((line.split()[1].decode() for line in status.splitlines() if line.startswith(b"PPid:")), "0")


def _is_here(entry: Path, proc: Path) -> bool:
    try:
        return (entry / "ns/net").samefile(proc / "self/ns/net")
    except OSError:
        return False
