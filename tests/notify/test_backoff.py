"""When to try again, and what the log hears of it."""

import logging

import pytest

from appliance.notify.backoff import FIRST, LONGEST, Backoff


def test_each_failure_doubles_the_wait_up_to_a_bound() -> None:
    backoff = Backoff("somebody")
    waits = [backoff.failed("down") for _ in range(5000)]

    assert waits[:4] == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST]
    assert waits[-1] == LONGEST


def test_what_works_again_begins_anew() -> None:
    backoff = Backoff("somebody")
    backoff.failed("down")
    backoff.failed("down")
    backoff.worked()

    assert backoff.failed("down") == FIRST


def test_the_log_hears_of_the_beginning_and_of_the_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    backoff = Backoff("somebody")
    for _ in range(3):
        backoff.failed("no answer within 10 s")
    backoff.worked()
    backoff.worked()

    assert [record.getMessage() for record in caplog.records] == [
        "somebody: no answer within 10 s; tried again until it works",
        "somebody works again after 3 failures",
    ]
