"""Everything the judge knows: the policy, and every table. Each table has a bound, and counts what it forgets."""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from appliance.address import Net
from appliance.judge.accounts import Accounts
from appliance.judge.attempts import Attempts
from appliance.judge.bans import Bans
from appliance.judge.detect.campaign import LASTS
from appliance.judge.detector import DetectorMode, Kind
from appliance.judge.familiar import Familiar
from appliance.judge.fuse import Fuse
from appliance.judge.heard import Heard
from appliance.judge.neighbours import Mailers, Neighbours
from appliance.judge.policy import Policy
from appliance.judge.proofs import Proofs
from appliance.judge.sendings import Sendings
from appliance.judge.site import Site
from appliance.judge.sources import Sources
from appliance.judge.tallies import SITE_JOINABLE, Tally
from appliance.judge.told import Told
from appliance.model import Mode

ABUSERS = 262_144
"""Sources with dropped logins or guessed recipients. Spam hosts are many and soon forgotten."""
ABUSE_BURSTS = 16_384
"""Pairs of source and protocol whose lines of abuse are still awaited."""
ON_GRACE = 32_768
"""Strangers that failed at a besieged account and may still log in; each for 90 s."""
AWAITED = 65_536
"""Sources whose ban waits for packet proof behind a blown fuse."""
OFFICES = 1024
"""Places whose failing accounts and detections are counted."""
OFFICE_ACCOUNTS = 3
"""People who log in somewhere, from which on it is an office."""
OFFICE_SHARE = 5
"""Failing accounts for each that logs in, from which on an office is none any more."""
OFFICE_FAILING = 1024
"""Failing accounts of one office that are told apart; where more fail it is none, however large it is."""
DETECTIONS = 100
"""Detections at one office that are remembered: as many in 24 h wake somebody."""
DAY = 86400.0


KEPT = (
    *("joins", "abuse_joins", "logins", "abuses", "accounts", "everyone", "site", "mailers", "sendings", "heard"),
    *("proofs", "neighbours", "rotating", "told", "fuse", "rehearsed", "grace", "awaited", "offices"),
    *("campaign_seen", "outage_seen", "attempts"),
)
"""What has to outlive a restart as it stands. Bans and familiarity do so by the store."""


class Office:
    """What happened lately at a place where several people log in."""

    __slots__ = ("detections", "failing")

    def __init__(self) -> None:
        self.detections: deque[float] = deque(maxlen=DETECTIONS)
        self.failing: OrderedDict[str, float] = OrderedDict()
        """Accounts that failed and do not log in there, with the last failure; the latest last."""

    def fails(self, account: str, time: float) -> None:
        self.failing[account] = max(time, self.failing.pop(account, time))
        if len(self.failing) > OFFICE_FAILING:
            self.failing.popitem(last=False)

    def failed_since(self, since: float) -> int:
        """How many accounts failed since a time."""
        return sum(1 for last in self.failing.values() if last > since)


class Grace(NamedTuple):
    """A stranger that failed once at a besieged account."""

    until: float
    account: str
    sender: str


class Memory:
    """The tables, and the questions that several parts ask of them."""

    def __init__(self, policy: Policy, seed: bytes) -> None:
        """`seed` keys the jitter of bans: secret."""
        self.policy = policy
        self.joins = Attempts()
        self.abuse_joins = Attempts(ABUSE_BURSTS)
        self.logins = Sources()
        """Failed logins by source."""
        self.abuses = Sources(ABUSERS)
        """What is no login, by source."""
        self.accounts = Accounts()
        self.everyone = Tally(joinable=SITE_JOINABLE)
        """Attempts at any account."""
        self.site = Site()
        self.familiar = Familiar()
        self.mailers = Mailers()
        self.sendings = Sendings()
        self.heard = Heard()
        self.proofs = Proofs()
        self.neighbours = Neighbours()
        """Banned sources by network."""
        self.rotating = Neighbours()
        """IPv6 strangers that failed beyond doubt, by network: whoever has a /48 has 65,536 of them."""
        self.told = Told()
        self.fuse = Fuse()
        self.bans = Bans(seed)
        self.rehearsed = Bans(seed)
        """The bans that there would be if the policy's mode were enforce."""
        self.grace: OrderedDict[bytes, Grace] = OrderedDict()
        self.awaited: OrderedDict[bytes, str] = OrderedDict()
        """By source, the sender whose line asks for a ban that waits for proof."""
        self.offices: OrderedDict[bytes, Office] = OrderedDict()
        self.campaign_seen: float | None = None
        """When the campaign was last seen; None while there is none."""
        self.outage_seen: float | None = None
        self.crowded_out: Counter[str] = Counter()
        """What gave way in the smaller tables of this class, by table."""
        self.attempts = 0
        """Failed logins of sources so far, each once however many lines told of it."""
        self.seed = seed

    def failures(self, kind: Kind) -> Sources:
        """The table of one kind of failures."""
        return self.logins if kind is Kind.LOGIN else self.abuses

    @property
    def book(self) -> Bans:
        """Where a new ban is written: into the bans in force, or those that there would be."""
        return self.bans if self.policy.mode is Mode.ENFORCE else self.rehearsed

    def is_office(self, source: Net, now: float) -> bool:
        """Whether several people log in here, and those who fail are not far more."""
        people = _people(self.familiar.accounts_at(source, now))
        if people < OFFICE_ACCOUNTS:
            return False
        office = self.offices.get(source.packed)
        return office is None or office.failed_since(now - DAY) <= min(OFFICE_SHARE * people, OFFICE_FAILING - 1)

    def office(self, source: Net) -> Office:
        """What happened lately at a place where somebody logs in."""
        office = self.offices.setdefault(source.packed, Office())
        self.offices.move_to_end(source.packed)
        if len(self.offices) > OFFICES:
            self.offices.popitem(last=False)
            self.crowded_out["offices"] += 1
        return office

    def in_campaign(self, now: float) -> bool:
        """Whether strangers are to be treated more strictly now."""
        seen, mode = self.campaign_seen, self.policy.watches.campaign.mode
        return seen is not None and now - seen < LASTS and mode is DetectorMode.ENFORCE

    def in_outage(self, now: float) -> bool:
        """Whether bans of whoever ever logged in are held."""
        outage = self.policy.watches.outage
        return (
            self.outage_seen is not None
            and outage.mode is DetectorMode.ENFORCE
            and now - self.outage_seen < (outage.within)
        )

    def is_proved(self, source: Net, now: float) -> bool:
        """Whether a source completed a connection to a port of ours in the last half hour."""
        return self.policy.sees_traffic and self.proofs.hold(source.packed, now)

    def saved(self) -> dict[str, object]:
        """What has to outlive a restart, the tables themselves: whoever keeps them writes them down at once."""
        return {name: getattr(self, name) for name in KEPT}

    def take_up(self, saved: Mapping[str, object]) -> None:
        """Go on where an earlier run stopped."""
        for name in KEPT:
            setattr(self, name, saved[name])

    def forget(self, net: Net) -> None:
        """Take back whatever was held against a network: somebody vouches for it."""
        self.logins.forgive(net)
        self.abuses.forgive(net)
        self.neighbours.forget(net)
        self.rotating.forget(net)
        if net.is_host or len(net.packed) == 16:
            self.grace.pop(net.packed, None)

    @property
    def tracked(self) -> Mapping[str, int]:
        """How many entries each table holds, for the metrics."""
        return {
            "sources": len(self.logins),
            "abusers": len(self.abuses),
            "accounts": len(self.accounts),
            "familiar": len(self.familiar),
            "mailers": len(self.mailers),
            "senders": len(self.heard),
            "proofs": len(self.proofs),
            "bans": len(self.bans),
        }

    @property
    def evicted(self) -> Mapping[str, int]:
        """How often each bound was reached and something was forgotten, for the metrics."""
        return {
            "bursts": self.joins.evicted + self.abuse_joins.evicted,
            "repeats": self.joins.capped + self.abuse_joins.capped,
            "sources": self.logins.evicted,
            "sources_close_to_a_ban": self.logins.evicted_close,
            "abusers": self.abuses.evicted + self.abuses.evicted_close,
            "accounts": self.accounts.evicted,
            "accounts_under_attack": self.accounts.evicted_close,
            "familiar": self.familiar.evicted,
            "mailers": self.mailers.evicted,
            "mails": self.sendings.evicted,
            "neighbours": self.neighbours.evicted + self.rotating.evicted,
            "senders": self.heard.evicted,
            "proofs": self.proofs.evicted,
            "told": self.told.evicted,
            "on_grace": self.crowded_out["on_grace"],
            "awaiting_proof": self.crowded_out["awaiting_proof"],
            "offices": self.crowded_out["offices"],
            "ladder": self.bans.forgotten,
        }


def _people(accounts: Iterable[str]) -> int:
    """How many people these are: Postfix writes `ana` where audit.log writes `ana@example.com`."""
    named = [account.partition("@") for account in accounts]
    whole = {local for local, at, _ in named if at}
    return sum(1 for local, at, _ in named if at or local not in whole)
