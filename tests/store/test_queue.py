"""Evidence on its way to the disk: what is kept whole, what is merged, what is lost and counted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from story import BOB, START, address, line

from appliance.model import AuthEvent
from appliance.store.evidence import LINES_AN_HOUR, EvidenceLine
from appliance.store.queue import EvidenceQueue

SOURCE = address("203.0.113.9")
OTHER = address("198.51.100.7")


def filled(number: int, queue: EvidenceQueue | None = None) -> EvidenceQueue:
    queue = EvidenceQueue() if queue is None else queue
    for at in range(number):
        assert queue.add(line(at), SOURCE, START)
    return queue


def test_lines_come_out_as_they_went_in():
    queue = filled(5)

    assert len(queue) == 5
    assert queue.take(3) == [EvidenceLine.of(line(at), SOURCE, START) for at in range(3)]
    assert [each.time for each in queue.take(9)] == [START + 3, START + 4]
    assert (len(queue), queue.take(9)) == (0, [])


def test_beyond_its_share_a_source_sends_one_line_that_counts_the_rest():
    queue = filled(LINES_AN_HOUR + 100)
    taken = queue.take(1000)

    assert len(taken) == LINES_AN_HOUR + 1
    assert [each.count for each in taken] == [1] * LINES_AN_HOUR + [100]


def test_what_is_merged_is_of_one_source_account_protocol_and_outcome():
    queue = filled(LINES_AN_HOUR)
    for event in (line(1, account=BOB), line(2, account=BOB, count=5), line(3), line(4, account=None)):
        assert queue.add(event, SOURCE, START)

    merged = queue.take(1000)[LINES_AN_HOUR:]
    assert [(each.account, each.count) for each in merged] == [(BOB, 6), ("ana@example.com", 1), (None, 1)]


def test_each_source_and_each_hour_has_a_share_of_its_own():
    queue = filled(LINES_AN_HOUR + 5)
    assert queue.add(line(0), OTHER, START)
    assert queue.add(line(1), SOURCE, START + 3600)

    assert len(queue) == LINES_AN_HOUR + 1 + 2


def test_a_full_queue_refuses_and_a_flood_still_merges():
    queue = filled(LINES_AN_HOUR + 1, EvidenceQueue(lines=LINES_AN_HOUR + 1))

    assert not queue.add(line(0), OTHER, START)
    assert not queue.add(line(0, account=BOB), SOURCE, START)
    assert queue.add(line(0), SOURCE, START)
    assert queue.take(1000)[-1].count == 2


def test_lines_that_were_not_written_come_first_again():
    queue = filled(4)
    taken = queue.take(2)
    queue.put_back(taken)

    assert [each.time for each in queue.take(9)] == [START, START + 1, START + 2, START + 3]


def test_the_least_recently_seen_source_forgets_its_share():
    queue = filled(LINES_AN_HOUR, EvidenceQueue(sources=1))
    assert queue.add(line(0), OTHER, START)
    assert queue.add(line(1), SOURCE, START)

    assert [each.count for each in queue.take(1000)] == [1] * (LINES_AN_HOUR + 2)


EVENTS = st.builds(
    lambda at, account, count, source: (line(at, account=account, count=count), address(source)),
    st.integers(0, 3),
    st.sampled_from(["a", "b", None]),
    st.integers(1, 9),
    st.sampled_from(["203.0.113.9", "198.51.100.7"]),
)


@given(st.lists(EVENTS, max_size=200), st.integers(1, 60))
def test_no_event_is_lost_or_counted_twice(events: list[tuple[AuthEvent, object]], most: int):
    queue = EvidenceQueue()
    for event, source in events:
        assert queue.add(event, source, START)
    taken = []
    while lines := queue.take(most):
        assert len(lines) <= most
        taken += lines

    assert sum(each.count for each in taken) == sum(event.count for event, _ in events)


@pytest.mark.parametrize("count", [1, 500])
def test_a_line_within_the_share_keeps_its_own_count(count):
    queue = EvidenceQueue()
    assert queue.add(replace(line(0), count=count), SOURCE, START)

    assert [each.count for each in queue.take(1)] == [count]
