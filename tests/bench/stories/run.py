"""One story under one policy, as a closed loop: who is banned never reaches Zimbra, and writes no line."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from bench.stories.defence import Defence
from bench.stories.lines import Line, Pen
from bench.stories.script import Script, Try, Who
from bench.stories.zimbra import Answer, Lockout, Zimbra

from appliance.address import Net, parse_address

START = 1_800_000_000.0
"""When stories begin, seconds since the epoch: a Friday at 08:00 UTC."""


@dataclass(slots=True)
class Result:
    """What one policy made of one story."""

    story: str
    policy: str
    guesses: int = 0
    """Tries of attackers that reached Zimbra."""
    got_in: int = 0
    """Those of them that had the right password."""
    lockouts: int = 0
    """Accounts locked by Zimbra's own failed-login policy."""
    refused: int = 0
    """Connections of people that a ban refused, whatever password they had."""
    people: int = 0
    """Connections that people tried."""
    locked_out: int = 0
    """Right passwords of people that a lockout refused."""
    seconds_to_ban: float | None = None
    """From the first try of any attacker to the first ban of one; None if there was none."""
    bans: int = 0
    alerts: dict[str, int] = field(default_factory=dict)


class _Post:
    """Lines on their way: at once, or held in a queue."""

    def __init__(self, script: Script) -> None:
        self._held = script.held
        self._waiting: list[tuple[float, int, Sequence[Line]]] = []
        self._number = 0

    def send(self, lines: Sequence[Line], at: float) -> None:
        arrives = self._held[1] if self._held and self._held[0] <= at < self._held[1] else at
        self._number += 1
        heappush(self._waiting, (arrives, self._number, lines))

    def deliver(self, until: float, defence: Defence) -> None:
        while self._waiting and self._waiting[0][0] <= until:
            at, _, lines = heappop(self._waiting)
            defence.pass_time(START + at)
            defence.hear(lines, START + at)


def run(story: str, policy: str, script: Script, defence: Defence, lockout: Lockout) -> Result:
    """Tell the story; `script` is the same for every policy."""
    found = Result(story, policy)
    zimbra, pen, post = Zimbra(lockout, script.broken), Pen(START, dict(script.skews)), _Post(script)
    before = 0
    for attempt in sorted(script.tries, key=lambda each: each.at):
        post.deliver(attempt.at, defence)
        defence.pass_time(START + attempt.at)
        if attempt.at < 0:
            before = zimbra.lockouts
        source = address_of(attempt)
        reaches = not defence.refuses(attempt, source, START + attempt.at)
        answer = zimbra.meet(attempt) if reaches else None
        if attempt.at >= 0:
            _count(found, attempt, answer)
        if answer is not None:
            post.send(pen.write(attempt, answer), attempt.at)
            post.deliver(attempt.at, defence)
    found.lockouts = zimbra.lockouts - before
    found.seconds_to_ban = _first_ban(script, defence)
    found.bans, found.alerts = len(defence.bans.opened), dict(defence.alerts)
    return found


def address_of(attempt: Try) -> Net:
    address = parse_address(attempt.source.encode())
    assert address is not None, attempt.source
    return address


def _count(found: Result, attempt: Try, answer: Answer | None) -> None:
    if attempt.who is Who.ATTACKER:
        found.guesses += answer is not None
        found.got_in += answer is Answer.WELCOME
        return
    found.people += 1
    found.refused += answer is None
    found.locked_out += answer is Answer.LOCKED and attempt.right


def _first_ban(script: Script, defence: Defence) -> float | None:
    hostile = [attempt for attempt in script.tries if attempt.who is Who.ATTACKER]
    if not hostile:
        return None
    sources = {address_of(attempt) for attempt in hostile}
    began = START + min(attempt.at for attempt in hostile)
    for at, net in defence.bans.opened:
        if net in sources or (not net.is_host and any(net.covers(source) for source in sources)):
            return max(0.0, at - began)
    return None
