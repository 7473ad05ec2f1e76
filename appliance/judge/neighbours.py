"""Which sources of a network were banned or failed, and where mail comes from: what a ban of it has to know."""

from collections import OrderedDict

from appliance.address import Net
from appliance.judge.familiar import network_of

NETWORKS = 65_536
"""Networks that are remembered; the one of which nothing was noted for longest gives way."""
HOSTS = 64
"""Sources of one network that are told apart: above every limit."""
MAILERS = 262_144
"""Sources of accepted mail; the one heard of longest ago gives way."""
MAIL_KEPT = 7 * 86400.0
"""Seconds for which an accepted mail speaks for a source."""


class Neighbours:
    """Sources of each /24 and /48, with the time at which they were noted."""

    def __init__(self) -> None:
        self._networks: OrderedDict[Net, dict[bytes, float]] = OrderedDict()
        self.evicted = 0

    def note(self, source: Net, now: float) -> None:
        """Note a source."""
        network = network_of(source)
        hosts = self._networks.setdefault(network, {})
        self._networks.move_to_end(network)
        hosts.pop(source.packed, None)
        hosts[source.packed] = now
        if len(hosts) > HOSTS:
            del hosts[next(iter(hosts))]
        if len(self._networks) > NETWORKS:
            self._networks.popitem(last=False)
            self.evicted += 1

    def hosts(self, network: Net, within: float, now: float) -> list[bytes]:
        """The sources of a /24 or /48 that were noted in the last `within` seconds."""
        return [host for host, since in self._networks.get(network, {}).items() if since > now - within]

    def forget(self, net: Net) -> None:
        """Somebody vouches for a network, or for a host in it."""
        if not net.is_host and net in self._networks:
            del self._networks[net]
        for network in (network_of(net), net):
            if hosts := self._networks.get(network):
                hosts.pop(net.packed, None)


class Mailers:
    """Who delivered mail that was accepted."""

    def __init__(self, most: int = MAILERS) -> None:
        self._most = most
        self._last: OrderedDict[Net, float] = OrderedDict()
        """By source, and by network around it."""
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._last)

    def accepted(self, source: Net, now: float) -> None:
        """A mail from this source was accepted."""
        for net in (source, network_of(source)):
            self._last[net] = now
            self._last.move_to_end(net)
        while len(self._last) > self._most:
            self._last.popitem(last=False)
            self.evicted += 1

    def knows(self, net: Net, now: float, within: float = MAIL_KEPT) -> bool:
        """Whether a source, or somebody in a /24 or /48, delivered mail lately."""
        return self._last.get(net, float("-inf")) > now - within
