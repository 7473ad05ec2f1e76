"""many-places: one account is used from too many networks at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from appliance.address import Net
from appliance.judge.detector import DetectorMode
from appliance.judge.familiar import Seen, network_of


@dataclass(frozen=True, slots=True)
class ManyPlaces:
    """More than 5 networks (/24, /48) in 6 h that the account was never seen in before."""

    name: ClassVar[str] = "many-places"

    mode: DetectorMode = DetectorMode.ENFORCE
    networks: int = 5
    within: float = 6 * 3600.0

    def new_networks(self, seen: Iterable[Seen], now: float) -> set[Net]:
        """The networks in which an account appeared within the window, less those of its habit."""
        since = now - self.within
        habit: set[Net] = set()
        new: set[Net] = set()
        for each in seen:
            (new if each.first > since else habit).add(network_of(each.source))
        return new - habit
