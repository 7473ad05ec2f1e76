"""Years that syslog leaves out."""

from datetime import UTC, datetime

import pytest

from appliance.replay.dating import Dating


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def read(dating: Dating, *stamps: bytes) -> list[str]:
    """The times of lines one after the other, as a stream dates them."""
    told = []
    for stamp in stamps:
        dating.last = dating.of(stamp, None)
        assert dating.last is not None
        told.append(f"{datetime.fromtimestamp(dating.last, UTC):%Y-%m-%d %H:%M:%S}")
    return told


def test_a_stamp_without_a_year_is_of_the_last_one_before_the_file_was_written():
    assert read(Dating(UTC, at("2024-05-07"), None), b"May  6 12:00:00") == ["2024-05-06 12:00:00"]
    assert read(Dating(UTC, at("2024-05-05"), None), b"May  8 12:00:00") == ["2023-05-08 12:00:00"]


def test_a_file_of_december_and_january_runs_over_new_year():
    dating = Dating(UTC, at("2024-01-10"), None)

    assert read(dating, b"Dec 31 23:59:59", b"Jan  1 00:00:01", b"Dec 31 23:59:58", b"Jan  2 00:00:00") == [
        *("2023-12-31 23:59:59", "2024-01-01 00:00:01", "2023-12-31 23:59:58", "2024-01-02 00:00:00"),
    ]


def test_a_whole_years_file_begins_in_the_year_in_which_it_ends():
    stamps = [f"{datetime(2023, month, 1):%b}  1 00:00:00".encode() for month in range(1, 13)]

    assert {told[:4] for told in read(Dating(UTC, at("2023-12-30"), None), *stamps)} == {"2023"}


def test_the_year_given_is_that_of_the_first_line():
    dating = Dating(UTC, at("2030-01-01"), 2019)

    assert read(dating, b"Dec 31 23:59:59", b"Jan  1 00:00:01", b"Feb 29 00:00:00") == [
        *("2019-12-31 23:59:59", "2020-01-01 00:00:01", "2020-02-29 00:00:00"),
    ]


def test_a_line_near_one_that_names_its_year_is_of_that_year():
    dating = Dating(UTC, at("2030-01-01"), None)
    dating.last = at("2019-12-31 12:00:00")

    assert read(dating, b"Dec 31 13:00:00", b"Jan  1 01:00:00") == ["2019-12-31 13:00:00", "2020-01-01 01:00:00"]


@pytest.mark.parametrize(
    ("stamp", "own", "told"),
    [
        (b"2024-05-06T12:00:00+00:00", None, "2024-05-06T12:00:00"),
        (b"2024-05-06T14:00:01+02:00", "2024-05-06T12:00:00.250", "2024-05-06T12:00:00.250"),
        (b"2024-05-06T12:00:00Z", "2024-05-06T10:00:00", "2024-05-06T12:00:00"),
        (b"May  6 12:00:00", "2021-05-06T12:00:00.250", "2021-05-06T12:00:00.250"),
        (b"2024-05-06T25:00:00Z", "2021-05-06T12:00:00", "2021-05-06T12:00:00"),
    ],
    ids=["header", "own, more exact", "own in another zone", "own has a year", "header is no time"],
)
def test_a_lines_own_time_counts_where_it_and_the_header_agree(stamp, own, told):
    dating = Dating(UTC, at("2024-06-01"), None)

    assert dating.of(stamp, None if own is None else at(own)) == at(told)


def test_what_is_no_time_is_none():
    assert Dating(UTC, at("2024-06-01"), None).of(b"Xxx 99 99:99:99", None) is None
    assert Dating(UTC, at("2024-06-01"), 2024).of(b"Xxx 99 99:99:99", None) is None
