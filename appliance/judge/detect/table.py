"""Every detector, by the name that its configuration table has. One more is one file and one line here.

Where several ask for a ban at once, the one whose first step is longest decides, then the one named first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar, Protocol

from appliance.judge.detect.admin_door import AdminDoor
from appliance.judge.detect.break_in import BreakIn
from appliance.judge.detect.campaign import Campaign
from appliance.judge.detect.fuse import FuseLimits
from appliance.judge.detect.guessing import Guessing
from appliance.judge.detect.harvesting import Harvesting
from appliance.judge.detect.ineffective import Ineffective
from appliance.judge.detect.many_places import ManyPlaces
from appliance.judge.detect.neighbourhood import Neighbourhood
from appliance.judge.detect.outage import Outage
from appliance.judge.detect.outbound import Outbound
from appliance.judge.detect.probing import Probing
from appliance.judge.detect.siege import Siege
from appliance.judge.detect.silence import Silence
from appliance.judge.detect.slow_guessing import SlowGuessing
from appliance.judge.detect.spraying import Spraying
from appliance.judge.detect.stale_device import StaleDevice
from appliance.judge.detect.trap import Trap
from appliance.judge.detect.zmauditswatch import Zmauditswatch
from appliance.judge.detector import Detector, DetectorMode, Teller

DETECTORS: Mapping[str, type[Detector]] = {
    "trap": Trap,
    "admin-door": AdminDoor,
    "guessing": Guessing,
    "slow-guessing": SlowGuessing,
    "spraying": Spraying,
    "siege": Siege,
    "probing": Probing,
    "harvesting": Harvesting,
}
"""They ask for bans of sources that fail."""
TELLERS: Mapping[str, type[Teller]] = {
    "zmauditswatch": Zmauditswatch,
    "stale-device": StaleDevice,
}
"""They tell of failures."""


class Watch(Protocol):
    """What all of `Watches` have."""

    name: ClassVar[str]

    @property
    def mode(self) -> DetectorMode: ...


@dataclass(frozen=True, slots=True)
class Watches:
    """Those that look at something else than one source's failures: the whole site, its networks, logins, ourselves."""

    campaign: Campaign = field(default_factory=Campaign)
    neighbourhood: Neighbourhood = field(default_factory=Neighbourhood)
    break_in: BreakIn = field(default_factory=BreakIn)
    many_places: ManyPlaces = field(default_factory=ManyPlaces)
    outbound: Outbound = field(default_factory=Outbound)
    outage: Outage = field(default_factory=Outage)
    silence: Silence = field(default_factory=Silence)
    fuse: FuseLimits = field(default_factory=FuseLimits)
    ineffective: Ineffective = field(default_factory=Ineffective)

    def __iter__(self) -> Iterator[Watch]:
        return (getattr(self, each.name) for each in fields(self))


def default_detectors() -> tuple[Detector, ...]:
    return tuple(detector() for detector in DETECTORS.values())


def default_tellers() -> tuple[Teller, ...]:
    return tuple(teller() for teller in TELLERS.values())
