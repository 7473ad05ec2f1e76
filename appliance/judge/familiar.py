"""Who logs in from where: the memory that tells a stale phone from a guesser.

It is taught by successes that nobody can forge and that are not under suspicion themselves. Everything in it ends
30 days after the last login it rests on.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from appliance.address import Net, source_at

KEPT = 30 * 86400.0
"""Seconds since the last login after which a source is a stranger again."""
PLACES = 20
"""Sources an account is known at; the one seen longest ago gives way. AD FS keeps as many (Extranet Smart Lockout)."""
ACCOUNTS = 131_072
"""Accounts that logged in and are remembered; a site has 10^2 to 10^5. The one seen longest ago gives way."""
RENEWED = 3600.0
"""Seconds after which a login that is known already is worth writing down anew."""
NEIGHBOURHOOD = {4: 24, 6: 48}
"""Prefix lengths within which addresses have one owner: what a provider or a mobile network hands out in turn."""


class Seen(NamedTuple):
    """One account's logins from one source."""

    source: Net
    """A /32, or an IPv6 /64."""
    account: str
    first: float
    last: float
    """Seconds since the epoch."""


class _Times(NamedTuple):
    first: float
    last: float
    written: float
    """The last login that the store was told of."""


class Familiar:
    """Accounts by source, and sources by account."""

    def __init__(self, accounts: int = ACCOUNTS) -> None:
        self._most = accounts
        self._accounts: OrderedDict[str, dict[bytes, _Times]] = OrderedDict()
        self._sources: dict[bytes, tuple[str, ...]] = {}
        self._networks: OrderedDict[bytes, float] = OrderedDict()
        """When somebody last logged in from a network (/24 or /48)."""
        self._news: dict[tuple[bytes, str], None] = {}
        self.evicted = 0
        """Accounts forgotten because there were too many."""

    def __len__(self) -> int:
        """How many sources are known for somebody."""
        return len(self._sources)

    def learn(self, source: Net, account: str, time: float) -> None:
        """Take note of a login, of which nobody has reason to doubt that the account's owner made it."""
        packed = source.packed
        times = self._put(packed, account, time, time)
        if times.last - times.written >= RENEWED:
            self._accounts[account][packed] = times._replace(written=times.last)
            self._news[packed, account] = None

    def knows(self, source: Net, account: str, now: float) -> bool:
        """Whether this account logged in from this source.

        `ana` and `ana@example.com` pass for one: Postfix writes what was typed, audit.log the whole address.
        """
        packed = source.packed
        accounts = self._sources.get(packed)
        if accounts is None:
            return False
        local, at, _ = account.partition("@")
        if at:
            same: Iterable[str] = (account, local)
        else:  # thousands may log in behind one address; the names that are typed without a domain are few
            same = (each for each in accounts if each == account or each.startswith(f"{account}@"))
        return any(self._is_fresh(packed, each, now) for each in same)

    def accounts_at(self, source: Net, now: float) -> list[str]:
        """The accounts that logged in from a source."""
        packed = source.packed
        return [each for each in self._sources.get(packed, ()) if self._is_fresh(packed, each, now)]

    def has_succeeded(self, source: Net, now: float) -> bool:
        """Whether anybody logged in from a source; whoever cannot say so is a stranger."""
        packed = source.packed
        accounts = self._sources.get(packed)
        return accounts is not None and any(self._is_fresh(packed, each, now) for each in accounts)

    def sources_of(self, account: str) -> list[Seen]:
        """Where an account logged in, the latest last."""
        return [_seen(packed, account, times) for packed, times in self._accounts.get(account, {}).items()]

    def latest(self, most: int, now: float) -> list[Net]:
        """The sources of those accounts that logged in last."""
        found: dict[bytes, None] = {}
        for places in reversed(self._accounts.values()):
            found.update((packed, None) for packed, times in places.items() if times.last > now - KEPT)
            if len(found) >= most:
                break
        return [source_at(packed) for packed in list(found)[:most]]

    def is_near(self, source: Net, account: str, now: float) -> bool:
        """Whether an account logged in from the /24 or /48 around a source: a phone whose address changes."""
        times = self._accounts.get(account)
        if times is None:
            return False
        around = network_of(source)
        return any(
            len(packed) == len(source.packed) and around.covers(source_at(packed)) and each.last > now - KEPT
            for packed, each in times.items()
        )

    def lives_in(self, network: Net, now: float) -> bool:
        """Whether anybody logged in from a /24 or /48."""
        return self._networks.get(network.packed, 0.0) > now - KEPT

    def forget(self, account: str | None = None, net: Net | None = None) -> list[Seen]:
        """Forget an account, a network, or what they have in common; what is gone."""
        accounts = list(self._accounts) if account is None else [account]
        gone = [seen for each in accounts for seen in self.sources_of(each) if net is None or net.covers(seen.source)]
        for seen in gone:
            self._drop(seen.source.packed, seen.account)
        if gone:
            left = {network_of(source_at(packed)).packed for packed in self._sources}
            for network in {network_of(seen.source).packed for seen in gone} - left:
                self._networks.pop(network, None)
        return gone

    def load(self, rows: Iterable[Seen]) -> None:
        """Take up what an earlier run learned."""
        for source, account, first, last in rows:
            times = self._put(source.packed, account, first, last)
            self._accounts[account][source.packed] = times._replace(written=times.last)

    def take_news(self) -> list[Seen]:
        """What was learned since the last call, for the store."""
        news, self._news = self._news, {}
        return [
            _seen(packed, account, times)
            for packed, account in news
            if (times := self._accounts.get(account, {}).get(packed)) is not None
        ]

    def __iter__(self) -> Iterator[Seen]:
        return (seen for account in self._accounts for seen in self.sources_of(account))

    def _put(self, packed: bytes, account: str, first: float, last: float) -> _Times:
        places = self._accounts.get(account)
        if places is None:
            places = self._open(account)
        self._accounts.move_to_end(account)
        times = places.pop(packed, None)
        if times is None:
            times = _Times(first, last, float("-inf"))
            self._sources[packed] = (*self._sources.get(packed, ()), account)
            if len(places) >= PLACES:
                self._drop(next(iter(places)), account)
        else:
            times = _Times(min(first, times.first), max(last, times.last), times.written)
        self._accounts.setdefault(account, places)[packed] = times
        self._note_network(packed, times.last)
        return times

    def _note_network(self, packed: bytes, last: float) -> None:
        network = network_of(source_at(packed)).packed
        if last > self._networks.get(network, 0.0):
            self._networks[network] = last
            self._networks.move_to_end(network)
            if len(self._networks) > self._most:
                self._networks.popitem(last=False)

    def _open(self, account: str) -> dict[bytes, _Times]:
        if len(self._accounts) >= self._most:
            oldest = next(iter(self._accounts))
            for packed in list(self._accounts[oldest]):
                self._drop(packed, oldest)
            self.evicted += 1
        places = self._accounts[account] = {}
        return places

    def _drop(self, packed: bytes, account: str) -> None:
        places = self._accounts[account]
        del places[packed]
        if not places:
            del self._accounts[account]
        left = tuple(each for each in self._sources[packed] if each != account)
        if left:
            self._sources[packed] = left
        else:
            del self._sources[packed]

    def _is_fresh(self, packed: bytes, account: str, now: float) -> bool:
        places = self._accounts.get(account)
        times = None if places is None else places.get(packed)
        return times is not None and times.last > now - KEPT


def network_of(source: Net) -> Net:
    """The /24 or /48 around a source."""
    return source.widened(NEIGHBOURHOOD[source.family])


def _seen(packed: bytes, account: str, times: _Times) -> Seen:
    return Seen(source_at(packed), account, times.first, times.last)
