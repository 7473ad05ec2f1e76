"""Every TCP and UDP case of tests/data/syslog-cases.jsonl through a running `zward listen`.

A case says which bytes are sent and which facts must be printed; a fact that it does not name is free.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from listening import Printed, Receiver, connected, cut, finish, is_open, receiving, send, write

pytestmark = pytest.mark.daemon

Case = dict[str, Any]

GROUPS = {"framing", "pri", "rfc3164", "rfc5424", "encoding", "volume", "injection"}
NOT_RUN = {
    "nul-delimiter-configured": "wants a delimiter of NUL, which nobody can configure here",
    "one-byte-per-100ms-slowloris": "takes 44 s; tests/listen/test_tcp.py has it with a shorter limit",
}
ALL: list[Case] = [
    json.loads(row) for row in (Path(__file__).parent.parent / "data/syslog-cases.jsonl").read_text().splitlines()
]
CASES = [case for case in ALL if case["group"] in GROUPS and case["name"] not in NOT_RUN]


def generated(name: str) -> bytes:
    """The streams that the list describes in words."""
    head = b"<86>Nov 21 13:00:00 mail1 saslauthd[812]: "
    return {
        "1e5-distinct-accounts": lambda: b"".join(
            head + b"auth failure: [user=user%06d@example.test] oip=192.0.2.9\n" % n for n in range(100_000)
        ),
        "1e5-distinct-v6-in-one-64": lambda: b"".join(
            head + b"auth failure: oip=2001:db8:1:2::%x\n" % n for n in range(100_000)
        ),
        "old-backlog-replay": lambda: b"".join(head + b"auth failure: %d\n" % n for n in range(10_000)),
    }[name]()


def stream_of(case: Case) -> bytes:
    if "generator" in case["expected"]:
        return generated(case["name"])
    if case["bytes"] is None:
        return "".join(text * times for text, times in case["parts"]).encode("latin-1")
    stream: str = case["bytes"]
    return stream.encode("latin-1")


def sent(receiver: Receiver, case: Case, chunking: str) -> tuple[list[Printed], str | None]:
    """What was printed, and whether the receiver left the connection open until we ended it."""
    pieces = cut(stream_of(case), chunking)
    address = receiver.ports[case["transport"]]
    if case["transport"] == "udp":
        send("udp", address, pieces)
        return receiver.until_mark("udp"), None
    with connected(address) as sock:
        write(sock, pieces)
        printed = receiver.until_mark("tcp")
        connection = "open" if is_open(sock) else "closed"
        finish(sock)
    return printed + receiver.until_mark("tcp"), connection


def differing(case: Case, printed: list[Printed], connection: str | None) -> list[str]:
    """The facts that are not as the case wants them."""
    expected = case["expected"]
    found = []
    if len(printed) != expected["frames"]:
        found.append(f"{len(printed)} frames, not {expected['frames']}")
    if connection and connection != expected.get("connection", connection):
        found.append(f"the connection was {connection}")
    for message, facts in zip(printed, expected.get("messages", []), strict=False):
        found += [
            f"{name}: {message.get(name, message['text'])!r}, not {value!r}"
            for name, value in facts.items()
            if not agrees(message, name, value)
        ]
    return found


def agrees(message: Printed, name: str, value: Any) -> bool:
    text: str = message["text"]
    match name:
        case "msg":
            return text == value
        case "msg_contains":
            return value in text
        case "msg_len":
            return len(text) == value
        case "timestamp" if value and value.startswith("--"):
            return (message["timestamp"] or "")[4:].startswith(value[1:])
        case "timestamp" if value:
            return (message["timestamp"] or "")[:23] == value[:23].rstrip("Z").ljust(23, "0")
        case _:
            return bool(message[name] == value)


def judge(case: Case, differences: list[str]) -> None:
    if differences and case.get("optional"):
        pytest.xfail(f"sane receivers differ: {differences}")
    assert differences == []


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving("--json") as running:
        yield running


def of_no_listed_sender(case: Case) -> bool:
    return "peer" in case["expected"]


@pytest.mark.parametrize(
    ("case", "chunking"),
    [
        pytest.param(case, chunking, id=f"{case['name']}-{chunking}")
        for case in CASES
        if not of_no_listed_sender(case)
        for chunking in case["chunking"]
    ],
)
def test_the_messages_of_a_case_are_printed(receiver: Receiver, case: Case, chunking: str) -> None:
    judge(case, differing(case, *sent(receiver, case, chunking)))


@pytest.mark.parametrize("case", [pytest.param(c, id=c["name"]) for c in CASES if "counters" in c["expected"]])
def test_the_reasons_of_a_case_are_counted(case: Case) -> None:
    senders = ["--senders", "192.0.2.10"] if of_no_listed_sender(case) else []
    with receiving("--json", *senders) as receiver:
        for chunking in case["chunking"]:
            pieces = cut(stream_of(case), chunking)
            send(case["transport"], receiver.ports[case["transport"]], pieces)
            if not senders:
                receiver.until_mark(case["transport"])
        counted = receiver.stop()
    times = len(case["chunking"])
    expected = {reason: number * times for reason, number in case["expected"]["counters"].items()}
    judge(case, [f"{r}: {counted.get(r, 0)}, not {n}" for r, n in expected.items() if counted.get(r, 0) != n])
    if senders:
        assert counted["frames"] == 0


def test_every_case_is_run_or_has_a_reason_not_to() -> None:
    elsewhere = {case["name"] for case in ALL if case["group"] == "tls-relp"}  # needs TLS or RELP
    assert {case["name"] for case in ALL} == {case["name"] for case in CASES} | NOT_RUN.keys() | elsewhere
    assert {case["transport"] for case in CASES} == {"tcp", "udp"}
