"""Why a ban was asked for, built from the attempts that led to it. Only when somebody will read it."""

from appliance.judge.detector import Case
from appliance.judge.windows import scoring
from appliance.judge.words import listed, outcomes, span, together

BANNED_ACCOUNTS = 10
"""Accounts that a notice of a ban lists; `why` shows the rest."""


def reason(case: Case, score: str, limit: str, within: float, besides: str = "") -> str:
    """`6 points in 30 min (limit 6): 6 bad passwords on ana@example.com over imap and smtp`."""
    counted = list(scoring(case.attempts, within, case.now))
    accounts = list(dict.fromkeys(each.account for each in counted if each.account is not None))
    what = outcomes(each.outcome for each in counted)
    where = f" on {listed(accounts)}" if accounts else ""
    protocols = together(sorted({each.protocol.value for each in counted}))
    heading = f"{score} in {span(within)} {besides}".rstrip()
    return f"{heading} ({limit}): {what}{where} over {protocols}"


def points_reason(case: Case, score: int, limit: int, within: float, besides: str = "") -> str:
    """A reason in points; says so where fewer are proved than counted."""
    proved = sum(each.proved for each in scoring(case.attempts, within, case.now))
    limited = f"limit {limit}" if proved >= score else f"limit {limit}, {proved} of them proved"
    return reason(case, f"{score} point{'s' * (score != 1)}", limited, within, besides)


def tried(case: Case) -> tuple[str, ...]:
    """The accounts at which a source failed, at most ten."""
    named = dict.fromkeys(each.account for each in case.attempts if each.points and each.account is not None)
    return tuple(named)[:BANNED_ACCOUNTS]
