"""The injection cases of tests/data/syslog-cases.jsonl: whom a line may blame, and whom never.

In their own configuration 192.0.2.9 is a stranger. Each frame is read by the real reader and judged so often that a
guesser would be banned: nobody but the candidate ever is.
"""

import json
import time
from pathlib import Path

import pytest

from appliance.address import Net, NetSet, parse_network
from appliance.config.rule_files import load_rules
from appliance.judge.judge import Judge
from appliance.judge.policy import Ours, Policy
from appliance.model import Banned, Mode
from appliance.read.origin import Trust
from appliance.read.reader import Reader

RULES = load_rules().rules
ROWS = [json.loads(row) for row in (Path(__file__).parent / "data/syslog-cases.jsonl").read_text().splitlines()]
CASES = [
    row
    for row in ROWS
    if {"must_ban_candidate", "must_not_ban"} & row["expected"].keys() and "peer" not in row["expected"]
]


def frame_of(row) -> bytes:
    if row.get("bytes") is not None:
        return row["bytes"].encode("latin-1")
    return b"".join(text.encode("latin-1") * number for text, number in row["parts"])


def nets(texts) -> NetSet:
    return NetSet(parse_network(text) for text in texts)


@pytest.mark.parametrize("row", CASES, ids=lambda row: row["name"])
def test_nobody_but_the_candidate_is_ever_blamed(row):
    expected, config = row["expected"], row["expected"].get("config", {})
    proxies, own = nets(config.get("trusted_proxies", [])), nets(config.get("own_addresses", []))
    reader = Reader(RULES, Trust(proxies=proxies))
    judge = Judge(Policy(mode=Mode.ENFORCE, never_ban={Ours.OWN: own, Ours.PROXY: proxies}), b"seed")
    now = time.time()
    frame = frame_of(row)

    fact = reader.read(frame, "192.0.2.10", now)

    candidate = expected.get("must_ban_candidate")
    if candidate:
        assert fact.event is not None, fact.why
        assert str(fact.event.source) == candidate
    banned: set[Net] = set()
    for attempt in range(20):
        event = reader.read(frame, "192.0.2.10", now).event
        if event:
            verdicts = judge.judge(event, now + 10 * attempt)
            banned |= {verdict.source for verdict in verdicts if isinstance(verdict, Banned)}
    forbidden = expected.get("must_not_ban", [])
    assert not banned if "any" in forbidden else not {str(net) for net in banned} & set(forbidden)
    assert {str(net) for net in banned} <= {candidate}
