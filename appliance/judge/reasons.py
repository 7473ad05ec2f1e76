"""Why a ban was asked for, or is not yet, built from the attempts that led to it."""

from collections.abc import Collection
from functools import lru_cache

from appliance.judge.detector import Case, Score
from appliance.judge.windows import scoring
from appliance.judge.words import listed, outcomes, several, span, together
from appliance.model import Outcome

BANNED_ACCOUNTS = 10
"""Accounts that a notice of a ban lists; `why` shows the rest."""

PROVED = "the address is proved: it completed a connection here"
UNPROVED = "waits for proof that the address was here"
KNOWN = "it logged in before, and whoever knows that could write such lines to have it banned"
BLIND = "the gateway does not see the traffic that would prove the address"
"""How forgeable lines come to decide, do not yet, or never do."""


def reason(
    case: Case,
    counted: str,
    limited: str,
    within: float,
    besides: str = "",
    *,
    only: Collection[Outcome] | None = None,
    by_proof: bool = False,
) -> str:
    """`6 points in 30 min (limit 6): 6 bad passwords on ana@example.com over imap and smtp`.

    `only` names the outcomes that were counted, if not all; `by_proof` says that forgeable lines decided, which
    count in full because the source is proved.
    """
    scored = [each for each in scoring(case.attempts, within, case.now) if only is None or each.outcome in only]
    accounts = list(dict.fromkeys(each.account for each in scored if each.account is not None))
    what = outcomes(each.outcome for each in scored)
    where = f" on {listed(accounts)}" if accounts else ""
    protocols = together(sorted({each.protocol.value for each in scored}))
    heading = f"{counted} in {span(within)} {besides}".rstrip()
    proof = f"; {PROVED}" if by_proof else ""
    return f"{heading} ({limited}): {what}{where} over {protocols}{proof}"


OFFICE = "an office: at least three people log in there, so a detection tells and does not ban"
OUTAGE = "the login service itself seems to be broken, and this source logged in before"
HASTE = "we ban at a rate that no site needs, and this source logged in before"
"""What stands against a ban that a detector asks for."""


def points_reason(case: Case, score: Score, within: float, besides: str = "") -> str:
    """A reason in points; says so where strong evidence bears fewer than are counted."""
    points = score.counting(proved=case.proved)
    strong = "" if score.strong >= points else f", {score.strong} of them by strong evidence"
    counted = f"{points} point{'s' * (points != 1)}"
    return reason(case, counted, f"limit {score.limit}{strong}", within, besides, by_proof=score.needs_proof)


@lru_cache(maxsize=4096)  # under a flood of forged lines it is said with each of them
def doubt(score: Score, unit: str, within: float, then: str) -> str:
    """`6 points in 30 min (limit 6), but 5 of them from lines that a client can write: waits for proof …`."""
    counted = f"{several(score.whole, unit)} in {span(within)} (limit {score.limit})"
    return f"{counted}, but {score.whole - score.strong} of them from lines that a client can write: {then}"


def tried(case: Case) -> tuple[str, ...]:
    """The accounts at which a source failed, at most ten."""
    named = dict.fromkeys(each.account for each in case.attempts if each.points and each.account is not None)
    return tuple(named)[:BANNED_ACCOUNTS]
