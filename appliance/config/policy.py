"""The configuration's detectors and lists as the judge's policy."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from appliance.address import NetSet
from appliance.config.schema import Config
from appliance.judge.accounts import Lockout
from appliance.judge.bans import Ladder
from appliance.judge.detect.table import DETECTORS, TELLERS, Watches
from appliance.judge.policy import Ours, Policy
from appliance.model import Mode

Kind = TypeVar("Kind")

WATCHES: Mapping[str, type[object]] = {each.name: type(getattr(Watches(), each.name)) for each in fields(Watches)}


def policy_of(config: Config, mode: Mode, allowed: NetSet, never_ban: Mapping[Ours, NetSet]) -> Policy:
    """What the judge is to go by. `mode` is what can be done, `allowed` the whole allowlist, wherever it comes from."""
    ladder, lockout = config.ladder, config.zimbra.lockout
    watches: dict[str, Any] = {name: _configured(config, name, kind) for name, kind in WATCHES.items()}
    return Policy(
        mode=mode,
        allowlist=allowed,
        never_ban=never_ban,
        detectors=tuple(_configured(config, name, kind) for name, kind in DETECTORS.items()),
        tellers=tuple(_configured(config, name, kind) for name, kind in TELLERS.items()),
        watches=Watches(**watches),
        office=config.detect.office,
        ladder=Ladder(ladder.steps, ladder.memory, ladder.jitter, ladder.probation),
        lockout=Lockout(lockout.max_failures, lockout.within),
        relays=NetSet(config.zimbra.relays),
        sees_traffic=config.firewall.sees_traffic,
    )


def _configured(config: Config, name: str, kind: type[Kind]) -> Kind:
    """One detector as its table says: its settings are the table's keys, but one that is another table's."""
    table = getattr(config.detect, name.replace("-", "_"))
    shared = {"in_campaign": config.detect.campaign.points}
    settings: Any = kind  # a dataclass, which its protocol cannot say
    keys = [each.name for each in fields(settings)]
    made: Kind = settings(**{key: shared[key] if key in shared else getattr(table, key) for key in keys})
    return made
