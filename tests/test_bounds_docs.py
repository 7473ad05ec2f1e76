"""docs/detectors.md says how much is remembered: the caps of the code, and the counters that exist."""

import re
from pathlib import Path

from story import ENFORCE

from appliance.judge import (
    accounts,
    attempts,
    bans,
    familiar,
    heard,
    memory,
    neighbours,
    proofs,
    sendings,
    sources,
    told,
)
from appliance.judge.judge import Judge

PAGE = (Path(__file__).parent.parent / "docs" / "detectors.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n## What is remembered, and for how long\n")[2].partition("\n## ")[0]
ROWS = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", SECTION, re.MULTILINE)][
    2:
]

CAPS = {
    "sources that failed": sources.SOURCES,
    "sources close to a ban": sources.CLOSE,
    "attempts whose lines still come": attempts.BURSTS,
    "sources of probing and harvesting": memory.ABUSERS,
    "probes whose lines still come": memory.ABUSE_BURSTS,
    "accounts that were tried": accounts.ACCOUNTS,
    "accounts that several strangers tried": accounts.ATTACKED,
    "accounts that log in": familiar.ACCOUNTS,
    "places of one account": familiar.PLACES,
    "sources of accepted mail": neighbours.MAILERS,
    "mails on their way": sendings.MAILS,
    "accounts that send": sendings.ACCOUNTS,
    "networks with banned or failing sources": neighbours.NETWORKS,
    "senders and their programs": heard.STREAMS,
    "sources proved by packets": proofs.PROVED,
    "what people were told": told.SUBJECTS,
    "networks on the ladder": bans.REMEMBERED,
    "strangers in a siege's grace": memory.ON_GRACE,
    "sources whose ban waits for proof": memory.AWAITED,
    "offices": memory.OFFICES,
}
NO_TABLE = {"repeats"}
"""Counts what is cut off a single line."""


def test_caps_on_the_page_are_those_of_the_code() -> None:
    assert {what: int(most.replace(",", "")) for what, most, *_ in ROWS} == CAPS


def test_every_counter_of_a_full_table_is_on_the_page_and_exists() -> None:
    assert {row[-1] for row in ROWS} - {""} == set(Judge(ENFORCE, seed=bytes(32)).evicted) - NO_TABLE
