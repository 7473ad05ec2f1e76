"""What we write is what prometheus-client would write, byte for byte."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from appliance.metrics.exposition import Exposition
from appliance.metrics.metrics import Metrics

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.floats() | st.integers(-(2**70), 2**70).map(float)


def test_of_everything_that_zward_counts():
    metrics = Metrics()
    metrics.start_detectors({"guessing": ("host",)}, ["zmauditswatch"])
    metrics.start_programs(["zimbra-audit"])
    metrics.build.info({"version": "0", "python": "3"})
    metrics.lag.observe(0.7)
    written = (metrics.exposition(), metrics.exposition())

    theirs = [line for line in generate_latest(metrics.registry).splitlines() if b"process_" not in line]
    for ours in written:
        assert [line for line in ours.splitlines() if b"process_" not in line] == theirs


@given(TEXTS, TEXTS, st.lists(NUMBERS, min_size=1, max_size=4))
def test_of_any_text_and_any_number(says, label, numbers):
    registry, exposition = CollectorRegistry(), Exposition()
    gauge = Gauge("a_gauge", says, ["one", "other"], registry=registry)
    plain = Gauge("b_gauge", "x", registry=registry)
    Counter("c", says, ["z", "a"], registry=registry).labels(label, "b").inc()
    Histogram("d_seconds", "x", registry=registry).observe(abs(numbers[0]))
    Info("e", says, registry=registry).info({"says": label})
    for number in numbers:
        gauge.labels(label, "x").set(number)
        plain.set(number)
        assert exposition.written(registry.collect()) == generate_latest(registry)
