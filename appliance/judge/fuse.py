"""The fuse: bans at a rate that no site needs are ours to doubt, not only the attackers'.

Whoever can make a sender write lines can name victims in them. A blown fuse asks every further ban for what a forger
cannot give: packets that really came from the source. A real botnet gives them by attacking, so it gains nothing by
blowing the fuse.
"""

from collections import OrderedDict, deque

SENDERS = 256
"""Senders whose share is counted; a site has 1 to 20."""


class Fuse:
    """When bans were asked for lately, and whether that blew the fuse."""

    def __init__(self) -> None:
        self.blown_since: float | None = None
        self._asked: deque[float] = deque()
        """The newest times at which a ban was asked for."""
        self._rushed_at = 0.0
        """When the rate was last over the limit."""
        self._shares: OrderedDict[str, deque[float]] = OrderedDict()
        """When each sender's lines last led to a ban."""

    def ask(self, now: float, bans: int, within: float) -> bool:
        """Take note that a ban is wanted; whether that blows the fuse."""
        asked = self._asked
        asked.append(now)
        while len(asked) > bans + 1:
            asked.popleft()
        if len(asked) <= bans or asked[0] <= now - within:
            return False
        self._rushed_at = now
        if self.blown_since is not None:
            return False
        self.blown_since = now
        return True

    def ends(self, now: float, quiet: float) -> bool:
        """Whether the fuse mends now: the rate stayed under the limit for `quiet` seconds."""
        if self.blown_since is None or now - self._rushed_at < quiet:
            return False
        self.blown_since = None
        return True

    def admits(self, sender: str, now: float, most: int, within: float) -> bool:
        """Count a ban to a sender's share; whether the share still had room."""
        share = self._shares.get(sender)
        if share is None:
            share = self._shares[sender] = deque()
            if len(self._shares) > SENDERS:
                self._shares.popitem(last=False)
        self._shares.move_to_end(sender)
        while share and share[0] <= now - within:
            share.popleft()
        if len(share) >= most:
            return False
        share.append(now)
        return True
