"""The two tables that a configuration asks for, as text, and in what the kernel differs from them."""

import difflib
import itertools
import re
from collections.abc import Iterator

from appliance.address import Net
from appliance.config.gateway import Gateway
from appliance.config.ruleset import ruleset_of
from appliance.config.schema import Config
from appliance.firewall.backend import EXPOSED_PORTS
from appliance.firewall.orders import Orders
from appliance.firewall.policy import libnftables, policy, scratch
from appliance.firewall.table import layout, shown
from appliance.surroundings import never_ban

BANS, POLICY = layout.TABLE, policy.TABLE
"""The names of the tables, both of family inet."""

SAMPLES_GROUP = 7765
"""The NFLOG group of samples of dropped packets."""

_TABLE = re.compile(r"^table inet (\w+) \{.*?^\}$", re.MULTILINE | re.DOTALL)
_NARROW = re.compile(r" @ban\w+_(?:login|smtp_in) goto ")
_FENCED = re.compile(r" @fence goto ")
_ELEMENTS = re.compile(r"^\t\telements = \{[^}]*\}\n", re.MULTILINE)
_OF_THE_TABLE = re.compile(r"^\t(?:flags|comment) .*\n+", re.MULTILINE)


def orders_of(config: Config) -> Orders:
    """What the helper has to keep to. Reads this host's addresses, routes and resolvers afresh."""
    protected = itertools.chain.from_iterable(nets.networks for nets in never_ban(config).values())
    administrators = config.gateway.admin if config.gateway else ()
    fence = config.detect.siege.fence
    return Orders(
        never_ban=frozenset(protected).union(config.allow.networks, administrators),
        mark=config.gateway is not None,
        reset=config.firewall.answer == "reset",
        samples=SAMPLES_GROUP if config.firewall.drop_samples else 0,
        extra_ports=extra_ports(config),
        fence=fence.ports if fence.enabled else (),
        fence_from=frozenset(fence.networks).union(_behind(config.gateway)) if fence.enabled else frozenset(),
    )


def _behind(gateway: Gateway | None) -> Iterator[Net]:
    """Hosts behind the gateway, as far as it knows them: the fence does not keep them in."""
    if gateway:
        yield from gateway.inside
        yield from itertools.chain.from_iterable(publish.to for publish in gateway.publish)


def extra_ports(config: Config) -> tuple[int, ...]:
    """What bans of scope `all` close beside the exposed ports: sshd's, where its failures are judged."""
    return tuple(port for port in config.sshd.ports if port not in EXPOSED_PORTS) if config.sshd.enabled else ()


def rendered(config: Config, *, narrow: bool = True, fenced: bool | None = None) -> dict[str, str | None]:
    """Table → its text. The helper looks into the sets of `narrow` scopes only while somebody is in them, and into
    that of the fence only while something is `fenced`; None: show it where it is allowed."""
    orders = orders_of(config)
    fenced = bool(orders.fence) if fenced is None else fenced
    return {BANS: shown.text(orders, narrow=narrow, fenced=fenced), POLICY: ruleset_of(config)}


def differences(config: Config) -> dict[str, list[str]]:
    """Table → the lines in which the kernel (`+`) differs from the configuration (`-`), none where it does not.

    Elements that come and go are left out, and who may not be banned: the running daemon adds to that.
    Raises ScratchError, BackendError, NftError.
    """
    present = libnftables.tables()
    there = {name: libnftables.settled(name) if name in present else "" for name in (BANS, POLICY)}
    bans = there[BANS]
    texts = rendered(config, narrow=bool(_NARROW.search(bans)), fenced=bool(_FENCED.search(bans)))
    listing = scratch.listed("".join(filter(None, texts.values())))
    asked = {found[1]: found[0] for found in _TABLE.finditer(listing)}
    return {name: _differing(name, asked.get(name, ""), there[name]) for name in texts}


def _differing(name: str, asked: str, there: str) -> list[str]:
    before, after = _compared(name, asked), _compared(name, there)
    labels = f"inet {name}: the configuration", f"inet {name}: the kernel"
    return list(difflib.unified_diff(before, after, *labels, lineterm=""))


def _compared(name: str, listing: str) -> list[str]:
    """The lines that count, each object of the table in its place by name: the kernel lists them as they were made."""
    head, _, body = _OF_THE_TABLE.sub("", listing).partition("\n")
    blocks = libnftables.without_passing_elements(body.rstrip().removesuffix("}")).split("\n\n")
    if name == BANS:
        blocks = [_ELEMENTS.sub("", block) if block.startswith("\tset ") else block for block in blocks]
    lines = [line for block in sorted(blocks) for line in block.splitlines() if line]
    return [head.partition(" #")[0], *lines, "}"] if listing else []
