"""neighbourhood: several banned hosts in one network."""

from dataclasses import dataclass
from typing import ClassVar

from appliance.address import Net
from appliance.judge.detector import DetectorMode
from appliance.judge.words import span
from appliance.model import Scope


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """4 banned addresses of a /24 in 24 h, or 3 banned /64 of a /48: the network, from login, web and admin ports.

    Whoever has a /48 can take a new /64 for each try. So 4 times as many that failed without a ban are enough there.
    """

    name: ClassVar[str] = "neighbourhood"

    mode: DetectorMode = DetectorMode.ENFORCE
    hosts: int = 4
    networks: int = 3
    within: float = 86400.0

    @property
    def scope(self) -> Scope:
        return Scope.LOGIN

    @property
    def rotating(self) -> int:
        """How many failing /64 of a /48 are enough."""
        return 4 * self.networks

    def bound(self, network: Net) -> int:
        return self.hosts if network.family == 4 else self.networks

    def explain_rotating(self, network: Net, failed: int) -> str:
        return (
            f"{failed} /64 networks of {network} failed in {span(self.within)} (limit {self.rotating}), "
            "and nobody ever logged in or sent mail from there"
        )

    def explain(self, network: Net, banned: int) -> str:
        kind = "addresses" if network.family == 4 else "/64 networks"
        return (
            f"{banned} {kind} of {network} were banned in {span(self.within)} (limit {self.bound(network)}), "
            "and nobody ever logged in or sent mail from there"
        )
