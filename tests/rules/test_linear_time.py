"""No line makes reading slow: doubling a hostile line must not do much more than double its cost."""

import itertools
import time

import pytest

from appliance.config.rule_files import SAMPLE_TRUST, load_rules
from appliance.read.reader import Reader

FILES = load_rules()
READER = Reader(FILES.rules, SAMPLE_TRUST)
PIECES = [
    *(b"] [", b"];", b";", b";;", b"], ", b"[x], ", b" security - ", b"a ", b".", b"\\", b'"', b"(", b" - ", b"://"),
    *(
        b", client: 203.0.113.66:1, server: x",
        b" while in mail zmauth state",
        b", sasl_username=",
        b"oip=203.0.113.66;",
    ),
    b"error=authentication failed for [",
]
SMALL, LARGE = 8_000, 32_000


def cost(frame: bytes) -> float:
    """CPU seconds of reading it once, the best of two."""
    best = float("inf")
    for _ in range(2):
        start = time.process_time()
        READER.read(frame, "192.0.2.10", 1_795_000_000.0)
        best = min(best, time.process_time() - start)
    return best


def hostile(sample: bytes, piece: bytes, size: int, place: float) -> bytes:
    """A sample with a piece repeated in it until it has this size."""
    at = int(len(sample) * place)
    return sample[:at] + piece * ((size - len(sample)) // len(piece)) + sample[at:]


@pytest.mark.parametrize("rule", sorted({sample.rule for sample in FILES.samples}))
def test_four_times_the_line_is_not_sixteen_times_the_work(rule):
    sample = next(sample.line for sample in FILES.samples if sample.rule == rule and sample.expected)
    for piece, place in itertools.product(PIECES, (0.7, 1.0)):
        small, large = (cost(hostile(sample, piece, size, place)) for size in (SMALL, LARGE))
        assert large < 10 * small + 0.002, f"{piece!r} at {place}: {small:.6f} s, then {large:.6f} s"
