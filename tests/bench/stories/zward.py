"""zward as a policy: the shipped rules, the real reader, clocks and judge, on bytes and a virtual clock."""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from bench.stories.defence import Bans
from bench.stories.lines import HOSTS, PROXY, Line
from bench.stories.script import Try

from appliance.address import LOOPBACK, Net, NetSet, parse_network, source_of
from appliance.clocks import Clocks
from appliance.config.rule_files import load_rules
from appliance.judge.judge import Judge
from appliance.judge.policy import Ours, Policy
from appliance.model import Banned, Mode, Noticed, Protocol, Scope, Verdict, Watched
from appliance.read.frames import one_frame
from appliance.read.origin import Trust
from appliance.read.reader import Reader
from appliance.read.rules import RuleSet

SEEN = 1800.0
"""Seconds for which the gateway knows that a source completed a connection."""

BUSY = 120.0
"""Seconds after a line in which each second can matter: the longest grace is 90 s."""

FENCED = frozenset({Protocol.SMTP, Protocol.IMAP, Protocol.POP3})
"""What a siege fence closes to strangers: ports 587, 465, 993, 995."""

OURS = NetSet(parse_network(address) for address in HOSTS.values())


@cache
def _rules() -> RuleSet:
    return load_rules().rules


class Zward:
    """A gateway that enforces. `fence`: while an account is besieged, strangers may not use mail clients."""

    def __init__(self, policy: Policy, *, fence: bool = False) -> None:
        policy = replace(policy, mode=Mode.ENFORCE, never_ban={**policy.never_ban, Ours.ZIMBRA: OURS})
        self.bans = Bans()
        self.alerts: dict[str, int] = Counter()
        self.reasons: deque[str] = deque(maxlen=1000)
        """The last bans and notices in words, for whoever wonders."""
        self._judge = Judge(policy, b"the seed of the stories")
        self._reader = Reader(_rules(), Trust(hosts=OURS | LOOPBACK, proxies=NetSet([parse_network(PROXY)])))
        self._clocks = Clocks()
        self._seen: dict[Net, float] = {}
        self._fence = fence
        self._ticked = self._heard = 0.0

    def refuses(self, attempt: Try, source: Net, now: float) -> bool:
        if self.bans.cover(source, now) or (self._fence and self._is_fenced(attempt, source, now)):
            return True
        self._seen[source_of(source)] = now
        return False

    def _is_fenced(self, attempt: Try, source: Net, now: float) -> bool:
        if attempt.protocol not in FENCED or not self._judge.besieged(now):
            return False
        return not self._judge.familiar.has_succeeded(source_of(source), now)

    def hear(self, lines: Sequence[Line], now: float) -> None:
        self._heard = now
        for line in lines:
            sender = HOSTS[line.host]
            self._heed(self._judge.heard(sender, 1, now), now)
            for frame in self._reader.suspects(one_frame(line.forwarded())):
                event = self._reader.read(frame, sender, now).event
                if event is not None:
                    time = self._clocks.right(sender, event.program, event.time, now)
                    self._heed(self._judge.judge(replace(event, time=time), now), now)

    def pass_time(self, now: float) -> None:
        """Each second, as the gate does; each half minute where nothing was heard for long and no grace can end."""
        if not self._ticked:
            self._ticked = now
        while self._ticked < now:
            self._ticked = min(now, self._ticked + (1.0 if self._ticked < self._heard + BUSY else 30.0))
            self._heed(self._judge.tick(self._ticked), self._ticked)

    def _heed(self, verdicts: Iterable[Verdict], now: float) -> None:
        for verdict in verdicts:
            match verdict:
                case Banned(ban=ban) if ban.scope is not Scope.SMTP_IN:
                    self.bans.open(ban.net, now, ban.until)
                    self.reasons.append(
                        f"{now:.0f} ban {ban.net} by {ban.detector} until {ban.until:.0f}: {ban.reason}"
                    )
                case Noticed():
                    self.alerts[verdict.severity] += 1
                    self.reasons.append(f"{now:.0f} {verdict.severity} {verdict.detector}: {verdict.reason}")
                case Watched(asks_proof=True, source=Net() as source) if self._seen.get(source, -SEEN) > now - SEEN:
                    self._heed(self._judge.prove([source], now), now)

    def close(self) -> None:
        """There is nothing to stop."""
