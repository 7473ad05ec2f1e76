"""A firewall that blocks nobody: it writes down what would be banned, and refuses what the real one does."""

from collections.abc import Callable, Collection, Mapping, Sequence

from appliance.address import Net
from appliance.firewall.backend import DROPS, BackendError, Drop, Dropped, Element, Health, Place, Refused, SampledDrop
from appliance.firewall.limits import MAX_ALLOWED, SET_SIZE, Protected, covering, refusal_of
from appliance.model import BAN_SCOPES


class ObserveBackend:
    """For the mode `observe`, for replays on a virtual clock, and for tests."""

    def __init__(self, clock: Callable[[], float], own: Collection[Net] = ()) -> None:
        """`clock` gives seconds that never go back; `own` are the addresses of this host."""
        self._clock = clock
        self._own = Protected(own)
        self._allowed = Protected()
        self._ends: dict[Place, float] = {}

    async def open(self) -> None:
        """Nothing has to be in place."""

    async def close(self) -> None:
        """What was written down stays, as the kernel's bans would."""

    async def ban(self, bans: Sequence[Element]) -> list[Refused]:
        now = self._clock()
        refused = []
        wanted: dict[Place, float] = {}
        for element in bans:
            if refusal := refusal_of(element, self._allowed, self._own):
                refused.append(Refused(element.net, refusal.words))
            else:
                wanted[Place(element.net, element.scope)] = now + element.seconds
        if len(self._ends.keys() | wanted.keys()) > SET_SIZE:
            self._expire(now)
            if len(self._ends.keys() | wanted.keys()) > SET_SIZE:
                raise BackendError(f"the set is full: it holds {SET_SIZE} elements")
        self._ends |= wanted
        return refused

    async def unban(self, nets: Sequence[Net]) -> list[Net]:
        self._expire(self._clock())
        wanted = dict.fromkeys(found for net in nets for found in covering(net))
        return [net for net in wanted if self._lift(net)]

    async def banned(self) -> dict[Place, float]:
        now = self._clock()
        self._expire(now)
        return {place: float(int(end - now)) for place, end in self._ends.items()}

    async def allow(self, nets: Collection[Net]) -> None:
        if len(nets) > MAX_ALLOWED:
            raise BackendError(f"an allow list of {len(nets)} networks; the limit is {MAX_ALLOWED}")
        self._allowed = Protected(nets)

    async def favour(self, sources: Sequence[Element]) -> None:
        """Nobody is limited here, so nobody can be given more room."""

    async def fence(self, ports: Collection[int], seconds: int) -> None:
        """Nobody is kept out of any port."""

    async def seen(self, sources: Collection[Net]) -> set[Net]:
        """Nobody: it sees no packets."""
        return set()

    async def dropped(self) -> Mapping[Drop, Dropped]:
        return dict.fromkeys(DROPS, Dropped(0, 0))

    async def samples(self) -> list[SampledDrop]:
        """Nothing is dropped."""
        return []

    async def health(self) -> Health:
        return Health()

    def _lift(self, net: Net) -> bool:
        """End the bans of exactly this network; whether there was one."""
        ended = [self._ends.pop(Place(net, scope), None) for scope in BAN_SCOPES]
        return any(end is not None for end in ended)

    def _expire(self, now: float) -> None:
        self._ends = {place: end for place, end in self._ends.items() if end > now}
