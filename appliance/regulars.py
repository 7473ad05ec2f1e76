"""What is said of a source beside its bans: who logs in there, and whether it is on probation."""

from collections.abc import Iterable
from typing import Any

from appliance.address import SOURCE_PREFIX, Net, source_of
from appliance.judge.bans import KERNEL, OPERATOR
from appliance.judge.familiar import Seen
from appliance.judge.judge import Judge
from appliance.moments import iso
from appliance.store.store import PastBan


def logins_at(judge: Judge, net: Net, now: float) -> list[Seen]:
    """Who logs in from an address's source, the latest first; of a wider network it is not asked."""
    if net.prefix < SOURCE_PREFIX[net.family]:
        return []
    source = source_of(net)
    at = (seen for name in judge.familiar.accounts_at(source, now) for seen in judge.familiar.sources_of(name))
    return sorted((seen for seen in at if seen.source == source), key=lambda seen: seen.last, reverse=True)


def probation_end(judge: Judge, net: Net, bans: Iterable[PastBan], now: float) -> float | None:
    """Until when one more failure bans an address's source again; None where it needs as many as anybody.

    That is so for a day after a ban has ended by itself, of a source where nobody logs in.
    """
    source = source_of(net)
    if judge.familiar.has_succeeded(source, now):
        return None
    over = [past.ban for past in bans if past.ban.net == source and past.lift is None and past.ban.until <= now]
    last = max(over, key=lambda ban: ban.until, default=None)
    if last is None or last.detector in (OPERATOR, KERNEL):
        return None
    end = last.until + judge.policy.ladder.probation
    return end if now < end else None


def told_login(seen: Seen) -> dict[str, Any]:
    """One account's logins from one source."""
    return {
        "account": seen.account,
        "address": str(seen.source),
        "first": iso(seen.first),
        "last": iso(seen.last),
    }
