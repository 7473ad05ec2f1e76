"""What stands before Zimbra and learns from its log: the face that every policy shows to a run."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bench.stories.lines import Line
from bench.stories.script import Try

from appliance.address import Net


@dataclass(slots=True)
class Bans:
    """Which networks are out until when, and the first moment of each."""

    until: dict[Net, float] = field(default_factory=dict)
    opened: list[tuple[float, Net]] = field(default_factory=list)
    """Time and network of each ban, in order."""
    _prefixes: set[int] = field(default_factory=set)

    def open(self, net: Net, now: float, until: float) -> None:
        self.until[net] = max(until, self.until.get(net, 0.0))
        self._prefixes.add(net.prefix)
        self.opened.append((now, net))

    def cover(self, address: Net, now: float) -> bool:
        return any(
            self.until.get(address.widened(prefix), 0.0) > now for prefix in self._prefixes if prefix <= address.prefix
        )


class Defence(Protocol):
    """Times are seconds since the epoch."""

    bans: Bans
    alerts: dict[str, int]
    """What people are told, by how urgent it is."""

    def refuses(self, attempt: Try, source: Net, now: float) -> bool:
        """Whether this connection is kept away from Zimbra. If not, it was made: the source is really there."""

    def hear(self, lines: Sequence[Line], now: float) -> None: ...

    def pass_time(self, now: float) -> None:
        """Nothing happened until now."""

    def close(self) -> None: ...
